//! From a photograph to batches: filters against their models, augmentation, loading.

mod augment;
mod filters;
#[path = "../../src/fixed.rs"]
mod fixed;
mod golden;
mod loading;
mod properties;
