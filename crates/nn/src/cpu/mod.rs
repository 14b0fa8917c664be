//! CPU kernels for `f32`: the only place with unsafe code. Each works on plain slices and is reached through the op of the
//! same name in [`crate::ops`], which also has the fallback for other types and devices.

pub(crate) mod allocator;
pub(crate) mod attention;
pub(crate) mod conv1x1;
pub(crate) mod conv3x3;
pub(crate) mod gelu;
pub(crate) mod group_norm;
pub(crate) mod lanes;
pub(crate) mod layer_norm;
pub(crate) mod linear;
pub(crate) mod map;
pub(crate) mod matmul;
pub(crate) mod pool;
pub(crate) mod scratch;
pub(crate) mod simd;
pub(crate) mod threads;
pub(crate) mod upsample;
pub(crate) mod winograd;
