//! The learning-rate schedule that watches the validation score.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Result};

/// The settings of [`Schedule::ReduceOnPlateau`](crate::Schedule::ReduceOnPlateau), named and meant as in PyTorch's
/// `ReduceLROnPlateau` where larger is better and the threshold is relative.
///
/// An observation is an improvement if it is above best + threshold · |best|. Where best is negative, PyTorch's bar lies on the
/// wrong side of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Settings")]
pub struct PlateauConfig {
    /// The factor on the learning rate, in (0, 1). Default 0.5.
    pub factor: f64,
    /// Observations without improvement that are borne before the rate is lowered. The training loop observes validations, one in
    /// every [`validate_every`](crate::TrainConfig::validate_every) epochs, or, with that at 0, the training loss of each epoch.
    /// Default 10.
    pub patience: usize,
    /// The least relative change that counts as improvement. Default 1e-4.
    pub threshold: f64,
    /// Observations after a reduction in which nothing is counted. Default 0.
    pub cooldown: usize,
    /// The learning rate never falls below this. Default 0.
    pub min_lr: f64,
}

impl Default for PlateauConfig {
    fn default() -> Self {
        Self {
            factor: 0.5,
            patience: 10,
            threshold: 1e-4,
            cooldown: 0,
            min_lr: 0.0,
        }
    }
}

/// What files hold. Those of version 0.1 name a direction and a kind of threshold too, of which one each is left.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    factor: f64,
    patience: usize,
    threshold: f64,
    cooldown: usize,
    min_lr: f64,
    mode: Mode,
    threshold_mode: ThresholdMode,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Max,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ThresholdMode {
    Relative,
}

impl Default for Settings {
    fn default() -> Self {
        let PlateauConfig {
            factor,
            patience,
            threshold,
            cooldown,
            min_lr,
        } = PlateauConfig::default();
        Self {
            factor,
            patience,
            threshold,
            cooldown,
            min_lr,
            mode: Mode::Max,
            threshold_mode: ThresholdMode::Relative,
        }
    }
}

impl From<Settings> for PlateauConfig {
    fn from(settings: Settings) -> Self {
        let Settings {
            factor,
            patience,
            threshold,
            cooldown,
            min_lr,
            mode: Mode::Max,
            threshold_mode: ThresholdMode::Relative,
        } = settings;
        Self {
            factor,
            patience,
            threshold,
            cooldown,
            min_lr,
        }
    }
}

/// Multiplies the learning rate by a factor when the observed value has not improved for longer
/// than `patience` observations.
#[derive(Debug, Clone)]
pub(crate) struct Plateau {
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
    pub(crate) fn new(config: PlateauConfig, lr: f64) -> Result<Self> {
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
    pub(crate) fn lr(&self) -> f64 {
        self.state.lr
    }

    /// Takes an observation into account; NaN counts as no improvement.
    pub(crate) fn observe(&mut self, value: f64) {
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
    pub(crate) fn state(&self) -> Value {
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
    pub(crate) fn load_state(&mut self, state: &Value) -> Result<()> {
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
    // Towards the better value on either side of 0.
    value > best * (1.0 + config.threshold.copysign(best))
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

    fn rates(config: PlateauConfig, values: &[f64]) -> Vec<f64> {
        let mut plateau = Plateau::new(config, 0.1).unwrap();
        let step = |value: &f64| {
            plateau.observe(*value);
            plateau.lr()
        };
        values.iter().map(step).collect()
    }

    /// The numbers of PyTorch: `tests/fixtures/golden.py`.
    #[test]
    fn rates_equal_torch() {
        let golden: Value =
            serde_json::from_str(include_str!("../tests/fixtures/golden.json")).unwrap();
        let numbers =
            |value: &Value| -> Vec<f64> { serde_json::from_value(value.clone()).unwrap() };
        let config = PlateauConfig {
            factor: 0.5,
            patience: 2,
            threshold: 0.02,
            cooldown: 0,
            min_lr: 0.004,
        };
        let found = rates(config, &numbers(&golden["scores"]));
        let expected = numbers(&golden["plateau"]["max_rel"]);
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(&expected) {
            assert!((a - b).abs() <= 1e-12, "{a} {b}");
        }
        // The fixture is worth something only if the rate was lowered at all.
        assert!(expected[expected.len() - 1] < 0.1);
    }

    #[test]
    fn a_cooldown_counts_nothing() {
        let config = PlateauConfig {
            patience: 0,
            cooldown: 2,
            ..Default::default()
        };
        // Lowered at the second value, rests for two, lowered at the fifth.
        let expected = [0.1, 0.05, 0.05, 0.05, 0.025];
        assert_eq!(rates(config, &[0.5; 5]), expected);
    }

    #[test]
    fn what_does_not_improve_is_no_improvement_below_zero_either() {
        // The negative of a loss is observed where nothing is validated. Constant, and rising by less than the threshold.
        for values in [[-0.5; 3], [-0.5, -0.50001, -0.50002]] {
            let config = PlateauConfig {
                patience: 1,
                ..Default::default()
            };
            let mut plateau = Plateau::new(config, 0.1).unwrap();
            values.iter().for_each(|value| plateau.observe(*value));
            assert_eq!(plateau.lr(), 0.05, "{values:?}");
            assert_eq!(plateau.state.best, Some(-0.5));
            // A real improvement counts.
            plateau.observe(-0.4);
            assert_eq!(plateau.state.best, Some(-0.4));
        }
    }

    #[test]
    fn settings_of_version_0_1_are_read_and_what_is_gone_is_named() {
        let read = |text: &str| serde_json::from_str::<PlateauConfig>(text);
        let old = read(r#"{"mode":"max","threshold_mode":"relative","patience":3}"#).unwrap();
        assert_eq!((old.patience, old.factor), (3, 0.5));
        let text = serde_json::to_string(&old).unwrap();
        assert_eq!(read(&text).unwrap(), old);
        for (gone, left) in [
            (r#"{"mode":"min"}"#, "expected `max`"),
            (r#"{"threshold_mode":"absolute"}"#, "expected `relative`"),
            (r#"{"patients":3}"#, "`patience`"),
        ] {
            let error = read(gone).unwrap_err().to_string();
            assert!(error.contains(left), "{error}");
        }
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
