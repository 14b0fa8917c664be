use std::sync::Arc;

use super::config::LoaderConfig;
use super::epoch::Epoch;
use super::source::Source;
use crate::draw::{Draw, Purpose};
use crate::{Error, Result};

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
        self.epoch_every(epoch, done, 1)
    }

    /// Of the batches of an epoch the one after the first `done` and from there every `every`th (0 counts as 1): the share of one of
    /// several processes. The others are not made.
    pub fn epoch_every(&self, epoch: u64, done: usize, every: usize) -> Epoch {
        let size = self.config.batch_size;
        let count = self.source.len() * self.config.repeats;
        let mut order = match self.config.shuffle {
            true => Draw::new(self.config.seed, epoch, 0, Purpose::Order).permutation(count),
            false => (0..count).collect(),
        };
        order.truncate(self.batches().saturating_mul(size));
        let batches = order.chunks(size).skip(done).step_by(every.max(1));
        let order = batches.flatten().copied().collect();
        Epoch::start(self.source.clone(), epoch, order, &self.config)
    }
}
