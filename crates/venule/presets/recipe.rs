use serde::{Deserialize, Serialize};
use venule_data::{Augment, ColorJitter, Preprocess};
use venule_loss::LossConfig;
use venule_train::TrainConfig;

use super::{Preset, SelfTraining};
use crate::{ModelConfig, Result};

/// How a preset is fine-tuned: model, input, loss and schedule together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The architecture.
    pub model: ModelConfig,
    /// How a photograph becomes the network's input.
    pub preprocess: Preprocess,
    /// How the colours of a training photograph change before the channels are taken. Default: not at all; else each crop's
    /// photograph is prepared anew.
    #[serde(default)]
    pub color: ColorJitter,
    /// What happens to a prepared training image.
    pub augment: Augment,
    /// Side of the square crops.
    pub crop: usize,
    /// Crops taken from each image in an epoch.
    pub crops_per_image: usize,
    /// Crops in a batch.
    pub batch_size: usize,
    /// The loss.
    pub loss: LossConfig,
    /// How photographs without labels are learned from, if there are any.
    #[serde(default)]
    pub self_training: SelfTraining,
    /// Optimiser and schedule, and the seed of the run.
    pub train: TrainConfig,
}

impl Recipe {
    /// The recipe of the [preset](Preset) of this name.
    ///
    /// # Errors
    /// [`Error::Preset`](crate::Error::Preset) that lists the names.
    pub fn preset(name: &str) -> Result<Self> {
        Preset::named(name)?.recipe()
    }
}
