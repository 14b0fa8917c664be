use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How a token learns where its patch lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Positions {
    /// Trained, one vector per patch of the configured grid; resampled bicubically for any other grid.
    #[default]
    Learned,
    /// Fixed 2-D sine-cosine vectors ([`crate::sin_cos_positions`]), computed for any grid; no variables.
    SinCos,
}

/// A Vision Transformer encoder. `Default` is [`VitConfig::seed`].
///
/// ```
/// use venule_mae::VitConfig;
/// let config = VitConfig { heads: 7, ..VitConfig::tiny() };
/// let message = config.validate().unwrap_err().to_string();
/// assert_eq!(message, "heads is 7, but must be a divisor of the width 64");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VitConfig {
    /// Height and width in pixels for which learned positions are made; other sizes are resampled. Multiples of the patch size.
    pub image_size: [usize; 2],
    /// Side of a square patch in pixels: the stride of the feature maps, 1 to 256.
    pub patch_size: usize,
    /// Image channels, 1 to 64.
    pub in_channels: usize,
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
    /// Register tokens (Darcet et al. 2024): learned tokens beside the class token, without positions, 0 to 64. A masked autoencoder has none.
    #[serde(skip_serializing_if = "is_zero")]
    pub registers: usize,
    /// Stochastic-depth rate of the last block, in [0, 1); it grows linearly from 0 at the first.
    pub drop_path: f32,
    /// Whether training keeps only each block's input and runs the block once more for its gradient: less memory, about a third
    /// more time ([`venule_nn::checkpointed`]). The values are the same.
    pub checkpoint_blocks: bool,
    /// Numbers of blocks after which a feature map is given, ascending in 1 to `depth`; empty: only after the last.
    pub taps: Vec<usize>,
    /// Most patches a side, 1 to 4096, that the blocks see at once when the encoder gives feature maps in evaluation: a larger grid is cut
    /// into equal windows, which overlap by a patch at most, each with its own positions (learned ones are resampled to its grid) and class token. `None`: the whole
    /// grid, whose attention grows with the square of the pixels.
    ///
    /// With the side of the training crops here, a photograph is seen much as the crops were: in pieces of at most as many patches,
    /// with sine-cosine positions at places that were trained. In training, and in a masked autoencoder, images are always seen at once.
    pub window: Option<usize>,
}

fn config_error<T>(
    field: &'static str,
    value: impl std::fmt::Debug,
    expected: impl Into<String>,
) -> Result<T> {
    Err(Error::Config {
        field,
        value: format!("{value:?}"),
        expected: expected.into(),
    })
}

fn between(field: &'static str, value: usize, low: usize, high: usize) -> Result<()> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    config_error(field, value, format!("in {low} to {high}"))
}

fn heads(field: &'static str, heads: usize, width: usize) -> Result<()> {
    if heads > 0 && width.is_multiple_of(heads) {
        return Ok(());
    }
    config_error(field, heads, format!("a divisor of the width {width}"))
}

/// A setting that files of an earlier version do not have is written only where it is used.
fn is_zero(value: &usize) -> bool {
    *value == 0
}

/// Most values in a table of learned positions (1 GiB): a mistyped image size must not exhaust the memory.
const LARGEST_TABLE: usize = 1 << 28;

impl VitConfig {
    /// 512×512, patch 16, width 768, 8 blocks of 8 heads, learned positions, no qkv biases.
    pub fn seed() -> Self {
        Self {
            image_size: [512, 512],
            patch_size: 16,
            in_channels: 1,
            width: 768,
            depth: 8,
            heads: 8,
            mlp_ratio: 4.0,
            qkv_bias: false,
            layer_norm_eps: 1e-6,
            positions: Positions::Learned,
            registers: 0,
            drop_path: 0.0,
            checkpoint_blocks: false,
            taps: Vec::new(),
            window: None,
        }
    }

    /// Patch 16, width 192, 6 blocks of 6 heads, sine-cosine positions, windows of 16 patches: the side of a crop of 256².
    pub fn compact() -> Self {
        Self {
            width: 192,
            depth: 6,
            heads: 6,
            positions: Positions::SinCos,
            window: Some(16),
            ..Self::seed()
        }
    }

    /// Patch 8, width 64, 3 blocks of 4 heads, sine-cosine positions: trains in seconds.
    pub fn tiny() -> Self {
        Self {
            image_size: [128, 128],
            patch_size: 8,
            width: 64,
            depth: 3,
            heads: 4,
            positions: Positions::SinCos,
            ..Self::seed()
        }
    }

    /// A public layout: patch 16 at 224×224 RGB pixels, heads of width 64, qkv biases, learned positions, LayerNorm eps 1e-6.
    fn public(width: usize, depth: usize) -> Self {
        Self {
            image_size: [224, 224],
            in_channels: 3,
            width,
            depth,
            heads: width / 64,
            qkv_bias: true,
            ..Self::seed()
        }
    }

    /// ViT-Ti/16 of timm and DeiT: width 192, 12 blocks of 3 heads.
    pub fn vit_tiny() -> Self {
        Self::public(192, 12)
    }

    /// ViT-S/16: width 384, 12 blocks of 6 heads. DINOv2's has patch 14 at 518×518 pixels.
    pub fn vit_small() -> Self {
        Self::public(384, 12)
    }

    /// ViT-B/16, as MAE's: width 768, 12 blocks of 12 heads.
    pub fn vit_base() -> Self {
        Self::public(768, 12)
    }

    /// ViT-L/16, as MAE's and RETFound's: width 1024, 24 blocks of 16 heads.
    pub fn vit_large() -> Self {
        Self::public(1024, 24)
    }

    /// Names of the presets.
    pub const PRESETS: &'static [&'static str] = &[
        "seed",
        "compact",
        "tiny",
        "seed-4",
        "seed-6",
        "seed-12",
        "vit-tiny",
        "vit-small",
        "vit-base",
        "vit-large",
    ];

    /// The preset of that name: those of [`MaeConfig::preset`], and the public layouts `vit-tiny`, `vit-small`, `vit-base` and
    /// `vit-large`.
    ///
    /// # Errors
    /// [`Error::Preset`] for any other name.
    pub fn preset(name: &str) -> Result<Self> {
        match name {
            "vit-tiny" => Ok(Self::vit_tiny()),
            "vit-small" => Ok(Self::vit_small()),
            "vit-base" => Ok(Self::vit_base()),
            "vit-large" => Ok(Self::vit_large()),
            name => match MaeConfig::preset(name) {
                Ok(config) => Ok(config.encoder),
                Err(_) => Err(Error::Preset {
                    name: name.to_owned(),
                    known: Self::PRESETS,
                }),
            },
        }
    }

    /// Rows and columns of patches of the configured image size.
    pub fn grid(&self) -> (usize, usize) {
        let patch = self.patch_size.max(1);
        (self.image_size[0] / patch, self.image_size[1] / patch)
    }

    /// Values of one patch: `in_channels · patch_size²`.
    pub fn patch_values(&self) -> usize {
        self.in_channels * self.patch_size * self.patch_size
    }

    /// The depths that give feature maps: `taps`, or the last.
    pub fn tapped_depths(&self) -> Vec<usize> {
        if self.taps.is_empty() {
            vec![self.depth]
        } else {
            self.taps.clone()
        }
    }

    /// Checks every field. Building a model does so too.
    ///
    /// # Errors
    /// [`Error::Config`] with the first field out of its range.
    pub fn validate(&self) -> Result<()> {
        between("patch_size", self.patch_size, 1, 256)?;
        between("in_channels", self.in_channels, 1, 64)?;
        between("width", self.width, 1, 8192)?;
        between("depth", self.depth, 1, 128)?;
        between("registers", self.registers, 0, 64)?;
        heads("heads", self.heads, self.width)?;
        for side in self.image_size {
            if side == 0 || side > 1 << 16 || !side.is_multiple_of(self.patch_size) {
                return config_error(
                    "image_size",
                    self.image_size,
                    format!(
                        "two multiples of the patch size {} up to 65536",
                        self.patch_size
                    ),
                );
            }
        }
        let (rows, columns) = self.grid();
        if self.positions == Positions::Learned && rows * columns * self.width > LARGEST_TABLE {
            return config_error(
                "image_size",
                self.image_size,
                format!(
                    "at most {} patches for learned positions of width {}",
                    LARGEST_TABLE / self.width,
                    self.width
                ),
            );
        }
        if self.positions == Positions::SinCos && !self.width.is_multiple_of(4) {
            return config_error(
                "width",
                self.width,
                "a multiple of 4 for sine-cosine positions",
            );
        }
        let hidden = self.width as f64 * self.mlp_ratio;
        if !(hidden.round() >= 1.0 && self.mlp_ratio <= 16.0) {
            return config_error(
                "mlp_ratio",
                self.mlp_ratio,
                "in (0, 16], with one hidden value at least",
            );
        }
        if !(self.layer_norm_eps > 0.0 && self.layer_norm_eps <= 0.1) {
            return config_error("layer_norm_eps", self.layer_norm_eps, "in (0, 0.1]");
        }
        if !(0.0..1.0).contains(&self.drop_path) {
            return config_error("drop_path", self.drop_path, "in [0, 1)");
        }
        if let Some(window) = self.window {
            between("window", window, 1, 4096)?;
        }
        let ascending = self.taps.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || self.taps.iter().any(|tap| *tap == 0 || *tap > self.depth) {
            return config_error(
                "taps",
                &self.taps,
                format!("ascending numbers in 1 to the depth {}", self.depth),
            );
        }
        Ok(())
    }
}

impl Default for VitConfig {
    fn default() -> Self {
        Self::seed()
    }
}

/// A masked autoencoder. `Default` is [`MaeConfig::seed`].
///
/// The decoder shares the encoder's kind of positions, MLP ratio, qkv biases and LayerNorm eps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MaeConfig {
    /// The encoder.
    pub encoder: VitConfig,
    /// Token width of the decoder, 1 to 8192; a multiple of `decoder_heads`, and of 4 for sine-cosine positions.
    pub decoder_width: usize,
    /// Blocks of the decoder, 1 to 128.
    pub decoder_depth: usize,
    /// Attention heads of the decoder, a divisor of `decoder_width`.
    pub decoder_heads: usize,
    /// Whether each patch of the target is brought to mean 0 and variance 1.
    pub normalize_targets: bool,
}

impl MaeConfig {
    /// Names of the presets.
    pub const PRESETS: &'static [&'static str] =
        &["seed", "compact", "tiny", "seed-4", "seed-6", "seed-12"];

    /// [`VitConfig::seed`] with a decoder of width 512, 4 blocks of 8 heads.
    pub fn seed() -> Self {
        Self {
            encoder: VitConfig::seed(),
            decoder_width: 512,
            decoder_depth: 4,
            decoder_heads: 8,
            normalize_targets: false,
        }
    }

    /// [`VitConfig::compact`] with a decoder of width 128, 2 blocks of 4 heads.
    pub fn compact() -> Self {
        Self {
            encoder: VitConfig::compact(),
            decoder_width: 128,
            decoder_depth: 2,
            decoder_heads: 4,
            normalize_targets: false,
        }
    }

    /// [`VitConfig::tiny`] with a decoder of width 32, 1 block of 2 heads.
    pub fn tiny() -> Self {
        Self {
            encoder: VitConfig::tiny(),
            decoder_width: 32,
            decoder_depth: 1,
            decoder_heads: 2,
            normalize_targets: false,
        }
    }

    /// The preset of that name: `seed`, `compact`, `tiny`, or `seed` with another number of blocks: `seed-4`, `seed-6`,
    /// `seed-12`.
    ///
    /// # Errors
    /// [`Error::Preset`] for any other name.
    pub fn preset(name: &str) -> Result<Self> {
        let seed = |depth| {
            let mut config = Self::seed();
            config.encoder.depth = depth;
            Ok(config)
        };
        match name {
            "seed" => Ok(Self::seed()),
            "compact" => Ok(Self::compact()),
            "tiny" => Ok(Self::tiny()),
            "seed-4" => seed(4),
            "seed-6" => seed(6),
            "seed-12" => seed(12),
            name => Err(Error::Preset {
                name: name.to_owned(),
                known: Self::PRESETS,
            }),
        }
    }

    /// Checks every field. Building a model does so too.
    ///
    /// # Errors
    /// [`Error::Config`] with the first field out of its range.
    pub fn validate(&self) -> Result<()> {
        self.encoder.validate()?;
        between("decoder_width", self.decoder_width, 1, 8192)?;
        between("decoder_depth", self.decoder_depth, 1, 128)?;
        heads("decoder_heads", self.decoder_heads, self.decoder_width)?;
        if self.encoder.registers != 0 {
            return config_error(
                "registers",
                self.encoder.registers,
                "0 in a masked autoencoder, whose decoder takes the class token and patches",
            );
        }
        if self.encoder.positions == Positions::SinCos && !self.decoder_width.is_multiple_of(4) {
            return config_error(
                "decoder_width",
                self.decoder_width,
                "a multiple of 4 for sine-cosine positions",
            );
        }
        if self.normalize_targets && self.encoder.patch_values() < 2 {
            return config_error(
                "normalize_targets",
                true,
                "false for patches of a single value, which have no variance",
            );
        }
        Ok(())
    }
}

impl Default for MaeConfig {
    fn default() -> Self {
        Self::seed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Spoil = fn(&mut MaeConfig);

    #[test]
    fn every_preset_is_valid_and_survives_json() {
        for name in MaeConfig::PRESETS {
            let config = MaeConfig::preset(name).unwrap();
            config.validate().unwrap();
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<MaeConfig>(&text).unwrap(), config);
        }
        let message = MaeConfig::preset("huge").unwrap_err().to_string();
        assert_eq!(
            message,
            "there is no preset `huge`; take one of seed, compact, tiny, seed-4, seed-6, seed-12"
        );
    }

    #[test]
    fn the_public_layouts_have_their_published_sizes() {
        // timm: vit_tiny_patch16_224, vit_small_…, vit_base_…, vit_large_… without their heads
        for (name, parameters) in [
            ("vit-tiny", 5_524_416),
            ("vit-small", 21_665_664),
            ("vit-base", 85_798_656),
            ("vit-large", 303_301_632),
        ] {
            let config = VitConfig::preset(name).unwrap();
            config.validate().unwrap();
            let (w, n) = (config.width, 196);
            // norms, qkv, proj, MLP of a block; patches, class token, positions (timm has one more, of the class token), norm
            let block = 4 * w + 3 * w * w + 3 * w + w * w + w + 8 * w * w + 5 * w;
            let all = 768 * w + w + w + (n + 1) * w + config.depth * block + 2 * w;
            assert_eq!(all, parameters, "{name}");
        }
        assert!(
            VitConfig::preset("vit-huge")
                .unwrap_err()
                .to_string()
                .contains("vit-large")
        );
    }

    #[test]
    fn registers_are_written_only_where_there_are_some() {
        let text = |config: &VitConfig| serde_json::to_string(config).unwrap();
        assert!(!text(&VitConfig::seed()).contains("registers"));
        let config = VitConfig {
            registers: 4,
            ..VitConfig::vit_small()
        };
        assert_eq!(
            serde_json::from_str::<VitConfig>(&text(&config)).unwrap(),
            config
        );
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        let message = serde_json::from_str::<VitConfig>(r#"{"widht": 64}"#).unwrap_err();
        assert!(message.to_string().contains("widht"), "{message}");
    }

    #[test]
    fn each_bad_value_names_its_field() {
        let cases: [(&str, Spoil); 20] = [
            ("registers", |c| c.encoder.registers = 65),
            ("registers", |c| c.encoder.registers = 4),
            ("patch_size", |c| c.encoder.patch_size = 0),
            ("in_channels", |c| c.encoder.in_channels = 0),
            ("width", |c| c.encoder.width = 1 << 20),
            ("width", |c| {
                c.encoder.width = 6;
                c.encoder.heads = 3;
            }),
            ("depth", |c| c.encoder.depth = 0),
            ("heads", |c| c.encoder.heads = 0),
            ("image_size", |c| c.encoder.image_size = [128, 100]),
            ("image_size", |c| {
                c.encoder.positions = Positions::Learned;
                c.encoder.image_size = [65536, 65536];
            }),
            ("mlp_ratio", |c| c.encoder.mlp_ratio = f64::NAN),
            ("layer_norm_eps", |c| c.encoder.layer_norm_eps = 0.0),
            ("drop_path", |c| c.encoder.drop_path = 1.0),
            ("taps", |c| c.encoder.taps = vec![2, 1]),
            ("taps", |c| c.encoder.taps = vec![4]),
            ("window", |c| c.encoder.window = Some(0)),
            ("window", |c| c.encoder.window = Some(4097)),
            ("decoder_width", |c| c.decoder_width = 0),
            ("decoder_depth", |c| c.decoder_depth = 0),
            ("decoder_heads", |c| c.decoder_heads = 5),
        ];
        for (expected, spoil) in cases {
            let mut config = MaeConfig::tiny();
            spoil(&mut config);
            match config.validate() {
                Err(Error::Config { field, .. }) => assert_eq!(field, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
    }
}
