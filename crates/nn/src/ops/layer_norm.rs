use candle_core::{CpuStorage, CustomOp3, D, Layout, Result, Shape, Tensor, bail};

use super::with_gradient::with_gradient;
use super::{has_kernel, if_wanted, values, with_values};
use crate::cpu;

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
    if has_kernel(x) && has_kernel(weight) && has_kernel(bias) {
        return x.contiguous()?.apply_op3(
            &weight.contiguous()?,
            &bias.contiguous()?,
            LayerNorm { eps: eps as f32 },
        );
    }
    layer_norm_elsewhere(x, weight, bias, eps)
}

/// On a device or of types without a kernel.
fn layer_norm_elsewhere(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let (normal, deviation) = standardised(&x.detach(), eps)?;
    let plain_weight = weight.detach();
    let value = normal
        .broadcast_mul(&plain_weight)?
        .broadcast_add(&bias.detach())?;
    with_gradient([x, weight, bias], value, move |grad, _| {
        let width = plain_weight.dim(0)?;
        let of_normal = grad.broadcast_mul(&plain_weight)?;
        let of_x = standardised_backward(&normal, &deviation, &of_normal)?;
        let of_weight = (grad * &normal)?.reshape(((), width))?.sum(0)?;
        let of_bias = grad.reshape(((), width))?.sum(0)?;
        Ok([of_x, of_weight, of_bias])
    })
}

/// x brought to mean 0 and variance 1 along its last dimension, and √(σ² + eps) before.
pub(super) fn standardised(x: &Tensor, eps: f64) -> Result<(Tensor, Tensor)> {
    let share = 1.0 / x.dim(D::Minus1)? as f64;
    let mean = x.sum_keepdim(D::Minus1)?.affine(share, 0.0)?;
    let centred = x.broadcast_sub(&mean)?;
    let squares = centred.sqr()?.sum_keepdim(D::Minus1)?;
    let deviation = squares.affine(share, eps)?.sqrt()?;
    Ok((centred.broadcast_div(&deviation)?, deviation))
}

/// The gradient of x from that of what [`standardised`] made of it: (g − mean(g) − n · mean(g n)) / √(σ² + eps).
pub(super) fn standardised_backward(
    normal: &Tensor,
    deviation: &Tensor,
    grad: &Tensor,
) -> Result<Tensor> {
    let share = 1.0 / normal.dim(D::Minus1)? as f64;
    let mean = |x: &Tensor| x.sum_keepdim(D::Minus1)?.affine(share, 0.0);
    let along = mean(&(grad * normal)?)?;
    grad.broadcast_sub(&mean(grad)?)?
        .sub(&normal.broadcast_mul(&along)?)?
        .broadcast_div(deviation)
}

#[cfg(test)]
pub(crate) fn layer_norm_composed(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
) -> Result<Tensor> {
    let (normal, _) = standardised(x, eps)?;
    normal.broadcast_mul(weight)?.broadcast_add(bias)
}

struct LayerNorm {
    eps: f32,
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
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
        let y = cpu::layer_norm::layer_norm(
            values(x, x_layout)?,
            values(weight, weight_layout)?,
            values(bias, bias_layout)?,
            self.eps,
        );
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
        let grad = grad.contiguous()?;
        let (dx, dweight, dbias) = with_values(x, |x| {
            with_values(weight, |weight| {
                with_values(&grad, |grad| {
                    Ok(cpu::layer_norm::layer_norm_backward(
                        x, weight, grad, self.eps,
                    ))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ops::testing::{agrees, gradients_agree, noise, slopes_agree, thread_counts_agree};

    fn inputs(rows: &[usize], width: usize) -> Result<[Tensor; 3]> {
        let x = noise(&[rows, &[width]].concat(), 1, 2.0)?;
        Ok([x, noise(&[width], 2, 1.0)?, noise(&[width], 3, 1.0)?])
    }

    fn both_agree(inputs: &[Tensor]) -> Result<()> {
        let op = |t: &[Tensor]| layer_norm(&t[0], &t[1], &t[2], 1e-5);
        let composed = |t: &[Tensor]| layer_norm_composed(&t[0], &t[1], &t[2], 1e-5);
        agrees(&op(inputs)?, &composed(inputs)?, 1e-5)?;
        gradients_agree(inputs, op, composed, 1e-4)
    }

    #[test]
    fn takes_views() -> Result<()> {
        let [x, weight, bias] = inputs(&[9], 40)?;
        let x = x.narrow(1, 3, 33)?.narrow(0, 1, 7)?;
        both_agree(&[x, weight.narrow(0, 3, 33)?, bias.narrow(0, 7, 33)?])
    }

    #[test]
    fn a_large_mean_costs_no_precision() -> Result<()> {
        // Variance by two passes: with E[x²] − μ² in f32 the result would be noise.
        let [x, weight, bias] = inputs(&[3], 768)?;
        let y = layer_norm(&(&x + 4096.0)?, &weight, &bias, 1e-6)?;
        let exact = |x: &Tensor| x.to_dtype(candle_core::DType::F64);
        let shifted = (exact(&x)? + 4096.0)?;
        let expected = layer_norm_composed(&shifted, &exact(&weight)?, &exact(&bias)?, 1e-6)?;
        agrees(&y, &expected.to_dtype(candle_core::DType::F32)?, 3e-3)
    }

    #[test]
    fn composed_gradients_are_the_slopes() -> Result<()> {
        slopes_agree(&inputs(&[2, 3], 5)?, |t| {
            layer_norm(&t[0], &t[1], &t[2], 1e-5)
        })
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() -> Result<()> {
        thread_counts_agree(&inputs(&[331], 192)?, |t| {
            layer_norm(&t[0], &t[1], &t[2], 1e-6)
        })
    }

    #[test]
    fn refuses_shapes_that_do_not_fit() -> Result<()> {
        let [x, weight, bias] = inputs(&[2], 6)?;
        assert!(layer_norm(&x, &weight.narrow(0, 0, 5)?, &bias, 1e-6).is_err());
        assert!(layer_norm(&x, &weight, &bias.narrow(0, 0, 1)?, 1e-6).is_err());
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn kernel_agrees_with_the_composed_op(
            batch in 1usize..4, rows in 1usize..90, width in 1usize..900,
        ) {
            // Two values always normalise to ±1: their gradient is a difference of near-equal numbers.
            let width = if width == 2 { 3 } else { width };
            both_agree(&inputs(&[batch, rows], width).unwrap()).unwrap();
        }
    }
}
