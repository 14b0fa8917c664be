//! Blood vessels in photographs of the retina: pretrain a masked autoencoder, fine-tune it to segment vessels, evaluate, and
//! use the result as a library call.
//!
//! ```no_run
//! use venule::Segmenter;
//! let segmenter = Segmenter::from_file("best.safetensors")?;
//! let photo = venule::data::read_image("photo.jpg")?;
//! let vessels = segmenter.segment(&photo)?;
//! venule::data::write_png("mask.png", venule::data::mask_image(&vessels.mask)?)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Each part is a crate of its own, re-exported here: [`nn`], [`mae`], [`seg`], [`loss`], [`metrics`], [`data`], [`synthetic`], [`train`].
//! This crate joins them: [`VesselModel`] with its presets, [`Segmenter`], [`evaluate`], and the two training [`tasks`].
//!
//! # Features
//! `bundled`, on by default, brings the weights of `Segmenter::bundled` and `bundled_fast`. `cuda`, `cudnn`, `metal`, `accelerate` and `mkl` are forwarded to
//! candle.
#![doc = concat!("\n\n---\n", include_str!("../../README.md"))]
#![forbid(unsafe_code)]

mod checkpoint;
mod data_config;
mod dataset_summary;
mod device;
mod error;
mod evaluation;
mod model;
mod pretrain_config;
mod recipe;
pub mod report;
mod run_config;
mod run_file;
mod run_record;
mod segmenter;
mod settings;
pub mod tasks;
mod trained_on;

pub use candle_core;
pub use image;
pub use venule_data as data;
pub use venule_file as file;
pub use venule_loss as loss;
pub use venule_mae as mae;
pub use venule_metrics as metrics;
pub use venule_nn as nn;
pub use venule_seg as seg;
pub use venule_synthetic as synthetic;
pub use venule_train as train;

pub use checkpoint::{Checkpoint, Provenance};
pub use data_config::{DataConfig, Purpose};
pub use dataset_summary::{Agreement, DatasetSummary};
pub use device::{parse_device, set_threads};
pub use error::{Error, Result};
pub use evaluation::{Evaluated, EvaluationRow, Protocol, evaluate, evaluate_predictions};
pub use model::{COARSER_WEIGHT, DecoderConfig, ModelConfig, VesselModel};
pub use pretrain_config::{PretrainConfig, PretrainRecipe};
pub use recipe::{LossChoice, LossTerms, Recipe};
pub use run_config::RunConfig;
pub use run_file::RunFile;
pub use run_record::{RUN_FILE, RunRecord, TEST_FILE};
#[cfg(feature = "bundled")]
pub use segmenter::Bundled;
pub use segmenter::{Segmentation, Segmenter};
