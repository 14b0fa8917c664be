//! Segmentation losses on logits with valid-pixel maps, for candle.
//!
//! Every loss implements [`Loss`]: logits, target and an optional valid-pixel map (such as a field
//! of view) of one shape in, a scalar out. All of them work in logit space and stay finite, with
//! finite gradients, for logits up to ±1e4; an invalid pixel has no influence whatsoever; without
//! any valid pixel the loss is 0 with gradient 0. A NaN at a valid pixel does show in the result.
//!
//! | loss | for |
//! | --- | --- |
//! | [`Bce`] | calibrated probabilities |
//! | [`Dice`], [`Tversky`], [`FocalTversky`], [`Mcc`] | overlap despite few vessel pixels |
//! | [`Focal`] | hard pixels |
//! | [`ThinBce`] | vessels narrower than 3 pixels |
//! | [`SoftClDice`], [`SkeletonRecall`] | unbroken centrelines |
//! | [`Composite`] | a weighted sum of any of them, in one pass over the map |
//!
//! ```
//! use venule_loss::{Composite, Loss, candle_core::{DType, Device, Tensor, Var}};
//!
//! let logits = Var::zeros((1, 1, 8, 8), DType::F32, &Device::Cpu)?;
//! let target = Tensor::ones((1, 1, 8, 8), DType::F32, &Device::Cpu)?;
//! let loss = Composite::reference().forward(&logits, &target, None)?;
//! let gradient = loss.backward()?.remove(&logits);
//! assert!(gradient.is_some());
//! # Ok::<(), candle_core::Error>(())
//! ```
//!
//! On a CPU in `f32` the losses that are functions of sums over the map run as one fused pass
//! forward and one backward, accumulated in `f64`, with the same bits for any number of threads.
//! Elsewhere they are composed of candle's own operations. `f16` and `bf16` logits are widened to
//! `f32`.
#![forbid(unsafe_code)]

mod aggregation;
mod bce;
mod cldice;
mod composite;
mod dice;
mod error;
mod focal;
mod focal_tversky;
mod loss;
mod maps;
mod mcc;
mod morphology;
mod sigmoid;
mod skeleton;
mod skeleton_recall;
mod sums;
mod thin;
mod thin_bce;
mod tversky;

pub use aggregation::Aggregation;
pub use bce::Bce;
pub use candle_core;
pub use cldice::SoftClDice;
pub use composite::Composite;
pub use dice::Dice;
pub use error::{Error, Result};
pub use focal::Focal;
pub use focal_tversky::FocalTversky;
pub use loss::{Loss, MapTerm};
pub use mcc::Mcc;
pub use skeleton::tubed_skeleton;
pub use skeleton_recall::SkeletonRecall;
pub use thin::{thin_vessel_map, thin_vessel_map_within};
pub use thin_bce::ThinBce;
pub use tversky::Tversky;
