use std::sync::Arc;

use crate::prepare::check_size;
use crate::{Dataset, Prepared, PreparedSet, Result, Transform};

/// A list of training examples that loader threads ask for.
pub trait Source: Send + Sync {
    /// Number of different samples.
    fn len(&self) -> usize;

    /// One example of sample `index` (0..`len`). `draw` differs between the examples of one epoch; the same
    /// (`epoch`, `index`, `draw`) must give the same example on any thread.
    ///
    /// # Errors
    /// Whatever stops the example from being made; the [`Loader`](crate::Loader) passes it on.
    fn example(&self, epoch: u64, index: usize, draw: u64) -> Result<Prepared>;

    /// Whether there is no sample.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Random views of a [`PreparedSet`]: what training usually loads from.
pub struct AugmentedSet<D, T> {
    set: Arc<PreparedSet<D>>,
    transform: T,
    crop: (usize, usize),
    seed: u64,
}

impl<D: Dataset, T: Transform> AugmentedSet<D, T> {
    /// Views of `crop` = (width, height) pixels by `transform` (e.g. [`Augment`](crate::Augment)), keyed by `seed`.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`](crate::Error::InvalidConfig) for an empty or huge crop.
    pub fn new(
        set: Arc<PreparedSet<D>>,
        transform: T,
        crop: (usize, usize),
        seed: u64,
    ) -> Result<Self> {
        check_size("the crop", crop)?;
        Ok(Self {
            set,
            transform,
            crop,
            seed,
        })
    }
}

impl<D: Dataset, T: Transform> Source for AugmentedSet<D, T> {
    fn len(&self) -> usize {
        self.set.len()
    }

    fn example(&self, epoch: u64, index: usize, draw: u64) -> Result<Prepared> {
        let prepared = self.set.get_in(epoch, index)?;
        self.transform
            .transform(&prepared, self.crop, self.seed, epoch, draw)
    }
}
