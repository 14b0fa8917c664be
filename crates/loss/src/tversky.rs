//! Tversky loss.

use crate::aggregation::Aggregation;
use crate::error::{Result, not_negative, positive};
use crate::sums::{FromSums, Request, Sums, loss_from_sums};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

pub(crate) const NAME: &str = "tversky";

/// Tversky loss (Salehi et al., MLMI 2017): 1 − TI with
/// TI = (Σpg + s) / (Σpg + α·Σp(1 − g) + β·Σ(1 − p)g + s).
///
/// α weighs false positives, β false negatives: β > α favours recall, which thin vessels need.
/// α = β = ½ with s is [`crate::Dice`] with 2s, α = β = 1 the Jaccard loss.
///
/// ```
/// use venule_loss::{Loss, Tversky, candle_core::{Device, Tensor}};
///
/// let logits = Tensor::new(&[[[[0f32, 0., 0., 0.]]]], &Device::Cpu)?; // p = ½ everywhere
/// let target = Tensor::new(&[[[[1f32, 0., 0., 0.]]]], &Device::Cpu)?;
/// let loss = Tversky::new(0.2, 0.8)?.forward(&logits, &target, None)?.to_scalar::<f32>()?;
/// // Σpg = ½, Σp(1 − g) = 1½, Σ(1 − p)g = ½: 1 − 1.5 / (0.5 + 0.3 + 0.4 + 1)
/// assert!((loss - (1.0 - 1.5 / 2.2)).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tversky(Parameters);

/// As a configuration names them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Parameters {
    alpha: f64,
    beta: f64,
    smooth: f64,
    aggregation: Aggregation,
}

impl Tversky {
    /// `alpha` on false positives, `beta` on false negatives; s = 1, per image.
    ///
    /// # Errors
    /// If one of them is negative or not finite, or both are 0: the loss would be 0 whatever is predicted.
    pub fn new(alpha: f64, beta: f64) -> Result<Self> {
        Self::build(Parameters {
            alpha,
            beta,
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
            smooth,
            ..
        } = parameters;
        check_index(NAME, alpha, beta, smooth)?;
        Ok(Self(parameters))
    }
}

/// Whether the parameters make an index, for the losses made of it.
pub(crate) fn check_index(loss: &'static str, alpha: f64, beta: f64, smooth: f64) -> Result<()> {
    not_negative(loss, "alpha", alpha)?;
    not_negative(loss, "beta", beta)?;
    positive(loss, "the larger of alpha and beta", alpha.max(beta))?;
    positive(loss, "smooth", smooth)?;
    Ok(())
}

/// `shape` of 1 − TI, brought together over the batch.
pub(crate) fn reduce(
    sums: &Sums,
    alpha: f64,
    beta: f64,
    smooth: f64,
    aggregation: Aggregation,
    shape: impl Fn(Tensor) -> candle_core::Result<Tensor>,
) -> candle_core::Result<Tensor> {
    let columns = [&sums.predicted, &sums.target, &sums.overlap];
    aggregation.reduce(&sums.count, columns, |[predicted, target, overlap]| {
        let false_positive = ((predicted - &overlap)? * alpha)?;
        let false_negative = ((target - &overlap)? * beta)?;
        let wrong = (false_positive + false_negative)?;
        // 1 − TI without the difference of two numbers near 1.
        shape((&wrong / ((overlap + &wrong)? + smooth)?)?)
    })
}

/// α = 0.2, β = 0.8, s = 1, per image: favours recall.
impl Default for Parameters {
    fn default() -> Self {
        Self {
            alpha: 0.2,
            beta: 0.8,
            smooth: 1.0,
            aggregation: Aggregation::PerImage,
        }
    }
}

impl FromSums for Tversky {
    fn request(&self) -> Request {
        Request::default()
    }

    fn evaluate(&self, sums: &Sums) -> candle_core::Result<Tensor> {
        let Parameters {
            alpha,
            beta,
            smooth,
            aggregation,
        } = self.0;
        reduce(sums, alpha, beta, smooth, aggregation, Ok)
    }
}

loss_from_sums!(Tversky);
