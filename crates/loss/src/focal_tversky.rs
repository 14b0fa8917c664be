//! Focal Tversky loss.

use crate::aggregation::Aggregation;
use crate::error::{Error, Result, positive};
use crate::loss::{Loss, MapTerm};
use crate::sums::{self, FromSums, Request, Sums};
use crate::tversky::Tversky;
use candle_core::Tensor;

/// Focal Tversky loss (Abraham and Khan, ISBI 2019): (1 − TI)^(1/γ), TI as in [`Tversky`].
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
#[derive(Debug, Clone, PartialEq)]
pub struct FocalTversky {
    tversky: Tversky,
    gamma: f64,
}

/// An error of the Tversky part as one of this loss.
fn renamed(error: Error) -> Error {
    match error {
        Error::Parameter {
            parameter,
            value,
            expected,
            ..
        } => Error::Parameter {
            loss: "focal_tversky",
            parameter,
            value,
            expected,
        },
        other => other,
    }
}

impl FocalTversky {
    /// `alpha` on false positives, `beta` on false negatives, exponent 1/`gamma`; s = 1, per image.
    ///
    /// # Errors
    /// If `alpha` or `beta` is negative or not finite, both are 0, or `gamma` is not finite and above 0.
    pub fn new(alpha: f64, beta: f64, gamma: f64) -> Result<Self> {
        Ok(Self {
            tversky: Tversky::new(alpha, beta).map_err(renamed)?,
            gamma: positive("focal_tversky", "gamma", gamma)?,
        })
    }

    /// The same with another s.
    ///
    /// # Errors
    /// If `smooth` is not finite and above 0: without it the loss of empty images is 0 / 0.
    pub fn with_smooth(mut self, smooth: f64) -> Result<Self> {
        self.tversky = self.tversky.with_smooth(smooth).map_err(renamed)?;
        Ok(self)
    }

    /// The same, brought together over the batch in another way.
    pub fn with_aggregation(mut self, aggregation: Aggregation) -> Self {
        self.tversky = self.tversky.with_aggregation(aggregation);
        self
    }
}

/// The paper's α = 0.3, β = 0.7, γ = 4/3.
impl Default for FocalTversky {
    fn default() -> Self {
        Self {
            tversky: Tversky::focal(),
            gamma: 4.0 / 3.0,
        }
    }
}

impl FromSums for FocalTversky {
    fn request(&self) -> Request {
        Request::default()
    }

    fn evaluate(&self, sums: &Sums) -> candle_core::Result<Tensor> {
        self.tversky.reduce(sums, |wrong| {
            let floor = (wrong.ones_like()? * 1e-7)?;
            let below = wrong.le(&floor)?; // false for NaN, which so passes through
            let power = below.where_cond(&floor, &wrong)?.powf(1.0 / self.gamma)?;
            power * below.to_dtype(wrong.dtype())?.affine(-1.0, 1.0)?
        })
    }
}

impl Loss for FocalTversky {
    fn name(&self) -> &str {
        "focal_tversky"
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
