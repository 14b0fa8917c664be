#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod aggregation;
mod bce;
mod cldice;
mod composite;
mod config;
mod dice;
mod error;
mod focal;
mod focal_tversky;
mod loss;
mod maps;
mod mcc;
mod morphology;
mod prepared;
mod presets;
mod sigmoid;
mod skeleton;
mod skeleton_recall;
mod sums;
mod table;
mod term;
mod thin;
mod thin_bce;
mod tversky;

pub use aggregation::Aggregation;
pub use bce::Bce;
pub use candle_core;
pub use cldice::SoftClDice;
pub use composite::Composite;
pub use config::LossConfig;
pub use dice::Dice;
pub use error::{Error, Result};
pub use focal::Focal;
pub use focal_tversky::FocalTversky;
pub use loss::{Loss, MapTerm};
pub use mcc::Mcc;
pub use prepared::PreparedTarget;
pub use serde_json;
pub use skeleton::tubed_skeleton;
pub use skeleton_recall::SkeletonRecall;
pub use table::LossTable;
pub use term::TermConfig;
pub use thin::thin_vessel_map;
pub use thin_bce::ThinBce;
pub use tversky::Tversky;
