//! What a model is made of, by name, and the model itself.

mod built_in;
mod config;
mod kind;
mod part;
#[cfg(feature = "train")]
mod pretrained;
mod registry;
mod vessel_model;

pub use config::{MaskedModelConfig, ModelConfig};
pub use part::PartConfig;
pub use registry::Registry;
pub use vessel_model::{COARSER_WEIGHT, VesselModel};

pub(crate) use built_in::{MULTI_SCALE, NO_ENCODER, PROGRESSIVE, VIT};
#[cfg(any(feature = "train", feature = "onnx"))]
pub(crate) use vessel_model::expect_channels;
