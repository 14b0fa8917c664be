use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::layer_norm::{standardised, standardised_backward};
use super::with_gradient::with_gradient;
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
        return group_norm_elsewhere(x, groups, weight, bias, eps, relu);
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

/// On a device or of types without a kernel.
fn group_norm_elsewhere(
    x: &Tensor,
    groups: usize,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
    relu: bool,
) -> Result<Tensor> {
    let (b, c, h, w) = x.dims4()?;
    let (grouped, planes) = ((b, groups, c / groups * h * w), (b, c, h * w));
    let (normal, deviation) = standardised(&x.detach().reshape(grouped)?, eps)?;
    let plain_weight = weight.detach().reshape((1, c, 1))?;
    let value = normal
        .reshape(planes)?
        .broadcast_mul(&plain_weight)?
        .broadcast_add(&bias.detach().reshape((1, c, 1))?)?;
    // candle's relu makes 0 of NaN, which must show.
    let value = match relu {
        true => value.le(0.0)?.where_cond(&value.zeros_like()?, &value)?,
        false => value,
    };
    let value = value.reshape((b, c, h, w))?;
    with_gradient([x, weight, bias], value, move |grad, value| {
        // Where the maximum passes the gradient on.
        let grad = match relu {
            true => value.gt(0.0)?.where_cond(grad, &grad.zeros_like()?)?,
            false => grad.clone(),
        };
        let grad = grad.reshape(planes)?;
        let of_normal = grad.broadcast_mul(&plain_weight)?.reshape(grouped)?;
        let of_x = standardised_backward(&normal, &deviation, &of_normal)?;
        let of_weight = (&grad * normal.reshape(planes)?)?.sum((0, 2))?;
        let of_bias = grad.sum((0, 2))?;
        Ok([of_x.reshape((b, c, h, w))?, of_weight, of_bias])
    })
}
