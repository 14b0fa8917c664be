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
//! Each part is a crate of its own, re-exported here: [`nn`], [`mae`], [`seg`], [`onnx`], [`loss`], [`metrics`], [`data`], [`synthetic`], [`train`].
//! This crate joins them: [`VesselModel`] with its presets, [`Segmenter`], [`evaluate`], and the two training [`tasks`].
//!
//! # Features
//! `bundled`, on by default, brings the weights of `Segmenter::bundled` and `bundled_fast`. `train`, on by default, brings the presets and
//! the training tasks; what is left without it also builds for `wasm32-unknown-unknown`. `onnx` brings `OnnxSegmenter`, which runs
//! ONNX files. `cuda`, `cudnn`, `metal`, `accelerate` and `mkl` are forwarded to
//! candle.
#![doc = concat!("\n\n---\n", include_str!("../../README.md"))]
#![forbid(unsafe_code)]

mod calibration;
mod cancel;
mod checkpoint;
mod device;
mod error;
mod evaluate;
mod exchange;
mod model;
mod predict;
#[cfg(feature = "train")]
mod presets;
mod provenance;
mod segmenter;
mod settings;
#[cfg(feature = "train")]
pub mod tasks;

pub use candle_core;
pub use candle_nn;
pub use image;
pub use venule_data as data;
pub use venule_file as file;
pub use venule_loss as loss;
pub use venule_mae as mae;
pub use venule_metrics as metrics;
pub use venule_nn as nn;
pub use venule_onnx as onnx;
pub use venule_seg as seg;
pub use venule_synthetic as synthetic;
#[cfg(feature = "train")]
pub use venule_train as train;

pub use calibration::Calibration;
pub use cancel::Cancel;
pub use checkpoint::Checkpoint;
pub use device::{parse_device, set_threads, threads};
pub use error::{BoxError, Error, Result};
pub use evaluate::{
    CommonThreshold, Evaluated, EvaluationRow, EvaluationWarning, Protocol, evaluate,
    evaluate_predictions,
};
#[cfg(feature = "onnx")]
pub use exchange::{OnnxOptions, OnnxSegmenter};
pub use model::{
    COARSER_WEIGHT, MaskedModelConfig, ModelConfig, PartConfig, Registry, VesselModel,
};
pub use predict::{Predict, Prediction, Segmentation};
#[cfg(feature = "train")]
pub use presets::{Preset, PretrainRecipe, Recipe, SelfTraining};
pub use provenance::{ImageRecord, Provenance, Seen};
#[cfg(feature = "bundled")]
pub use segmenter::Bundled;
pub use segmenter::{Segmenter, check_threshold};
pub use settings::{NONE, read_settings};
