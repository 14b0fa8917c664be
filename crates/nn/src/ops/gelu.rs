use std::f64::consts::{FRAC_1_SQRT_2, TAU};

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor, bail};

use super::with_gradient::with_gradient;
use super::{has_kernel, values, with_values};
use crate::cpu;

/// Gaussian error linear unit x Φ(x) (Hendrycks & Gimpel 2016), Φ the standard normal distribution function, exact (by erf,
/// not tanh).
///
/// ```
/// use candle_core::{Device, Tensor};
/// let y = venule_nn::gelu(&Tensor::new(&[-1f32, 0.0, 1.0], &Device::Cpu)?)?;
/// // Φ(1) = 0.841345
/// for (y, expected) in y.to_vec1::<f32>()?.iter().zip([-0.158655, 0.0, 0.841345]) {
///     assert!((y - expected).abs() < 1e-6);
/// }
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// If the tensor is not of a floating-point type.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if has_kernel(x) {
        return x.contiguous()?.apply_op1(Gelu);
    }
    // Candle would give 0 for integers.
    if !x.dtype().is_float() {
        bail!(
            "gelu needs a floating-point tensor, not {:?}; convert it first",
            x.dtype()
        );
    }
    gelu_elsewhere(x)
}

/// On a device or of a type without a kernel.
fn gelu_elsewhere(x: &Tensor) -> Result<Tensor> {
    let plain = x.detach();
    with_gradient([x], gelu_composed(&plain)?, move |grad, _| {
        Ok([(grad * gelu_slope(&plain)?)?])
    })
}

pub(crate) fn gelu_composed(x: &Tensor) -> Result<Tensor> {
    x.gelu_erf()
}

/// Φ(x) + x φ(x), with φ the density of the standard normal distribution.
pub(super) fn gelu_slope(x: &Tensor) -> Result<Tensor> {
    let below = x.affine(FRAC_1_SQRT_2, 0.0)?.erf()?.affine(0.5, 0.5)?;
    // ln φ(x) = −x²/2 − ln √2π
    let density = x.sqr()?.affine(-0.5, -0.5 * TAU.ln())?.exp()?;
    below + (density * x)?
}

struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = cpu::gelu::gelu(values(storage, layout)?);
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let dx = with_values(x, |x| {
            with_values(&grad.contiguous()?, |grad| {
                Ok(cpu::gelu::gelu_backward(x, grad))
            })
        })?;
        Ok(Some(Tensor::from_vec(dx, x.shape(), &Device::Cpu)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{agrees, gradients_agree, noise, slopes_agree};

    #[test]
    fn kernel_agrees_with_the_composed_op() -> Result<()> {
        for shape in [vec![1], vec![3, 17], vec![2, 130, 259]] {
            let x = noise(&shape, 1, 3.0)?;
            agrees(&gelu(&x)?, &gelu_composed(&x)?, 1e-6)?;
            gradients_agree(&[x], |x| gelu(&x[0]), |x| gelu_composed(&x[0]), 1e-5)?;
        }
        Ok(())
    }

    #[test]
    fn takes_views() -> Result<()> {
        let x = noise(&[7, 33], 2, 2.0)?.t()?.narrow(0, 3, 20)?;
        agrees(&gelu(&x)?, &gelu_composed(&x)?, 1e-6)
    }

    #[test]
    fn integers_are_refused() -> Result<()> {
        let error = gelu(&Tensor::new(&[1u32, 2], &Device::Cpu)?).unwrap_err();
        assert!(error.to_string().contains("floating-point tensor, not U32"));
        Ok(())
    }

    #[test]
    fn composed_gradient_is_the_slope() -> Result<()> {
        slopes_agree(&[noise(&[2, 5], 3, 2.0)?], |x| gelu(&x[0]))
    }
}
