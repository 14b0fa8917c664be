//! Binary cross entropy.

use crate::error::{Result, positive};
use crate::loss::{Loss, MapTerm};
use crate::sums::{self, FromSums, Request, Sums};
use candle_core::Tensor;

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
#[derive(Debug, Clone, PartialEq)]
pub struct Bce {
    positive_weight: f64,
}

impl Bce {
    /// Without weighting.
    pub fn new() -> Self {
        Self {
            positive_weight: 1.0,
        }
    }

    /// With `weight` on the g = 1 term.
    ///
    /// # Errors
    /// If `weight` is not finite and above 0.
    pub fn with_positive_weight(weight: f64) -> Result<Self> {
        Ok(Self {
            positive_weight: positive("bce", "positive_weight", weight)?,
        })
    }
}

impl Default for Bce {
    fn default() -> Self {
        Self::new()
    }
}

impl FromSums for Bce {
    fn request(&self) -> Request {
        Request::default()
    }

    fn evaluate(&self, sums: &Sums) -> candle_core::Result<Tensor> {
        sums.mean(&((&sums.positive * self.positive_weight)? + &sums.negative)?)
    }
}

impl Loss for Bce {
    fn name(&self) -> &str {
        "bce"
    }

    fn forward(
        &self,
        logits: &Tensor,
        target: &Tensor,
        valid: Option<&Tensor>,
    ) -> candle_core::Result<Tensor> {
        sums::forward(self, logits, target, valid, None)
    }

    fn map_term(&self) -> Option<MapTerm<'_>> {
        Some(MapTerm(self))
    }
}
