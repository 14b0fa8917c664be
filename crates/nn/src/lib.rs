//! Differentiable neural-network operations, layers and a seeded parameter store for candle.
//!
//! Layers are [`candle_core::Module`]s over the parameters of a [`ParamStore`], and layers of `candle_nn` take theirs from the same
//! store by [`Params::var_builder`]. An [`Encoder`] turns images into [`Features`], whatever it is built of.
//!
//! ```
//! use candle_core::{DType, Device, Module, Tensor};
//! use candle_nn::seq;
//! use venule_nn::{Conv1x1, Conv3x3, ParamStore, max_pool2x2};
//!
//! let store = ParamStore::new(42, &Device::Cpu);
//! let params = store.root().pp("net");
//! let net = seq()
//!     .add(Conv3x3::new(1, 8, true, &params.pp("conv"))?)
//!     .add_fn(|x| max_pool2x2(&x.relu()?))
//!     .add(Conv1x1::new(8, 1, true, &params.pp("head"))?);
//! let images = Tensor::ones((2, 1, 16, 16), DType::F32, &Device::Cpu)?;
//! let y = images.apply(&net)?;
//! assert_eq!(y.dims(), [2, 1, 8, 8]);
//! let gradients = y.sqr()?.mean_all()?.backward()?;
//! assert!(store.params().iter().all(|param| gradients.get(param.var()).is_some()));
//! # Ok::<(), venule_nn::Error>(())
//! ```
#![deny(unsafe_code)]

mod encoder;
mod error;
mod init;
mod layers;
mod mode;
mod noise;
mod ops;
mod params;
mod var_builder;

// The kernels, and nothing else in the workspace, need unsafe code.
#[allow(unsafe_code)]
mod cpu;

pub use candle_core;
pub use candle_nn;
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

/// The examples of the crate page are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
