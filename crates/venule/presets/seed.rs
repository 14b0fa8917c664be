//! `seed` and its variants: the reference's model, with another depth or the multi-scale decoder.

use venule_data::{Augment, ColorJitter, Preprocess, Resize};
use venule_loss::LossConfig;
use venule_mae::{MaeConfig, VitConfig};
use venule_seg::{MultiScaleConfig, ProgressiveConfig};
use venule_train::{PlateauConfig, Schedule, TrainConfig};

use super::{Preset, PretrainRecipe, Recipe, SelfTraining};
use crate::{ModelConfig, PartConfig, Result};

pub(super) const SEED: Preset = Preset {
    name: "seed",
    summary: "the reference's: width 768, 8 blocks, progressive decoder; 58.8 M parameters, images of 512x512",
    finetuning: || progressive(8),
    pretraining: Some(|| masked(8)),
};
pub(super) const SEED_4: Preset = Preset {
    name: "seed-4",
    summary: "`seed` with 4 blocks",
    finetuning: || progressive(4),
    pretraining: Some(|| masked(4)),
};
pub(super) const SEED_6: Preset = Preset {
    name: "seed-6",
    summary: "`seed` with 6 blocks",
    finetuning: || progressive(6),
    pretraining: Some(|| masked(6)),
};
pub(super) const SEED_12: Preset = Preset {
    name: "seed-12",
    summary: "`seed` with 12 blocks",
    finetuning: || progressive(12),
    pretraining: Some(|| masked(12)),
};
pub(super) const SEED_MULTISCALE: Preset = Preset {
    name: "seed-multiscale",
    summary: "`seed` with the multi-scale decoder, without deep supervision",
    finetuning: || multi_scale(8),
    pretraining: None,
};
pub(super) const SEED_4_MULTISCALE: Preset = Preset {
    name: "seed-4-multiscale",
    summary: "`seed-4` with the multi-scale decoder",
    finetuning: || multi_scale(4),
    pretraining: None,
};
pub(super) const SEED_6_MULTISCALE: Preset = Preset {
    name: "seed-6-multiscale",
    summary: "`seed-6` with the multi-scale decoder",
    finetuning: || multi_scale(6),
    pretraining: None,
};
pub(super) const SEED_12_MULTISCALE: Preset = Preset {
    name: "seed-12-multiscale",
    summary: "`seed-12` with the multi-scale decoder",
    finetuning: || multi_scale(12),
    pretraining: None,
};

fn encoder(depth: usize) -> VitConfig {
    VitConfig {
        depth,
        ..VitConfig::seed()
    }
}

fn progressive(depth: usize) -> Result<Recipe> {
    recipe(
        depth,
        PartConfig::new("progressive", &ProgressiveConfig::seed())?,
    )
}

fn multi_scale(depth: usize) -> Result<Recipe> {
    recipe(
        depth,
        PartConfig::new("multi_scale", &MultiScaleConfig::compact())?,
    )
}

fn masked(depth: usize) -> Result<PretrainRecipe> {
    let mut autoencoder = MaeConfig::seed();
    autoencoder.encoder = encoder(depth);
    PretrainRecipe::beside(&progressive(depth)?, autoencoder)
}

/// Photographs resized to 512², the reference's five-term loss, AdamW 1e-4, weight decay 0.01, learning rate halved after ten epochs
/// without a better F1.
fn recipe(depth: usize, decoder: PartConfig) -> Result<Recipe> {
    Ok(Recipe {
        model: ModelConfig {
            encoder: PartConfig::new("vit", &encoder(depth))?,
            decoder,
        },
        preprocess: Preprocess {
            resize: Some(Resize::Square(512)),
            ..Preprocess::default()
        },
        color: ColorJitter::none(),
        augment: Augment::standard(),
        crop: 512,
        crops_per_image: 1,
        batch_size: 4,
        loss: LossConfig::Named("reference".to_owned()),
        self_training: SelfTraining::default(),
        train: TrainConfig {
            schedule: Schedule::ReduceOnPlateau(PlateauConfig::default()),
            ..TrainConfig::default()
        },
    })
}
