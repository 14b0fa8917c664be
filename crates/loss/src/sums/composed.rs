//! The sums by the tensor library's own operations: any device, `f32` or `f64`.

use super::{Request, Sums};
use crate::maps::{Maps, per_image};
use crate::sigmoid::Sigmoid;
use candle_core::{Result, Tensor};

pub(crate) fn sums(maps: &Maps, request: Request, thin: Option<&Tensor>) -> Result<Sums> {
    let x = maps.masked(&maps.logits)?;
    let g = maps.masked(&maps.target)?;
    let keep = match maps.keep()? {
        Some(keep) => keep,
        None => g.ones_like()?,
    };
    // Zero at invalid pixels, like g: every sum below is masked by one of the two.
    let h = (&keep - &g)?;
    let s = Sigmoid::new(&x)?;
    let positive = (&g * &s.softplus_neg)?;
    let negative = (&h * &s.softplus)?;
    let bce = (&positive + &negative)?;
    let none = Tensor::zeros(x.dim(0)?, x.dtype(), x.device())?;

    let thin = match (request.thin, thin) {
        (true, Some(thin)) => per_image(&(maps.masked(thin)? * &bce)?)?,
        _ => none.clone(),
    };
    let (focal_positive, focal_negative) = match request.gamma {
        None => (none.clone(), none),
        Some(gamma) => {
            let missed = ((&s.p * &h)? + (&s.q * &g)?)?;
            let focal = (power(&missed, gamma)? * &bce)?;
            (per_image(&(&g * &focal)?)?, per_image(&(&h * &focal)?)?)
        }
    };
    Ok(Sums {
        count: per_image(&keep)?,
        target: per_image(&g)?,
        predicted: per_image(&(&s.p * &keep)?)?,
        overlap: per_image(&(&s.p * &g)?)?,
        positive: per_image(&positive)?,
        negative: per_image(&negative)?,
        thin,
        focal_positive,
        focal_negative,
    })
}

/// m^γ for m ≥ 0, with a finite gradient at 0.
fn power(m: &Tensor, gamma: f64) -> Result<Tensor> {
    if gamma == 0.0 {
        return m.ones_like();
    }
    if gamma == 2.0 {
        return m.sqr();
    }
    // The slope γ·m^(γ−1) is infinite at 0 for γ < 1: below the floor the power is a constant.
    let floor = Tensor::full(1e-30f32, m.shape(), m.device())?.to_dtype(m.dtype())?;
    m.gt(&floor)?.where_cond(m, &floor)?.powf(gamma)
}
