use std::sync::Arc;

use crate::draw::{Draw, Purpose};
use crate::epoch::Epoch;
use crate::resize::check_size;
use crate::{Dataset, Error, Prepared, PreparedSet, Result, Transform};

/// A list of training examples that loader threads ask for.
pub trait Source: Send + Sync {
    /// Number of different samples.
    fn len(&self) -> usize;

    /// One example of sample `index` (0..`len`). `draw` differs between the examples of one epoch; the same
    /// (`epoch`, `index`, `draw`) must give the same example on any thread.
    ///
    /// # Errors
    /// Whatever stops the example from being made; the [`Loader`] passes it on.
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
    /// [`Error::InvalidConfig`] for an empty or huge crop.
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
        let prepared = self.set.get(index)?;
        self.transform
            .transform(&prepared, self.crop, self.seed, epoch, draw)
    }
}

/// How a [`Loader`] goes through its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoaderConfig {
    /// Examples in a batch. Default 4.
    pub batch_size: usize,
    /// Examples of each sample in an epoch. Default 1.
    pub repeats: usize,
    /// Whether each epoch has its own random order, otherwise the source's. Default true.
    pub shuffle: bool,
    /// Whether a last batch that is not full is left out. Default false.
    pub drop_last: bool,
    /// Key of the order. Default 0.
    pub seed: u64,
    /// Threads that make examples; 0 makes them on the caller's. The batches do not depend on it. Default 1.
    pub workers: usize,
    /// Batches made ahead at most. Default 2.
    pub prefetch: usize,
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self {
            batch_size: 4,
            repeats: 1,
            shuffle: true,
            drop_last: false,
            seed: 0,
            workers: 1,
            prefetch: 2,
        }
    }
}

/// Bytes a pixel of the photograph that reading and preparing it takes at most, with every filter and [`vesselness`](crate::vesselness).
const PREPARING: usize = 64;

/// Bytes a pixel of an example: image and weights in f32, label and field of view.
const EXAMPLE: usize = 2 * size_of::<f32>() + 2;

impl LoaderConfig {
    /// A bound on the memory that an epoch over an [`AugmentedSet`] takes at its peak, in bytes: for photographs of at most
    /// `pixels` pixels, prepared at no more than that, views of `crop` pixels, and a [`PreparedSet`] that keeps at most
    /// `cached` bytes.
    ///
    /// With w workers (the caller's thread counts as one where there are none) and batches of b examples, p made ahead:
    ///
    /// `cached + w · 64 · pixels + ((p + 1) · b + w) · 10 · crop`
    ///
    /// The tensors that [`Batcher`](crate::Batcher) makes of a batch are not in it, nor is what the allocator keeps in reserve.
    ///
    /// ```
    /// use venule_data::LoaderConfig;
    /// let config = LoaderConfig { workers: 2, ..LoaderConfig::default() };
    /// // 512 MiB kept, HRF's photographs, crops of 256 × 256
    /// let bound = config.peak_bytes(512 << 20, 3504 * 2336, (256, 256));
    /// assert_eq!(bound, (512 << 20) + 2 * 64 * 3504 * 2336 + (3 * 4 + 2) * 10 * 256 * 256);
    /// ```
    pub fn peak_bytes(&self, cached: usize, pixels: usize, crop: (usize, usize)) -> usize {
        let workers = self.workers.max(1);
        let preparing = workers.saturating_mul(PREPARING).saturating_mul(pixels);
        let examples = (self.prefetch.saturating_add(1))
            .saturating_mul(self.batch_size)
            .saturating_add(workers);
        let example = EXAMPLE.saturating_mul(crop.0).saturating_mul(crop.1);
        cached
            .saturating_add(preparing)
            .saturating_add(examples.saturating_mul(example))
    }
}

/// Makes the batches of an epoch, on threads of its own, ahead of their use.
///
/// The order of an epoch depends on (seed, epoch) alone, and each example on what [`Source::example`] is given, so the
/// batches are the same for any number of workers. Stack them to tensors with [`Batcher`](crate::Batcher) where they
/// are used: the loader's threads touch no tensor.
///
/// ```
/// use std::sync::Arc;
/// use venule_data::{AugmentedSet, Augment, FovPolicy, InMemory, Loader, LoaderConfig, PreparedSet, Preprocess, Sample};
/// let samples = (0..5).map(|i| Sample::unlabelled(i.to_string(), image::RgbImage::new(32, 32))).collect();
/// let set = PreparedSet::new(InMemory::new(samples), Preprocess::default(), FovPolicy::FullFrame);
/// let views = AugmentedSet::new(Arc::new(set), Augment::standard(), (16, 16), 7)?;
/// let loader = Loader::new(Arc::new(views), LoaderConfig { batch_size: 2, ..LoaderConfig::default() })?;
/// assert_eq!(loader.batches(), 3);
/// for batch in loader.epoch(0) {
///     assert!(batch?.len() <= 2);
/// }
/// # Ok::<(), venule_data::Error>(())
/// ```
#[derive(Clone)]
pub struct Loader {
    source: Arc<dyn Source>,
    config: LoaderConfig,
}

/// Most threads, examples ahead or examples in an epoch; beyond them lies a mistyped setting.
const MAX_WORKERS: usize = 256;
const MAX_EXAMPLES: usize = 1 << 26;

impl Loader {
    /// A loader over `source`.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for an empty source, a batch size, prefetch or number of repeats of 0, or more than
    /// 256 workers or 2^26 examples.
    pub fn new(source: Arc<dyn Source>, config: LoaderConfig) -> Result<Self> {
        let check = |field, found: usize, fine: bool, expected| match fine {
            true => Ok(()),
            false => Err(Error::InvalidConfig {
                field,
                found: found.to_string(),
                expected,
            }),
        };
        let positive = |value: usize| (1..=MAX_EXAMPLES).contains(&value);
        let few = "between 1 and 2^26";
        check(
            "LoaderConfig::batch_size",
            config.batch_size,
            positive(config.batch_size),
            few,
        )?;
        check(
            "LoaderConfig::repeats",
            config.repeats,
            positive(config.repeats),
            few,
        )?;
        check(
            "LoaderConfig::prefetch",
            config.prefetch,
            positive(config.prefetch),
            few,
        )?;
        let workers = config.workers;
        check(
            "LoaderConfig::workers",
            workers,
            workers <= MAX_WORKERS,
            "at most 256",
        )?;
        let samples = source.len();
        check(
            "the number of samples to load",
            samples,
            samples > 0,
            "at least 1",
        )?;
        let examples = samples.saturating_mul(config.repeats);
        check(
            "the number of examples in an epoch",
            examples,
            positive(examples),
            few,
        )?;
        let loader = Self { source, config };
        let full = "at least one full batch, or LoaderConfig::drop_last = false";
        check(
            "the number of batches in an epoch",
            0,
            loader.batches() > 0,
            full,
        )?;
        Ok(loader)
    }

    /// Number of batches in an epoch.
    pub fn batches(&self) -> usize {
        let examples = self.source.len() * self.config.repeats;
        match self.config.drop_last {
            true => examples / self.config.batch_size,
            false => examples.div_ceil(self.config.batch_size),
        }
    }

    /// The settings.
    pub fn config(&self) -> &LoaderConfig {
        &self.config
    }

    /// The batches of an epoch.
    pub fn epoch(&self, epoch: u64) -> Epoch {
        self.epoch_from(epoch, 0)
    }

    /// The batches of an epoch after the first `done`, to resume in its middle.
    pub fn epoch_from(&self, epoch: u64, done: usize) -> Epoch {
        let size = self.config.batch_size;
        let count = self.source.len() * self.config.repeats;
        let mut order = match self.config.shuffle {
            true => Draw::new(self.config.seed, epoch, 0, Purpose::Order).permutation(count),
            false => (0..count).collect(),
        };
        order.truncate(self.batches().saturating_mul(size));
        order.drain(..done.saturating_mul(size).min(order.len()));
        Epoch::start(self.source.clone(), epoch, order, &self.config)
    }
}
