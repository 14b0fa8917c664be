//! Layer normalisation, one pass over memory each way: a row's moments are cheaper to compute again than to store.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::gelu::CHUNK;
use super::lanes::{keep, load, store, sweep};
use super::simd::{Simd, dispatch};

/// (x − μ) / √(σ² + eps) · weight + bias for each row of `weight.len()` values.
pub fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], eps: f32) -> Vec<f32> {
    let width = weight.len();
    assert!(width > 0 && bias.len() == width && x.len().is_multiple_of(width));
    let chunk = (CHUNK / width).max(1) * width;
    let mut out = Vec::with_capacity(x.len());
    out.spare_capacity_mut()[..x.len()]
        .par_chunks_mut(chunk)
        .zip(x.par_chunks(chunk))
        .for_each(|(out, x)| forward_chunk(x, weight, bias, eps, out));
    // SAFETY: every chunk was written whole.
    unsafe { out.set_len(x.len()) };
    out
}

/// Gradients for x, weight and bias. Sums over rows are taken chunk by chunk in a fixed order.
pub fn layer_norm_backward(
    x: &[f32],
    weight: &[f32],
    grad: &[f32],
    eps: f32,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let width = weight.len();
    assert!(width > 0 && grad.len() == x.len() && x.len().is_multiple_of(width));
    let chunk = (CHUNK / width).max(1) * width;
    let mut dx = Vec::with_capacity(x.len());
    // Per chunk: a row of weight gradients, then one of bias gradients.
    let mut parts = vec![0.0; x.len().div_ceil(chunk) * 2 * width];
    dx.spare_capacity_mut()[..x.len()]
        .par_chunks_mut(chunk)
        .zip(x.par_chunks(chunk).zip(grad.par_chunks(chunk)))
        .zip(parts.par_chunks_mut(2 * width))
        .for_each(|((dx, (x, grad)), sums)| backward_chunk(x, weight, grad, eps, dx, sums));
    // SAFETY: every chunk was written whole.
    unsafe { dx.set_len(x.len()) };
    let mut sums = vec![0.0; 2 * width];
    add_rows(&parts, &mut sums);
    let bias = sums.split_off(width);
    (dx, sums, bias)
}

/// Sum of the rows of `x`, each `width` long, chunk by chunk in a fixed order.
pub fn column_sums(x: &[f32], width: usize) -> Vec<f32> {
    assert!(width > 0 && x.len().is_multiple_of(width));
    let chunk = (CHUNK / width).max(1) * width;
    let mut parts = vec![0.0; x.len().div_ceil(chunk) * width];
    parts
        .par_chunks_mut(width)
        .zip(x.par_chunks(chunk))
        .for_each(|(sums, x)| add_rows(x, sums));
    let mut sums = vec![0.0; width];
    add_rows(&parts, &mut sums);
    sums
}

#[inline(always)]
unsafe fn add_rows_kernel<S: Simd>(rows: &[f32], sums: &mut [f32]) {
    let width = sums.len();
    let sums = sums.as_mut_ptr();
    for row in rows.chunks_exact(width) {
        // SAFETY: the sweep stays within a row, and the sums are as long.
        unsafe {
            sweep!(S, width, |i, n| {
                let sum = S::add(load::<S>(sums.add(i), n), load::<S>(row.as_ptr().add(i), n));
                store::<S>(sums.add(i), sum, n);
            });
        }
    }
}
dispatch! { fn add_rows(rows: &[f32], sums: &mut [f32]) = add_rows_kernel }

/// Mean and 1 / √(variance + eps) of `width` values.
///
/// # Safety
/// As [`Simd`], `width` values readable.
#[inline(always)]
unsafe fn moments<S: Simd>(x: *const f32, width: usize, eps: f32) -> (f32, f32) {
    // SAFETY: the sweeps stay within the row.
    unsafe {
        let mut sum = S::splat(0.0);
        sweep!(S, width, |i, n| {
            sum = S::add(sum, load::<S>(x.add(i), n));
        });
        let mean = S::sum(sum) / width as f32;
        let mut squares = S::splat(0.0);
        sweep!(S, width, |i, n| {
            let centred = S::sub(load::<S>(x.add(i), n), S::splat(mean));
            let centred = keep::<S>(centred, n);
            squares = S::fma(centred, centred, squares);
        });
        let variance = S::sum(squares) / width as f32;
        (mean, 1.0 / (variance + eps).sqrt())
    }
}

#[inline(always)]
unsafe fn forward_kernel<S: Simd>(
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    eps: f32,
    out: &mut [MaybeUninit<f32>],
) {
    let width = weight.len().min(bias.len());
    for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let (x, out) = (x.as_ptr(), out.as_mut_ptr().cast::<f32>());
        // SAFETY: the sweep stays within the row, and weight and bias are as long.
        unsafe {
            let (mean, scale) = moments::<S>(x, width, eps);
            let (mean, scale) = (S::splat(mean), S::splat(scale));
            sweep!(S, width, |i, n| {
                let normal = S::mul(S::sub(load::<S>(x.add(i), n), mean), scale);
                let weight = load::<S>(weight.as_ptr().add(i), n);
                let bias = load::<S>(bias.as_ptr().add(i), n);
                store::<S>(out.add(i), S::fma(normal, weight, bias), n);
            });
        }
    }
}
dispatch! {
    fn forward_chunk(x: &[f32], weight: &[f32], bias: &[f32], eps: f32, out: &mut [MaybeUninit<f32>]) = forward_kernel
}

#[inline(always)]
unsafe fn backward_kernel<S: Simd>(
    x: &[f32],
    weight: &[f32],
    grad: &[f32],
    eps: f32,
    dx: &mut [MaybeUninit<f32>],
    sums: &mut [f32],
) {
    let width = weight.len().min(sums.len() / 2);
    let weight = weight.as_ptr();
    let (dweight, dbias) = sums.split_at_mut(width);
    let (dweight, dbias) = (dweight.as_mut_ptr(), dbias.as_mut_ptr());
    let rows = x.chunks_exact(width).zip(grad.chunks_exact(width));
    for ((x, grad), dx) in rows.zip(dx.chunks_exact_mut(width)) {
        let (x, grad, dx) = (x.as_ptr(), grad.as_ptr(), dx.as_mut_ptr().cast::<f32>());
        // SAFETY: the sweeps stay within the row; weight and both sums are as long.
        unsafe {
            let (mean, scale) = moments::<S>(x, width, eps);
            let (means, scales) = (S::splat(mean), S::splat(scale));
            let (mut plain, mut along) = (S::splat(0.0), S::splat(0.0));
            sweep!(S, width, |i, n| {
                let normal = S::mul(S::sub(load::<S>(x.add(i), n), means), scales);
                let g = load::<S>(grad.add(i), n);
                let scaled = S::mul(g, load::<S>(weight.add(i), n));
                plain = S::add(plain, scaled);
                along = S::fma(scaled, normal, along);
                let sum = S::fma(g, normal, load::<S>(dweight.add(i), n));
                store::<S>(dweight.add(i), sum, n);
                let sum = S::add(g, load::<S>(dbias.add(i), n));
                store::<S>(dbias.add(i), sum, n);
            });
            // dx = (g − mean(g) − x̂ mean(g x̂)) / σ with g already times the weight.
            let plain = S::splat(-S::sum(plain) / width as f32);
            let along = S::splat(-S::sum(along) / width as f32);
            sweep!(S, width, |i, n| {
                let normal = S::mul(S::sub(load::<S>(x.add(i), n), means), scales);
                let scaled = S::mul(load::<S>(grad.add(i), n), load::<S>(weight.add(i), n));
                let sum = S::fma(normal, along, S::add(scaled, plain));
                store::<S>(dx.add(i), S::mul(sum, scales), n);
            });
        }
    }
}
dispatch! {
    fn backward_chunk(
        x: &[f32],
        weight: &[f32],
        grad: &[f32],
        eps: f32,
        dx: &mut [MaybeUninit<f32>],
        sums: &mut [f32],
    ) = backward_kernel
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::simd::Portable;

    fn ramp(n: usize, step: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * step).sin()).collect()
    }

    fn close(a: &[f32], b: &[f32]) {
        for (a, b) in a.iter().zip(b) {
            assert!((a - b).abs() <= 2e-5 * (1.0 + b.abs()), "{a} and {b}");
        }
    }

    #[test]
    fn every_level_gives_the_same() {
        for width in [1, 7, 16, 50] {
            let (x, grad) = (ramp(3 * width, 0.7), ramp(3 * width, 1.9));
            let (weight, bias) = (ramp(width, 0.3), ramp(width, 0.11));
            let mut y = vec![MaybeUninit::new(f32::NAN); x.len()];
            // SAFETY: plain Rust runs everywhere; the result was initialised.
            let y: Vec<f32> = unsafe {
                forward_kernel::<Portable>(&x, &weight, &bias, 1e-3, &mut y);
                y.iter().map(|v| v.assume_init()).collect()
            };
            close(&layer_norm(&x, &weight, &bias, 1e-3), &y);
            let mut dx = vec![MaybeUninit::new(f32::NAN); x.len()];
            let mut sums = vec![0.0; 2 * width];
            // SAFETY: as above.
            let dx: Vec<f32> = unsafe {
                backward_kernel::<Portable>(&x, &weight, &grad, 1e-3, &mut dx, &mut sums);
                dx.iter().map(|v| v.assume_init()).collect()
            };
            let found = layer_norm_backward(&x, &weight, &grad, 1e-3);
            close(&found.0, &dx);
            close(&found.1, &sums[..width]);
            close(&found.2, &sums[width..]);
        }
    }

    #[test]
    fn column_sums_span_chunks() {
        // 40 000 rows of (i, 1): Σ i mod 8 = 40 000 · 3.5
        let x: Vec<f32> = (0..40_000).flat_map(|i| [(i % 8) as f32, 1.0]).collect();
        assert_eq!(column_sums(&x, 2), [140_000.0, 40_000.0]);
    }
}
