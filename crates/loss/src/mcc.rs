//! Loss from the Matthews correlation coefficient.

use crate::aggregation::Aggregation;
use crate::error::Result;
use crate::sums::{FromSums, Request, Sums, loss_from_sums};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

pub(crate) const NAME: &str = "mcc";

/// What keeps the denominator off 0 where target or prediction is constant. It shifts the loss by
/// less than 1e-4 as long as vessels and prediction each fill more than 1 % of the valid pixels, and
/// less than 99 %.
const FLOOR: f64 = 1e-8;

/// 1 − MCC with soft counts (Abhishek and Hamarneh, ISBI 2021).
///
/// With the means P of p, G of g and I of p·g over the valid pixels, the coefficient
/// (TP·TN − FP·FN) / √((TP+FP)(TP+FN)(TN+FP)(TN+FN)) is
/// (I − P·G) / √(P(1 − P)·G(1 − G) + 1e-8), which is how it is computed. The loss lies between 0 and
/// 2; it is 1, without a gradient, for an all-vessel or all-background target, whose coefficient is
/// undefined: use it beside another loss on small crops.
///
/// ```
/// use venule_loss::{Loss, Mcc, candle_core::{Device, Tensor}};
///
/// let logits = Tensor::new(&[[[[9f32, -9., -9., 9.]]]], &Device::Cpu)?;
/// let target = Tensor::new(&[[[[1f32, 0., 0., 1.]]]], &Device::Cpu)?;
/// assert!(Mcc::new().forward(&logits, &target, None)?.to_scalar::<f32>()? < 1e-3);
/// let inverse = Mcc::new().forward(&logits, &(1. - target)?, None)?.to_scalar::<f32>()?;
/// assert!((inverse - 2.).abs() < 1e-3);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mcc(Parameters);

/// As a configuration names them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Parameters {
    aggregation: Aggregation,
}

impl Mcc {
    /// Per image.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, brought together over the batch in another way.
    pub fn with_aggregation(mut self, aggregation: Aggregation) -> Self {
        self.0.aggregation = aggregation;
        self
    }

    pub(crate) fn build(parameters: Parameters) -> Result<Self> {
        Ok(Self(parameters))
    }
}

impl FromSums for Mcc {
    fn request(&self) -> Request {
        Request::default()
    }

    fn evaluate(&self, sums: &Sums) -> candle_core::Result<Tensor> {
        let columns = [&sums.count, &sums.predicted, &sums.target, &sums.overlap];
        self.0.aggregation.reduce(
            &sums.count,
            columns,
            |[count, predicted, target, overlap]| {
                let count = count.maximum(1.0)?;
                let (p, g, pg) = (
                    (predicted / &count)?,
                    (target / &count)?,
                    (overlap / &count)?,
                );
                let variance = |mean: &Tensor| mean * mean.affine(-1.0, 1.0)?;
                let spread = ((variance(&p)? * variance(&g)?)? + FLOOR)?.sqrt()?;
                ((pg - (p * g)?)? / spread)?.affine(-1.0, 1.0)
            },
        )
    }
}

loss_from_sums!(Mcc);
