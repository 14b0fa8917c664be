//! Masked autoencoder with a Vision Transformer encoder, for candle (He et al., *Masked Autoencoders Are Scalable Vision
//! Learners*, CVPR 2022).
//!
//! [`Mae`] hides most patches of an image and learns to paint them; its [`VitEncoder`] is then a [`venule_nn::Encoder`] for
//! any decoder. An encoder of one's own is pretrained in the same way if it is a [`MaskedEncoder`]. Variable names of the
//! transformer follow the public MAE / timm layout, which [`PretrainedWeights`] imports.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use venule_mae::{Mae, MaeConfig, Masking};
//! use venule_nn::{Mode, ParamStore};
//!
//! let store = ParamStore::new(42, &Device::Cpu);
//! let mae = Mae::new(&MaeConfig::tiny(), &store.root())?;
//! let images = Tensor::zeros((2, 1, 64, 48), DType::F32, &Device::Cpu)?; // 8 x 6 patches
//! let masking = Masking::from_seed(7, 2, 48, 0.75, &Device::Cpu)?;
//! let predictions = mae.forward(&images, &masking, Mode::Train { seed: 1 })?;
//! let loss = mae.loss(&images, &predictions, &masking, None)?;
//! let gradients = loss.backward()?;
//! assert!(store.trainable().iter().all(|(_, var)| gradients.get(var).is_some()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod config;
mod decoder;
mod describe;
mod error;
mod export;
mod from_tensors;
mod import;
mod mae;
mod masked_encoder;
mod masking;
mod names;
mod pickle;
mod positions;
mod pth;
mod report;
mod strangers;
mod target;
mod vit;
mod weights;
mod windows;

pub use config::{MaeConfig, Positions, VitConfig};
pub use decoder::MaeDecoderConfig;
pub use describe::{Description, Family, Normalisation};
pub use error::{Error, Result};
pub use export::export_encoder;
pub use mae::{Mae, Reconstruction};
pub use masked_encoder::MaskedEncoder;
pub use masking::Masking;
pub use positions::sin_cos_positions;
pub use report::{Conversion, Difference, ImportReport};
pub use target::VesselWeight;
pub use vit::VitEncoder;
pub use weights::{ImportOptions, MissingNorm, PretrainedWeights};

/// The examples of the crate page are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
