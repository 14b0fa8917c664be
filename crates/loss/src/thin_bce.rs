//! Cross entropy that counts thin vessels more.

use crate::error::{Result, check};
use crate::sums::{FromSums, Request, Sums, loss_from_sums};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

pub(crate) const NAME: &str = "thin_bce";

/// Binary cross entropy with weight 1 + (ω − 1)·t, the mean over the valid pixels (divided by their
/// count, not by the weights).
///
/// t is 1 on the pixels of vessels narrower than 3 pixels, as [`crate::thin_vessel_map`] finds them
/// in the target; [`crate::PreparedTarget::with_thin_vessels`] puts another map in its place, of any
/// values in [0, 1]. ω is 4 by default.
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
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ThinBce(Parameters);

/// As a configuration names them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Parameters {
    thin_weight: f64,
}

impl ThinBce {
    /// `thin_weight` on the pixels of thin vessels.
    ///
    /// # Errors
    /// If it is not finite and at least 1.
    pub fn new(thin_weight: f64) -> Result<Self> {
        Self::build(Parameters { thin_weight })
    }

    pub(crate) fn build(parameters: Parameters) -> Result<Self> {
        let weight = parameters.thin_weight;
        let expected = "finite and at least 1";
        check(NAME, "thin_weight", weight, weight >= 1.0, expected)?;
        Ok(Self(parameters))
    }
}

/// Weight 4.
impl Default for Parameters {
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
        sums.mean(&(plain + (&sums.thin * (self.0.thin_weight - 1.0))?)?)
    }
}

loss_from_sums!(ThinBce);
