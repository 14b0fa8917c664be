use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How a fine-tuning learns from photographs without labels: by a mean teacher (Tarvainen & Valpola 2017), or by trained ones.
///
/// The mean teacher is the average of the weights (`train.ema`); `Finetuning::with_teachers` sets others in its place. It sees a crop as it is, and mirrored; the mean of both is the target,
/// probabilities and not a mask, since masks thicken vessels. The model sees the same crop in the intensities that `augment` draws, and
/// learns the target by binary cross entropy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SelfTraining {
    /// What its loss is multiplied by beside that of labelled photographs, above 0. Default: 1.
    pub weight: f64,
    /// Crops in a batch, beside those with labels. Default: 4.
    pub batch_size: usize,
    /// The share of a batch's pixels, those of which the teacher is least sure, that do not count: at least 0 and below 1. Default: 0.2.
    pub unsure: f64,
    /// The epoch in which it begins, from 0: before it a model of random weights learns from labels what a vessel is. Default: 0.
    pub from_epoch: usize,
}

impl Default for SelfTraining {
    fn default() -> Self {
        Self {
            weight: 1.0,
            batch_size: 4,
            unsure: 0.2,
            from_epoch: 0,
        }
    }
}

impl SelfTraining {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::Config`] that names the first setting out of range.
    pub fn validate(&self) -> Result<()> {
        let check = |field, value: String, fine: bool, expected| match fine {
            true => Ok(()),
            false => Err(Error::Config {
                field,
                value,
                expected,
            }),
        };
        let weight = self.weight;
        check(
            "self_training.weight",
            weight.to_string(),
            weight.is_finite() && weight > 0.0,
            "a weight is finite and above 0; without photographs to learn from it plays no part",
        )?;
        check(
            "self_training.batch_size",
            self.batch_size.to_string(),
            self.batch_size > 0,
            "a batch holds at least 1 crop",
        )?;
        check(
            "self_training.unsure",
            self.unsure.to_string(),
            (0.0..1.0).contains(&self.unsure),
            "a share of pixels is at least 0 and below 1",
        )
    }
}
