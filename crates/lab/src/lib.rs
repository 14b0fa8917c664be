//! What is said of training runs: progress on a terminal, learning curves, TensorBoard files, and lists of runs.
//!
//! Everything that watches a run is a [`Callback`](venule_train::Callback): [`ProgressBar`], [`LearningCurve`], [`TensorBoard`].
//! What a run has logged is read by [`read_log`], drawn by [`learning_curve_svg`] and summed up by [`runs_below`].

#![forbid(unsafe_code)]

mod curve;
mod error;
mod log;
mod progress;
mod summary;
mod tensorboard;

pub use curve::{Chart, LearningCurve, Series, learning_curve_svg};
pub use error::{Error, Result};
pub use log::read_log;
pub use progress::ProgressBar;
pub use summary::{RunSummary, runs_below};
pub use tensorboard::TensorBoard;
