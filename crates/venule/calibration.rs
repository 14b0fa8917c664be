use serde::{Deserialize, Serialize};
use venule_data::{Mask, Plane, equivalent_diameter};

use crate::predict::within;
use crate::{Error, Result};

/// A correction of a network's probabilities by the size of the photograph, so that one threshold serves cameras of any.
///
/// The fewer pixels a photograph has, the wider its labels draw vessels for the size of the retina, since pixels that a vessel covers
/// in part count as vessel. A network sees all photographs at one size and cannot know.
/// With d, the diameter in pixels of the field of view at the photograph's own size,
///
/// > p′ = σ(logit p + `offset` + `per_doubling` · min(max(log₂(d / 535), 0), 1)).
///
/// The order of the pixels within a photograph stays as it is. The default changes nothing.
///
/// ```
/// use venule::Calibration;
/// let calibration = Calibration { offset: 1.0, per_doubling: -2.0 };
/// assert_eq!(calibration.shift(300.0), 1.0);
/// assert_eq!(calibration.shift(1070.0), -1.0);
/// assert_eq!(calibration.shift(4000.0), -1.0);
/// assert!((calibration.probability(0.5, 535.0) - 1.0 / (1.0 + (-1.0f32).exp())).abs() < 1e-6);
/// assert_eq!(Calibration::default().probability(0.3, 700.0), 0.3);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Added to the logits of all photographs.
    pub offset: f32,
    /// Added to those of photographs of twice the diameter and more, in part to those between.
    pub per_doubling: f32,
}

impl Calibration {
    /// The diameter of the field of view below which size makes no difference, in pixels: that of DRIVE.
    pub const SMALLEST: f64 = 535.0;

    /// Whether it changes nothing.
    pub fn is_identity(&self) -> bool {
        *self == Self::default()
    }

    /// What is added to the logits of a photograph whose field of view has this diameter in pixels.
    pub fn shift(&self, diameter: f64) -> f64 {
        f64::from(self.offset) + f64::from(self.per_doubling) * Self::doublings(diameter)
    }

    /// log₂(diameter / 535) within 0 and 1.
    pub(crate) fn doublings(diameter: f64) -> f64 {
        (diameter / Self::SMALLEST).log2().clamp(0.0, 1.0)
    }

    /// The corrected probability.
    pub fn probability(&self, probability: f32, diameter: f64) -> f32 {
        odds(self.shift(diameter).exp() as f32, probability)
    }

    /// The probability that becomes `threshold`, for photographs of middling size: of crops no size is known.
    #[cfg(feature = "train")]
    pub(crate) fn raw_threshold(&self, threshold: f32) -> f32 {
        let middling = Self::SMALLEST * std::f64::consts::SQRT_2;
        odds((-self.shift(middling)).exp() as f32, threshold)
    }

    /// Corrects a map of probabilities of a photograph, whose field of view is given at the photograph's own size. The map may be of
    /// another size: it is brought to the photograph's first, where thresholds are chosen too, and is 0
    /// outside the field of view.
    ///
    /// # Errors
    /// If a map is empty.
    pub fn apply(&self, probability: Plane, fov: &Mask) -> Result<Plane> {
        if self.is_identity() {
            return Ok(probability);
        }
        let probability = within(probability, fov)?;
        let factor = self.shift(equivalent_diameter(fov)).exp() as f32;
        Ok(probability.map(|&p| odds(factor, p)))
    }

    /// Refuses what is not finite or beyond any use.
    ///
    /// # Errors
    /// [`Error::Config`] if a number is not within ±20.
    pub fn validate(&self) -> Result<()> {
        let numbers = [
            ("calibration.offset", self.offset),
            ("calibration.per_doubling", self.per_doubling),
        ];
        for (field, value) in numbers {
            // NaN is not within.
            if !(-20.0..=20.0).contains(&value) {
                return Err(Error::Config {
                    field,
                    value: value.to_string(),
                    expected: "a shift of logits lies in [-20, 20]",
                });
            }
        }
        Ok(())
    }
}

/// The probability whose odds are `factor` times those of `p`: exact at 0 and 1.
fn odds(factor: f32, p: f32) -> f32 {
    // Rounding must not bring it beyond 1.
    (factor * p / (1.0 - p + factor * p)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odds_are_multiplied_and_the_ends_stay() {
        let calibration = Calibration {
            offset: -3.0,
            per_doubling: 20.0,
        };
        for diameter in [100.0, 535.0, 756.6, 1070.0, 9000.0] {
            assert_eq!(calibration.probability(0.0, diameter), 0.0);
            assert_eq!(calibration.probability(1.0, diameter), 1.0);
            let mut before = 0.0;
            for step in 0..=100 {
                let p = step as f32 / 100.0;
                let corrected = calibration.probability(p, diameter);
                // But for the last bit, more probable pixels stay more probable.
                assert!(
                    corrected <= 1.0 && corrected >= before - 1e-6,
                    "{p} at {diameter}"
                );
                before = corrected;
            }
        }
        let p = Calibration {
            offset: 0.7,
            per_doubling: 0.0,
        }
        .probability(0.2, 1.0);
        let logit = |p: f32| (p / (1.0 - p)).ln();
        assert!((logit(p) - logit(0.2) - 0.7).abs() < 1e-5);
        let raw = calibration.raw_threshold(0.5);
        let back = calibration.probability(raw, Calibration::SMALLEST * std::f64::consts::SQRT_2);
        assert!((back - 0.5).abs() < 1e-5);
    }

    #[test]
    fn what_is_not_finite_is_refused() {
        for value in [f32::NAN, f32::INFINITY, -21.0] {
            let calibration = Calibration {
                offset: 0.0,
                per_doubling: value,
            };
            let error = calibration.validate().unwrap_err().to_string();
            assert!(error.contains("per_doubling"), "{error}");
        }
        assert!(Calibration::default().validate().is_ok());
    }
}
