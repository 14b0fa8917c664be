//! Differentiable neural-network operations, layers and a seeded parameter store for candle.
#![deny(unsafe_code)]

mod encoder;
mod error;
mod init;
mod layers;
mod mode;
mod noise;
mod ops;
mod params;

// The kernels, and nothing else in the workspace, need unsafe code.
#[allow(unsafe_code)]
mod cpu;

pub use cpu::allocator::keep_freed_memory;
pub use cpu::threads::{bound_candle_threads, let_candle_threads_sleep};
pub use encoder::{Encoder, FeatureInfo, FeatureMap, Features, NoEncoder};
pub use error::{Error, Result};
pub use init::Init;
pub use layers::*;
pub use mode::Mode;
pub use noise::{Noise, mix};
pub use ops::*;
pub use params::{NoGrad, Param, ParamStore, Params};
