use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::config::LoaderConfig;
use super::source::Source;
use crate::{Error, Prepared, Result};

/// The batches of one epoch, in order: an iterator of `Result<Vec<Prepared>>`, made by
/// [`Loader::epoch`](crate::Loader::epoch).
///
/// The first error ends it. Dropping it in the middle stops its threads after the examples they are at.
pub struct Epoch {
    shared: Arc<Shared>,
    batch_size: usize,
    /// Place of the next example to hand out.
    next: usize,
    /// Time spent in `next`.
    waited: Duration,
    /// Empty if the caller's thread makes the examples.
    workers: Vec<JoinHandle<()>>,
}

/// What the workers and the caller share.
struct Shared {
    source: Arc<dyn Source>,
    epoch: u64,
    /// Which example comes at which place.
    order: Vec<usize>,
    /// Number of samples in the source.
    samples: usize,
    /// Examples that may be under way or waiting.
    ahead: usize,
    state: Mutex<State>,
    /// Told whenever an example is ready.
    ready: Condvar,
    /// Told whenever there may be something to do, or no longer.
    room: Condvar,
}

#[derive(Default)]
struct State {
    /// Place of the next example to be begun.
    begun: usize,
    /// Number of examples handed out.
    taken: usize,
    made: HashMap<usize, Result<Prepared>>,
    stop: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the example at a place; a panic of the source becomes an error, or its batch would never come.
    fn make(&self, place: usize) -> Result<Prepared> {
        let example = self.order[place];
        let index = example % self.samples;
        let made = catch_unwind(AssertUnwindSafe(|| {
            self.source.example(self.epoch, index, example as u64)
        }));
        made.unwrap_or(Err(Error::WorkerPanic { index }))
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            if state.stop || state.begun >= self.order.len() {
                return;
            }
            if state.begun >= state.taken + self.ahead {
                state = self
                    .room
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let place = state.begun;
            state.begun += 1;
            drop(state);
            let made = self.make(place);
            state = self.lock();
            state.made.insert(place, made);
            self.ready.notify_one();
        }
    }

    /// Waits for the example at a place.
    fn take(&self, place: usize) -> Result<Prepared> {
        let mut state = self.lock();
        loop {
            if let Some(made) = state.made.remove(&place) {
                state.taken += 1;
                self.room.notify_all();
                return made;
            }
            state = self
                .ready
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Epoch {
    pub(crate) fn start(
        source: Arc<dyn Source>,
        epoch: u64,
        order: Vec<usize>,
        config: &LoaderConfig,
    ) -> Self {
        let examples = order.len();
        let shared = Arc::new(Shared {
            samples: source.len(),
            source,
            epoch,
            order,
            ahead: config.prefetch.saturating_mul(config.batch_size),
            state: Mutex::default(),
            ready: Condvar::new(),
            room: Condvar::new(),
        });
        // A thread that the system refuses is done without: fewer workers, or none, give the same batches.
        let workers = (0..config.workers.min(examples))
            .map_while(|number| {
                let shared = shared.clone();
                let thread = Builder::new().name(format!("venule-loader-{number}"));
                thread.spawn(move || shared.work()).ok()
            })
            .collect();
        Self {
            shared,
            batch_size: config.batch_size,
            next: 0,
            waited: Duration::ZERO,
            workers,
        }
    }

    /// How long the caller has waited for batches so far, all in all; without workers that is the time of making them.
    ///
    /// Beside the time that the batches' use takes it says whether the loader keeps up. The first batch of an epoch always
    /// has to be waited for.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use venule_data::{AugmentedSet, Augment, FovPolicy, InMemory, Loader, LoaderConfig, PreparedSet, Preprocess, Sample};
    /// # let set = InMemory::new(vec![Sample::unlabelled("a", image::RgbImage::new(32, 32))]);
    /// # let set = PreparedSet::new(set, Preprocess::default(), FovPolicy::FullFrame);
    /// # let views = AugmentedSet::new(Arc::new(set), Augment::standard(), (16, 16), 7)?;
    /// let loader = Loader::new(Arc::new(views), LoaderConfig::default())?;
    /// let mut epoch = loader.epoch(0);
    /// // Borrowed, so that it can be asked afterwards.
    /// for batch in epoch.by_ref() {
    ///     batch?;
    /// }
    /// println!("waited {:?} for {} batches", epoch.waited(), loader.batches());
    /// # Ok::<(), venule_data::Error>(())
    /// ```
    pub fn waited(&self) -> Duration {
        self.waited
    }

    fn example(&self, place: usize) -> Result<Prepared> {
        match self.workers.is_empty() {
            true => self.shared.make(place),
            false => self.shared.take(place),
        }
    }
}

impl Iterator for Epoch {
    type Item = Result<Vec<Prepared>>;

    fn next(&mut self) -> Option<Self::Item> {
        let examples = self.shared.order.len();
        if self.next >= examples {
            return None;
        }
        let asked = Instant::now();
        let places = self.next..examples.min(self.next + self.batch_size);
        self.next = places.end;
        let batch: Result<Vec<Prepared>> = places.map(|place| self.example(place)).collect();
        self.waited += asked.elapsed();
        if batch.is_err() {
            self.next = examples;
        }
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.shared.order.len() - self.next).div_ceil(self.batch_size);
        // An error may end it early.
        (left.min(1), Some(left))
    }
}

impl std::iter::FusedIterator for Epoch {}

impl Drop for Epoch {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.room.notify_all();
        for worker in self.workers.drain(..) {
            // It cannot have panicked: the source's panics are caught.
            let _ = worker.join();
        }
    }
}
