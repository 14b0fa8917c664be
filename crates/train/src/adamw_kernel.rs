//! The CPU kernel of AdamW: parameter, gradient and both moments in one pass.

use std::sync::Mutex;

use candle_core::{CpuStorage, InplaceOp2, Layout};
use rayon::prelude::*;

/// The scalars of one update, computed in f64 as PyTorch does and rounded once.
#[derive(Clone, Copy)]
pub(crate) struct Update {
    pub(crate) grad_scale: f64,
    pub(crate) keep: f64,
    pub(crate) rate1: f64,
    pub(crate) beta2: f64,
    pub(crate) step_size: f64,
    pub(crate) root_correction: f64,
    pub(crate) eps: f64,
}

/// The one-pass CPU update; the moments are borrowed for the duration of the call.
pub(crate) struct Fused<'a> {
    pub(crate) moments: Mutex<(&'a mut Vec<f32>, &'a mut Vec<f32>)>,
    pub(crate) update: Update,
}

/// Elements a task works on: its four streams stay in a core's second-level cache.
const CHUNK: usize = 16 * 1024;

impl InplaceOp2 for Fused<'_> {
    fn name(&self) -> &'static str {
        "fused-adamw"
    }

    fn cpu_fwd(
        &self,
        params: &mut CpuStorage,
        params_layout: &Layout,
        grads: &CpuStorage,
        grads_layout: &Layout,
    ) -> candle_core::Result<()> {
        let CpuStorage::F32(params) = params else {
            candle_core::bail!("fused-adamw expects f32 variables");
        };
        let (Some((p0, p1)), Some((g0, g1))) = (
            params_layout.contiguous_offsets(),
            grads_layout.contiguous_offsets(),
        ) else {
            candle_core::bail!("fused-adamw expects contiguous tensors");
        };
        let params = &mut params[p0..p1];
        let grads = &grads.as_slice::<f32>()?[g0..g1];
        let mut moments = match self.moments.lock() {
            Ok(moments) => moments,
            Err(poisoned) => poisoned.into_inner(),
        };
        let (first, second) = &mut *moments;
        let constants = Constants::new(self.update);
        if params.len() <= 2 * CHUNK {
            constants.apply(params, grads, first, second);
        } else {
            params
                .par_chunks_mut(CHUNK)
                .zip(grads.par_chunks(CHUNK))
                .zip(first.par_chunks_mut(CHUNK))
                .zip(second.par_chunks_mut(CHUNK))
                .for_each(|(((p, g), m), v)| constants.apply(p, g, m, v));
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Constants {
    grad_scale: f32,
    keep: f32,
    rate1: f32,
    beta2: f32,
    rate2: f32,
    step_size: f32,
    root_correction: f32,
    eps: f32,
}

impl Constants {
    fn new(update: Update) -> Self {
        Self {
            grad_scale: update.grad_scale as f32,
            keep: update.keep as f32,
            rate1: update.rate1 as f32,
            beta2: update.beta2 as f32,
            rate2: (1.0 - update.beta2) as f32,
            step_size: update.step_size as f32,
            root_correction: update.root_correction as f32,
            eps: update.eps as f32,
        }
    }

    /// Zipped slices without bounds checks or branches: the compiler vectorises the loop.
    fn apply(self, params: &mut [f32], grads: &[f32], first: &mut [f32], second: &mut [f32]) {
        let streams = params.iter_mut().zip(grads).zip(first).zip(second);
        for (((p, g), m), v) in streams {
            let g = g * self.grad_scale;
            *m += (g - *m) * self.rate1;
            *v = *v * self.beta2 + (g * g) * self.rate2;
            let root = v.sqrt() / self.root_correction + self.eps;
            *p = *p * self.keep - (self.step_size * *m) / root;
        }
    }
}
