use candle_core::{D, Result, Tensor, bail};

/// Layer normalisation (Ba et al. 2016): (x − μ) / √(σ² + eps) · weight + bias, with mean μ and biased variance σ² over the
/// last dimension; x (…, C), weight (C), bias (C).
///
/// ```
/// use candle_core::{Device, Tensor};
/// let x = Tensor::new(&[[1f32, 3.0]], &Device::Cpu)?;
/// let weight = Tensor::new(&[1f32, 2.0], &Device::Cpu)?;
/// let bias = Tensor::new(&[0f32, 10.0], &Device::Cpu)?;
/// let y = venule_nn::layer_norm(&x, &weight, &bias, 0.0)?; // mean 2, variance 1
/// assert_eq!(y.to_vec2::<f32>()?, [[-1.0, 12.0]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// If the shapes, types or devices do not fit together.
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let width = x.dims().last().copied().unwrap_or(0);
    if width == 0 || weight.dims() != [width] || bias.dims() != [width] {
        bail!(
            "layer_norm takes x (…, C), weight (C) and bias (C), not {:?}, {:?} and {:?}",
            x.shape(),
            weight.shape(),
            bias.shape()
        );
    }
    layer_norm_composed(x, weight, bias, eps)
}

pub(crate) fn layer_norm_composed(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let normal = centred.broadcast_div(&(variance + eps)?.sqrt()?)?;
    normal.broadcast_mul(weight)?.broadcast_add(bias)
}
