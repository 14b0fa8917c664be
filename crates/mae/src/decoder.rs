use candle_core::{Module, Result as TensorResult, Tensor};
use serde::{Deserialize, Serialize};
use venule_nn::{Block, Init, LayerNorm, Linear, Mode, Param, Params};

use crate::positions::PositionTable;
use crate::vit::blocks;
use crate::{Error, MaeConfig, MaskedEncoder, Masking, Positions, Result, VitConfig};

/// What a masked autoencoder has beside its encoder. `Default` is what [`MaeConfig::seed`] has.
///
/// The decoder's variables: `decoder_embed`, `mask_token` (1, 1, width), `decoder_pos_embed` (1, N, width) where positions are
/// learned, `decoder_blocks.N.…`, `decoder_norm`, `decoder_pred`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MaeDecoderConfig {
    /// Token width, 1 to 8192; a multiple of `heads`, and of 4 for sine-cosine positions.
    pub width: usize,
    /// Number of blocks, 1 to 128.
    pub depth: usize,
    /// Attention heads, a divisor of `width`.
    pub heads: usize,
    /// Hidden width of a block's MLP over `width`, in (0, 16].
    pub mlp_ratio: f64,
    /// Whether query, key and value have biases.
    pub qkv_bias: bool,
    /// Added to the variance in every LayerNorm, in (0, 0.1].
    pub layer_norm_eps: f64,
    /// Kind of positions.
    pub positions: Positions,
    /// Rows and columns of patches for which learned positions are made, 1 to 65536; other grids are resampled.
    pub grid: [usize; 2],
    /// Whether each patch of the target is brought to mean 0 and variance 1.
    pub normalize_targets: bool,
}

impl From<&MaeConfig> for MaeDecoderConfig {
    fn from(config: &MaeConfig) -> Self {
        let (rows, columns) = config.encoder.grid();
        Self {
            width: config.decoder_width,
            depth: config.decoder_depth,
            heads: config.decoder_heads,
            mlp_ratio: config.encoder.mlp_ratio,
            qkv_bias: config.encoder.qkv_bias,
            layer_norm_eps: config.encoder.layer_norm_eps,
            positions: config.encoder.positions,
            grid: [rows, columns],
            normalize_targets: config.normalize_targets,
        }
    }
}

impl Default for MaeDecoderConfig {
    fn default() -> Self {
        Self::from(&MaeConfig::seed())
    }
}

impl MaeDecoderConfig {
    /// Checks every field. Building a masked autoencoder does so too.
    ///
    /// # Errors
    /// [`Error::Config`] with the first field out of its range.
    pub fn validate(&self) -> Result<()> {
        self.transformer().validate().map_err(|error| match error {
            Error::Config {
                field: "image_size",
                value,
                ..
            } => Error::Config {
                field: "grid",
                value,
                expected: "two numbers in 1 to 65536, whose positions fit into 2^28 values"
                    .to_owned(),
            },
            other => other,
        })
    }

    /// The decoder's blocks as a transformer over patches of one pixel.
    fn transformer(&self) -> VitConfig {
        VitConfig {
            image_size: self.grid,
            patch_size: 1,
            registers: 0,
            in_channels: 1,
            width: self.width,
            depth: self.depth,
            heads: self.heads,
            mlp_ratio: self.mlp_ratio,
            qkv_bias: self.qkv_bias,
            layer_norm_eps: self.layer_norm_eps,
            positions: self.positions,
            drop_path: 0.0,
            checkpoint_blocks: false,
            taps: Vec::new(),
            window: None,
        }
    }
}

/// The light decoder of a masked autoencoder: paints every patch from the visible ones.
///
/// As in the MAE paper's code a class token passes through the blocks, without a position.
#[derive(Clone, Debug)]
pub(crate) struct MaeDecoder {
    embed: Linear,
    mask_token: Param,
    positions: PositionTable,
    blocks: Vec<Block>,
    norm: LayerNorm,
    pred: Linear,
    width: usize,
    /// Tokens of the encoder in front of the patches' own.
    extra: usize,
}

impl MaeDecoder {
    /// Takes its variables from `params`, for the tokens and patches of `encoder`.
    pub(crate) fn new(
        config: &MaeDecoderConfig,
        encoder: &dyn MaskedEncoder,
        params: &Params,
    ) -> Result<Self> {
        config.validate()?;
        let width = config.width;
        let patch_values = encoder.in_channels() * encoder.patch_size().pow(2);
        Ok(Self {
            embed: Linear::new(
                encoder.token_width(),
                width,
                true,
                &params.pp("decoder_embed"),
            )?,
            mask_token: params.get_undecayed(
                (1, 1, width),
                "mask_token",
                Init::TruncatedNormal(0.02),
            )?,
            positions: PositionTable::new(
                config.positions,
                (config.grid[0], config.grid[1]),
                width,
                "decoder_pos_embed",
                params,
            )?,
            blocks: blocks("decoder_blocks", &config.transformer(), params)?,
            norm: LayerNorm::new(width, config.layer_norm_eps, &params.pp("decoder_norm"))?,
            pred: Linear::new(width, patch_values, true, &params.pp("decoder_pred"))?,
            width,
            extra: encoder.extra_tokens(),
        })
    }

    /// Encoder tokens (B, extra + K, encoder width) of the patches that `masking` keeps → predictions for all patches of the
    /// grid (rows, columns): (B, N, p·p·C), the values of a patch in the order (row, column, channel).
    pub(crate) fn forward(
        &self,
        tokens: &Tensor,
        masking: &Masking,
        grid: (usize, usize),
        mode: Mode,
    ) -> TensorResult<Tensor> {
        let (_, patches, _) = masking.dims();
        let tokens = self.embed.forward(tokens)?;
        let mut x = self.unshuffle(&tokens, masking)?;
        let positions = self.positions.at(grid, &x)?;
        let positions = positions.pad_with_zeros(1, self.extra, 0)?;
        x = x.broadcast_add(&positions)?;
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.forward(&x, mode.part(i as u64))?;
        }
        let x = self.norm.forward(&x)?.narrow(1, self.extra, patches)?;
        self.pred.forward(&x.contiguous()?)
    }

    /// Puts the extra tokens first and each patch token in its place, the mask token in all others: (B, extra + N, width).
    fn unshuffle(&self, tokens: &Tensor, masking: &Masking) -> TensorResult<Tensor> {
        let (batch, patches, kept) = masking.dims();
        let (device, extra) = (tokens.device(), self.extra as u32);
        let step = extra + kept as u32;
        let visible = batch as u32 * step;
        // One gather from the rows (all tokens, mask token): every place reads the token, or the last row.
        let mask_token = self.mask_token.tensor().reshape((1, self.width))?;
        let rows = tokens.reshape((visible as usize, self.width))?;
        let table = Tensor::cat(&[rows, mask_token], 0)?;
        // Of each image the row `at` behind its first.
        let row = |at: u32| {
            let rows = Tensor::arange_step(at, visible + at, step, device)?;
            rows.reshape((batch, 1))
        };
        let restore = masking.restore();
        let place = restore.broadcast_add(&row(extra)?)?;
        let hidden = Tensor::full(visible, (batch, patches), device)?;
        let place = restore.lt(kept as u32)?.where_cond(&place, &hidden)?;
        let mut places = (0..extra).map(row).collect::<TensorResult<Vec<_>>>()?;
        places.push(place);
        Tensor::cat(&places, 1)?
            .flatten_all()
            .and_then(|rows| table.index_select(&rows, 0))?
            .reshape((batch, patches + self.extra, self.width))
    }
}
