use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::{has_kernel, if_wanted, values, with_values};
use crate::cpu::group_norm::{self as kernel, Groups, Moments};

/// Group normalisation (Wu & He 2018) of (B, C, H, W): each group of C/groups channels of an image is brought to mean 0 and
/// (biased) variance 1, then scaled and shifted per channel: (x − μ) / √(σ² + eps) · weight + bias.
///
/// # Errors
/// If `groups` does not divide C, or weight and bias are not (C).
pub fn group_norm(
    x: &Tensor,
    groups: usize,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
) -> Result<Tensor> {
    check(x.dims4()?.1, groups, weight, bias)?;
    run(x, groups, weight, bias, eps, false)
}

/// [`group_norm`] followed by max(·, 0), in one pass; the gradient at 0 is 0.
///
/// # Errors
/// As [`group_norm`].
pub fn group_norm_relu(
    x: &Tensor,
    groups: usize,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
) -> Result<Tensor> {
    check(x.dims4()?.1, groups, weight, bias)?;
    run(x, groups, weight, bias, eps, true)
}

fn run(
    x: &Tensor,
    groups: usize,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
    relu: bool,
) -> Result<Tensor> {
    let fits = [x, weight, bias].into_iter().all(has_kernel);
    if !fits || x.elem_count() == 0 {
        return group_norm_composed(x, groups, weight, bias, eps, relu);
    }
    let (_, channels, height, width) = x.dims4()?;
    let op = GroupNormOp {
        shape: Groups {
            channels,
            plane: height * width,
            groups,
            relu,
        },
        eps,
        moments: OnceLock::new(),
    };
    x.contiguous()?
        .apply_op3(&weight.contiguous()?, &bias.contiguous()?, op)
}

struct GroupNormOp {
    shape: Groups,
    eps: f64,
    /// Of every group of every image, from the forward pass.
    moments: OnceLock<Vec<Moments>>,
}

impl CustomOp3 for GroupNormOp {
    fn name(&self) -> &'static str {
        "group_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (y, moments) = kernel::group_norm(
            values(x, x_layout)?,
            self.shape,
            values(weight, weight_layout)?,
            values(bias, bias_layout)?,
            self.eps,
        );
        // An op made for one call runs forward once.
        self.moments.get_or_init(|| moments);
        Ok((CpuStorage::F32(y), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some(moments) = self.moments.get() else {
            bail!("the gradient of group norm needs its forward pass first");
        };
        let grad = grad.contiguous()?;
        let (dx, dweight, dbias) = with_values(x, |x| {
            with_values(weight, |weight| {
                with_values(bias, |bias| {
                    with_values(&grad, |grad| {
                        Ok(kernel::group_norm_backward(
                            x, self.shape, weight, bias, moments, grad,
                        ))
                    })
                })
            })
        })?;
        Ok((
            if_wanted(x, || Ok(dx))?,
            if_wanted(weight, || Ok(dweight))?,
            if_wanted(bias, || Ok(dbias))?,
        ))
    }
}

/// Whether groups, weight and bias suit so many channels.
pub(super) fn check(c: usize, groups: usize, weight: &Tensor, bias: &Tensor) -> Result<()> {
    if groups == 0 || !c.is_multiple_of(groups) || weight.dims() != [c] || bias.dims() != [c] {
        bail!(
            "group norm of {c} channels in {groups} groups needs a divisor of the channels and weight, bias of shape ({c}), not {:?}, {:?}",
            weight.shape(),
            bias.shape()
        );
    }
    Ok(())
}

pub(crate) fn group_norm_composed(
    x: &Tensor,
    groups: usize,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
    relu: bool,
) -> Result<Tensor> {
    let (b, c, h, w) = x.dims4()?;
    let grouped = x.reshape((b, groups, c / groups * h * w))?;
    let centred = grouped.broadcast_sub(&grouped.mean_keepdim(2)?)?;
    let deviation = (centred.sqr()?.mean_keepdim(2)? + eps)?.sqrt()?;
    let normal = centred.broadcast_div(&deviation)?.reshape((b, c, h, w))?;
    let y = normal
        .broadcast_mul(&weight.reshape((1, c, 1, 1))?)?
        .broadcast_add(&bias.reshape((1, c, 1, 1))?)?;
    if relu {
        // candle's relu has gradient 1 at 0
        let positive = y.detach().gt(0.0)?.to_dtype(y.dtype())?;
        return y * positive;
    }
    Ok(y)
}
