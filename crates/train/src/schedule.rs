//! Learning-rate schedules: functions of the step, and one that watches the score.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plateau::{Plateau, PlateauConfig};
use crate::{Error, Result};

/// Where a run stands, for a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The optimizer step about to be taken, from 0.
    pub step: usize,
    /// The steps of the whole run.
    pub total_steps: usize,
    /// The steps of one epoch, at least 1.
    pub steps_per_epoch: usize,
}

/// The learning rate of each step.
///
/// Schedules depend on the step and on observed scores, never on the clock: a resumed run
/// repeats them exactly.
pub trait LrSchedule: Send {
    /// The learning rate at `progress`.
    fn lr(&self, progress: &Progress) -> f64;

    /// Told after each validation: its score (larger is better), or minus the mean training loss of
    /// the epoch if the task does not validate.
    fn observe(&mut self, score: f64) {
        let _ = score;
    }

    /// What must be saved to go on as if never interrupted.
    fn state(&self) -> Value {
        Value::Null
    }

    /// Restores [`LrSchedule::state`].
    ///
    /// # Errors
    /// [`Error::Restore`] if `state` is not one of this schedule.
    fn load_state(&mut self, state: &Value) -> Result<()> {
        let _ = state;
        Ok(())
    }
}

/// A length of training, in optimizer steps or in epochs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// Optimizer steps.
    Steps(usize),
    /// Epochs; fractions are rounded to whole steps.
    Epochs(f64),
}

impl Span {
    /// The length in steps.
    ///
    /// ```
    /// use venule_train::Span;
    /// assert_eq!(Span::Epochs(2.5).steps(100), 250);
    /// assert_eq!(Span::Steps(7).steps(100), 7);
    /// ```
    pub fn steps(self, steps_per_epoch: usize) -> usize {
        match self {
            Self::Steps(steps) => steps,
            // The cast saturates: no length overflows.
            Self::Epochs(epochs) => (epochs * steps_per_epoch as f64).round() as usize,
        }
    }
}

/// How often the learning rate may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// With every optimizer step.
    #[default]
    Step,
    /// At the start of every epoch.
    Epoch,
}

/// Linear warm-up from a fraction of the learning rate to all of it.
///
/// lr · (f + (1 − f) · step/length) while step < length. With `start` 0 this is the MAE paper's
/// warm-up, whose first step does nothing; with f > 0 it is PyTorch's `LinearLR`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Warmup {
    /// Its length. Default: no step.
    pub length: Span,
    /// The fraction f of the first step, in [0, 1]. Default 0.01.
    pub start: f64,
}

impl Default for Warmup {
    fn default() -> Self {
        Self {
            length: Span::Steps(0),
            start: 0.01,
        }
    }
}

/// The shape of the learning rate after warm-up; t counts steps from the end of warm-up, T is
/// what remains of the run then. Lengths in epochs may be fractions.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// lr.
    #[default]
    Constant,
    /// `min_lr` + (lr − `min_lr`)(1 + cos(π t/T))/2: half a cosine (Loshchilov & Hutter 2017).
    Cosine {
        /// The rate at the end.
        #[serde(default)]
        min_lr: f64,
    },
    /// `min_lr` + (lr − `min_lr`)(1 − t/T)^`power` (PyTorch `PolynomialLR`; nnU-Net with 0.9).
    Polynomial {
        /// The exponent, above 0.
        power: f64,
        /// The rate at the end.
        #[serde(default)]
        min_lr: f64,
    },
    /// Lowers the rate when the validation score stops rising.
    ReduceOnPlateau(PlateauConfig),
}

impl Schedule {
    /// The schedule for the learning rate `base_lr`, after `warmup`, changing `per` step or epoch.
    ///
    /// ```
    /// use venule_train::{Per, Progress, Schedule, Warmup};
    /// let cosine = Schedule::Cosine { min_lr: 0.0 };
    /// let schedule = cosine.build(0.1, Warmup::default(), Per::Step)?;
    /// let at = |step| schedule.lr(&Progress { step, total_steps: 100, steps_per_epoch: 10 });
    /// assert_eq!(at(0), 0.1);
    /// assert!((at(50) - 0.05).abs() < 1e-12);
    /// assert!(at(99) < 1e-4);
    /// # Ok::<(), venule_train::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] if a number is outside its range.
    pub fn build(&self, base_lr: f64, warmup: Warmup, per: Per) -> Result<Box<dyn LrSchedule>> {
        self.validate(base_lr, warmup)?;
        let plateau = match self {
            Self::ReduceOnPlateau(config) => Some(Plateau::new(config.clone(), base_lr)?),
            _ => None,
        };
        Ok(Box::new(Scheduled {
            shape: self.clone(),
            base_lr,
            warmup,
            per,
            plateau,
        }))
    }

    fn validate(&self, base_lr: f64, warmup: Warmup) -> Result<()> {
        let check = |ok: bool, field, value: f64, expected| match ok {
            true => Ok(()),
            false => Err(Error::Config {
                field,
                value: value.to_string(),
                expected,
            }),
        };
        let rate = |field, value: f64| {
            check(
                value >= 0.0 && value.is_finite(),
                field,
                value,
                "a number, 0 or above",
            )
        };
        let above_zero = |field, value: f64| {
            check(
                value > 0.0 && value.is_finite(),
                field,
                value,
                "a number above 0",
            )
        };
        rate("learning_rate", base_lr)?;
        if let Span::Epochs(epochs) = warmup.length {
            rate("warmup.length", epochs)?;
        }
        let start = warmup.start;
        check(
            (0.0..=1.0).contains(&start),
            "warmup.start",
            start,
            "a number in [0, 1]",
        )?;
        match self {
            Self::Constant | Self::ReduceOnPlateau(_) => Ok(()),
            Self::Cosine { min_lr } => rate("schedule.min_lr", *min_lr),
            Self::Polynomial { power, min_lr } => {
                above_zero("schedule.power", *power)?;
                rate("schedule.min_lr", *min_lr)
            }
        }
    }
}

/// A [`Schedule`] at work.
#[derive(Debug)]
struct Scheduled {
    shape: Schedule,
    base_lr: f64,
    warmup: Warmup,
    per: Per,
    plateau: Option<Plateau>,
}

impl LrSchedule for Scheduled {
    fn lr(&self, progress: &Progress) -> f64 {
        let per_epoch = progress.steps_per_epoch.max(1);
        let step = match self.per {
            Per::Step => progress.step,
            Per::Epoch => progress.step / per_epoch * per_epoch,
        };
        let base = match &self.plateau {
            Some(plateau) => plateau.lr(),
            None => self.base_lr,
        };
        let warmup = self.warmup.length.steps(per_epoch);
        if step < warmup {
            let start = self.warmup.start;
            return base * (start + (1.0 - start) * step as f64 / warmup as f64);
        }
        let done = step - warmup;
        let rest = progress.total_steps.saturating_sub(warmup).max(1);
        // A run may go past its planned end by a partial epoch: the end value holds.
        let fraction = (done as f64 / rest as f64).min(1.0);
        let between = |min: f64, share: f64| min + (base - min) * share;
        match &self.shape {
            Schedule::Constant | Schedule::ReduceOnPlateau(_) => base,
            Schedule::Cosine { min_lr } => between(*min_lr, half_cosine(fraction)),
            Schedule::Polynomial { power, min_lr } => {
                between(*min_lr, (1.0 - fraction).powf(*power))
            }
        }
    }

    fn observe(&mut self, score: f64) {
        if let Some(plateau) = &mut self.plateau {
            plateau.observe(score);
        }
    }

    fn state(&self) -> Value {
        self.plateau.as_ref().map_or(Value::Null, Plateau::state)
    }

    fn load_state(&mut self, state: &Value) -> Result<()> {
        match &mut self.plateau {
            Some(plateau) => plateau.load_state(state),
            None => Ok(()),
        }
    }
}

fn half_cosine(fraction: f64) -> f64 {
    (1.0 + (std::f64::consts::PI * fraction).cos()) / 2.0
}

/// The linear scaling rule: `base_lr` · `batch` / 256 (Goyal 2017), as MAE recipes quote rates.
/// `batch` is the effective batch: samples × accumulation × devices.
///
pub(crate) fn scaled_lr(base_lr: f64, batch: usize) -> f64 {
    base_lr * batch as f64 / 256.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_scaled_to_the_batch() {
        // MAE pretraining: base rate 1.5e-4 at batch 4096, 16 times 256.
        assert!((scaled_lr(1.5e-4, 4096) - 2.4e-3).abs() < 1e-15);
    }

    #[test]
    fn per_epoch_holds_within_an_epoch() {
        let schedule = Schedule::Cosine { min_lr: 0.0 };
        let schedule = schedule.build(1.0, Warmup::default(), Per::Epoch).unwrap();
        let at = |step| {
            schedule.lr(&Progress {
                step,
                total_steps: 40,
                steps_per_epoch: 10,
            })
        };
        assert_eq!(at(10), at(19));
        assert!(at(20) < at(19));
    }

    #[test]
    fn unreasonable_numbers_are_refused() {
        let bad = [
            Schedule::Cosine { min_lr: -1.0 },
            Schedule::Polynomial {
                power: 0.0,
                min_lr: 0.0,
            },
        ];
        for schedule in bad {
            let built = schedule.build(0.1, Warmup::default(), Per::Step);
            assert!(matches!(built, Err(Error::Config { .. })), "{schedule:?}");
        }
        let built = Schedule::Constant.build(f64::INFINITY, Warmup::default(), Per::Step);
        assert!(built.is_err());
    }

    #[test]
    fn serde_names_are_plain() {
        let schedule: Schedule =
            serde_json::from_str(r#"{"kind":"polynomial","power":0.9}"#).unwrap();
        let (power, min_lr) = (0.9, 0.0);
        assert_eq!(schedule, Schedule::Polynomial { power, min_lr });
        let schedule: Schedule = serde_json::from_str(r#"{"kind":"reduce_on_plateau"}"#).unwrap();
        assert_eq!(
            schedule,
            Schedule::ReduceOnPlateau(PlateauConfig::default())
        );
        assert!(serde_json::from_str::<Schedule>(r#"{"kind":"cosine","minlr":0.0}"#).is_err());
        // Of version 0.1, and gone: the error lists what there is.
        let step = r#"{"kind":"step","every":{"epochs":30.0},"factor":0.1}"#;
        let error = serde_json::from_str::<Schedule>(step)
            .unwrap_err()
            .to_string();
        for kind in ["constant", "cosine", "polynomial", "reduce_on_plateau"] {
            assert!(error.contains(kind), "{error}");
        }
    }
}
