//! `unet`: no encoder, the yardstick that a transformer has to beat.

use venule_seg::MultiScaleConfig;

use super::{Preset, Recipe, compact};
use crate::{ModelConfig, PartConfig, Result};

pub(super) const PRESET: Preset = Preset {
    name: "unet",
    summary: "a U-Net of 96,913 parameters without an encoder, deeply supervised by 50 more",
    finetuning: recipe,
    pretraining: None,
};

/// Trained as `compact`.
fn recipe() -> Result<Recipe> {
    let decoder = MultiScaleConfig::unet().deeply_supervised();
    Ok(compact::with_model(ModelConfig {
        encoder: PartConfig::plain("none"),
        decoder: PartConfig::new("multi_scale", &decoder)?,
    }))
}
