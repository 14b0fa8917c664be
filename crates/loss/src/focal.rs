//! Focal loss.

use crate::error::{Result, not_negative, share};
use crate::loss::{Loss, MapTerm};
use crate::sums::{self, FromSums, Request, Sums};
use candle_core::Tensor;

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
#[derive(Debug, Clone, PartialEq)]
pub struct Focal {
    gamma: f64,
    alpha: Option<f64>,
}

impl Focal {
    /// Exponent `gamma`, and `alpha`, if any, as the weight of the vessel class.
    ///
    /// # Errors
    /// If `gamma` is negative or not finite, or `alpha` outside [0, 1].
    pub fn new(gamma: f64, alpha: Option<f64>) -> Result<Self> {
        Ok(Self {
            gamma: not_negative("focal", "gamma", gamma)?,
            alpha: alpha
                .map(|alpha| share("focal", "alpha", alpha))
                .transpose()?,
        })
    }
}

/// γ = 2, α = 0.25.
impl Default for Focal {
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
            gamma: Some(self.gamma),
            ..Request::default()
        }
    }

    fn evaluate(&self, sums: &Sums) -> candle_core::Result<Tensor> {
        let (positive, negative) = match self.alpha {
            Some(alpha) => (alpha, 1.0 - alpha),
            None => (1.0, 1.0),
        };
        let positive = (&sums.focal_positive * positive)?;
        sums.mean(&(positive + (&sums.focal_negative * negative)?)?)
    }
}

impl Loss for Focal {
    fn name(&self) -> &str {
        "focal"
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
