use candle_core::{Result, Tensor, bail};

use super::gelu;

/// x Wᵀ + b over the last dimension: x (…, I), weight (O, I), bias (O) → (…, O).
///
/// ```
/// use candle_core::{Device, Tensor};
/// let x = Tensor::new(&[[1f32, 2.0]], &Device::Cpu)?;
/// let weight = Tensor::new(&[[3f32, 4.0], [5.0, 6.0], [7.0, 8.0]], &Device::Cpu)?;
/// let bias = Tensor::new(&[0.5f32, 0.5, 0.5], &Device::Cpu)?;
/// let y = venule_nn::linear(&x, &weight, Some(&bias))?;
/// assert_eq!(y.to_vec2::<f32>()?, [[11.5, 17.5, 23.5]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// If the shapes, types or devices do not fit together.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    check(x, weight, bias)?;
    linear_composed(x, weight, bias)
}

/// [`gelu`] of [`linear`], in one pass over the result: the first half of a transformer's MLP.
///
/// # Errors
/// As [`linear`].
pub fn linear_gelu(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    gelu(&linear(x, weight, bias)?)
}

fn check(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<()> {
    let (o, i) = weight.dims2()?;
    let fits = x.dims().last() == Some(&i);
    if !fits || bias.is_some_and(|bias| bias.dims() != [o]) {
        bail!(
            "linear takes x (…, I), weight (O, I) and bias (O), not {:?}, {:?} and {:?}",
            x.shape(),
            weight.shape(),
            bias.map(Tensor::shape)
        );
    }
    Ok(())
}

pub(crate) fn linear_composed(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    let (o, i) = weight.dims2()?;
    let mut dims = x.dims().to_vec();
    let rows = dims.iter().rev().skip(1).product::<usize>();
    if let Some(last) = dims.last_mut() {
        *last = o;
    }
    let y = x.reshape((rows, i))?.matmul(&weight.t()?)?;
    let y = match bias {
        Some(bias) => y.broadcast_add(bias)?,
        None => y,
    };
    y.reshape(dims)
}
