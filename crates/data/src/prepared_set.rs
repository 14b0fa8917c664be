use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

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
    limit: usize,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    bytes: usize,
    kept: HashMap<usize, Arc<Prepared>>,
    /// Samples being prepared; who comes second waits for the first one's lock.
    under_way: HashMap<usize, Slot>,
}

type Slot = Arc<Mutex<Option<Arc<Prepared>>>>;

/// Bytes kept unless the caller says otherwise: 512 MiB.
const DEFAULT_LIMIT: usize = 512 << 20;

impl<D: Dataset> PreparedSet<D> {
    /// Wraps a data set; keeps up to 512 MiB of prepared samples.
    pub fn new(dataset: D, preprocess: Preprocess, fov: FovPolicy) -> Self {
        Self {
            dataset,
            preprocess,
            fov,
            vesselness: false,
            limit: DEFAULT_LIMIT,
            cache: Mutex::default(),
        }
    }

    /// Adds the [`vesselness`](crate::vesselness) of each photograph as weights.
    pub fn with_vesselness(mut self) -> Self {
        self.vesselness = true;
        self
    }

    /// Keeps at most this many bytes; 0 keeps nothing. What is returned does not depend on it.
    pub fn with_cache_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Bytes kept at present; at most the limit.
    pub fn cached_bytes(&self) -> usize {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.bytes
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
        // A panic elsewhere cannot leave the maps half changed, so a poisoned lock is still good.
        let lock = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = {
            let mut cache = lock();
            if let Some(kept) = cache.kept.get(&index) {
                return Ok(kept.clone());
            }
            cache.under_way.entry(index).or_default().clone()
        };
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(prepared) = &*slot {
            return Ok(prepared.clone());
        }
        // Nobody has prepared it, or who tried has failed: this thread's error is then its own.
        let prepared = self.prepare(index);
        let mut cache = lock();
        cache.under_way.remove(&index);
        let prepared = prepared?;
        let bytes = cache.bytes.saturating_add(prepared.bytes());
        if bytes <= self.limit && !cache.kept.contains_key(&index) {
            cache.bytes = bytes;
            cache.kept.insert(index, prepared.clone());
        }
        *slot = Some(prepared.clone());
        Ok(prepared)
    }

    fn prepare(&self, index: usize) -> Result<Arc<Prepared>> {
        let sample = self.dataset.load(index)?;
        let mut prepared = Prepared::from_sample(&sample, &self.preprocess, self.fov)?;
        if self.vesselness {
            prepared = prepared.with_vesselness(&sample.image)?;
        }
        Ok(Arc::new(prepared))
    }
}
