use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Result;

/// What was made once for an index and is kept, up to a limit of bytes.
///
/// Nothing that was kept is dropped again, unless a newer version of it is made: epochs visit every sample once, so that dropping the
/// oldest would drop each just before its use.
pub(crate) struct Kept<T> {
    limit: usize,
    state: Mutex<State<T>>,
}

struct State<T> {
    bytes: usize,
    kept: HashMap<usize, Entry<T>>,
    /// Those being made; who comes second waits for the first one's lock.
    under_way: HashMap<Key, Slot<T>>,
}

/// An index and a version of what is made for it.
type Key = (usize, u64);

struct Entry<T> {
    version: u64,
    bytes: usize,
    made: Arc<T>,
}

type Slot<T> = Arc<Mutex<Option<Arc<T>>>>;

/// Bytes kept unless the caller says otherwise: 512 MiB.
const DEFAULT_LIMIT: usize = 512 << 20;

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self::up_to(DEFAULT_LIMIT)
    }
}

impl<T> Kept<T> {
    pub(crate) fn up_to(limit: usize) -> Self {
        Self {
            limit,
            state: Mutex::new(State {
                bytes: 0,
                kept: HashMap::new(),
                under_way: HashMap::new(),
            }),
        }
    }

    /// Bytes kept at present.
    pub(crate) fn bytes(&self) -> usize {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.bytes
    }

    /// What is kept for an index in this version, or else what `make` gives; threads that ask at the same time get one and the same,
    /// unless they are rayon's.
    pub(crate) fn get(
        &self,
        (index, version): Key,
        bytes: impl FnOnce(&T) -> usize,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<Arc<T>> {
        // A panic elsewhere cannot leave the maps half changed, so a poisoned lock is still good.
        let lock = || self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = {
            let mut state = lock();
            let kept = state.kept.get(&index);
            if let Some(kept) = kept.filter(|kept| kept.version == version) {
                return Ok(kept.made.clone());
            }
            // A thread of a pool that waited could be the one whose help the maker needs, or meet its own lock in a task that
            // it takes on meanwhile.
            match rayon::current_thread_index() {
                Some(_) => Slot::default(),
                None => state.under_way.entry((index, version)).or_default().clone(),
            }
        };
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = &*slot {
            return Ok(made.clone());
        }
        // Nobody has made it, or who tried has failed: this thread's error is then its own.
        let made = make().map(Arc::new);
        let mut state = lock();
        state.under_way.remove(&(index, version));
        let made = made?;
        let bytes = bytes(&made);
        let replaced = state.kept.get(&index).map_or(0, |kept| kept.bytes);
        let sum = state.bytes.saturating_sub(replaced).saturating_add(bytes);
        if sum <= self.limit {
            state.bytes = sum;
            let made = made.clone();
            let entry = Entry {
                version,
                bytes,
                made,
            };
            state.kept.insert(index, entry);
        }
        *slot = Some(made.clone());
        Ok(made)
    }
}
