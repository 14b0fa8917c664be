//! Optimizers, schedules, checkpoints and a training loop, generic over model, loss and data.
//!
//! The crate knows no network and no data set: whoever implements [`Task`] can be trained by
//! [`Trainer`]. Each part is usable alone: [`AdamW`] with parameter groups and readable state,
//! gradient norms and accumulation, [`Ema`], learning-rate schedules, and safetensors files that are
//! sorted, checksummed and written atomically ([`save_weights`], [`load_weights`]).
//!
//! Nothing is printed unless a [`Callback`] that prints is added.

#![forbid(unsafe_code)]

mod adamw;
mod adamw_kernel;
mod archive;
mod atomic;
mod callback;
mod checkpoint;
mod config;
mod crc;
mod curve;
mod ema;
mod error;
mod gradient;
mod groups;
mod json_lines;
mod memory;
mod plateau;
mod progress;
mod schedule;
mod session;
mod state;
mod summary;
mod task;
mod tensorboard;
mod tracing_log;
mod trainer;

pub use candle_core;

pub use adamw::{AdamW, AdamWConfig};
pub use callback::{
    Best, Callback, CheckpointInfo, CheckpointKind, EndInfo, EpochInfo, Outcome, PicturesInfo,
    StartInfo, StepInfo, ValidationInfo,
};
pub use checkpoint::{
    BEST_FILE, FINAL_FILE, LOG_FILE, Weights, latest_checkpoint, load_weights, parse_weights,
    restore_weights, save_weights,
};
pub use config::TrainConfig;
pub use curve::{Chart, LearningCurve, Series, learning_curve_svg};
pub use ema::{Ema, EmaConfig};
pub use error::{BoxError, Error, Result};
pub use gradient::{GradientAccumulator, clip_factor, clip_gradients, gradient_norm};
pub use groups::{ParamGroup, decay_groups, decays, layer_decay_groups};
pub use json_lines::{Clock, JsonLines, LogLine, Numbers, read_log};
pub use memory::peak_memory_mb;
pub use plateau::{Plateau, PlateauConfig, PlateauMode, ThresholdMode};
pub use progress::ProgressBar;
pub use schedule::{LrSchedule, Per, Progress, Schedule, Span, Warmup, scaled_lr};
pub use summary::{RunSummary, runs_below};
pub use task::{Picture, Position, StepOutput, Task, Validation};
pub use tensorboard::TensorBoard;
pub use tracing_log::TracingLog;
pub use trainer::{Report, Trainer, fit};
