//! Optimizers, schedules, checkpoints and a training loop, generic over model, loss and data.
//!
//! The crate knows no network and no data set: whoever implements [`Task`] can be trained by
//! [`Trainer`], with the hyperparameters of [`TrainConfig`], in the place and for the time that [`RunOptions`] say. [`AdamW`]
//! with parameter groups and readable state, [`gradient_norm`], [`Ema`] and the [`Schedule`]s are usable alone.
//!
//! Nothing is printed unless a [`Callback`] that prints is added.

#![forbid(unsafe_code)]

mod adamw;
mod adamw_group;
mod adamw_kernel;
mod callback;
mod checkpoint;
mod communicator;
mod config;
mod ema;
mod error;
mod gradient;
mod groups;
mod joined;
mod json_lines;
mod memory;
mod options;
mod parameter;
mod plateau;
mod report;
mod schedule;
mod session;
mod state;
mod task;
mod trainer;

pub use candle_core;
pub use venule_file;

pub use adamw::{AdamW, AdamWConfig};
pub use callback::{
    Best, Callback, CheckpointInfo, CheckpointKind, EndInfo, EpochInfo, Outcome, PicturesInfo,
    StartInfo, StepInfo, ValidationInfo,
};
pub use checkpoint::{BEST_FILE, FINAL_FILE, LOG_FILE, latest_checkpoint};
#[cfg(feature = "mpi")]
pub use communicator::Mpi;
#[cfg(feature = "nccl")]
pub use communicator::Nccl;
pub use communicator::{Communicator, InProcess};
pub use config::TrainConfig;
pub use ema::{Ema, EmaConfig};
pub use error::{BoxError, Error, Result};
pub use gradient::{clip_factor, gradient_norm};
pub use groups::{ParamGroup, decay_groups};
pub use json_lines::{Clock, JsonLines, LogLine, Numbers};
pub use memory::peak_memory_mb;
pub use options::RunOptions;
pub use parameter::Parameter;
pub use plateau::PlateauConfig;
pub use report::Report;
pub use schedule::{LrSchedule, Per, Progress, Schedule, Span, Warmup};
pub use task::{Picture, Position, StepOutput, Task, Validation};
pub use trainer::Trainer;

/// The examples of the crate page are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
