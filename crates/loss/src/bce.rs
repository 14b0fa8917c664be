//! Binary cross entropy.

use crate::error::{Result, positive};
use crate::sums::{FromSums, Request, Sums, loss_from_sums};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

pub(crate) const NAME: &str = "bce";

/// Binary cross entropy on logits, the mean over the valid pixels:
/// max(x, 0) − x·g + ln(1 + e^−|x|).
///
/// With a positive weight ω the g = 1 term alone is multiplied by it:
/// ω·g·softplus(−x) + (1 − g)·softplus(x), as PyTorch's `pos_weight`.
///
/// ```
/// use venule_loss::{Bce, Loss, candle_core::{Device, Tensor}};
///
/// let logits = Tensor::zeros((1, 1, 2, 2), candle_core::DType::F32, &Device::Cpu)?;
/// let target = Tensor::new(&[[[[0f32, 1.], [1., 0.]]]], &Device::Cpu)?;
/// let loss = Bce::new().forward(&logits, &target, None)?.to_scalar::<f32>()?;
/// assert!((loss - std::f32::consts::LN_2).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bce(Parameters);

/// As a configuration names them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Parameters {
    positive_weight: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            positive_weight: 1.0,
        }
    }
}

impl Bce {
    /// Without weighting.
    pub fn new() -> Self {
        Self::default()
    }

    /// With `weight` on the g = 1 term.
    ///
    /// # Errors
    /// If `weight` is not finite and above 0.
    pub fn with_positive_weight(weight: f64) -> Result<Self> {
        Self::build(Parameters {
            positive_weight: weight,
        })
    }

    pub(crate) fn build(parameters: Parameters) -> Result<Self> {
        positive(NAME, "positive_weight", parameters.positive_weight)?;
        Ok(Self(parameters))
    }
}

impl FromSums for Bce {
    fn request(&self) -> Request {
        Request::default()
    }

    fn evaluate(&self, sums: &Sums) -> candle_core::Result<Tensor> {
        sums.mean(&((&sums.positive * self.0.positive_weight)? + &sums.negative)?)
    }
}

loss_from_sums!(Bce);
