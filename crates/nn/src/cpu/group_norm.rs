//! Group normalisation with optional ReLU. The moments are kept for the gradients, which then need x and the output's
//! gradient alone: the ReLU's mask is the sign of the output, computed again with the forward pass's own instructions.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::lanes::{keep, load, store, sweep};
use super::simd::{Simd, dispatch};

/// Values summed in `f32` lanes before the sum goes on in `f64`; small enough to be read twice from the level-1 cache.
const CHUNK: usize = 4096;

/// How a contiguous map (B, C, H, W) falls into groups.
#[derive(Clone, Copy, Debug)]
pub struct Groups {
    pub channels: usize,
    pub plane: usize,
    pub groups: usize,
    pub relu: bool,
}

impl Groups {
    fn per_group(&self) -> usize {
        self.channels / self.groups
    }

    /// Planes a thread takes at least: small maps are not worth waking it.
    fn least(&self) -> usize {
        (4 * CHUNK).div_ceil(self.plane)
    }
}

/// Mean and 1 / √(variance + eps) of a group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    pub mean: f32,
    pub scale: f32,
}

/// The affine map of one plane: (x − mean) · scale + bias.
#[derive(Clone, Copy)]
struct PlaneMap {
    mean: f32,
    scale: f32,
    bias: f32,
    relu: bool,
}

/// Normalised, scaled and shifted values, and the moments of every group of every image.
pub fn group_norm(
    x: &[f32],
    shape: Groups,
    weight: &[f32],
    bias: &[f32],
    eps: f64,
) -> (Vec<f32>, Vec<Moments>) {
    let (plane, per_group) = (shape.plane, shape.per_group());
    let unit = per_group * plane;
    assert!(unit > 0 && x.len().is_multiple_of(shape.channels * plane));
    assert!(weight.len() == shape.channels && bias.len() == shape.channels);
    let mut out = Vec::with_capacity(x.len());
    let mut all = vec![
        Moments {
            mean: 0.0,
            scale: 0.0
        };
        x.len() / unit
    ];
    // A group is normalised right after it was measured, while the cache still holds it.
    out.spare_capacity_mut()[..x.len()]
        .par_chunks_mut(unit)
        .zip(x.par_chunks(unit))
        .zip(&mut all)
        .enumerate()
        .with_min_len(shape.least().div_ceil(per_group))
        .for_each(|(index, ((out, x), moments))| {
            *moments = group_moments(x, shape, eps);
            let first = index % shape.groups * per_group;
            out.par_chunks_mut(plane)
                .zip(x.par_chunks(plane))
                .enumerate()
                .with_min_len(shape.least())
                .for_each(|(c, (out, x))| {
                    let map = plane_map(*moments, shape, weight[first + c], bias[first + c]);
                    normalise(Target::New(x, out), map);
                });
        });
    // SAFETY: every plane was written whole.
    unsafe { out.set_len(x.len()) };
    (out, all)
}

/// [`group_norm`] that writes over its input: no gradient can be had.
pub fn group_norm_in_place(x: &mut [f32], shape: Groups, weight: &[f32], bias: &[f32], eps: f64) {
    let (plane, per_group) = (shape.plane, shape.per_group());
    let unit = per_group * plane;
    assert!(unit > 0 && x.len().is_multiple_of(shape.channels * plane));
    assert!(weight.len() == shape.channels && bias.len() == shape.channels);
    x.par_chunks_mut(unit)
        .enumerate()
        .with_min_len(shape.least().div_ceil(per_group))
        .for_each(|(index, x)| {
            let moments = group_moments(x, shape, eps);
            let first = index % shape.groups * per_group;
            x.par_chunks_mut(plane)
                .enumerate()
                .with_min_len(shape.least())
                .for_each(|(c, x)| {
                    let map = plane_map(moments, shape, weight[first + c], bias[first + c]);
                    normalise(Target::Same(x), map);
                });
        });
}

/// Gradients for x, weight and bias from the forward pass's moments.
pub fn group_norm_backward(
    x: &[f32],
    shape: Groups,
    weight: &[f32],
    bias: &[f32],
    moments: &[Moments],
    grad: &[f32],
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let (plane, per_group) = (shape.plane, shape.per_group());
    let unit = per_group * plane;
    assert!(unit > 0 && x.len().is_multiple_of(shape.channels * plane) && grad.len() == x.len());
    assert!(weight.len() == shape.channels && bias.len() == shape.channels);
    assert!(moments.len() == x.len() / unit);
    let mut dx = Vec::with_capacity(x.len());
    let mut sums = vec![Sums::default(); x.len() / plane];
    dx.spare_capacity_mut()[..x.len()]
        .par_chunks_mut(unit)
        .zip(x.par_chunks(unit).zip(grad.par_chunks(unit)))
        .zip(sums.par_chunks_mut(per_group).zip(moments))
        .enumerate()
        .with_min_len(shape.least().div_ceil(per_group))
        .for_each(|(index, ((dx, (x, grad)), (sums, &moments)))| {
            let first = index % shape.groups * per_group;
            let map = |c: usize| plane_map(moments, shape, weight[first + c], bias[first + c]);
            sums.par_iter_mut()
                .zip(x.par_chunks(plane).zip(grad.par_chunks(plane)))
                .enumerate()
                .with_min_len(shape.least())
                .for_each(|(c, (sums, (x, grad)))| plane_sums(x, grad, map(c), sums));
            // dx = (g − mean(g) − x̂ mean(g x̂)) / σ with g already times the weight; the sums hold g (x − μ).
            let scale = f64::from(moments.scale);
            let (mut plain, mut along) = (0.0, 0.0);
            for (c, sums) in sums.iter().enumerate() {
                let weight = f64::from(weight[first + c]);
                plain += weight * sums.plain;
                along += weight * sums.along;
            }
            let factor = (-along * scale * scale * scale / unit as f64) as f32;
            let shift = (-plain * scale / unit as f64) as f32;
            dx.par_chunks_mut(plane)
                .zip(x.par_chunks(plane).zip(grad.par_chunks(plane)))
                .enumerate()
                .with_min_len(shape.least())
                .for_each(|(c, (dx, (x, grad)))| {
                    input_gradient(x, grad, map(c), factor, shift, dx);
                });
        });
    // SAFETY: every plane was written whole.
    unsafe { dx.set_len(x.len()) };
    let mut weight_grad = vec![0f64; shape.channels];
    let mut bias_grad = vec![0f64; shape.channels];
    for (index, sums) in sums.iter().enumerate() {
        let channel = index % shape.channels;
        weight_grad[channel] += sums.along * f64::from(moments[index / per_group].scale);
        bias_grad[channel] += sums.plain;
    }
    let single = |sums: Vec<f64>| sums.into_iter().map(|v| v as f32).collect();
    (dx, single(weight_grad), single(bias_grad))
}

fn plane_map(moments: Moments, shape: Groups, weight: f32, bias: f32) -> PlaneMap {
    PlaneMap {
        mean: moments.mean,
        scale: moments.scale * weight,
        bias,
        relu: shape.relu,
    }
}

/// Count, mean and sum of squared deviations of a part of a group.
#[derive(Clone, Copy, Default)]
struct Spread {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Spread {
    /// Chan, Golub & LeVeque's (1983) pairwise update.
    fn join(self, other: Self) -> Self {
        let count = self.count + other.count;
        let difference = other.mean - self.mean;
        Self {
            count,
            mean: self.mean + difference * other.count / count,
            squares: self.squares
                + other.squares
                + difference * difference * self.count * other.count / count,
        }
    }
}

fn group_moments(x: &[f32], shape: Groups, eps: f64) -> Moments {
    let parts: Vec<Spread> = x
        .par_chunks(shape.plane)
        .with_min_len(shape.least())
        .map(|plane| {
            let mut spread = Spread::default();
            for chunk in plane.chunks(CHUNK) {
                let (mut sum, mut squares) = (0.0, 0.0);
                chunk_spread(chunk, &mut sum, &mut squares);
                let count = chunk.len() as f64;
                let part = Spread {
                    count,
                    mean: sum / count,
                    squares,
                };
                spread = if spread.count == 0.0 {
                    part
                } else {
                    spread.join(part)
                };
            }
            spread
        })
        .collect();
    let whole = parts.into_iter().reduce(Spread::join).unwrap_or_default();
    Moments {
        mean: whole.mean as f32,
        scale: (1.0 / (whole.squares / whole.count + eps).sqrt()) as f32,
    }
}

/// Sum of a chunk, and the squared deviations from its mean.
#[inline(always)]
unsafe fn spread_kernel<S: Simd>(x: &[f32], sum: &mut f64, squares: &mut f64) {
    let p = x.as_ptr();
    // SAFETY: the sweeps stay within the chunk.
    unsafe {
        let mut total = S::splat(0.0);
        sweep!(S, x.len(), |i, n| {
            total = S::add(total, load::<S>(p.add(i), n));
        });
        let total = f64::from(S::sum(total));
        // Squares around the rounded mean; what the rounding and the sum's error add is of second order.
        let mean = S::splat((total / x.len() as f64) as f32);
        let mut around = S::splat(0.0);
        let mut rest = S::splat(0.0);
        sweep!(S, x.len(), |i, n| {
            let centred = keep::<S>(S::sub(load::<S>(p.add(i), n), mean), n);
            around = S::fma(centred, centred, around);
            rest = S::add(rest, centred);
        });
        // The deviations' sum mends the mean: exact to f32 of the deviation instead of the value.
        let rest = f64::from(S::sum(rest));
        let rounded = f64::from((total / x.len() as f64) as f32);
        *sum = rounded * x.len() as f64 + rest;
        *squares = f64::from(S::sum(around)) - rest * rest / x.len() as f64;
    }
}
dispatch! { fn chunk_spread(x: &[f32], sum: &mut f64, squares: &mut f64) = spread_kernel }

#[inline(always)]
unsafe fn apply<S: Simd>(x: S::V, mean: S::V, scale: S::V, bias: S::V) -> S::V {
    // SAFETY: arithmetic of the caller's level.
    unsafe { S::fma(S::sub(x, mean), scale, bias) }
}

/// Where normalised values go: to new memory, or over the old ones.
enum Target<'a> {
    New(&'a [f32], &'a mut [MaybeUninit<f32>]),
    Same(&'a mut [f32]),
}

#[inline(always)]
unsafe fn normalise_kernel<S: Simd>(target: Target<'_>, map: PlaneMap) {
    let (x, out, length) = match target {
        Target::New(x, out) => (
            x.as_ptr(),
            out.as_mut_ptr().cast::<f32>(),
            x.len().min(out.len()),
        ),
        Target::Same(x) => {
            let out = x.as_mut_ptr();
            (out.cast_const(), out, x.len())
        }
    };
    // SAFETY: the sweeps stay within both slices, and each vector is read before it is written.
    unsafe {
        let (mean, scale, bias) = (S::splat(map.mean), S::splat(map.scale), S::splat(map.bias));
        if map.relu {
            sweep!(S, length, |i, n| {
                let y = apply::<S>(load::<S>(x.add(i), n), mean, scale, bias);
                // In this order `max` keeps a NaN, so that it shows in the result.
                store::<S>(out.add(i), S::max(S::splat(0.0), y), n);
            });
        } else {
            sweep!(S, length, |i, n| {
                let y = apply::<S>(load::<S>(x.add(i), n), mean, scale, bias);
                store::<S>(out.add(i), y, n);
            });
        }
    }
}
dispatch! { fn normalise(target: Target<'_>, map: PlaneMap) = normalise_kernel }

/// Σ g and Σ g (x − μ) over a plane, where g is the gradient behind the ReLU.
#[derive(Clone, Copy, Default)]
struct Sums {
    plain: f64,
    along: f64,
}

/// The gradient in front of the ReLU.
#[inline(always)]
unsafe fn masked<S: Simd, const RELU: bool>(
    x: S::V,
    grad: S::V,
    [mean, scale, bias]: [S::V; 3],
) -> S::V {
    // SAFETY: arithmetic of the caller's level.
    unsafe {
        if RELU {
            S::where_positive(apply::<S>(x, mean, scale, bias), grad)
        } else {
            grad
        }
    }
}

#[inline(always)]
unsafe fn sums_of<S: Simd, const RELU: bool>(
    x: &[f32],
    grad: &[f32],
    map: PlaneMap,
    sums: &mut Sums,
) {
    for (x, grad) in x.chunks(CHUNK).zip(grad.chunks(CHUNK)) {
        let length = x.len().min(grad.len());
        let (x, grad) = (x.as_ptr(), grad.as_ptr());
        // SAFETY: the sweep stays within both chunks.
        unsafe {
            let factors = [S::splat(map.mean), S::splat(map.scale), S::splat(map.bias)];
            let (mut plain, mut along) = (S::splat(0.0), S::splat(0.0));
            sweep!(S, length, |i, n| {
                let x = load::<S>(x.add(i), n);
                let g = masked::<S, RELU>(x, load::<S>(grad.add(i), n), factors);
                plain = S::add(plain, g);
                along = S::fma(g, S::sub(x, factors[0]), along);
            });
            sums.plain += f64::from(S::sum(plain));
            sums.along += f64::from(S::sum(along));
        }
    }
}

#[inline(always)]
unsafe fn sums_kernel<S: Simd>(x: &[f32], grad: &[f32], map: PlaneMap, sums: &mut Sums) {
    // SAFETY: only the level is asked for.
    unsafe {
        if map.relu {
            sums_of::<S, true>(x, grad, map, sums);
        } else {
            sums_of::<S, false>(x, grad, map, sums);
        }
    }
}
dispatch! { fn plane_sums(x: &[f32], grad: &[f32], map: PlaneMap, sums: &mut Sums) = sums_kernel }

#[inline(always)]
unsafe fn gradient_of<S: Simd, const RELU: bool>(
    x: &[f32],
    grad: &[f32],
    map: PlaneMap,
    factor: f32,
    shift: f32,
    dx: &mut [MaybeUninit<f32>],
) {
    let length = x.len().min(grad.len()).min(dx.len());
    let (x, grad, dx) = (x.as_ptr(), grad.as_ptr(), dx.as_mut_ptr().cast::<f32>());
    // SAFETY: the sweep stays within all three slices.
    unsafe {
        let factors = [S::splat(map.mean), S::splat(map.scale), S::splat(map.bias)];
        let (factor, shift) = (S::splat(factor), S::splat(shift));
        sweep!(S, length, |i, n| {
            let x = load::<S>(x.add(i), n);
            let g = masked::<S, RELU>(x, load::<S>(grad.add(i), n), factors);
            let common = S::fma(S::sub(x, factors[0]), factor, shift);
            store::<S>(dx.add(i), S::fma(g, factors[1], common), n);
        });
    }
}

#[inline(always)]
unsafe fn gradient_kernel<S: Simd>(
    x: &[f32],
    grad: &[f32],
    map: PlaneMap,
    factor: f32,
    shift: f32,
    dx: &mut [MaybeUninit<f32>],
) {
    // SAFETY: only the level is asked for.
    unsafe {
        if map.relu {
            gradient_of::<S, true>(x, grad, map, factor, shift, dx);
        } else {
            gradient_of::<S, false>(x, grad, map, factor, shift, dx);
        }
    }
}
dispatch! {
    fn input_gradient(
        x: &[f32],
        grad: &[f32],
        map: PlaneMap,
        factor: f32,
        shift: f32,
        dx: &mut [MaybeUninit<f32>],
    ) = gradient_kernel
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::simd::Portable;

    fn wave(n: usize, step: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * step).sin() + 0.25).collect()
    }

    fn close(a: &[f32], b: &[f32]) {
        assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().zip(b) {
            assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "{a} and {b}");
        }
    }

    #[test]
    fn every_level_gives_the_same() {
        for (length, relu) in [(1, true), (7, false), (16, true), (50, false), (4100, true)] {
            let (x, grad) = (wave(length, 0.7), wave(length, 1.9));
            let map = PlaneMap {
                mean: 0.25,
                scale: 1.5,
                bias: -0.1,
                relu,
            };
            let run = |portable: bool| -> (Vec<f32>, Vec<f32>) {
                let mut y = vec![MaybeUninit::new(f32::NAN); length];
                let mut dx = y.clone();
                let (mut sums, mut sum, mut squares) = (Sums::default(), 0.0, 0.0);
                if portable {
                    // SAFETY: plain Rust runs everywhere.
                    unsafe {
                        normalise_kernel::<Portable>(Target::New(&x, &mut y), map);
                        gradient_kernel::<Portable>(&x, &grad, map, 0.2, 0.1, &mut dx);
                        sums_kernel::<Portable>(&x, &grad, map, &mut sums);
                        spread_kernel::<Portable>(&x, &mut sum, &mut squares);
                    }
                } else {
                    normalise(Target::New(&x, &mut y), map);
                    input_gradient(&x, &grad, map, 0.2, 0.1, &mut dx);
                    plane_sums(&x, &grad, map, &mut sums);
                    chunk_spread(&x, &mut sum, &mut squares);
                }
                // SAFETY: initialised above.
                let values = y.iter().chain(&dx).map(|v| unsafe { v.assume_init() });
                let totals = [sums.plain, sums.along, sum, squares].map(|v| v as f32);
                (values.collect(), totals.to_vec())
            };
            let (fast, plain) = (run(false), run(true));
            close(&fast.0, &plain.0);
            close(&fast.1, &plain.1);
        }
    }

    #[test]
    fn a_far_mean_keeps_the_variance() {
        // 10 000 ± 0.5 by turns: mean 10 000, variance 0.25, so that the outputs are ± 1.
        let x: Vec<f32> = (0..10_000).map(|i| 9_999.5 + (i % 2) as f32).collect();
        let shape = Groups {
            channels: 2,
            plane: 5_000,
            groups: 1,
            relu: false,
        };
        let (y, moments) = group_norm(&x, shape, &[1.0; 2], &[0.0; 2], 0.0);
        assert_eq!(moments[0].mean, 10_000.0);
        assert!((moments[0].scale - 2.0).abs() < 1e-5);
        assert!(y.iter().all(|y| (y.abs() - 1.0).abs() < 1e-5));
    }
}
