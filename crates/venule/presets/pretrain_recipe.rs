use serde::{Deserialize, Serialize};
use venule_data::{Augment, Jitter, Preprocess};
use venule_mae::MaeConfig;
use venule_train::{AdamWConfig, Schedule, Span, TrainConfig, Warmup};

use super::{Preset, Recipe};
use crate::{MaskedModelConfig, Result};

/// How a masked autoencoder is pretrained: model, input, masking and schedule together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainRecipe {
    /// The masked autoencoder.
    pub model: MaskedModelConfig,
    /// How a photograph becomes the network's input: as in the fine-tuning that follows.
    pub preprocess: Preprocess,
    /// What happens to each crop.
    pub augment: Augment,
    /// Side of the square crops, a multiple of the patch size.
    pub crop: usize,
    /// Crops taken from each photograph in an epoch.
    pub crops_per_image: usize,
    /// Crops in a batch.
    pub batch_size: usize,
    /// Share of patches that is masked, above 0 and below 1.
    pub mask_ratio: f64,
    /// Strength w of the vessel-weighted loss, which multiplies the error by 1 + w·vesselness; 0 is the plain loss.
    pub vessel_weight: f64,
    /// Optimiser and schedule, and the seed of the run.
    pub train: TrainConfig,
}

impl PretrainRecipe {
    /// The recipe of the [preset](Preset) of this name.
    ///
    /// # Errors
    /// [`Error::Preset`](crate::Error::Preset) that lists the names.
    pub fn preset(name: &str) -> Result<Self> {
        Preset::named(name)?.pretraining()
    }

    /// What goes before a fine-tuning: photographs and crops as in its recipe, so that the encoder meets vessels of one width
    /// in both trainings; any rotation, scale 0.75 to 1.3 and flips, but no change of intensity, which the target would
    /// share; three quarters masked; batches of 16; AdamW 1e-4 with β₂ 0.95 and weight decay 0.05, 100 steps of warm-up,
    /// cosine (He et al. 2022).
    pub(super) fn beside(finetuning: &Recipe, model: MaeConfig) -> Result<Self> {
        Ok(Self {
            model: MaskedModelConfig::vit(&model)?,
            preprocess: finetuning.preprocess.clone(),
            augment: Augment {
                contrast: Jitter::NEVER,
                brightness: Jitter::NEVER,
                noise: Jitter::NEVER,
                ..Augment::standard()
            },
            crop: finetuning.crop,
            crops_per_image: 1,
            batch_size: 16,
            mask_ratio: 0.75,
            vessel_weight: 0.0,
            train: TrainConfig {
                epochs: 200,
                weight_decay: 0.05,
                adamw: AdamWConfig {
                    beta2: 0.95,
                    ..AdamWConfig::default()
                },
                schedule: Schedule::Cosine { min_lr: 0.0 },
                warmup: Warmup {
                    length: Span::Steps(100),
                    ..Warmup::default()
                },
                ..TrainConfig::default()
            },
        })
    }
}
