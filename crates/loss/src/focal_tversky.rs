//! Focal Tversky loss.

use crate::aggregation::Aggregation;
use crate::error::{Result, positive};
use crate::sums::{FromSums, Request, Sums, loss_from_sums};
use crate::tversky;
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

pub(crate) const NAME: &str = "focal_tversky";

/// Focal Tversky loss (Abraham and Khan, ISBI 2019): (1 − TI)^(1/γ), TI as in [`crate::Tversky`].
///
/// The paper's γ = 4/3 lets the loss fall slower than 1 − TI where the overlap is already good.
/// Below 1 − TI = 1e-7 the loss is 0: there its slope would be infinite for γ > 1.
///
/// ```
/// use venule_loss::{FocalTversky, Loss, candle_core::{Device, Tensor}};
///
/// let logits = Tensor::new(&[[[[0f32, 0., 0., 0.]]]], &Device::Cpu)?;
/// let target = Tensor::new(&[[[[1f32, 0., 0., 0.]]]], &Device::Cpu)?;
/// let loss = FocalTversky::new(0.2, 0.8, 2.0)?.forward(&logits, &target, None)?;
/// // 1 − TI as in the example of `Tversky`, then its square root.
/// assert!((loss.to_scalar::<f32>()? - (1.0f32 - 1.5 / 2.2).sqrt()).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FocalTversky(Parameters);

/// As a configuration names them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Parameters {
    alpha: f64,
    beta: f64,
    gamma: f64,
    smooth: f64,
    aggregation: Aggregation,
}

/// The paper's α = 0.3, β = 0.7, γ = 4/3; s = 1, per image.
impl Default for Parameters {
    fn default() -> Self {
        Self {
            alpha: 0.3,
            beta: 0.7,
            gamma: 4.0 / 3.0,
            smooth: 1.0,
            aggregation: Aggregation::PerImage,
        }
    }
}

impl FocalTversky {
    /// `alpha` on false positives, `beta` on false negatives, exponent 1/`gamma`; s = 1, per image.
    ///
    /// # Errors
    /// If `alpha` or `beta` is negative or not finite, both are 0, or `gamma` is not finite and above 0.
    pub fn new(alpha: f64, beta: f64, gamma: f64) -> Result<Self> {
        Self::build(Parameters {
            alpha,
            beta,
            gamma,
            ..Parameters::default()
        })
    }

    /// The same with another s.
    ///
    /// # Errors
    /// If `smooth` is not finite and above 0: without it the loss of empty images is 0 / 0.
    pub fn with_smooth(mut self, smooth: f64) -> Result<Self> {
        self.0.smooth = smooth;
        Self::build(self.0)
    }

    /// The same, brought together over the batch in another way.
    pub fn with_aggregation(mut self, aggregation: Aggregation) -> Self {
        self.0.aggregation = aggregation;
        self
    }

    pub(crate) fn build(parameters: Parameters) -> Result<Self> {
        let Parameters {
            alpha,
            beta,
            gamma,
            smooth,
            ..
        } = parameters;
        tversky::check_index(NAME, alpha, beta, smooth)?;
        positive(NAME, "gamma", gamma)?;
        Ok(Self(parameters))
    }
}

impl FromSums for FocalTversky {
    fn request(&self) -> Request {
        Request::default()
    }

    fn evaluate(&self, sums: &Sums) -> candle_core::Result<Tensor> {
        let Parameters {
            alpha,
            beta,
            gamma,
            smooth,
            aggregation,
        } = self.0;
        tversky::reduce(sums, alpha, beta, smooth, aggregation, |wrong| {
            let floor = (wrong.ones_like()? * 1e-7)?;
            let below = wrong.le(&floor)?; // false for NaN, which so passes through
            let power = below.where_cond(&floor, &wrong)?.powf(1.0 / gamma)?;
            power * below.to_dtype(wrong.dtype())?.affine(-1.0, 1.0)?
        })
    }
}

loss_from_sums!(FocalTversky);
