//! Differentiable operations, one file each: the CPU op for contiguous `f32`, and for every other type and device candle's operations, most with
//! a gradient of their own. Nothing above knows which one ran.

mod attention_qkv;
mod checkpoint;
mod conv;
mod conv_norm_relu;
mod drop_path;
mod gelu;
mod group_norm;
mod layer_norm;
mod linear;
mod patchify;
mod pool;
mod resample;
#[cfg(test)]
mod slopes;
#[cfg(test)]
mod testing;
mod upsample;
mod upsample_conv_norm_relu;
mod with_gradient;

pub use attention_qkv::attention_qkv;
pub use checkpoint::checkpointed;
pub use conv::{conv1x1, conv3x3};
pub use conv_norm_relu::{Norm, conv3x3_norm_relu};
pub use drop_path::drop_path;
pub use gelu::gelu;
pub use group_norm::{group_norm, group_norm_relu};
pub use layer_norm::layer_norm;
pub use linear::{linear, linear_gelu};
pub use patchify::{patchify, unpatchify};
pub use pool::max_pool2x2;
pub use resample::resample_grid;
pub use upsample::{upsample2x, upsample2x_cat};
pub use upsample_conv_norm_relu::upsample2x_cat_conv3x3_norm_relu;

use candle_core::{CpuStorage, DType, Layout, Result, Storage, Tensor, bail};

/// Whether the CPU kernels take this tensor.
fn has_kernel(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == DType::F32
}

/// The values of a contiguous `f32` CPU storage.
fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let CpuStorage::F32(all) = storage else {
        bail!("a CPU kernel takes f32, not {:?}", storage_type(storage));
    };
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&all[start..end]),
        None => bail!(
            "a CPU kernel takes contiguous tensors, not strides {:?}",
            layout.stride()
        ),
    }
}

fn storage_type(storage: &CpuStorage) -> DType {
    use candle_core::backend::BackendStorage;
    storage.dtype()
}

/// Runs `f` on the values of a contiguous `f32` CPU tensor.
fn with_values<T>(x: &Tensor, f: impl FnOnce(&[f32]) -> Result<T>) -> Result<T> {
    let (storage, layout) = x.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => f(values(storage, layout)?),
        _ => bail!("a CPU kernel takes CPU tensors, not {:?}", x.device()),
    }
}

/// The gradient for an operand, if it needs one.
fn if_wanted(
    operand: &Tensor,
    values: impl FnOnce() -> Result<Vec<f32>>,
) -> Result<Option<Tensor>> {
    match operand.track_op() {
        true => Tensor::from_vec(values()?, operand.shape(), operand.device()).map(Some),
        false => Ok(None),
    }
}
