use candle_core::{Result, Tensor, bail};

use crate::{Mode, Noise};

/// Stochastic depth (Huang et al. 2016): zeroes whole samples of a residual branch (B, …) with probability `rate` in
/// training and scales the rest by 1 / (1 − rate); the identity in evaluation.
///
/// # Errors
/// If `rate` is not in [0, 1).
pub fn drop_path(x: &Tensor, rate: f32, mode: Mode) -> Result<Tensor> {
    if !(0.0..1.0).contains(&rate) {
        bail!("a drop rate must be in [0, 1), not {rate}");
    }
    let Mode::Train { seed } = mode else {
        return Ok(x.clone());
    };
    if rate == 0.0 {
        return Ok(x.clone());
    }
    let mut shape = vec![1; x.rank()];
    if let Some(first) = shape.first_mut() {
        *first = x.dim(0)?;
    }
    let mut noise = Noise::keyed(&[seed]);
    let kept = 1.0 / (1.0 - rate);
    let scales: Vec<f32> = (0..shape.iter().product::<usize>())
        .map(|_| if noise.uniform() < rate { 0.0 } else { kept })
        .collect();
    let scales = Tensor::from_vec(scales, shape, x.device())?.to_dtype(x.dtype())?;
    x.broadcast_mul(&scales)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn keeps_or_drops_whole_samples_keeps_the_mean_and_repeats_by_seed() -> Result<()> {
        let x = Tensor::ones((6400, 2), DType::F32, &Device::Cpu)?;
        let mode = Mode::Train { seed: 5 };
        let y = drop_path(&x, 0.25, mode)?;
        // 6400 Bernoulli values: the mean's standard error is 0.0072
        assert!((y.mean_all()?.to_scalar::<f32>()? - 1.0).abs() < 0.03);
        let rows = y.to_vec2::<f32>()?;
        assert_eq!(rows, drop_path(&x, 0.25, mode)?.to_vec2::<f32>()?);
        assert!(rows.iter().all(|row| row[0] == row[1]));
        let kept = 1.0 / 0.75;
        assert!(rows.iter().all(|row| row[0] == 0.0 || row[0] == kept));
        Ok(())
    }

    #[test]
    fn evaluation_is_the_identity_and_a_bad_rate_an_error() -> Result<()> {
        let x = Tensor::ones((4, 4), DType::F32, &Device::Cpu)?;
        assert_eq!(
            drop_path(&x, 0.9, Mode::Eval)?.to_vec2::<f32>()?,
            x.to_vec2::<f32>()?
        );
        assert!(drop_path(&x, 1.0, Mode::Eval).is_err());
        assert!(drop_path(&x, f32::NAN, Mode::Eval).is_err());
        Ok(())
    }
}
