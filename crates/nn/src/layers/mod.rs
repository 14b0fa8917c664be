//! Layers with trained parameters over the ops.

mod attention;
mod block;
mod conv;
mod layer_norm;
mod linear;
mod mlp;

pub use attention::Attention;
pub use block::{Block, BlockConfig};
pub use conv::{Conv1x1, Conv3x3, ConvNormRelu, GroupNorm};
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use mlp::Mlp;
