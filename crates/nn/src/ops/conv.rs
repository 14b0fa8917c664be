use candle_core::{Result, Tensor, bail};

/// 3×3 convolution of (B, C, H, W) with weight (O, C, 3, 3) and optional bias (O): stride 1, zero padding 1, so that H and W
/// stay.
///
/// # Errors
/// If the shapes do not fit together.
pub fn conv3x3(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    check(x, weight, bias, 3)?;
    with_bias(conv3x3_composed(x, weight)?, bias)
}

/// 1×1 convolution of (B, C, H, W) with weight (O, C, 1, 1) and optional bias (O): a matrix product over the channels.
///
/// # Errors
/// If the shapes do not fit together.
pub fn conv1x1(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    check(x, weight, bias, 1)?;
    let (b, c, h, w) = x.dims4()?;
    let o = weight.dim(0)?;
    let weight = weight.reshape((1, o, c))?.broadcast_as((b, o, c))?;
    let y = weight
        .contiguous()?
        .matmul(&x.contiguous()?.reshape((b, c, h * w))?)?;
    with_bias(y.reshape((b, o, h, w))?, bias)
}

fn check(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, side: usize) -> Result<()> {
    let (_, c, _, _) = x.dims4()?;
    let (o, inputs, kh, kw) = weight.dims4()?;
    if inputs != c || (kh, kw) != (side, side) || bias.is_some_and(|bias| bias.dims() != [o]) {
        bail!(
            "a {side}x{side} convolution of {c} channels needs a weight (O, {c}, {side}, {side}) and a bias (O), not {:?} and {:?}",
            weight.shape(),
            bias.map(Tensor::shape)
        );
    }
    Ok(())
}

fn with_bias(y: Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    match bias {
        Some(bias) => y.broadcast_add(&bias.reshape((1, bias.dim(0)?, 1, 1))?),
        None => Ok(y),
    }
}

pub(crate) fn conv3x3_composed(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    if !x.device().is_metal() {
        return x.contiguous()?.conv2d(&weight.contiguous()?, 1, 1, 1, 1);
    }
    // candle's Metal convolution has wrong weight gradients for batches: nine shifted 1x1 convolutions instead.
    let (b, c, h, w) = x.dims4()?;
    let o = weight.dim(0)?;
    let padded = x.pad_with_zeros(2, 1, 1)?.pad_with_zeros(3, 1, 1)?;
    let mut sum: Option<Tensor> = None;
    for ky in 0..3 {
        for kx in 0..3 {
            let view = padded.narrow(2, ky, h)?.narrow(3, kx, w)?;
            let view = view.contiguous()?.reshape((b, c, h * w))?;
            let part = weight.narrow(2, ky, 1)?.narrow(3, kx, 1)?;
            let part = part.reshape((1, o, c))?.broadcast_as((b, o, c))?;
            let product = part.contiguous()?.matmul(&view)?;
            sum = Some(match sum {
                Some(sum) => (sum + product)?,
                None => product,
            });
        }
    }
    match sum {
        Some(sum) => sum.reshape((b, o, h, w)),
        None => bail!("a 3x3 kernel has nine parts"),
    }
}
