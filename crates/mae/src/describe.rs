//! What is known of a file of weights: its family, its architecture, the images it was made for.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::names::{Named, Naming};
use crate::{ImportOptions, Positions, PretrainedWeights, Result, VitConfig};

/// Whose weights they are, as far as names and shapes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Family {
    /// Of this project: a single channel, no qkv biases, or its own metadata.
    Venule,
    /// A masked autoencoder of facebookresearch/mae, or RETFound as pretrained.
    Mae,
    /// A classifier fine-tuned from one, such as RETFound's: `fc_norm` in the place of `norm`.
    MaeFineTuned,
    /// DINO: student and teacher, or a backbone.
    Dino,
    /// DINOv2: LayerScale or register tokens.
    DinoV2,
    /// Hugging Face's `ViTMAEForPreTraining`.
    HuggingFaceMae,
    /// Hugging Face's `ViTModel`, `ViTMAEModel` or a classifier on one.
    HuggingFaceVit,
    /// Hugging Face's `Dinov2Model`.
    HuggingFaceDinoV2,
    /// timm's Vision Transformer, or any in its names.
    Timm,
}

impl Family {
    pub(crate) fn of(named: &Named, key: Option<&str>, own: bool) -> Self {
        let has = |name: &str| named.tensors.contains_key(name);
        let beside = |part: &str| named.outside.iter().any(|name| name.contains(part));
        let scaled = named
            .changed
            .iter()
            .any(|change| change.how.contains("LayerScale"));
        let whole = [key.unwrap_or_default(), &named.prefix].join(".");
        let under = |part: &str| whole.split('.').any(|found| found == part);
        let patch = named.tensors.get("patch_embed.proj.weight");
        let gray = patch.is_some_and(|patch| patch.dims().get(1) == Some(&1));
        match named.naming {
            Naming::HuggingFace if scaled || has("register_tokens") => Self::HuggingFaceDinoV2,
            Naming::HuggingFace if beside("decoder.decoder_embed") => Self::HuggingFaceMae,
            Naming::HuggingFace => Self::HuggingFaceVit,
            Naming::Timm if own || gray && !has("blocks.0.attn.qkv.bias") => Self::Venule,
            Naming::Timm if has("decoder_embed.weight") => Self::Mae,
            Naming::Timm if scaled || has("register_tokens") => Self::DinoV2,
            Naming::Timm if has("fc_norm.weight") && !has("norm.weight") => Self::MaeFineTuned,
            Naming::Timm if ["teacher", "student", "backbone"].into_iter().any(under) => Self::Dino,
            Naming::Timm => Self::Timm,
        }
    }

    /// The normalisation that the family's models are published with; None where their files differ in it.
    pub fn normalisation(self) -> Option<Normalisation> {
        match self {
            Self::Mae
            | Self::MaeFineTuned
            | Self::Dino
            | Self::DinoV2
            | Self::HuggingFaceMae
            | Self::HuggingFaceDinoV2 => Some(Normalisation::IMAGENET),
            Self::Venule | Self::HuggingFaceVit | Self::Timm => None,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Venule => "venule",
            Self::Mae => "MAE (facebookresearch/mae, RETFound)",
            Self::MaeFineTuned => "a classifier fine-tuned from MAE (RETFound)",
            Self::Dino => "DINO",
            Self::DinoV2 => "DINOv2",
            Self::HuggingFaceMae => "Hugging Face ViTMAE",
            Self::HuggingFaceVit => "Hugging Face ViT",
            Self::HuggingFaceDinoV2 => "Hugging Face DINOv2",
            Self::Timm => "timm",
        })
    }
}

/// What weights expect of an RGB image x in [0, 1]: (x − mean) / deviation, by channel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalisation {
    /// Mean of red, green and blue.
    pub mean: [f32; 3],
    /// Standard deviation of red, green and blue.
    pub deviation: [f32; 3],
}

impl Normalisation {
    /// Of ImageNet's photographs, as torchvision, timm and MAE have it.
    pub const IMAGENET: Self = Self {
        mean: [0.485, 0.456, 0.406],
        deviation: [0.229, 0.224, 0.225],
    };
}

/// The architecture of a file of weights. `Display` says it on one line, by the settings' names.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Description {
    /// The encoder that takes the file as it is.
    pub config: VitConfig,
    /// Whose weights they are.
    pub family: Family,
    /// What they expect of an RGB image, where the family says.
    pub normalisation: Option<Normalisation>,
    /// The key that was taken of several, or under which the weights lie.
    pub key: Option<String>,
    /// Keys that hold a Vision Transformer too.
    pub other_keys: Vec<String>,
}

impl Description {
    /// Settings of the encoder that a file decides, by the names of [`VitConfig`]'s fields.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let config = &self.config;
        vec![
            ("patch_size", config.patch_size.to_string()),
            ("in_channels", config.in_channels.to_string()),
            ("width", config.width.to_string()),
            ("depth", config.depth.to_string()),
            ("heads", config.heads.to_string()),
            ("mlp_ratio", config.mlp_ratio.to_string()),
            ("qkv_bias", config.qkv_bias.to_string()),
            ("positions", config.positions.to_string()),
            ("registers", config.registers.to_string()),
            ("layer_norm_eps", format!("{:e}", config.layer_norm_eps)),
        ]
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.settings();
        let settings: Vec<_> = settings
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        write!(f, "weights of {}: {}", self.family, settings.join(", "))?;
        write_key(f, self.key.as_deref(), &self.other_keys)
    }
}

pub(crate) fn write_key(
    f: &mut fmt::Formatter<'_>,
    key: Option<&str>,
    others: &[String],
) -> fmt::Result {
    if let Some(key) = key {
        write!(f, "\ntaken from the key `{key}` of the file")?;
        if !others.is_empty() {
            write!(f, "; also there: {}", others.join(", "))?;
        }
    }
    Ok(())
}

/// The encoder's configuration in the metadata of a file of this project: of a masked autoencoder or of a segmentation model.
pub(crate) fn own_config(metadata: &BTreeMap<String, String>) -> Option<VitConfig> {
    if let Some(text) = metadata.get(ENCODER_METADATA) {
        return serde_json::from_str(text).ok();
    }
    let text = metadata.get("mae").or_else(|| metadata.get("model"))?;
    let model: serde_json::Value = serde_json::from_str(text).ok()?;
    let encoder = model.get("encoder")?;
    // Files of version 0.1 have the settings without a kind around them.
    let mut config = encoder.get("config").unwrap_or(encoder).clone();
    for setting in config.as_object_mut()?.values_mut() {
        // As a run file writes what is off.
        if setting == "none" {
            *setting = serde_json::Value::Null;
        }
    }
    serde_json::from_value(config).ok()
}

/// Key of an encoder's configuration in the metadata of an exported file.
pub(crate) const ENCODER_METADATA: &str = "encoder";

impl PretrainedWeights {
    /// That of the metadata, else of the family: Hugging Face's configuration classes have 1e-12, but DINOv2's the 1e-6 of all others.
    pub(crate) fn layer_norm_eps(&self) -> f64 {
        match (self.own(), self.family()) {
            (Some(own), _) => own.layer_norm_eps,
            (None, Family::HuggingFaceVit | Family::HuggingFaceMae) => 1e-12,
            _ => 1e-6,
        }
    }

    /// The architecture that takes these weights as they are: from the metadata of a file of this project, else by names and
    /// shapes, with what is known of the family where they are silent (heads of the public widths, LayerNorm's eps).
    ///
    /// Positions are learned wherever the file has a table, which holds MAE's fixed ones exactly too.
    ///
    /// # Errors
    /// As [`VitConfig::from_tensors`].
    pub fn describe(&self) -> Result<Description> {
        let config = match self.own() {
            Some(own) => own.clone(),
            None => {
                let config = VitConfig::from_tensors(self.tensors(), self.options().heads)?;
                VitConfig {
                    layer_norm_eps: self.layer_norm_eps(),
                    ..config
                }
            }
        };
        Ok(Description {
            config,
            family: self.family(),
            normalisation: self.family().normalisation(),
            key: self.key().map(str::to_owned),
            other_keys: self.other_keys().to_vec(),
        })
    }
}

impl VitConfig {
    /// The encoder that takes the weights of a file as they are ([`PretrainedWeights::describe`]).
    ///
    /// # Errors
    /// As [`PretrainedWeights::read_with`] and [`VitConfig::from_tensors`].
    pub fn from_file(path: impl AsRef<Path>, options: &ImportOptions) -> Result<Self> {
        Ok(PretrainedWeights::read_with(path, options)?
            .describe()?
            .config)
    }
}

impl fmt::Display for Positions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Learned => "learned",
            Self::SinCos => "sin_cos",
        })
    }
}
