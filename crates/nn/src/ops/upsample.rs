use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::with_gradient::with_gradient;
use super::{has_kernel, if_wanted, values, with_values};
use crate::cpu::upsample::{self as kernel, Joint};

/// Bilinear upsampling of (B, C, H, W) to (B, C, 2H, 2W) with half-pixel centres and repeated borders, as
/// `torch.nn.functional.interpolate(scale_factor=2, mode="bilinear", align_corners=False)`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// let x = Tensor::new(&[0f32, 4.0], &Device::Cpu)?.reshape((1, 1, 1, 2))?;
/// let y = venule_nn::upsample2x(&x)?.reshape((2, 4))?;
/// assert_eq!(y.to_vec2::<f32>()?, [[0., 1., 3., 4.], [0., 1., 3., 4.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// If the map has no pixels.
pub fn upsample2x(x: &Tensor) -> Result<Tensor> {
    let (_, _, h, w) = x.dims4()?;
    if h == 0 || w == 0 {
        bail!("cannot upsample an empty map of {h}x{w}");
    }
    if has_kernel(x) && x.elem_count() > 0 {
        return x.contiguous()?.apply_op1(Upsample2x);
    }
    upsample2x_elsewhere(x)
}

/// On a device or of a type without a kernel.
fn upsample2x_elsewhere(x: &Tensor) -> Result<Tensor> {
    let (b, c, h, w) = x.dims4()?;
    #[allow(
        clippy::disallowed_methods,
        reason = "right for a contiguous map; the gradient is this function's own"
    )]
    let value = x
        .detach()
        .contiguous()?
        .upsample_bilinear2d(2 * h, 2 * w, false)?;
    with_gradient([x], value, move |grad, _| {
        // Each value takes part in four outputs a dimension; those beyond the border are the border's.
        let taps = [0.25f32, 0.75, 0.75, 0.25];
        let taps: Vec<f32> = taps.iter().flat_map(|a| taps.map(|b| a * b)).collect();
        let taps = Tensor::from_vec(taps, (1, 1, 4, 4), grad.device())?.to_dtype(grad.dtype())?;
        let planes = grad.reshape((b * c, 1, 2 * h, 2 * w))?;
        let padded = planes.pad_with_same(2, 1, 1)?.pad_with_same(3, 1, 1)?;
        let of_x = padded.conv2d(&taps, 0, 2, 1, 1)?;
        Ok([of_x.reshape((b, c, h, w))?])
    })
}

/// [`upsample2x`] of `x` (B, C, H, W) with `others` (B, S, 2H, 2W) behind it along the channels: (B, C + S, 2H, 2W). The way a
/// decoder joins a coarse map with a finer one, with one copy less than in two steps.
///
/// ```
/// use candle_core::{Device, Tensor};
/// let x = Tensor::new(&[0f32, 4.0], &Device::Cpu)?.reshape((1, 1, 1, 2))?;
/// let others = Tensor::ones((1, 1, 2, 4), x.dtype(), &Device::Cpu)?;
/// let y = venule_nn::upsample2x_cat(&x, &others)?.reshape((4, 4))?;
/// assert_eq!(y.to_vec2::<f32>()?, [[0., 1., 3., 4.], [0., 1., 3., 4.], [1.; 4], [1.; 4]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// If `x` has no pixels, or `others` not twice its size.
pub fn upsample2x_cat(x: &Tensor, others: &Tensor) -> Result<Tensor> {
    check(x, others)?;
    if has_kernel(x) && has_kernel(others) && x.elem_count() > 0 && others.dim(1)? > 0 {
        return x.contiguous()?.apply_op2(&others.contiguous()?, Upsample2x);
    }
    Tensor::cat(&[&upsample2x(x)?, others], 1)
}

/// Checks that `others` is twice as large as `x`.
pub(super) fn check(x: &Tensor, others: &Tensor) -> Result<()> {
    let (b, _, h, w) = x.dims4()?;
    let (ob, _, oh, ow) = others.dims4()?;
    if (ob, oh, ow) != (b, 2 * h, 2 * w) {
        bail!(
            "a map {:?} is doubled and joined with one of twice its size, not {:?}",
            x.shape(),
            others.shape()
        );
    }
    Ok(())
}

struct Upsample2x;

/// Sizes of a map that is doubled beside `others` channels.
pub(super) fn joint(x: &Shape, others: usize) -> Result<Joint> {
    let (_, channels, height, width) = x.dims4()?;
    Ok(Joint {
        channels,
        others,
        height,
        width,
    })
}

impl CustomOp1 for Upsample2x {
    fn name(&self) -> &'static str {
        "upsample2x"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (b, c, h, w) = layout.shape().dims4()?;
        let y = kernel::upsample2x_cat(values(x, layout)?, &[], joint(layout.shape(), 0)?);
        Ok((CpuStorage::F32(y), (b, c, 2 * h, 2 * w).into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let sizes = joint(x.shape(), 0)?;
        let dx = with_values(&grad.contiguous()?, |grad| {
            Ok(kernel::upsample2x_cat_backward(grad, sizes))
        })?;
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

impl CustomOp2 for Upsample2x {
    fn name(&self) -> &'static str {
        "upsample2x_cat"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        others: &CpuStorage,
        others_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (b, c, h, w) = x_layout.shape().dims4()?;
        let s = others_layout.shape().dims4()?.1;
        let sizes = joint(x_layout.shape(), s)?;
        let y = kernel::upsample2x_cat(values(x, x_layout)?, values(others, others_layout)?, sizes);
        Ok((CpuStorage::F32(y), (b, c + s, 2 * h, 2 * w).into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        others: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let sizes = joint(x.shape(), others.dim(1)?)?;
        with_values(&grad.contiguous()?, |grad| {
            Ok((
                if_wanted(x, || Ok(kernel::upsample2x_cat_backward(grad, sizes)))?,
                if_wanted(others, || Ok(kernel::others_of(grad, sizes)))?,
            ))
        })
    }
}
