//! From a photograph to batches: filters against their models, augmentation, loading.

mod augment;
mod filters;
mod golden;
mod loading;
mod properties;
