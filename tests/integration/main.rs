//! The workspace as a whole: who imports whom, the models, the two trainings, bad input, the finished segmenter.
#![forbid(unsafe_code)]
// Each program brings what it shares with the others.
#![allow(clippy::duplicate_mod)]

mod architecture;
mod bad_input;
#[cfg(feature = "cuda")]
mod cuda;
mod evaluating;
mod interruption;
mod models;
mod presets;
/// What the programs share: their flags, the two trainings, and what is said at the end.
#[path = "../../examples/support/mod.rs"]
#[allow(dead_code)]
mod program;
mod programs;
mod real_data;
mod reports;
mod run_files;
mod run_folders;
mod scoring;
mod segmenter;
mod support;
mod training;
