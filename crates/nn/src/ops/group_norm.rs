use candle_core::{Result, Tensor, bail};

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
    check(x, groups, weight, bias)?;
    group_norm_composed(x, groups, weight, bias, eps, false)
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
    check(x, groups, weight, bias)?;
    group_norm_composed(x, groups, weight, bias, eps, true)
}

fn check(x: &Tensor, groups: usize, weight: &Tensor, bias: &Tensor) -> Result<()> {
    let (_, c, _, _) = x.dims4()?;
    if groups == 0 || c % groups != 0 || weight.dims() != [c] || bias.dims() != [c] {
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
