use candle_core::{Result, Tensor};

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
    gelu_composed(x)
}

pub(crate) fn gelu_composed(x: &Tensor) -> Result<Tensor> {
    x.gelu_erf()
}
