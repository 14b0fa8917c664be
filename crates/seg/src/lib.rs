//! Vessel segmentation models: decoders over any encoder, freezing, tiled inference.
//!
//! A [`SegmentationModel`] joins any [`venule_nn::Encoder`] with any [`Decoder`] and takes images of any size. [`Freeze`] keeps stages of
//! an encoder as they are, and [`TiledInference`] bounds the memory of large images.
//!
//! ```
//! use candle_core::{DType, Device, Module, Result as TensorResult, Tensor};
//! use venule_nn::{Conv3x3, Encoder, FeatureInfo, FeatureMap, Features, Mode, ParamStore, max_pool2x2};
//! use venule_seg::{MultiScaleConfig, MultiScaleDecoder, SegmentationModel};
//!
//! /// One convolution and three poolings: a map at an eighth of the size.
//! struct Pooled(Conv3x3);
//! impl Encoder for Pooled {
//!     fn forward(&self, images: &Tensor, _: Mode) -> TensorResult<Features> {
//!         let mut map = self.0.forward(images)?;
//!         for _ in 0..3 {
//!             map = max_pool2x2(&map)?;
//!         }
//!         Ok(Features { maps: vec![FeatureMap { tensor: map, stride: 8 }] })
//!     }
//!     fn outputs(&self) -> Vec<FeatureInfo> {
//!         vec![FeatureInfo { channels: 8, stride: 8 }]
//!     }
//! }
//!
//! let store = ParamStore::new(42, &Device::Cpu);
//! let encoder = Pooled(Conv3x3::new(1, 8, true, &store.root().pp("encoder"))?);
//! let config = MultiScaleConfig::tiny();
//! let decoder = MultiScaleDecoder::new(&config, &encoder.outputs(), &store.root().pp("decoder"))?;
//! let model = SegmentationModel::new(encoder, decoder)?;
//! let images = Tensor::zeros((2, 1, 37, 50), DType::F32, &Device::Cpu)?;
//! assert_eq!(model.forward(&images, Mode::Eval)?.dims(), [2, 1, 37, 50]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod decoder;
mod error;
mod freeze;
mod model;
mod multi_scale;
mod progressive;
mod stage;
mod tiled;

pub use decoder::Decoder;
pub use error::{Error, Result};
pub use freeze::Freeze;
pub use model::SegmentationModel;
pub use multi_scale::{MultiScaleConfig, MultiScaleDecoder};
pub use progressive::{ProgressiveConfig, ProgressiveDecoder};
pub use tiled::TiledInference;

/// The examples of the crate page are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
