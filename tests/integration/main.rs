//! The workspace as a whole: who imports whom, the models, the two trainings, bad input, the finished segmenter.
#![forbid(unsafe_code)]

mod architecture;
mod bad_input;
mod cancellation;
#[cfg(feature = "cuda")]
mod cuda;
mod evaluating;
#[cfg(feature = "bundled")]
mod golden;
mod interruption;
mod models;
#[cfg(feature = "onnx")]
mod onnx;
mod presets;
mod ranks;
mod real_data;
mod reports;
mod run_files;
mod run_folders;
mod scoring;
mod segmenter;
mod self_training;
mod support;
mod synthetic_runs;
mod training;
