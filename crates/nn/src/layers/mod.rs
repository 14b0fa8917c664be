//! Layers with trained parameters over the ops.

mod conv;

pub use conv::{Conv1x1, Conv3x3, GroupNorm};
