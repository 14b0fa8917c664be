use candle_core::{Result as TensorResult, Tensor, bail};
use venule_nn::{Block, Init, LayerNorm, Linear, Mode, Param, Params};

use crate::positions::PositionTable;
use crate::vit::blocks;
use crate::{MaeConfig, Masking, Result};

/// The light decoder of a masked autoencoder: paints every patch from the visible ones.
///
/// Variables: `decoder_embed`, `mask_token` (1, 1, width), `decoder_pos_embed` (1, N, width) where positions are learned,
/// `decoder_blocks.N.…`, `decoder_norm`, `decoder_pred`. As in the MAE paper's code the class token passes through the
/// blocks, without a position.
#[derive(Clone, Debug)]
pub struct MaeDecoder {
    embed: Linear,
    mask_token: Param,
    positions: PositionTable,
    blocks: Vec<Block>,
    norm: LayerNorm,
    pred: Linear,
    width: usize,
}

impl MaeDecoder {
    /// Takes its variables from `params`.
    ///
    /// # Errors
    /// [`crate::Error::Config`] if the configuration is not valid; [`crate::Error::Nn`] if the store holds other shapes.
    pub fn new(config: &MaeConfig, params: &Params) -> Result<Self> {
        config.validate()?;
        let (encoder, width) = (&config.encoder, config.decoder_width);
        Ok(Self {
            embed: Linear::new(encoder.width, width, true, &params.pp("decoder_embed"))?,
            mask_token: params.get((1, 1, width), "mask_token", Init::TruncatedNormal(0.02))?,
            positions: PositionTable::new(
                encoder.positions,
                encoder.grid(),
                width,
                "decoder_pos_embed",
                params,
            )?,
            blocks: blocks(
                "decoder_blocks",
                config.decoder_depth,
                width,
                config.decoder_heads,
                0.0,
                encoder,
                params,
            )?,
            norm: LayerNorm::new(width, encoder.layer_norm_eps, &params.pp("decoder_norm"))?,
            pred: Linear::new(
                width,
                encoder.patch_values(),
                true,
                &params.pp("decoder_pred"),
            )?,
            width,
        })
    }

    /// Encoder tokens (B, 1 + K, encoder width) of the patches that `masking` keeps → predictions for all patches of the
    /// grid (rows, columns): (B, N, p·p·C), the values of a patch in the order (row, column, channel).
    ///
    /// # Errors
    /// If tokens, masking and grid do not fit together.
    pub fn forward(
        &self,
        tokens: &Tensor,
        masking: &Masking,
        grid: (usize, usize),
        mode: Mode,
    ) -> TensorResult<Tensor> {
        let (batch, patches, kept) = masking.dims();
        let (rows, length, _) = tokens.dims3()?;
        if rows != batch || length != kept + 1 || grid.0 * grid.1 != patches {
            bail!(
                "{rows} images of {length} tokens on a grid of {grid:?} do not fit a masking of {batch} images that keeps {kept} of {patches} patches"
            );
        }
        let tokens = self.embed.forward(tokens)?;
        let mut x = self.unshuffle(&tokens, masking)?;
        let positions = self.positions.at(grid, &x)?.pad_with_zeros(1, 1, 0)?;
        x = x.broadcast_add(&positions)?;
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.forward(&x, mode.part(i as u64))?;
        }
        let x = self.norm.forward(&x)?.narrow(1, 1, patches)?;
        self.pred.forward(&x.contiguous()?)
    }

    /// Puts the class token first and each patch token in its place, the mask token in all others: (B, 1 + N, width).
    fn unshuffle(&self, tokens: &Tensor, masking: &Masking) -> TensorResult<Tensor> {
        let (batch, patches, kept) = masking.dims();
        let visible = batch * (kept + 1);
        // One gather from the rows (all tokens, mask token): every place reads the token, or the last row.
        let mask_token = self.mask_token.tensor().reshape((1, self.width))?;
        let table = Tensor::cat(&[tokens.reshape((visible, self.width))?, mask_token], 0)?;
        let step = (kept + 1) as u32;
        let class = Tensor::arange_step(0, visible as u32, step, tokens.device())?;
        let class = class.reshape((batch, 1))?;
        let restore = masking.restore();
        let place = restore.broadcast_add(&(&class + &class.ones_like()?)?)?;
        let hidden = Tensor::full(visible as u32, (batch, patches), tokens.device())?;
        let place = restore.lt(kept as u32)?.where_cond(&place, &hidden)?;
        Tensor::cat(&[class, place], 1)?
            .flatten_all()
            .and_then(|rows| table.index_select(&rows, 0))?
            .reshape((batch, patches + 1, self.width))
    }
}
