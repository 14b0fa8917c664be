//! A target beside the maps that losses make of it.

use candle_core::{Result, Tensor};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A target and its valid map, with the maps that losses derive from them: each is made once, by the
/// first loss that asks for it.
///
/// A training step with several logits for one target (deep supervision) makes one of these and calls
/// [`Loss::forward_prepared`](crate::Loss::forward_prepared) for each. Values and gradients are those
/// of [`Loss::forward`](crate::Loss::forward), to the bit.
///
/// ```
/// use venule_loss::{Loss, PreparedTarget, ThinBce, candle_core::{DType, Device, Tensor}};
///
/// let labels = Tensor::ones((1, 1, 8, 8), DType::F32, &Device::Cpu)?;
/// let fine = Tensor::zeros((1, 1, 8, 8), DType::F32, &Device::Cpu)?;
/// let coarse = fine.affine(1., -0.5)?;
/// let target = PreparedTarget::new(&labels, None);
/// let loss = ThinBce::default();
/// let (value, terms) = loss.forward_with_terms(&fine, &target)?;
/// let sum = (value + loss.forward_prepared(&coarse, &target)?)?; // the thin vessels are known by now
/// assert_eq!(terms.len(), 1);
/// # assert!(sum.to_scalar::<f32>()? > 0.);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug)]
pub struct PreparedTarget {
    target: Tensor,
    valid: Option<Tensor>,
    thin: Option<Tensor>,
    derived: Mutex<HashMap<String, Tensor>>,
}

impl PreparedTarget {
    /// Of a target and the pixels that count, as [`Loss::forward`](crate::Loss::forward) takes them.
    pub fn new(target: &Tensor, valid: Option<&Tensor>) -> Self {
        Self {
            target: target.detach(),
            valid: valid.map(Tensor::detach),
            thin: None,
            derived: Mutex::default(),
        }
    }

    /// The same, with `map` instead of [`thin_vessel_map`](crate::thin_vessel_map) for the losses that
    /// weigh thin vessels: of the target's shape, any values in \[0, 1\].
    pub fn with_thin_vessels(mut self, map: &Tensor) -> Self {
        self.thin = Some(map.detach());
        self
    }

    /// The target, without gradient.
    pub fn target(&self) -> &Tensor {
        &self.target
    }

    /// The pixels that count; all if `None`.
    pub fn valid(&self) -> Option<&Tensor> {
        self.valid.as_ref()
    }

    /// The caller's own map of thin vessels.
    pub(crate) fn thin_vessels(&self) -> Option<&Tensor> {
        self.thin.as_ref()
    }

    /// The map called `name`, made by `make` if no call before made it.
    ///
    /// `name` stands for all that the map depends on beside target and valid map: the loss, its
    /// parameters, the float type of the logits.
    ///
    /// ```
    /// use venule_loss::{PreparedTarget, candle_core::{Device, Result, Tensor}};
    ///
    /// let target = PreparedTarget::new(&Tensor::new(&[[0f32, 1.]], &Device::Cpu)?, None);
    /// let background = || target.derived("mine: background", || target.target().affine(-1., 1.));
    /// assert_eq!(background()?.to_vec2::<f32>()?, [[1., 0.]]);
    /// let again = target.derived("mine: background", || unreachable!("made before"))?;
    /// # assert_eq!(again.to_vec2::<f32>()?, [[1., 0.]]);
    /// # Ok::<(), venule_loss::candle_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of `make`; nothing is kept then.
    pub fn derived(&self, name: &str, make: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
        if let Some(map) = self.maps().get(name) {
            return Ok(map.clone());
        }
        // Not under the lock: `make` may ask for another map.
        let map = make()?.detach();
        self.maps().insert(name.to_owned(), map.clone());
        Ok(map)
    }

    fn maps(&self) -> MutexGuard<'_, HashMap<String, Tensor>> {
        // A panic elsewhere leaves the table whole: it is changed by single inserts.
        self.derived.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
