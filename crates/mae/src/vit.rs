use candle_core::{D, Module, Result as TensorResult, Tensor};
use venule_nn::{
    Block, BlockConfig, Encoder, FeatureInfo, FeatureMap, Features, Init, LayerNorm, Mode, Param,
    Params, checkpointed, linear, patchify,
};

use crate::masked_encoder::patch_grid;
use crate::masking::chosen;
use crate::positions::PositionTable;
use crate::windows::Windows;
use crate::{MaskedEncoder, Masking, Result, VitConfig};

/// A Vision Transformer encoder (Dosovitskiy et al. 2021) for images of any size that the patch size divides.
///
/// Variables, in the public MAE / timm layout: `patch_embed.proj.weight` (width, C, p, p) and `.bias`, `cls_token`
/// (1, 1, width), `register_tokens` (1, R, width) where there are some, `pos_embed` (1, N, width) where positions are learned,
/// `blocks.N.…`, `norm.weight` and `.bias`. Class and register tokens carry no position.
///
/// Its stages are 0 for patch embedding, class token and positions, and N + 1 for block N; the final norm lies behind them.
///
/// As an [`Encoder`] it gives one map (B, width, H/p, W/p) per tapped depth, each through the final norm; in evaluation it sees
/// an image larger than [`VitConfig::window`] window by window.
#[derive(Clone, Debug)]
pub struct VitEncoder {
    config: VitConfig,
    patch_weight: Param,
    patch_bias: Param,
    cls_token: Param,
    registers: Option<Param>,
    positions: PositionTable,
    blocks: Vec<Block>,
    /// Of each block, for checkpointing.
    block_params: Vec<Vec<Param>>,
    norm: LayerNorm,
}

/// The blocks of `config` under `name`, with a stochastic-depth rate that grows linearly to its `drop_path`.
pub(crate) fn blocks(name: &str, config: &VitConfig, params: &Params) -> Result<Vec<Block>> {
    let block = |i: usize| {
        let share = i as f32 / (config.depth.max(2) - 1) as f32;
        let config = BlockConfig {
            width: config.width,
            heads: config.heads,
            mlp_ratio: config.mlp_ratio,
            qkv_bias: config.qkv_bias,
            layer_norm_eps: config.layer_norm_eps,
            drop_path: config.drop_path * share,
        };
        Ok(Block::new(&config, &params.pp(name).pp(i))?)
    };
    (0..config.depth).map(block).collect()
}

impl VitEncoder {
    /// Takes its variables from `params`.
    ///
    /// # Errors
    /// [`crate::Error::Config`] if the configuration is not valid; [`crate::Error::Nn`] if the store holds other shapes.
    pub fn new(config: &VitConfig, params: &Params) -> Result<Self> {
        config.validate()?;
        let (width, patch) = (config.width, config.patch_size);
        // As wide as Glorot's uniform for the linear map that the embedding is.
        let deviation = (2.0 / (config.patch_values() + width) as f32).sqrt();
        let embedding = params.pp("patch_embed").pp("proj");
        Ok(Self {
            config: config.clone(),
            patch_weight: embedding.get(
                (width, config.in_channels, patch, patch),
                "weight",
                Init::TruncatedNormal(deviation),
            )?,
            patch_bias: embedding.get(width, "bias", Init::Zeros)?,
            cls_token: params.get_undecayed(
                (1, 1, width),
                "cls_token",
                Init::TruncatedNormal(0.02),
            )?,
            registers: match config.registers {
                0 => None,
                count => Some(params.get_undecayed(
                    (1, count, width),
                    "register_tokens",
                    Init::TruncatedNormal(0.02),
                )?),
            },
            positions: PositionTable::new(
                config.positions,
                config.grid(),
                width,
                "pos_embed",
                params,
            )?,
            blocks: blocks("blocks", config, params)?,
            block_params: (0..config.depth)
                .map(|i| params.pp("blocks").pp(i).taken())
                .collect(),
            norm: LayerNorm::new(width, config.layer_norm_eps, &params.pp("norm"))?,
        })
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &VitConfig {
        &self.config
    }

    /// Rows and columns of patches of `images` (B, C, H, W).
    ///
    /// # Errors
    /// If the channels differ from the configuration's or the patch size does not divide H and W.
    pub fn grid(&self, images: &Tensor) -> TensorResult<(usize, usize)> {
        patch_grid(images, self.config.in_channels, self.config.patch_size)
    }

    /// Tokens after the last block and norm: (B, 1 + R + K, width), the class token first, then the R registers and the patches
    /// that `keep` (B, K) of `u32` names, in its order; without `keep` all N patches row by row.
    ///
    /// # Errors
    /// If the images do not fit ([`VitEncoder::grid`]) or `keep` names a patch that does not exist.
    pub fn forward_tokens(
        &self,
        images: &Tensor,
        keep: Option<&Tensor>,
        mode: Mode,
    ) -> TensorResult<Tensor> {
        let mut tokens = self.embed(images, keep)?;
        for i in 0..self.blocks.len() {
            tokens = self.block(i, &tokens, mode)?;
        }
        self.norm.forward(&tokens)
    }

    /// Tokens after the `i`th block.
    fn block(&self, i: usize, tokens: &Tensor, mode: Mode) -> TensorResult<Tensor> {
        let (block, mode) = (&self.blocks[i], mode.part(i as u64));
        if !self.config.checkpoint_blocks {
            return block.forward(tokens, mode);
        }
        let block = block.clone();
        checkpointed(tokens, &self.block_params[i], move |x| {
            block.forward(x, mode)
        })
    }

    /// Class token, registers and embedded patches (B, 1 + R + K, width).
    fn embed(&self, images: &Tensor, keep: Option<&Tensor>) -> TensorResult<Tensor> {
        let grid = self.grid(images)?;
        let (width, values) = (self.config.width, self.config.patch_values());
        let mut patches = patchify(images, self.config.patch_size)?;
        let mut positions = self.positions.at(grid, images)?;
        let batch = patches.dim(0)?;
        if let Some(keep) = keep {
            // Choosing patches before the embedding is the same as after it, for a quarter of the work.
            patches = chosen(&patches, keep)?;
            positions = positions
                .squeeze(0)?
                .index_select(&keep.flatten_all()?, 0)?
                .reshape((batch, keep.dim(1)?, width))?;
        }
        let weight = self.patch_weight.tensor().reshape((width, values))?;
        let tokens = linear(&patches, &weight, Some(&self.patch_bias.tensor()))?;
        let tokens = tokens.broadcast_add(&positions)?;
        let class = self.cls_token.tensor().broadcast_as((batch, 1, width))?;
        let class = class.contiguous()?;
        let Some(registers) = &self.registers else {
            return Tensor::cat(&[class, tokens], 1);
        };
        let shape = (batch, self.config.registers, width);
        let registers = registers.tensor().broadcast_as(shape)?.contiguous()?;
        Tensor::cat(&[class, registers, tokens], 1)
    }

    /// The map after each tapped depth, of `images` seen at once.
    fn maps(&self, images: &Tensor, mode: Mode) -> TensorResult<Vec<Tensor>> {
        let (rows, columns) = self.grid(images)?;
        let (batch, width) = (images.dim(0)?, self.config.width);
        let taps = self.config.tapped_depths();
        let mut tokens = self.embed(images, None)?;
        let mut maps = Vec::with_capacity(taps.len());
        for i in 0..self.blocks.len() {
            if maps.len() == taps.len() {
                break;
            }
            tokens = self.block(i, &tokens, mode)?;
            if taps.contains(&(i + 1)) {
                let first = 1 + self.config.registers;
                let patches = self.norm.forward(&tokens)?;
                let patches = patches.narrow(1, first, rows * columns)?;
                let map = patches.transpose(1, D::Minus1)?.contiguous()?;
                maps.push(map.reshape((batch, width, rows, columns))?);
            }
        }
        Ok(maps)
    }
}

impl Encoder for VitEncoder {
    fn forward(&self, images: &Tensor, mode: Mode) -> TensorResult<Features> {
        let grid = self.grid(images)?;
        let window = self.config.window.filter(|_| mode == Mode::Eval);
        let windows = window.map(|largest| Windows::new(grid, largest));
        let maps = match windows.filter(|windows| !windows.is_whole()) {
            None => self.maps(images, mode)?,
            Some(windows) => {
                let batch = images.dim(0)?;
                let images = windows.split(images, self.config.patch_size)?;
                let maps = self.maps(&images, mode)?;
                let joined = maps.iter().map(|map| windows.join(map, batch));
                joined.collect::<TensorResult<_>>()?
            }
        };
        let maps = maps.into_iter().map(|tensor| FeatureMap {
            tensor,
            stride: self.config.patch_size,
        });
        Ok(Features {
            maps: maps.collect(),
        })
    }

    fn outputs(&self) -> Vec<FeatureInfo> {
        let info = FeatureInfo {
            channels: self.config.width,
            stride: self.config.patch_size,
        };
        vec![info; self.config.tapped_depths().len()]
    }

    fn image_channels(&self) -> Option<usize> {
        Some(self.config.in_channels)
    }

    fn stages(&self) -> usize {
        self.config.depth + 1
    }

    fn stage_of(&self, name: &str) -> Option<usize> {
        let (first, rest) = name.split_once('.').unwrap_or((name, ""));
        match first {
            "patch_embed" | "cls_token" | "register_tokens" | "pos_embed" => Some(0),
            "blocks" => {
                let number: usize = rest.split('.').next()?.parse().ok()?;
                (number < self.config.depth).then_some(number + 1)
            }
            _ => None,
        }
    }
}

impl MaskedEncoder for VitEncoder {
    fn patch_size(&self) -> usize {
        self.config.patch_size
    }

    fn in_channels(&self) -> usize {
        self.config.in_channels
    }

    fn token_width(&self) -> usize {
        self.config.width
    }

    /// The class token and the registers.
    fn extra_tokens(&self) -> usize {
        1 + self.config.registers
    }

    fn forward_visible(
        &self,
        images: &Tensor,
        masking: &Masking,
        mode: Mode,
    ) -> TensorResult<Tensor> {
        self.forward_tokens(images, Some(masking.keep()), mode)
    }
}
