//! Focal loss.

use crate::error::{Result, not_negative, share};
use crate::sums::{FromSums, Request, Sums, loss_from_sums};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

pub(crate) const NAME: &str = "focal";

/// Focal loss (Lin et al., ICCV 2017): α_t·(1 − p_t)^γ·BCE, the mean over the valid pixels.
///
/// 1 − p_t = p(1 − g) + (1 − p)g is the probability given to the wrong class and
/// α_t = αg + (1 − α)(1 − g); without α it is 1. γ = 0 without α is [`crate::Bce`].
///
/// ```
/// use venule_loss::{Focal, Loss, candle_core::{Device, Tensor}};
///
/// let logits = Tensor::new(&[[[[0f32]]]], &Device::Cpu)?;
/// let target = Tensor::new(&[[[[1f32]]]], &Device::Cpu)?;
/// let loss = Focal::default().forward(&logits, &target, None)?.to_scalar::<f32>()?;
/// assert!((loss - 0.25 * 0.5f32.powi(2) * std::f32::consts::LN_2).abs() < 1e-7);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Focal(Parameters);

/// As a configuration names them; an `alpha` of `"none"` is no α.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Parameters {
    gamma: f64,
    #[serde(with = "or_none")]
    alpha: Option<f64>,
}

/// TOML has no null, so that no α needs a word.
mod or_none {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged, expecting = "expected a number or \"none\"")]
    enum Form {
        Number(f64),
        Word(Word),
    }

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        None,
    }

    pub(super) fn serialize<S: Serializer>(value: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
        value
            .map_or(Form::Word(Word::None), Form::Number)
            .serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
        Ok(match Form::deserialize(from)? {
            Form::Number(value) => Some(value),
            Form::Word(Word::None) => None,
        })
    }
}

impl Focal {
    /// Exponent `gamma`, and `alpha`, if any, as the weight of the vessel class.
    ///
    /// # Errors
    /// If `gamma` is negative or not finite, or `alpha` outside [0, 1].
    pub fn new(gamma: f64, alpha: Option<f64>) -> Result<Self> {
        Self::build(Parameters { gamma, alpha })
    }

    pub(crate) fn build(parameters: Parameters) -> Result<Self> {
        not_negative(NAME, "gamma", parameters.gamma)?;
        if let Some(alpha) = parameters.alpha {
            share(NAME, "alpha", alpha)?;
        }
        Ok(Self(parameters))
    }
}

/// γ = 2, α = 0.25.
impl Default for Parameters {
    fn default() -> Self {
        Self {
            gamma: 2.0,
            alpha: Some(0.25),
        }
    }
}

impl FromSums for Focal {
    fn request(&self) -> Request {
        Request {
            gamma: Some(self.0.gamma),
            ..Request::default()
        }
    }

    fn evaluate(&self, sums: &Sums) -> candle_core::Result<Tensor> {
        let (positive, negative) = match self.0.alpha {
            Some(alpha) => (alpha, 1.0 - alpha),
            None => (1.0, 1.0),
        };
        let positive = (&sums.focal_positive * positive)?;
        sums.mean(&(positive + (&sums.focal_negative * negative)?)?)
    }
}

loss_from_sums!(Focal);
