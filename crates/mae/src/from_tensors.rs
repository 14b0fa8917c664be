//! Configurations read off the shapes of given weights.

use std::collections::HashMap;

use candle_core::Tensor;

use crate::names::DISTILLATION;
use crate::{Error, MaeConfig, Positions, Result, VitConfig};

/// Attention heads of the published models by width: ViT-Ti, S, B, L, H and DINOv2's giant.
const PUBLISHED: [(usize, usize); 6] = [
    (192, 3),
    (384, 6),
    (768, 12),
    (1024, 16),
    (1280, 16),
    (1536, 24),
];

fn architecture<T>(reason: String) -> Result<T> {
    Err(Error::Architecture { reason })
}

fn dims<'a>(tensors: &'a HashMap<String, Tensor>, name: &str) -> Result<&'a [usize]> {
    match tensors.get(name) {
        Some(tensor) => Ok(tensor.dims()),
        None => architecture(format!("`{name}` is missing")),
    }
}

/// One more than the largest N of the names `prefix.N.…`.
fn depth(tensors: &HashMap<String, Tensor>, prefix: &str) -> usize {
    let number = |name: &String| -> Option<usize> {
        let rest = name.strip_prefix(prefix)?.strip_prefix('.')?;
        rest.split('.').next()?.parse().ok()
    };
    let numbers = tensors.keys().filter_map(number);
    numbers.max().map_or(0, |last| last.saturating_add(1))
}

/// The side of a square grid of `count` patches.
pub(crate) fn square_side(count: usize) -> Option<usize> {
    let side = count.isqrt();
    (side > 0 && side * side == count).then_some(side)
}

/// Attention heads of the published models of this width.
pub(crate) fn published_heads(width: usize) -> Option<usize> {
    let published = PUBLISHED.iter().find(|(known, _)| *known == width);
    published.map(|(_, heads)| *heads)
}

/// The heads given, or those of the published models.
fn heads(given: Option<usize>, published: Option<usize>, width: usize) -> Result<usize> {
    match given.or(published) {
        Some(heads) => Ok(heads),
        None => architecture(format!(
            "a file does not say its number of attention heads, and no published model has width {width}; give the number"
        )),
    }
}

/// What names and shapes say of an encoder; sizes may be any.
pub(crate) struct Shapes {
    pub width: usize,
    pub in_channels: usize,
    pub patch_size: usize,
    pub depth: usize,
    pub hidden: usize,
    pub qkv_bias: bool,
    pub registers: usize,
    /// Entries of the position table.
    pub positions: Option<usize>,
}

impl Shapes {
    pub(crate) fn of(tensors: &HashMap<String, Tensor>) -> Result<Self> {
        let &[width, in_channels, patch_size, patch_width] =
            dims(tensors, "patch_embed.proj.weight")?
        else {
            return architecture("`patch_embed.proj.weight` is not four-dimensional".to_owned());
        };
        if patch_size != patch_width || patch_size == 0 || width == 0 {
            return architecture(format!(
                "patches of {patch_size}x{patch_width} pixels and width {width}; both must be positive and patches square"
            ));
        }
        let second = |name: &str| Some(tensors.get(name)?.dims().get(1).copied().unwrap_or(0));
        Ok(Self {
            width,
            in_channels,
            patch_size,
            depth: depth(tensors, "blocks"),
            hidden: match tensors.get("blocks.0.mlp.fc1.weight") {
                Some(matrix) => matrix.dims().first().copied().unwrap_or(0),
                None => 0,
            },
            qkv_bias: tensors.contains_key("blocks.0.attn.qkv.bias"),
            registers: second("register_tokens").unwrap_or(0),
            positions: second("pos_embed"),
        })
    }
}

impl VitConfig {
    /// The encoder to which these tensors belong, by their shapes. `heads` is not in a file: without it, the number of the
    /// published models (timm and MAE ViT-Ti, S, B, L, H) of that width is taken, which is not that of this project's presets: their
    /// files say the whole configuration in their metadata. LayerNorm eps is their 1e-6, the image
    /// size a square where there is a position table.
    ///
    /// # Errors
    /// [`Error::Architecture`] if names are missing or contradict each other, [`Error::Config`] if a size is out of range.
    pub fn from_tensors(tensors: &HashMap<String, Tensor>, heads: Option<usize>) -> Result<Self> {
        let shapes = Shapes::of(tensors)?;
        dims(tensors, "blocks.0.mlp.fc1.weight")?;
        let (positions, side) = match shapes.positions {
            None => (Positions::SinCos, None),
            Some(count) => {
                let side = square_side(count).or_else(|| square_side(count.saturating_sub(1)));
                let Some(side) = side else {
                    if tensors.contains_key(DISTILLATION) {
                        return architecture(format!(
                            "`{DISTILLATION}` is the distillation token of a distilled DeiT, a second class token, which is not supported; take weights without distillation"
                        ));
                    }
                    return architecture(format!(
                        "`pos_embed` holds {count} positions, which are no square grid; give the configuration yourself"
                    ));
                };
                (Positions::Learned, side.checked_mul(shapes.patch_size))
            }
        };
        let image = side.unwrap_or_else(|| shapes.patch_size.saturating_mul(16));
        let config = Self {
            image_size: [image, image],
            patch_size: shapes.patch_size,
            in_channels: shapes.in_channels,
            width: shapes.width,
            depth: shapes.depth,
            heads: self::heads(heads, published_heads(shapes.width), shapes.width)?,
            mlp_ratio: shapes.hidden as f64 / shapes.width as f64,
            qkv_bias: shapes.qkv_bias,
            layer_norm_eps: 1e-6,
            positions,
            registers: shapes.registers,
            drop_path: 0.0,
            checkpoint_blocks: false,
            taps: Vec::new(),
            window: None,
        };
        config.validate()?;
        Ok(config)
    }
}

impl MaeConfig {
    /// The masked autoencoder to which these tensors belong, as [`VitConfig::from_tensors`]; the published decoder of width 512
    /// has 16 heads. The file does not say whether targets were normalised: false.
    ///
    /// # Errors
    /// As [`VitConfig::from_tensors`].
    pub fn from_tensors(
        tensors: &HashMap<String, Tensor>,
        heads: Option<usize>,
        decoder_heads: Option<usize>,
    ) -> Result<Self> {
        let &[decoder_width, _] = dims(tensors, "decoder_embed.weight")? else {
            return architecture("`decoder_embed.weight` is not two-dimensional".to_owned());
        };
        let published = (decoder_width == 512).then_some(16);
        let config = Self {
            encoder: VitConfig::from_tensors(tensors, heads)?,
            decoder_width,
            decoder_depth: depth(tensors, "decoder_blocks"),
            decoder_heads: self::heads(decoder_heads, published, decoder_width)?,
            normalize_targets: false,
        };
        config.validate()?;
        Ok(config)
    }
}
