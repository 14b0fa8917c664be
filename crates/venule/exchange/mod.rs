//! Models as ONNX files.

mod describe;
mod export;
#[cfg(feature = "onnx")]
mod predict;
#[cfg(feature = "onnx")]
pub use predict::{OnnxOptions, OnnxSegmenter};
