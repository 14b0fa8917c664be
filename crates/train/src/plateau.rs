//! The learning-rate schedule that watches the validation score.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Result};

/// Whether a larger or a smaller observed value is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlateauMode {
    /// Larger is better: scores, and what the training loop observes.
    #[default]
    Max,
    /// Smaller is better: losses.
    Min,
}

/// How `threshold` is added to the best value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdMode {
    /// best ± threshold · |best|: as in PyTorch where best is positive; where it is negative, PyTorch's bar lies on the wrong side.
    #[default]
    Relative,
    /// best ± threshold.
    Absolute,
}

/// The settings of [`Plateau`], named and meant as in PyTorch's `ReduceLROnPlateau`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlateauConfig {
    /// Which direction is better. Default: larger.
    pub mode: PlateauMode,
    /// The factor on the learning rate, in (0, 1). Default 0.5.
    pub factor: f64,
    /// Observations without improvement that are borne before the rate is lowered. The training loop observes validations, one in
    /// every [`validate_every`](crate::TrainConfig::validate_every) epochs, or, with that at 0, the training loss of each epoch.
    /// Default 10.
    pub patience: usize,
    /// The least change that counts as improvement. Default 1e-4.
    pub threshold: f64,
    /// How the threshold is meant. Default: relative.
    pub threshold_mode: ThresholdMode,
    /// Observations after a reduction in which nothing is counted. Default 0.
    pub cooldown: usize,
    /// The learning rate never falls below this. Default 0.
    pub min_lr: f64,
}

impl Default for PlateauConfig {
    fn default() -> Self {
        Self {
            mode: PlateauMode::default(),
            factor: 0.5,
            patience: 10,
            threshold: 1e-4,
            threshold_mode: ThresholdMode::default(),
            cooldown: 0,
            min_lr: 0.0,
        }
    }
}

/// Multiplies the learning rate by a factor when the observed value has not improved for longer
/// than `patience` observations.
///
/// ```
/// use venule_train::{Plateau, PlateauConfig};
/// let mut plateau = Plateau::new(PlateauConfig { patience: 1, ..Default::default() }, 0.1)?;
/// for score in [0.5, 0.5, 0.5] {
///     plateau.observe(score);
/// }
/// // One improvement, then two observations without: one more than the patience.
/// assert_eq!(plateau.lr(), 0.05);
/// # Ok::<(), venule_train::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Plateau {
    config: PlateauConfig,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
    lr: f64,
    best: Option<f64>,
    without_improvement: usize,
    cooldown: usize,
}

impl Plateau {
    /// A schedule that starts at `lr`.
    ///
    /// # Errors
    /// [`Error::Config`] if a number is outside its range.
    pub fn new(config: PlateauConfig, lr: f64) -> Result<Self> {
        let bad = |field, value: f64, expected| Error::Config {
            field,
            value: value.to_string(),
            expected,
        };
        if !(config.factor > 0.0 && config.factor < 1.0) {
            return Err(bad(
                "schedule.factor",
                config.factor,
                "a number between 0 and 1",
            ));
        }
        for (field, value) in [
            ("schedule.threshold", config.threshold),
            ("schedule.min_lr", config.min_lr),
            ("learning_rate", lr),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(bad(field, value, "a number, 0 or above"));
            }
        }
        Ok(Self {
            config,
            state: State {
                lr,
                best: None,
                without_improvement: 0,
                cooldown: 0,
            },
        })
    }

    /// The present learning rate.
    pub fn lr(&self) -> f64 {
        self.state.lr
    }

    /// Takes an observation into account; NaN counts as no improvement.
    pub fn observe(&mut self, value: f64) {
        let state = &mut self.state;
        if is_better(&self.config, value, state.best) {
            state.best = Some(value);
            state.without_improvement = 0;
        } else {
            state.without_improvement += 1;
        }
        if state.cooldown > 0 {
            state.cooldown -= 1;
            state.without_improvement = 0;
        }
        if state.without_improvement > self.config.patience {
            let lowered = (state.lr * self.config.factor).max(self.config.min_lr);
            // PyTorch's `eps`: changes too small to matter are not made.
            if state.lr - lowered > 1e-8 {
                state.lr = lowered;
            }
            state.cooldown = self.config.cooldown;
            state.without_improvement = 0;
        }
    }

    /// What must be saved to go on as if never interrupted.
    pub fn state(&self) -> Value {
        let State {
            lr,
            best,
            without_improvement,
            cooldown,
        } = self.state;
        serde_json::json!({
            "lr": lr,
            "best": best,
            "without_improvement": without_improvement,
            "cooldown": cooldown,
        })
    }

    /// Restores [`Plateau::state`].
    ///
    /// # Errors
    /// [`Error::Restore`] if `state` is not such a value.
    pub fn load_state(&mut self, state: &Value) -> Result<()> {
        self.state = serde_json::from_value(state.clone()).map_err(|error| Error::Restore {
            what: "learning-rate schedule",
            reason: error.to_string(),
        })?;
        Ok(())
    }
}

fn is_better(config: &PlateauConfig, value: f64, best: Option<f64>) -> bool {
    let Some(best) = best else {
        return !value.is_nan();
    };
    let threshold = config.threshold;
    // Towards the better value on either side of 0.
    let relative = threshold.copysign(best);
    match (config.mode, config.threshold_mode) {
        (PlateauMode::Max, ThresholdMode::Relative) => value > best * (1.0 + relative),
        (PlateauMode::Max, ThresholdMode::Absolute) => value > best + threshold,
        (PlateauMode::Min, ThresholdMode::Relative) => value < best * (1.0 - relative),
        (PlateauMode::Min, ThresholdMode::Absolute) => value < best - threshold,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_round_trip_is_exact() {
        let mut plateau = Plateau::new(PlateauConfig::default(), 0.1 / 3.0).unwrap();
        plateau.observe(1.0 / 3.0);
        plateau.observe(0.2);
        let text = plateau.state().to_string();
        let mut other = Plateau::new(PlateauConfig::default(), 1.0).unwrap();
        other
            .load_state(&serde_json::from_str(&text).unwrap())
            .unwrap();
        assert_eq!(other.state, plateau.state);
        assert!(other.load_state(&Value::Null).is_err());
    }

    #[test]
    fn factor_must_lower() {
        for factor in [0.0, 1.0, f64::NAN] {
            let config = PlateauConfig {
                factor,
                ..Default::default()
            };
            assert!(Plateau::new(config, 0.1).is_err());
        }
    }
}
