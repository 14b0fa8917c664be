use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::with_gradient::with_gradient;
use super::{has_kernel, values, with_values};
use crate::cpu::pool as kernel;

/// Largest of each 2×2 square of (B, C, H, W), with stride 2; the gradient goes to the first largest of the four. A NaN
/// among them shows in the result, and takes the gradient.
///
/// ```
/// use candle_core::{Device, Tensor};
/// let x = Tensor::arange(0f32, 8., &Device::Cpu)?.reshape((1, 1, 2, 4))?;
/// let y = venule_nn::max_pool2x2(&x)?.flatten_all()?;
/// assert_eq!(y.to_vec1::<f32>()?, [5., 7.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// If H or W is odd.
pub fn max_pool2x2(x: &Tensor) -> Result<Tensor> {
    let (_, _, h, w) = x.dims4()?;
    if h % 2 != 0 || w % 2 != 0 {
        bail!("2x2 pooling needs an even height and width, not {h}x{w}; pad the image first");
    }
    if has_kernel(x) && x.elem_count() > 0 {
        return x.contiguous()?.apply_op1(MaxPool2x2);
    }
    max_pool2x2_elsewhere(x)
}

/// On a device or of a type without a kernel.
fn max_pool2x2_elsewhere(x: &Tensor) -> Result<Tensor> {
    let (b, c, h, w) = x.dims4()?;
    let squares = x.detach().reshape((b * c, h / 2, 2, w / 2, 2))?;
    let corners = squares.permute((2, 4, 0, 1, 3))?.contiguous()?;
    let corners = corners.reshape((4, b, c, h / 2, w / 2))?;
    let corner = |at: usize| corners.narrow(0, at, 1)?.squeeze(0);
    let pair = |a: &Tensor, b: &Tensor| -> Result<(Tensor, Tensor)> {
        let first = takes_first(a, b)?;
        Ok((first.where_cond(a, b)?, first))
    };
    let (top, left_of_top) = pair(&corner(0)?, &corner(1)?)?;
    let (bottom, left_of_bottom) = pair(&corner(2)?, &corner(3)?)?;
    let (value, is_top) = pair(&top, &bottom)?;
    with_gradient([x], value, move |grad, _| {
        let none = grad.zeros_like()?;
        let split = |first: &Tensor, grad: &Tensor| -> Result<(Tensor, Tensor)> {
            Ok((
                first.where_cond(grad, &none)?,
                first.where_cond(&none, grad)?,
            ))
        };
        let (top, bottom) = split(&is_top, grad)?;
        let (left, right) = split(&left_of_top, &top)?;
        let (lower_left, lower_right) = split(&left_of_bottom, &bottom)?;
        let corners = Tensor::stack(&[left, right, lower_left, lower_right], 0)?;
        let corners = corners.reshape((2, 2, b * c, h / 2, w / 2))?;
        Ok([corners.permute((2, 3, 0, 4, 1))?.reshape((b, c, h, w))?])
    })
}

/// Whether the first of two is the larger, or not a number.
fn takes_first(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    // NaN differs from itself.
    a.ge(b)?.maximum(&a.ne(a)?)
}

struct MaxPool2x2;

impl CustomOp1 for MaxPool2x2 {
    fn name(&self) -> &'static str {
        "max_pool2x2"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (b, c, h, w) = layout.shape().dims4()?;
        let y = kernel::max_pool2x2(values(x, layout)?, w);
        Ok((CpuStorage::F32(y), (b, c, h / 2, w / 2).into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let width = x.dim(3)?;
        let grad = grad.contiguous()?;
        let dx = with_values(x, |x| {
            with_values(&grad, |grad| {
                Ok(kernel::max_pool2x2_backward(x, width, grad))
            })
        })?;
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}
