//! From data sets to batches: views, the order of an epoch, threads, tensors.

mod batch;
mod config;
mod epoch;
mod loader;
mod recolored;
mod source;

pub use batch::{Batch, Batcher};
pub use config::LoaderConfig;
pub use epoch::Epoch;
pub use loader::Loader;
pub use recolored::RecoloredSet;
pub use source::{AugmentedSet, Source};
