use std::sync::Arc;

use crate::kept::Kept;
use crate::{Dataset, FovPolicy, Prepared, Preprocess, Result};

/// A data set whose samples are preprocessed on demand and, up to a limit of bytes, kept.
///
/// Use it whole for validation, or through [`AugmentedSet`](crate::AugmentedSet) for training. Nothing that was kept
/// is dropped again: epochs visit every sample once, so that dropping the oldest would drop each just before its use.
/// Threads that ask for one sample at the same time get one and the same: only the first of them prepares it.
///
/// ```
/// use venule_data::{FovPolicy, InMemory, PreparedSet, Preprocess, Sample};
/// let set = InMemory::new(vec![Sample::unlabelled("a", image::RgbImage::new(8, 8))]);
/// let prepared = PreparedSet::new(set, Preprocess::default(), FovPolicy::FullFrame);
/// assert_eq!(prepared.get(0)?.size(), (8, 8));
/// # Ok::<(), venule_data::Error>(())
/// ```
pub struct PreparedSet<D> {
    dataset: D,
    preprocess: Preprocess,
    fov: FovPolicy,
    vesselness: bool,
    kept: Kept<Prepared>,
}

impl<D: Dataset> PreparedSet<D> {
    /// Wraps a data set; keeps up to 512 MiB of prepared samples.
    pub fn new(dataset: D, preprocess: Preprocess, fov: FovPolicy) -> Self {
        Self {
            dataset,
            preprocess,
            fov,
            vesselness: false,
            kept: Kept::default(),
        }
    }

    /// Adds the [`vesselness`](crate::vesselness) of each photograph as weights.
    pub fn with_vesselness(mut self) -> Self {
        self.vesselness = true;
        self
    }

    /// Keeps at most this many bytes; 0 keeps nothing. What is returned does not depend on it.
    pub fn with_cache_limit(mut self, bytes: usize) -> Self {
        self.kept = Kept::up_to(bytes);
        self
    }

    /// Bytes kept at present; at most the limit.
    pub fn cached_bytes(&self) -> usize {
        self.kept.bytes()
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.dataset.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.dataset.is_empty()
    }

    /// The data set.
    pub fn dataset(&self) -> &D {
        &self.dataset
    }

    /// The preprocessing.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// Sample `index`, prepared.
    ///
    /// # Errors
    /// What [`Dataset::load`] and [`Prepared::from_sample`] give.
    pub fn get(&self, index: usize) -> Result<Arc<Prepared>> {
        self.get_in(0, index)
    }

    /// Sample `index` of an epoch, prepared: that of [`get`](Self::get), unless it is [drawn](Dataset::drawn) anew for every epoch. A
    /// drawn one takes the place of that of another epoch.
    ///
    /// # Errors
    /// What [`Dataset::load_in`] and [`Prepared::from_sample`] give.
    pub fn get_in(&self, epoch: u64, index: usize) -> Result<Arc<Prepared>> {
        let version = self.dataset.drawn(index).map_or(0, |_| epoch);
        self.kept.get((index, version), Prepared::bytes, || {
            self.prepare(epoch, index)
        })
    }

    fn prepare(&self, epoch: u64, index: usize) -> Result<Prepared> {
        let sample = self.dataset.load_in(epoch, index)?;
        let mut prepared = Prepared::from_sample(&sample, &self.preprocess, self.fov)?;
        if self.vesselness {
            prepared = prepared.with_vesselness(&sample.image)?;
        }
        Ok(prepared)
    }
}
