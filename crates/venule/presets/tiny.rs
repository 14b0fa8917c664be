//! `tiny`: trains in a minute, for demonstrations and tests.

use venule_mae::{MaeConfig, VitConfig};
use venule_seg::MultiScaleConfig;
use venule_train::{Span, TrainConfig, Warmup};

use super::{Preset, PretrainRecipe, Recipe, compact};
use crate::{ModelConfig, PartConfig, Result};

pub(super) const PRESET: Preset = Preset {
    name: "tiny",
    summary: "patches of 8, width 64, 3 blocks, small multi-scale decoder: trains in a minute",
    finetuning: recipe,
    pretraining: Some(|| PretrainRecipe::beside(&recipe()?, MaeConfig::tiny())),
};

/// Trained as `compact`, but at native size, on crops of 128², with AdamW 1e-3 and without averaging.
fn recipe() -> Result<Recipe> {
    let compact = compact::with_model(ModelConfig {
        encoder: PartConfig::new("vit", &VitConfig::tiny())?,
        decoder: PartConfig::new("multi_scale", &MultiScaleConfig::tiny())?,
    });
    Ok(Recipe {
        preprocess: Default::default(),
        crop: 128,
        train: TrainConfig {
            learning_rate: 1e-3,
            warmup: Warmup {
                length: Span::Steps(50),
                ..Warmup::default()
            },
            ema: None,
            ..compact.train
        },
        ..compact
    })
}
