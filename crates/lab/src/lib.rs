//! What a run is and what is said of it: run files, records, sweeps, watching, reports and charts.
//!
//! - A run file ([`FinetuneConfig`], [`PretrainConfig`], each a [`RunFile`]) says everything of a training; [`Place`] trains it,
//!   tests the best weights and writes the numbers; [`RunRecord`] keeps in the run folder what it was made of; [`Sweep`] does so for
//!   every variant and seed of a grid.
//! - Everything that watches a run is a [`Callback`](venule::train::Callback): [`ProgressBar`], [`LearningCurve`], [`TensorBoard`];
//!   [`Count`] watches any other long work.
//!   What a run has logged is read by [`read_log`], drawn by [`learning_curve_svg`] and summed up by [`runs_below`].
//! - [`report`] makes tables, curves, files of numbers and an HTML page of evaluations; [`DatasetSummary`] says what a data set holds.
//!
//! # Example: the settings of a run
//! ```
//! use venule_lab::{FinetuneConfig, RunFile};
//! let run: FinetuneConfig = "preset = 'tiny'\n[recipe.train]\nepochs = 3".parse()?;
//! let run = run.with("recipe.loss", "{ terms = [{ kind = 'tversky', alpha = 0.3 }] }")?;
//! assert_eq!(run.recipe.train.epochs, 3);
//! // What it writes says everything, and reads back as the same.
//! assert_eq!(run.to_toml()?.parse::<FinetuneConfig>()?, run);
//! # Ok::<(), venule_lab::Error>(())
//! ```

#![forbid(unsafe_code)]

mod chart;
mod count;
mod curve;
mod dataset_summary;
mod error;
mod known;
mod log;
mod progress;
pub mod report;
mod run;
mod summary;
pub mod tables;
mod tensorboard;

pub use venule;

pub use chart::{Chart, Series, charts_svg};
pub use count::Count;
pub use curve::{LearningCurve, learning_curve_svg};
pub use dataset_summary::{Agreement, DatasetSummary};
pub use error::{Error, Result};
pub use known::known_images;
pub use log::read_log;
pub use progress::ProgressBar;
pub use run::{
    DataConfig, FinetuneConfig, ImportSettings, MissingNormSetting, Place, PretrainConfig, Purpose,
    RUN_FILE, RunFile, RunRecord, Sweep, SweepEnd, SweepPlace, SweepRow, SweepTable,
    SyntheticConfig, TEST_FILE, TrainingFiles, Variant, finetuning_record, pretraining_record,
    weights, weights_checksum,
};
pub use summary::{RunSummary, runs_below};
pub use tensorboard::TensorBoard;

/// The examples of the crate page are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
