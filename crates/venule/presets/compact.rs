//! `compact`: the model to begin with.

use venule_data::{Augment, ColorJitter, Preprocess, Resize};
use venule_loss::LossConfig;
use venule_mae::{MaeConfig, VitConfig};
use venule_seg::MultiScaleConfig;
use venule_train::{EmaConfig, Schedule, Span, TrainConfig, Warmup};

use super::{Preset, PretrainRecipe, Recipe, SelfTraining};
use crate::{ModelConfig, PartConfig, Result};

pub(super) const PRESET: Preset = Preset {
    name: "compact",
    summary: "width 192, 6 blocks, multi-scale decoder with deep supervision; 3.2 M parameters, photographs of any size",
    finetuning: recipe,
    pretraining: Some(|| PretrainRecipe::beside(&recipe()?, MaeConfig::compact())),
};

/// Diameter in pixels of DRIVE's fields of view: the scale at which every photograph is seen.
pub(super) const DRIVE_DIAMETER: f32 = 535.0;

fn recipe() -> Result<Recipe> {
    let decoder = MultiScaleConfig::compact().deeply_supervised();
    Ok(with_model(ModelConfig {
        encoder: PartConfig::new("vit", &VitConfig::compact())?,
        decoder: PartConfig::new("multi_scale", &decoder)?,
    }))
}

/// Every photograph at the scale of DRIVE; crops of 256², any rotation, scale, contrast; ½ BCE + Dice + 2.5 thin-vessel BCE + focal;
/// AdamW 3e-3, weight decay 0.02, 200 steps of warm-up, cosine; averaged weights.
pub(super) fn with_model(model: ModelConfig) -> Recipe {
    Recipe {
        model,
        preprocess: Preprocess {
            resize: Some(Resize::FovDiameter(DRIVE_DIAMETER)),
            ..Preprocess::default()
        },
        color: ColorJitter::none(),
        augment: Augment::standard(),
        crop: 256,
        crops_per_image: 10,
        batch_size: 4,
        loss: LossConfig::Named("thin-vessels".to_owned()),
        self_training: SelfTraining::default(),
        train: TrainConfig {
            epochs: 86,
            learning_rate: 3e-3,
            weight_decay: 0.02,
            schedule: Schedule::Cosine { min_lr: 5e-6 },
            warmup: Warmup {
                length: Span::Steps(200),
                ..Warmup::default()
            },
            ema: Some(EmaConfig {
                decay: 0.998,
                ..EmaConfig::default()
            }),
            ..TrainConfig::default()
        },
    }
}
