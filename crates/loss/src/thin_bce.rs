//! Cross entropy that counts thin vessels more.

use crate::error::{Result, check};
use crate::loss::{Loss, MapTerm};
use crate::sums::{self, FromSums, Request, Sums};
use candle_core::Tensor;

/// Binary cross entropy with weight 1 + (ω − 1)·t, the mean over the valid pixels (divided by their
/// count, not by the weights).
///
/// t is 1 on the pixels of vessels narrower than 3 pixels, as [`crate::thin_vessel_map_within`]
/// finds them in the target; a map made beforehand may be passed instead, and may take any value in
/// [0, 1]. ω is 4 by default.
///
/// ```
/// use venule_loss::{Loss, ThinBce, candle_core::{DType, Device, Tensor}};
///
/// // One row of vessel is thin all along.
/// let logits = Tensor::zeros((1, 1, 4, 4), DType::F32, &Device::Cpu)?;
/// let mut rows = [[0f32; 4]; 4];
/// rows[1] = [1.; 4];
/// let target = Tensor::new(&rows, &Device::Cpu)?.reshape((1, 1, 4, 4))?;
/// let loss = ThinBce::default().forward(&logits, &target, None)?.to_scalar::<f32>()?;
/// // 4 of 16 pixels weigh 4, the others 1: (4 · 4 + 12) / 16 · ln 2
/// assert!((loss - 1.75 * std::f32::consts::LN_2).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ThinBce {
    thin_weight: f64,
}

impl ThinBce {
    /// `thin_weight` on the pixels of thin vessels.
    ///
    /// # Errors
    /// If it is not finite and at least 1.
    pub fn new(thin_weight: f64) -> Result<Self> {
        let holds = thin_weight >= 1.0;
        let expected = "finite and at least 1";
        Ok(Self {
            thin_weight: check("thin_bce", "thin_weight", thin_weight, holds, expected)?,
        })
    }

    /// As [`Loss::forward`], with a thin-vessel map of the logits' shape made beforehand.
    ///
    /// # Errors
    /// As [`Loss::forward`].
    pub fn forward_with_map(
        &self,
        logits: &Tensor,
        target: &Tensor,
        valid: Option<&Tensor>,
        thin: &Tensor,
    ) -> candle_core::Result<Tensor> {
        sums::forward(self, logits, target, valid, Some(thin))
    }
}

/// Weight 4.
impl Default for ThinBce {
    fn default() -> Self {
        Self { thin_weight: 4.0 }
    }
}

impl FromSums for ThinBce {
    fn request(&self) -> Request {
        Request {
            thin: true,
            ..Request::default()
        }
    }

    fn evaluate(&self, sums: &Sums) -> candle_core::Result<Tensor> {
        let plain = (&sums.positive + &sums.negative)?;
        sums.mean(&(plain + (&sums.thin * (self.thin_weight - 1.0))?)?)
    }
}

impl Loss for ThinBce {
    fn name(&self) -> &str {
        "thin_bce"
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
