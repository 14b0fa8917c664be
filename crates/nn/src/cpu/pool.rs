//! Largest of each 2×2 square, stride 2.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::simd::{Simd, dispatch};

/// Input values a thread takes at least.
const LEAST: usize = 16_384;

/// Maxima of planes with an even height and the even width `width`; rows of different planes never share a square. A NaN in a
/// square is its maximum.
pub fn max_pool2x2(x: &[f32], width: usize) -> Vec<f32> {
    assert!(width > 0 && width.is_multiple_of(2) && x.len().is_multiple_of(2 * width));
    let length = x.len() / 4;
    let mut out = Vec::with_capacity(length);
    out.spare_capacity_mut()[..length]
        .par_chunks_mut(width / 2)
        .zip(x.par_chunks(2 * width))
        .with_min_len(LEAST.div_ceil(2 * width))
        .for_each(|(out, x)| row_maxima(x, out));
    // SAFETY: every row was written whole.
    unsafe { out.set_len(length) };
    out
}

/// Gradient for the input: that of each maximum goes to the first of its square that is as large, or to its first NaN.
pub fn max_pool2x2_backward(x: &[f32], width: usize, grad: &[f32]) -> Vec<f32> {
    assert!(width > 0 && width.is_multiple_of(2) && x.len().is_multiple_of(2 * width));
    assert!(grad.len() == x.len() / 4);
    let mut out = Vec::with_capacity(x.len());
    out.spare_capacity_mut()[..x.len()]
        .par_chunks_mut(2 * width)
        .zip(x.par_chunks(2 * width).zip(grad.par_chunks(width / 2)))
        .with_min_len(LEAST.div_ceil(2 * width))
        .for_each(|(out, (x, grad))| row_gradient(x, grad, out));
    // SAFETY: every pair of rows was written whole.
    unsafe { out.set_len(x.len()) };
    out
}

/// `x` is two rows. The level is all `S` says: the compiler makes the strided loads of this plain loop.
#[inline(always)]
unsafe fn maxima_kernel<S: Simd>(x: &[f32], out: &mut [MaybeUninit<f32>]) {
    let (top, bottom) = x.split_at(x.len() / 2);
    let (top, _) = top.as_chunks::<2>();
    let (bottom, _) = bottom.as_chunks::<2>();
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    for ((out, top), bottom) in out.iter_mut().zip(top).zip(bottom) {
        let largest = larger(larger(top[0], top[1]), larger(bottom[0], bottom[1]));
        // Apart from the maxima, as two comparisons of pairs: no slower than without.
        let nan = (top[0].is_nan() | top[1].is_nan()) | (bottom[0].is_nan() | bottom[1].is_nan());
        out.write(if nan { f32::NAN } else { largest });
    }
}
dispatch! { fn row_maxima(x: &[f32], out: &mut [MaybeUninit<f32>]) = maxima_kernel }

#[inline(always)]
unsafe fn gradient_kernel<S: Simd>(x: &[f32], grad: &[f32], out: &mut [MaybeUninit<f32>]) {
    let (top, bottom) = x.split_at(x.len() / 2);
    let (top, _) = top.as_chunks::<2>();
    let (bottom, _) = bottom.as_chunks::<2>();
    let (first, second) = out.split_at_mut(x.len() / 2);
    let (first, _) = first.as_chunks_mut::<2>();
    let (second, _) = second.as_chunks_mut::<2>();
    let prevails = |a: f32, b: f32| a >= b || a.is_nan();
    let larger = |a: f32, b: f32| if prevails(a, b) { a } else { b };
    for ((((top, bottom), &g), first), second) in
        top.iter().zip(bottom).zip(grad).zip(first).zip(second)
    {
        let upper = prevails(larger(top[0], top[1]), larger(bottom[0], bottom[1]));
        let (above, below) = if upper { (g, 0.0) } else { (0.0, g) };
        let (left, low_left) = (prevails(top[0], top[1]), prevails(bottom[0], bottom[1]));
        first[0].write(if left { above } else { 0.0 });
        first[1].write(if left { 0.0 } else { above });
        second[0].write(if low_left { below } else { 0.0 });
        second[1].write(if low_left { 0.0 } else { below });
    }
}
dispatch! {
    fn row_gradient(x: &[f32], grad: &[f32], out: &mut [MaybeUninit<f32>]) = gradient_kernel
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::simd::Portable;

    #[test]
    fn every_level_gives_the_same() {
        for width in [2, 8, 70] {
            // Few levels, so that many squares hold the maximum twice.
            let x: Vec<f32> = (0..2 * width).map(|i| (i * 7 % 5) as f32).collect();
            let grad: Vec<f32> = (0..width / 2).map(|i| i as f32 + 1.0).collect();
            let mut out = vec![MaybeUninit::new(f32::NAN); 5 * width / 2];
            let (y, dx) = out.split_at_mut(width / 2);
            // SAFETY: plain Rust runs everywhere; all was initialised.
            let out: Vec<f32> = unsafe {
                maxima_kernel::<Portable>(&x, y);
                gradient_kernel::<Portable>(&x, &grad, dx);
                out.iter().map(|v| v.assume_init()).collect()
            };
            assert_eq!(max_pool2x2(&x, width), out[..width / 2]);
            assert_eq!(max_pool2x2_backward(&x, width, &grad), out[width / 2..]);
        }
    }

    #[test]
    fn the_first_maximum_takes_the_gradient() {
        let x = [1.0, 3.0, 5.0, 5.0, 3.0, 0.0, 5.0, 5.0];
        assert_eq!(max_pool2x2(&x, 4), [3.0, 5.0]);
        let expected = [0.0, 7.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(max_pool2x2_backward(&x, 4, &[7.0, 2.0]), expected);
    }
}
