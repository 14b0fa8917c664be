use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

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
    max_pool2x2_composed(x)
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

pub(crate) fn max_pool2x2_composed(x: &Tensor) -> Result<Tensor> {
    let (b, c, h, w) = x.dims4()?;
    let squares = x.reshape((b * c, h / 2, 2, w / 2, 2))?;
    let corner = |i: usize, j: usize| {
        squares
            .narrow(2, i, 1)?
            .narrow(4, j, 1)?
            .reshape((b, c, h / 2, w / 2))
    };
    let larger = |a: &Tensor, b: &Tensor| {
        let (a_value, b_value) = (a.detach(), b.detach());
        // NaN differs from itself.
        let nan = a_value.ne(&a_value)?;
        a_value.ge(&b_value)?.maximum(&nan)?.where_cond(a, b)
    };
    larger(
        &larger(&corner(0, 0)?, &corner(0, 1)?)?,
        &larger(&corner(1, 0)?, &corner(1, 1)?)?,
    )
}
