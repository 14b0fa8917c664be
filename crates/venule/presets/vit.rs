//! `vit-tiny`, `vit-small`, `vit-base`, `vit-large`: encoders in the layout of public weights, which see colours as those did.

use venule_data::{Channel, Preprocess};
use venule_mae::{MaeConfig, Normalisation, Positions, VitConfig};
use venule_seg::MultiScaleConfig;

use super::{Preset, PretrainRecipe, Recipe, compact};
use crate::{ModelConfig, PartConfig, Result};

pub(super) const TINY: Preset = Preset {
    name: "vit-tiny",
    summary: "ViT-Ti/16 of timm and DeiT: width 192, 12 blocks of 3 heads, RGB; multi-scale decoder",
    finetuning: || recipe(VitConfig::vit_tiny()),
    pretraining: Some(|| masked(VitConfig::vit_tiny())),
};
pub(super) const SMALL: Preset = Preset {
    name: "vit-small",
    summary: "ViT-S/16 of timm, DeiT and DINO: width 384, 12 blocks of 6 heads, RGB; multi-scale decoder",
    finetuning: || recipe(VitConfig::vit_small()),
    pretraining: Some(|| masked(VitConfig::vit_small())),
};
pub(super) const BASE: Preset = Preset {
    name: "vit-base",
    summary: "ViT-B/16 of MAE, timm and DINO: width 768, 12 blocks of 12 heads, RGB; multi-scale decoder",
    finetuning: || recipe(VitConfig::vit_base()),
    pretraining: Some(|| masked(VitConfig::vit_base())),
};
pub(super) const LARGE: Preset = Preset {
    name: "vit-large",
    summary: "ViT-L/16 of MAE and RETFound: width 1024, 24 blocks of 16 heads, RGB; multi-scale decoder",
    finetuning: || recipe(VitConfig::vit_large()),
    pretraining: Some(|| masked(VitConfig::vit_large())),
};

/// Patches a side of a crop, and so of the windows in which a photograph is seen.
const WINDOW: usize = 16;

fn in_windows(encoder: VitConfig) -> VitConfig {
    VitConfig {
        window: Some(WINDOW),
        ..encoder
    }
}

/// Trained as `compact`, on red, green and blue as ImageNet's photographs are normalised.
fn recipe(encoder: VitConfig) -> Result<Recipe> {
    let decoder = MultiScaleConfig {
        in_channels: encoder.in_channels,
        ..MultiScaleConfig::compact().deeply_supervised()
    };
    let compact = compact::with_model(ModelConfig {
        encoder: PartConfig::new("vit", &in_windows(encoder))?,
        decoder: PartConfig::new("multi_scale", &decoder)?,
    });
    let Normalisation { mean, deviation } = Normalisation::IMAGENET;
    Ok(Recipe {
        preprocess: Preprocess {
            channel: Channel::NormalizedRgb { mean, deviation },
            ..compact.preprocess
        },
        ..compact
    })
}

/// MAE as published (He et al. 2022): sine-cosine positions, and a decoder of width 512, 8 blocks of 16 heads.
fn masked(encoder: VitConfig) -> Result<PretrainRecipe> {
    let autoencoder = MaeConfig {
        encoder: VitConfig {
            positions: Positions::SinCos,
            ..in_windows(encoder.clone())
        },
        decoder_width: 512,
        decoder_depth: 8,
        decoder_heads: 16,
        normalize_targets: true,
    };
    PretrainRecipe::beside(&recipe(encoder)?, autoencoder)
}
