//! Gaussian error linear unit and its derivative.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::lanes::{load, store, sweep};
use super::simd::{Simd, dispatch, exp};

/// Values per parallel task: enough to outweigh the hand-over.
pub const CHUNK: usize = 32 * 1024;

/// out = x Φ(x).
pub fn gelu(x: &[f32]) -> Vec<f32> {
    let mut out = Vec::with_capacity(x.len());
    out.spare_capacity_mut()[..x.len()]
        .par_chunks_mut(CHUNK)
        .zip(x.par_chunks(CHUNK))
        .for_each(|(out, x)| gelu_chunk(x, out));
    // SAFETY: every chunk was written whole.
    unsafe { out.set_len(x.len()) };
    out
}

/// grad · (Φ(x) + x φ(x)).
pub fn gelu_backward(x: &[f32], grad: &[f32]) -> Vec<f32> {
    assert_eq!(x.len(), grad.len());
    let mut out = Vec::with_capacity(x.len());
    out.spare_capacity_mut()[..x.len()]
        .par_chunks_mut(CHUNK)
        .zip(x.par_chunks(CHUNK).zip(grad.par_chunks(CHUNK)))
        .for_each(|(out, (x, grad))| gelu_backward_chunk(x, grad, out));
    // SAFETY: every chunk was written whole.
    unsafe { out.set_len(x.len()) };
    out
}

/// Adds `bias` to each row of x, and returns the GELU of the result.
pub fn bias_gelu(x: &mut [f32], bias: &[f32]) -> Vec<f32> {
    let chunk = (CHUNK / bias.len().max(1)).max(1) * bias.len();
    assert!(chunk > 0 && x.len().is_multiple_of(bias.len()));
    let mut out = Vec::with_capacity(x.len());
    out.spare_capacity_mut()[..x.len()]
        .par_chunks_mut(chunk)
        .zip(x.par_chunks_mut(chunk))
        .for_each(|(out, x)| bias_gelu_chunk(x, bias, out));
    // SAFETY: every chunk was written whole.
    unsafe { out.set_len(x.len()) };
    out
}

/// [`bias_gelu`] in place, when nobody needs the value before the GELU.
pub fn bias_gelu_in_place(x: &mut [f32], bias: &[f32]) {
    let chunk = (CHUNK / bias.len().max(1)).max(1) * bias.len();
    assert!(chunk > 0 && x.len().is_multiple_of(bias.len()));
    x.par_chunks_mut(chunk)
        .for_each(|x| bias_gelu_in_place_chunk(x, bias));
}

/// (Φ(x), e^(−x²/2)).
///
/// Φ(−a) = e^(−a²/2) Q(1 / (1 + 0.3 a)) for a ≥ 0, Q the polynomial of degree 8 with the smallest relative error on
/// 0 ≤ a ≤ 13.3 (5.7e-8; fitted to `scipy.special.erfcx` by tests/fixtures/fit_gelu.py). So the tail keeps its relative
/// precision, and derivative and value share one exponential.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
unsafe fn normal<S: Simd>(x: S::V) -> (S::V, S::V) {
    const Q: [f32; 9] = [
        6.686_147e-6,
        0.119_495_89,
        0.121_862_02,
        0.094_910_93,
        0.142_002_78,
        -0.075_736_58,
        0.227_988,
        -0.168_841_24,
        0.038_311_54,
    ];
    // SAFETY: only arithmetic of the caller's level.
    unsafe {
        let one = S::splat(1.0);
        let a = S::max(x, S::sub(S::splat(0.0), x));
        let e = exp::<S>(S::mul(S::mul(x, x), S::splat(-0.5)));
        let t = S::div(one, S::fma(a, S::splat(0.3), one));
        let mut q = S::splat(Q[8]);
        for c in Q[..8].iter().rev() {
            q = S::fma(q, t, S::splat(*c));
        }
        let tail = S::mul(q, e);
        let upper = S::fma(tail, S::splat(-2.0), one);
        (S::add(S::where_positive(x, upper), tail), e)
    }
}

#[inline(always)]
unsafe fn gelu_kernel<S: Simd>(x: &[f32], out: &mut [MaybeUninit<f32>]) {
    let n = x.len().min(out.len());
    let (x, out) = (x.as_ptr(), out.as_mut_ptr().cast::<f32>());
    // SAFETY: the sweep stays within the shorter slice.
    unsafe {
        sweep!(S, n, |i, n| {
            let v = load::<S>(x.add(i), n);
            store::<S>(out.add(i), S::mul(v, normal::<S>(v).0), n);
        });
    }
}
dispatch! { fn gelu_chunk(x: &[f32], out: &mut [MaybeUninit<f32>]) = gelu_kernel }

#[inline(always)]
unsafe fn gelu_backward_kernel<S: Simd>(x: &[f32], grad: &[f32], out: &mut [MaybeUninit<f32>]) {
    let n = x.len().min(out.len()).min(grad.len());
    let (x, grad) = (x.as_ptr(), grad.as_ptr());
    let out = out.as_mut_ptr().cast::<f32>();
    // SAFETY: the sweep stays within the shortest slice.
    unsafe {
        // 1 / √(2π)
        let peak = S::splat(0.398_942_3);
        sweep!(S, n, |i, n| {
            let v = load::<S>(x.add(i), n);
            let (cdf, e) = normal::<S>(v);
            let slope = S::fma(S::mul(v, peak), e, cdf);
            store::<S>(out.add(i), S::mul(slope, load::<S>(grad.add(i), n)), n);
        });
    }
}
dispatch! {
    fn gelu_backward_chunk(x: &[f32], grad: &[f32], out: &mut [MaybeUninit<f32>]) = gelu_backward_kernel
}

#[inline(always)]
unsafe fn bias_gelu_kernel<S: Simd>(x: &mut [f32], bias: &[f32], out: &mut [MaybeUninit<f32>]) {
    for (x, out) in x
        .chunks_exact_mut(bias.len())
        .zip(out.chunks_exact_mut(bias.len()))
    {
        let (x, out) = (x.as_mut_ptr(), out.as_mut_ptr().cast::<f32>());
        // SAFETY: rows are as long as the bias.
        unsafe {
            sweep!(S, bias.len(), |i, n| {
                let v = S::add(load::<S>(x.add(i), n), load::<S>(bias.as_ptr().add(i), n));
                store::<S>(x.add(i), v, n);
                store::<S>(out.add(i), S::mul(v, normal::<S>(v).0), n);
            });
        }
    }
}
dispatch! {
    fn bias_gelu_chunk(x: &mut [f32], bias: &[f32], out: &mut [MaybeUninit<f32>]) = bias_gelu_kernel
}

#[inline(always)]
unsafe fn bias_gelu_in_place_kernel<S: Simd>(x: &mut [f32], bias: &[f32]) {
    for x in x.chunks_exact_mut(bias.len()) {
        let x = x.as_mut_ptr();
        // SAFETY: rows are as long as the bias.
        unsafe {
            sweep!(S, bias.len(), |i, n| {
                let v = S::add(load::<S>(x.add(i), n), load::<S>(bias.as_ptr().add(i), n));
                store::<S>(x.add(i), S::mul(v, normal::<S>(v).0), n);
            });
        }
    }
}
dispatch! {
    fn bias_gelu_in_place_chunk(x: &mut [f32], bias: &[f32]) = bias_gelu_in_place_kernel
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::simd::Portable;

    /// Φ(x) in f64 by the series x φ(x) Σ x^(2k) / (1·3·5…(2k+1)) + ½, exact to 1e-13 for |x| < 6.
    fn cdf(x: f64) -> f64 {
        let density = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
        let (mut term, mut sum) = (x, x);
        for k in 1..200 {
            term *= x * x / f64::from(2 * k + 1);
            sum += term;
        }
        0.5 + density * sum
    }

    fn check(run: impl Fn(&[f32], &mut [MaybeUninit<f32>]), exact: impl Fn(f64) -> f64) {
        let xs: Vec<f32> = (-5999..6000).map(|i| i as f32 * 1e-3).collect();
        let mut ys = vec![MaybeUninit::new(f32::NAN); xs.len()];
        run(&xs, &mut ys);
        for (&x, y) in xs.iter().zip(&ys) {
            // SAFETY: initialised above.
            let (y, exact) = (f64::from(unsafe { y.assume_init() }), exact(f64::from(x)));
            let bound = 2.5e-7 * (1.0 + f64::from(x).abs());
            assert!((y - exact).abs() <= bound, "f({x}) = {y}, not {exact}");
        }
    }

    #[test]
    fn value_and_slope_match_f64_at_every_level() {
        let value = |x: f64| x * cdf(x);
        let slope = |x: f64| cdf(x) + x * (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
        check(gelu_chunk, value);
        // SAFETY: plain Rust runs everywhere.
        check(|x, y| unsafe { gelu_kernel::<Portable>(x, y) }, value);
        let ones = vec![1.0; 11_999];
        check(|x, y| gelu_backward_chunk(x, &ones, y), slope);
        // SAFETY: plain Rust runs everywhere.
        check(
            |x, y| unsafe { gelu_backward_kernel::<Portable>(x, &ones, y) },
            slope,
        );
    }

    #[test]
    fn tails_are_finite_and_tend_to_their_limits() {
        assert_eq!(
            gelu(&[-1e30, -40.0, 0.0, 40.0, 1e30]),
            [0.0, 0.0, 0.0, 40.0, 1e30]
        );
        let slope = gelu_backward(&[-1e30, 0.0, 1e30], &[1.0; 3]);
        assert_eq!((slope[0], slope[2]), (0.0, 1.0));
        assert!(gelu(&[f32::NAN])[0].is_nan());
        // Φ(-10) = 7.619853024160527e-24 (scipy.stats.norm.cdf)
        assert!((f64::from(gelu(&[-10.0])[0]) / -7.619_853_024_160_527e-23 - 1.0).abs() < 3e-6);
    }
}
