/// How a [`Loader`](crate::Loader) goes through its source.
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
