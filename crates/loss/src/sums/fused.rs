//! The sums as one operation on the CPU: a pass forward, a pass backward, nothing kept between.

use super::kernel::{self, COLUMNS, Pixels};
use super::{Request, Sums};
use crate::maps::Maps;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor, bail};
use rayon::prelude::*;

/// Pixels per task. Fixed, so that the order of the additions, and with it every bit of the result,
/// is the same for any number of threads.
const CHUNK: usize = 1 << 14;

pub(crate) fn sums(maps: &Maps, request: Request, thin: Option<&Tensor>) -> Result<Sums> {
    let op = MapSums {
        target: maps.target.clone(),
        valid: maps.valid.clone(),
        thin: thin.filter(|_| request.thin).cloned(),
        gamma: request.gamma.map(|gamma| gamma as f32),
    };
    Sums::of_rows(&maps.logits.apply_op1(op)?.t()?)
}

/// Logits (B, N) in `f32` to sums (B, COLUMNS) in `f64`. The other maps are constants, so they ride
/// in the operation itself.
struct MapSums {
    target: Tensor,
    valid: Option<Tensor>,
    thin: Option<Tensor>,
    gamma: Option<f32>,
}

impl MapSums {
    /// Calls `run` with the pixels of the whole batch.
    fn with_pixels<R>(&self, logits: &[f32], run: impl FnOnce(Pixels<'_>) -> R) -> Result<R> {
        let (target, target_layout) = self.target.storage_and_layout();
        let valid = self.valid.as_ref().map(Tensor::storage_and_layout);
        let thin = self.thin.as_ref().map(Tensor::storage_and_layout);
        Ok(run(Pixels {
            logits,
            target: values(&target, target_layout)?,
            valid: valid.as_ref().map(|(s, l)| values(s, l)).transpose()?,
            thin: thin.as_ref().map(|(s, l)| values(s, l)).transpose()?,
        }))
    }
}

impl CustomOp1 for MapSums {
    fn name(&self) -> &'static str {
        "map-sums"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, pixels_per_image) = layout.shape().dims2()?;
        let chunks = pixels_per_image.div_ceil(CHUNK);
        let logits = cpu_values(storage, layout)?;
        let partial: Vec<[f64; COLUMNS]> = self.with_pixels(logits, |pixels| {
            (0..batch * chunks)
                .into_par_iter()
                .map(|task| {
                    let image = (task / chunks) * pixels_per_image;
                    let from = (task % chunks) * CHUNK;
                    let to = (from + CHUNK).min(pixels_per_image);
                    kernel::forward(pixels.range(image + from, image + to), self.gamma)
                })
                .collect()
        })?;
        let mut sums = Vec::with_capacity(batch * COLUMNS);
        for image in partial.chunks(chunks) {
            sums.extend((0..COLUMNS).map(|k| image.iter().map(|part| part[k]).sum::<f64>()));
        }
        Ok((CpuStorage::F64(sums), (batch, COLUMNS).into()))
    }

    fn bwd(&self, arg: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (batch, pixels_per_image) = arg.dims2()?;
        let slopes = grad.to_vec2::<f64>()?;
        let (storage, layout) = arg.storage_and_layout();
        let logits = values(&storage, layout)?;
        let mut gradient = vec![0.0f32; batch * pixels_per_image];
        self.with_pixels(logits, |pixels| {
            gradient
                .par_chunks_mut(pixels_per_image)
                .zip(&slopes)
                .enumerate()
                .for_each(|(image, (gradient, slopes))| {
                    let slopes = std::array::from_fn(|k| slopes[k] as f32);
                    gradient
                        .par_chunks_mut(CHUNK)
                        .enumerate()
                        .for_each(|(chunk, gradient)| {
                            let from = image * pixels_per_image + chunk * CHUNK;
                            let pixels = pixels.range(from, from + gradient.len());
                            kernel::backward(pixels, self.gamma, &slopes, gradient);
                        });
                });
        })?;
        Tensor::from_vec(gradient, arg.shape(), arg.device()).map(Some)
    }
}

fn values<'a>(storage: &'a Storage, layout: &Layout) -> Result<&'a [f32]> {
    match storage {
        Storage::Cpu(storage) => cpu_values(storage, layout),
        _ => bail!("map-sums: expected every map on the CPU"),
    }
}

fn cpu_values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(&storage.as_slice::<f32>()?[from..to]),
        None => bail!("map-sums: expected contiguous maps"),
    }
}
