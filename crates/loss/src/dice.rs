//! Soft Dice.

use crate::aggregation::Aggregation;
use crate::error::{Result, positive};
use crate::sums::{FromSums, Request, Sums, loss_from_sums};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

pub(crate) const NAME: &str = "dice";

/// Soft Dice (Milletari et al., V-Net, 3DV 2016): 1 − (2Σpg + s) / (Σp + Σg + s).
///
/// s is 1 by default. Prediction and target both empty give 0.
///
/// ```
/// use venule_loss::{Dice, Loss, candle_core::{Device, Tensor}};
///
/// let logits = Tensor::new(&[[[[0f32, 0., 0., 0.]]]], &Device::Cpu)?; // p = ½ everywhere
/// let target = Tensor::new(&[[[[1f32, 0., 0., 0.]]]], &Device::Cpu)?;
/// let loss = Dice::new().forward(&logits, &target, None)?.to_scalar::<f32>()?;
/// assert_eq!(loss, 0.5); // 1 − (2 · ½ + 1) / (2 + 1 + 1)
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Dice(Parameters);

/// As a configuration names them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Parameters {
    smooth: f64,
    aggregation: Aggregation,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            smooth: 1.0,
            aggregation: Aggregation::PerImage,
        }
    }
}

impl Dice {
    /// s = 1, per image.
    pub fn new() -> Self {
        Self::default()
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
        positive(NAME, "smooth", parameters.smooth)?;
        Ok(Self(parameters))
    }
}

impl FromSums for Dice {
    fn request(&self) -> Request {
        Request::default()
    }

    fn evaluate(&self, sums: &Sums) -> candle_core::Result<Tensor> {
        let columns = [&sums.predicted, &sums.target, &sums.overlap];
        let smooth = self.0.smooth;
        self.0
            .aggregation
            .reduce(&sums.count, columns, |[predicted, target, overlap]| {
                let dice = (((overlap * 2.0)? + smooth)? / ((predicted + target)? + smooth)?)?;
                dice.affine(-1.0, 1.0)
            })
    }
}

loss_from_sums!(Dice);
