//! Soft Dice.

use crate::aggregation::Aggregation;
use crate::error::{Result, positive};
use crate::loss::{Loss, MapTerm};
use crate::sums::{self, FromSums, Request, Sums};
use candle_core::Tensor;

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
#[derive(Debug, Clone, PartialEq)]
pub struct Dice {
    smooth: f64,
    aggregation: Aggregation,
}

impl Dice {
    /// s = 1, per image.
    pub fn new() -> Self {
        Self {
            smooth: 1.0,
            aggregation: Aggregation::PerImage,
        }
    }

    /// The same with another s.
    ///
    /// # Errors
    /// If `smooth` is not finite and above 0: without it the loss of empty images is 0 / 0.
    pub fn with_smooth(mut self, smooth: f64) -> Result<Self> {
        self.smooth = positive("dice", "smooth", smooth)?;
        Ok(self)
    }

    /// The same, brought together over the batch in another way.
    pub fn with_aggregation(mut self, aggregation: Aggregation) -> Self {
        self.aggregation = aggregation;
        self
    }
}

impl Default for Dice {
    fn default() -> Self {
        Self::new()
    }
}

impl FromSums for Dice {
    fn request(&self) -> Request {
        Request::default()
    }

    fn evaluate(&self, sums: &Sums) -> candle_core::Result<Tensor> {
        let columns = [&sums.predicted, &sums.target, &sums.overlap];
        self.aggregation
            .reduce(&sums.count, columns, |[predicted, target, overlap]| {
                let dice =
                    (((overlap * 2.0)? + self.smooth)? / ((predicted + target)? + self.smooth)?)?;
                dice.affine(-1.0, 1.0)
            })
    }
}

impl Loss for Dice {
    fn name(&self) -> &str {
        "dice"
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
