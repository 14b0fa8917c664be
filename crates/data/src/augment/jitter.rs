use serde::{Deserialize, Serialize};

use crate::draw::Draw;
use crate::{Error, Result};

/// A number drawn uniformly from a range, with some probability; otherwise the setting it belongs to does nothing.
///
/// ```
/// use venule_data::{Augment, Jitter};
/// let turned = Augment { rotation: Jitter::sometimes(0.5, -15.0, 15.0), ..Augment::none() };
/// assert!(turned.validate().is_ok());
/// let reversed = Augment { rotation: Jitter::always(15.0, -15.0), ..Augment::none() };
/// assert!(reversed.validate().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jitter {
    /// How often it acts, 0..=1.
    pub probability: f32,
    /// Lowest value.
    pub min: f32,
    /// Highest value.
    pub max: f32,
}

impl Jitter {
    /// Never acts.
    pub const NEVER: Self = Self {
        probability: 0.0,
        min: 0.0,
        max: 0.0,
    };

    /// Acts each time.
    pub const fn always(min: f32, max: f32) -> Self {
        Self::sometimes(1.0, min, max)
    }

    /// Acts with a probability.
    pub const fn sometimes(probability: f32, min: f32, max: f32) -> Self {
        Self {
            probability,
            min,
            max,
        }
    }

    /// A value, or `neutral`. Takes two numbers in either case.
    pub(super) fn draw(&self, neutral: f32, draw: &mut Draw) -> f32 {
        let acts = draw.unit() < self.probability;
        let value = draw.between(self.min, self.max);
        if acts { value } else { neutral }
    }

    /// Checks that the range is one, and `expected` if it ever acts: one that never does may hold any.
    pub(super) fn validate(
        &self,
        field: &'static str,
        (lowest, highest): (f32, f32),
        expected: &'static str,
    ) -> Result<()> {
        probability(field, self.probability)?;
        let is_range = self.min <= self.max;
        let is_within = self.min >= lowest && self.max <= highest;
        if is_range && (is_within || self.probability == 0.0) {
            return Ok(());
        }
        Err(Error::InvalidConfig {
            field,
            found: format!("min = {}, max = {}", self.min, self.max),
            expected: match is_range {
                true => expected,
                false => "a range whose min is not above its max",
            },
        })
    }
}

/// Checks a probability.
pub(super) fn probability(field: &'static str, value: f32) -> Result<()> {
    match (0.0..=1.0).contains(&value) {
        true => Ok(()),
        false => Err(Error::InvalidConfig {
            field,
            found: value.to_string(),
            expected: "a probability between 0 and 1",
        }),
    }
}
