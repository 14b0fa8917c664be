//! The trait every loss implements.

use crate::prepared::PreparedTarget;
use crate::sums::FromSums;
use candle_core::{DType, Result, Tensor};

/// A segmentation loss on logits.
///
/// Implement [`name`](Self::name) and [`forward`](Self::forward), and
/// [`forward_prepared`](Self::forward_prepared) too if the loss makes a costly map of its target.
/// [`map_term`](Self::map_term) is for the losses of this crate alone.
///
/// # Example: a loss of one's own
///
/// ```
/// use venule_loss::{Loss, candle_core::{DType, Device, Result, Tensor, Var}};
///
/// /// Mean squared error of the logits over the valid pixels: a loss of one's own, to use alone or in a `Composite`.
/// struct SquaredError;
///
/// impl Loss for SquaredError {
///     fn name(&self) -> &str {
///         "squared_error"
///     }
///     fn forward(&self, logits: &Tensor, target: &Tensor, valid: Option<&Tensor>) -> Result<Tensor> {
///         let dtype = if logits.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
///         let (logits, target) = (logits.to_dtype(dtype)?, target.detach().to_dtype(dtype)?);
///         let Some(valid) = valid else {
///             return (logits - target)?.sqr()?.mean_all();
///         };
///         // Chosen before the first operation, and not multiplied: what is not valid may be NaN, and the slope at a NaN is
///         // NaN, even times 0.
///         let (valid, zeros) = (valid.gt(0.5)?, logits.zeros_like()?);
///         let error = (valid.where_cond(&logits, &zeros)? - valid.where_cond(&target, &zeros)?)?;
///         let count = valid.to_dtype(dtype)?.sum_all()?;
///         error.sqr()?.sum_all()? / count.maximum(1.0)?
///     }
/// }
///
/// // The third pixel is not valid: (1² + 2²) / 2, with slopes of 2 · error / 2.
/// let logits = Var::new(&[[1f32, 2., f32::NAN]], &Device::Cpu)?;
/// let target = Tensor::new(&[[0f32, 0., f32::NAN]], &Device::Cpu)?;
/// let valid = Tensor::new(&[[1f32, 1., 0.]], &Device::Cpu)?;
/// let loss = SquaredError.forward(&logits, &target, Some(&valid))?;
/// assert_eq!(loss.to_scalar::<f32>()?, 2.5);
/// let gradients = loss.backward()?;
/// assert_eq!(gradients.get(&logits).unwrap().to_vec2::<f32>()?, [[1., 2., 0.]]);
///
/// let half = logits.to_dtype(DType::BF16)?;
/// assert_eq!(SquaredError.forward(&half, &target, Some(&valid))?.dtype(), DType::F32);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub trait Loss: Send + Sync {
    /// Short name for logs, such as `"dice"`.
    fn name(&self) -> &str;

    /// The loss as a scalar tensor.
    ///
    /// `logits`, `target` and `valid` have one and the same shape with the images along the first
    /// dimension, usually (B, 1, H, W); the losses that look at a pixel's surroundings (thin-vessel
    /// BCE, clDice, skeleton recall) take the last two dimensions as rows and columns.
    /// `target` holds values in [0, 1], which is not checked pixel by pixel, and receives no
    /// gradient. `valid` holds 0 or 1 (anything above ½ counts as 1), e.g. the field of view: where
    /// it is 0 neither logit nor target has any influence on the loss or its gradient, be they NaN.
    /// If no pixel is valid, the losses of this crate are 0 with gradient 0.
    ///
    /// The result is `f64` for `f64` logits and `f32` otherwise.
    ///
    /// # Errors
    /// If shapes or devices differ, or there is no pixel at all.
    fn forward(&self, logits: &Tensor, target: &Tensor, valid: Option<&Tensor>) -> Result<Tensor>;

    /// As [`forward`](Self::forward), with the maps that the loss derives from the target made once for
    /// all calls with the same `target`.
    ///
    /// The default calls [`forward`](Self::forward). A loss that overrides it takes its maps from
    /// [`PreparedTarget::derived`].
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    fn forward_prepared(&self, logits: &Tensor, target: &PreparedTarget) -> Result<Tensor> {
        self.forward(logits, target.target(), target.valid())
    }

    /// The loss, and for logs the name and value of each of its terms before weighting: itself alone,
    /// unless it is a [`crate::Composite`].
    ///
    /// Reading the values waits for the device.
    ///
    /// # Errors
    /// As [`forward`](Self::forward), or if the loss is no scalar.
    fn forward_with_terms(
        &self,
        logits: &Tensor,
        target: &PreparedTarget,
    ) -> Result<(Tensor, Vec<(String, f64)>)> {
        let loss = self.forward_prepared(logits, target)?;
        let value = read(&loss)?;
        Ok((loss, vec![(self.name().to_owned(), value)]))
    }

    /// How a [`crate::Composite`] may compute this loss together with others in one pass over the
    /// map; `None`, the default, has it call [`forward`](Self::forward).
    fn map_term(&self) -> Option<MapTerm<'_>> {
        None
    }
}

/// A loss of this crate that is a function of a few sums over the map, which a
/// [`crate::Composite`] gathers for all its terms in one pass. Opaque.
#[derive(Clone, Copy)]
pub struct MapTerm<'a>(pub(crate) &'a dyn FromSums);

/// The number in a scalar tensor.
pub(crate) fn read(scalar: &Tensor) -> Result<f64> {
    // Not every device can turn f32 into f64.
    match scalar.dtype() {
        DType::F64 => scalar.to_scalar(),
        _ => Ok(f64::from(scalar.to_dtype(DType::F32)?.to_scalar::<f32>()?)),
    }
}

impl<L: Loss + ?Sized> Loss for Box<L> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn forward(&self, logits: &Tensor, target: &Tensor, valid: Option<&Tensor>) -> Result<Tensor> {
        (**self).forward(logits, target, valid)
    }

    fn forward_prepared(&self, logits: &Tensor, target: &PreparedTarget) -> Result<Tensor> {
        (**self).forward_prepared(logits, target)
    }

    fn forward_with_terms(
        &self,
        logits: &Tensor,
        target: &PreparedTarget,
    ) -> Result<(Tensor, Vec<(String, f64)>)> {
        (**self).forward_with_terms(logits, target)
    }

    fn map_term(&self) -> Option<MapTerm<'_>> {
        (**self).map_term()
    }
}
