use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, Result};

/// Says that a segmentation is not wanted any longer: whoever asked for it has gone, or its time is up. Clones share the word.
///
/// [`Segmenter::segment_until`](crate::Segmenter::segment_until) heeds it before each step, each tile and each group of mirror images:
/// it ends within the time that a million pixels take.
///
/// ```
/// use venule::{Cancel, Error, Segmenter};
/// use venule::data::Sample;
/// use venule::synthetic::{SyntheticFundus, synthetic_fundus};
///
/// let segmenter = Segmenter::bundled_fast()?;
/// let photo = synthetic_fundus(&SyntheticFundus::square(128), 7, 0)?.image;
/// let sample = Sample::unlabelled("photo", photo);
/// let cancel = Cancel::new();
/// assert!(segmenter.segment_until(&sample, &cancel).is_ok());
/// // By another thread, that is.
/// cancel.clone().cancel();
/// let result = segmenter.segment_until(&sample, &cancel);
/// assert!(matches!(result, Err(Error::Cancelled)));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Of a segmentation that is wanted.
    pub fn new() -> Self {
        Self::default()
    }

    /// It is not wanted any longer. This cannot be taken back.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it is not wanted any longer.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Goes on only with what is wanted.
    pub(crate) fn check(&self) -> Result<()> {
        match self.is_cancelled() {
            true => Err(Error::Cancelled),
            false => Ok(()),
        }
    }
}
