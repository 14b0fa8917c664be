//! The hyperparameters of a training run.

use serde::{Deserialize, Serialize};

use crate::schedule::scaled_lr;
use crate::{
    AdamWConfig, EmaConfig, Error, ParamGroup, Parameter, Per, Result, Schedule, Warmup,
    decay_groups,
};

/// The hyperparameters of a training run: all that determines its numbers. Where and for how long it runs is said by
/// [`RunOptions`](crate::RunOptions). The defaults are those of fine-tuning in a small setting.
///
/// Unknown keys are errors when read from a file.
///
/// ```
/// use venule_train::{Schedule, Span, TrainConfig, Warmup};
/// let config = TrainConfig {
///     epochs: 50,
///     learning_rate: 1e-3,
///     warmup: Warmup { length: Span::Steps(200), ..Default::default() },
///     schedule: Schedule::Cosine { min_lr: 0.0 },
///     ..Default::default()
/// };
/// config.validate()?;
/// # Ok::<(), venule_train::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Passes over the data, at least 1. Default 200.
    pub epochs: usize,
    /// End after this many optimizer steps, if that is sooner; schedules then span these steps.
    /// Default: none.
    pub max_steps: Option<usize>,
    /// The learning rate after warm-up. Default 1e-4.
    pub learning_rate: f64,
    /// Instead of `learning_rate`: the rate for 256 samples a step, scaled to the samples of one
    /// by the linear rule (Goyal 2017), base · samples/256, as MAE recipes quote it. Default: none.
    pub base_learning_rate: Option<f64>,
    /// Decoupled weight decay of what [`Parameter::decays`] names. Default 0.01.
    pub weight_decay: f64,
    /// The factor of the learning rate from each stage of an encoder to the one before it, in (0, 1]
    /// (see [`Parameter::depth`]). Default: none.
    pub layer_decay: Option<f64>,
    /// The constants of AdamW.
    pub adamw: AdamWConfig,
    /// The shape of the learning rate after warm-up. Default: constant.
    pub schedule: Schedule,
    /// Whether the learning rate changes with each step or each epoch. Default: step.
    pub schedule_per: Per,
    /// Linear warm-up. Default: none.
    pub warmup: Warmup,
    /// The largest global norm of the gradient; `None` does not clip. Default 1.
    pub clip_norm: Option<f64>,
    /// Batches whose gradients make up one optimizer step, at least 1. Default 1.
    pub accumulation: usize,
    /// Average the weights; validation and the best and final files then use the average.
    /// Default: none.
    pub ema: Option<EmaConfig>,
    /// Validate after every this many epochs, and after the last; 0 never validates. A plateau's `patience` and `early_stopping`
    /// count validations, so that the epochs they stand for grow with this. Default 1.
    pub validate_every: usize,
    /// Stop after this many validations without a better score. Default: none.
    pub early_stopping: Option<usize>,
    /// Steps whose loss or gradient is not finite are skipped up to this number, then the run
    /// stops; 0 stops at once. Default 3.
    pub max_non_finite: usize,
    /// The seed handed to the task with every position. Default 0.
    pub seed: u64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: 200,
            max_steps: None,
            learning_rate: 1e-4,
            base_learning_rate: None,
            weight_decay: 0.01,
            layer_decay: None,
            adamw: AdamWConfig::default(),
            schedule: Schedule::default(),
            schedule_per: Per::default(),
            warmup: Warmup::default(),
            clip_norm: Some(1.0),
            accumulation: 1,
            ema: None,
            validate_every: 1,
            early_stopping: None,
            max_non_finite: 3,
            seed: 0,
        }
    }
}

impl TrainConfig {
    /// Checks every number.
    ///
    /// # Errors
    /// [`Error::Config`] that names the setting and its range.
    pub fn validate(&self) -> Result<()> {
        let check = |ok: bool, field, value: String, expected| match ok {
            true => Ok(()),
            false => Err(Error::Config {
                field,
                value,
                expected,
            }),
        };
        let count = |field, value: usize| check(value > 0, field, value.to_string(), "at least 1");
        count("epochs", self.epochs)?;
        count("accumulation", self.accumulation)?;
        for (field, value) in [
            ("max_steps", self.max_steps),
            ("early_stopping", self.early_stopping),
        ] {
            count(field, value.unwrap_or(1))?;
        }
        let above = |field, value: f64| {
            let ok = value > 0.0 && value.is_finite();
            check(ok, field, value.to_string(), "a number above 0")
        };
        above("clip_norm", self.clip_norm.unwrap_or(1.0))?;
        above("base_learning_rate", self.base_learning_rate.unwrap_or(1.0))?;
        let decay = self.weight_decay;
        let ok = decay >= 0.0 && decay.is_finite();
        check(
            ok,
            "weight_decay",
            decay.to_string(),
            "a number, 0 or above",
        )?;
        let layer = self.layer_decay.unwrap_or(1.0);
        let ok = layer > 0.0 && layer <= 1.0;
        check(ok, "layer_decay", layer.to_string(), "a number in (0, 1]")?;
        self.adamw.validate()?;
        self.ema.unwrap_or_default().validate()?;
        // Building is the check of the rest.
        self.build_schedule(self.learning_rate).map(|_| ())
    }

    /// The parameter groups of these settings: weight decay, and layer-wise rates if asked for.
    pub fn groups(&self, params: &[Parameter]) -> Vec<ParamGroup> {
        decay_groups(params, self.weight_decay, self.layer_decay.unwrap_or(1.0))
    }

    /// The learning rate after warm-up for batches of so many samples.
    pub(crate) fn rate_for(&self, samples_per_batch: Option<usize>) -> Result<f64> {
        let Some(base) = self.base_learning_rate else {
            return Ok(self.learning_rate);
        };
        match samples_per_batch {
            Some(samples) => Ok(scaled_lr(base, samples.saturating_mul(self.accumulation))),
            None => Err(Error::Config {
                field: "base_learning_rate",
                value: base.to_string(),
                expected: "none, since this task does not say how many samples a batch holds; set learning_rate",
            }),
        }
    }

    pub(crate) fn build_schedule(&self, learning_rate: f64) -> Result<Box<dyn crate::LrSchedule>> {
        self.schedule
            .build(learning_rate, self.warmup, self.schedule_per)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_round_trip() {
        let config = TrainConfig::default();
        config.validate().unwrap();
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<TrainConfig>(&text).unwrap(), config);
        assert_eq!(serde_json::from_str::<TrainConfig>("{}").unwrap(), config);
        assert!(serde_json::from_str::<TrainConfig>(r#"{"epoch": 3}"#).is_err());
    }

    #[test]
    fn each_bad_number_is_named() {
        let base = TrainConfig::default;
        let cases = [
            (
                "epochs",
                TrainConfig {
                    epochs: 0,
                    ..base()
                },
            ),
            (
                "accumulation",
                TrainConfig {
                    accumulation: 0,
                    ..base()
                },
            ),
            (
                "max_steps",
                TrainConfig {
                    max_steps: Some(0),
                    ..base()
                },
            ),
            (
                "clip_norm",
                TrainConfig {
                    clip_norm: Some(-1.0),
                    ..base()
                },
            ),
            (
                "base_learning_rate",
                TrainConfig {
                    base_learning_rate: Some(f64::NAN),
                    ..base()
                },
            ),
            (
                "weight_decay",
                TrainConfig {
                    weight_decay: -0.1,
                    ..base()
                },
            ),
            (
                "layer_decay",
                TrainConfig {
                    layer_decay: Some(1.5),
                    ..base()
                },
            ),
            (
                "learning_rate",
                TrainConfig {
                    learning_rate: f64::INFINITY,
                    ..base()
                },
            ),
            (
                "beta2",
                TrainConfig {
                    adamw: AdamWConfig {
                        beta2: 1.0,
                        ..Default::default()
                    },
                    ..base()
                },
            ),
        ];
        for (name, config) in cases {
            match config.validate() {
                Err(Error::Config { field, .. }) => assert_eq!(field, name),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}
