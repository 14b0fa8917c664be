//! The sums by the tensor library's own operations: any device, `f32` or `f64`. They are one node of the gradient graph, with a gradient of
//! its own: a node of each operation would run several kernels backward, and a GPU waits for small kernels.

use super::kernel::COLUMNS;
use super::{Request, Sums};
use crate::maps::{Maps, per_image};
use crate::sigmoid::Sigmoid;
use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, Device, Layout, MetalStorage, Result, Shape, Storage,
    Tensor, bail,
};
use std::sync::Mutex;

pub(crate) fn sums(maps: &Maps, request: Request, thin: Option<&Tensor>) -> Result<Sums> {
    let thin = thin.filter(|_| request.thin);
    let (value, slopes) = gather(maps, request.gamma, thin)?;
    let value = match maps.logits.track_op() {
        true => maps.logits.apply_op1(MapSums {
            value: Mutex::new(Some(value)),
            slopes,
        })?,
        false => value,
    };
    // A few numbers an image: what is made of them costs a processor nothing, and a GPU a kernel each.
    Sums::of_rows(&value.to_device(&Device::Cpu)?)
}

/// The sums (COLUMNS, B), and what their gradient is made of.
fn gather(maps: &Maps, gamma: Option<f64>, thin: Option<&Tensor>) -> Result<(Tensor, Slopes)> {
    let x = maps.masked(&maps.logits.detach())?;
    let g = maps.masked(&maps.target)?;
    let keep = match maps.keep()? {
        Some(keep) => keep,
        None => g.ones_like()?,
    };
    // Zero at invalid pixels, like g: every sum below is masked by one of the two.
    let h = (&keep - &g)?;
    let Sigmoid {
        p,
        q,
        softplus,
        softplus_neg,
    } = Sigmoid::new(&x)?;
    let positive = (&g * &softplus_neg)?;
    let negative = (&h * &softplus)?;
    let bce = (&positive + &negative)?;
    let none = Tensor::zeros(x.dim(0)?, x.dtype(), x.device())?;

    let thin = thin.map(|thin| maps.masked(thin)).transpose()?;
    let of_thin = match &thin {
        Some(thin) => per_image(&(thin * &bce)?)?,
        None => none.clone(),
    };
    let focal = match gamma {
        Some(gamma) => Some(Focal::new(gamma, (&(&p * &h)? + &(&q * &g)?)?, &bce)?),
        None => None,
    };
    let (focal_positive, focal_negative) = match &focal {
        None => (none.clone(), none),
        Some(Focal { value, .. }) => (per_image(&(&g * value)?)?, per_image(&(&h * value)?)?),
    };
    let rows: [Tensor; COLUMNS] = [
        per_image(&keep)?,
        per_image(&g)?,
        per_image(&(&p * &keep)?)?,
        per_image(&(&p * &g)?)?,
        per_image(&positive)?,
        per_image(&negative)?,
        of_thin,
        focal_positive,
        focal_negative,
    ];
    let slopes = Slopes {
        g,
        h,
        keep,
        p,
        q,
        thin,
        focal,
    };
    Ok((Tensor::stack(&rows, 0)?, slopes))
}

/// Maps (B, N) of which the gradient is made.
struct Slopes {
    g: Tensor,
    h: Tensor,
    keep: Tensor,
    p: Tensor,
    q: Tensor,
    thin: Option<Tensor>,
    focal: Option<Focal>,
}

impl Slopes {
    /// The gradient of the logits (B, N) from that of the sums (COLUMNS, B).
    fn gradient(&self, grad: &Tensor) -> Result<Tensor> {
        let grad = grad.unsqueeze(2)?;
        let row = |index: usize| grad.narrow(0, index, 1)?.squeeze(0);
        let Self { g, h, p, q, .. } = self;
        // p' = pq
        let slope = (p * q)?;
        let of_p = (self.keep.broadcast_mul(&row(2)?)? + g.broadcast_mul(&row(3)?)?)?;
        let (up, down) = ((h * p)?, (g * q)?);
        let of_bce = (up.broadcast_mul(&row(5)?)? - down.broadcast_mul(&row(4)?)?)?;
        let mut sum = ((&slope * of_p)? + of_bce)?;
        // The slope of the cross entropy.
        let bce = (up - down)?;
        if let Some(thin) = &self.thin {
            sum = (sum + (thin * &bce)?.broadcast_mul(&row(6)?)?)?;
        }
        if let Some(focal) = &self.focal {
            let shares = (g.broadcast_mul(&row(7)?)? + h.broadcast_mul(&row(8)?)?)?;
            let missed = (slope * (h - g)?)?;
            let slope = ((&focal.slope * missed)? + (&focal.factor * bce)?)?;
            sum = (sum + (shares * slope)?)?;
        }
        Ok(sum)
    }
}

/// m^γ · BCE for m ≥ 0, the probability that was missed.
struct Focal {
    /// m^γ.
    factor: Tensor,
    value: Tensor,
    /// Slope in m: γ m^(γ−1) · BCE.
    slope: Tensor,
}

impl Focal {
    fn new(gamma: f64, m: Tensor, bce: &Tensor) -> Result<Self> {
        let (factor, slope) = if gamma == 0.0 {
            (m.ones_like()?, m.zeros_like()?)
        } else if gamma == 2.0 {
            (m.sqr()?, (&m * 2.0)?)
        } else {
            // The slope is infinite at 0 for γ < 1: below the floor the power is a constant.
            let floor = Tensor::full(1e-30f32, m.shape(), m.device())?.to_dtype(m.dtype())?;
            let above = m.gt(&floor)?;
            let raised = above.where_cond(&m, &floor)?;
            let slope = (raised.powf(gamma - 1.0)? * gamma)?;
            (
                raised.powf(gamma)?,
                above.where_cond(&slope, &m.zeros_like()?)?,
            )
        };
        Ok(Self {
            value: (&factor * bce)?,
            slope: (slope * bce)?,
            factor,
        })
    }
}

/// Logits (B, N) to sums (COLUMNS, B). The other maps are constants, so they ride in the operation itself.
struct MapSums {
    /// Until the forward pass takes it.
    value: Mutex<Option<Tensor>>,
    slopes: Slopes,
}

impl MapSums {
    fn forward<S: BackendStorage>(
        &self,
        of: impl Fn(&Storage) -> Option<&S>,
    ) -> Result<(S, Shape)> {
        let taken = self.value.lock().ok().and_then(|mut value| value.take());
        let Some(value) = taken else {
            bail!("map-sums: an operation runs forward once");
        };
        let (storage, layout) = value.storage_and_layout();
        match of(&storage) {
            Some(storage) => Ok((storage.try_clone(layout)?, layout.shape().clone())),
            None => bail!("map-sums: expected every map on the device of the logits"),
        }
    }
}

impl CustomOp1 for MapSums {
    fn name(&self) -> &'static str {
        "map-sums"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward(|storage| match storage {
            Storage::Cpu(storage) => Some(storage),
            _ => None,
        })
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.forward(|storage| match storage {
            Storage::Cuda(storage) => Some(storage),
            _ => None,
        })
    }

    fn metal_fwd(&self, _: &MetalStorage, _: &Layout) -> Result<(MetalStorage, Shape)> {
        self.forward(|storage| match storage {
            Storage::Metal(storage) => Some(storage),
            _ => None,
        })
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        self.slopes.gradient(grad).map(Some)
    }
}
