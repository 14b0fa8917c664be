//! Bilinear doubling of maps, and its adjoint. Both are separable: rows are blended first, then columns.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::scratch::with_scratch;
use super::simd::{Simd, dispatch};

/// Output values a thread takes at least.
const LEAST: usize = 16_384;

/// Planes (height, width) of `x` doubled to (2 height, 2 width).
pub fn upsample2x(x: &[f32], height: usize, width: usize) -> Vec<f32> {
    let plane = height * width;
    assert!(plane > 0 && x.len().is_multiple_of(plane));
    let mut out = Vec::with_capacity(4 * x.len());
    // Each input row makes two output rows, whatever its plane.
    out.spare_capacity_mut()[..4 * x.len()]
        .par_chunks_mut(4 * width)
        .enumerate()
        .with_min_len(LEAST.div_ceil(4 * width))
        .for_each(|(index, out)| {
            let (start, y) = (index / height * plane, index % height);
            let row = |y: usize| &x[start + y * width..start + (y + 1) * width];
            let rows = [
                row(y.saturating_sub(1)),
                row(y),
                row((y + 1).min(height - 1)),
            ];
            with_scratch(width + 2, |scratch| two_rows(rows, scratch, out));
        });
    // SAFETY: every pair of rows was written whole.
    unsafe { out.set_len(4 * x.len()) };
    out
}

/// Gradient for the input (planes of height, width) from the gradient of the doubled map.
pub fn upsample2x_backward(grad: &[f32], height: usize, width: usize) -> Vec<f32> {
    let plane = height * width;
    assert!(plane > 0 && grad.len().is_multiple_of(4 * plane));
    let length = grad.len() / 4;
    let mut out = Vec::with_capacity(length);
    out.spare_capacity_mut()[..length]
        .par_chunks_mut(width)
        .enumerate()
        .with_min_len(LEAST.div_ceil(4 * width))
        .for_each(|(index, out)| {
            let (start, y) = (index / height * 4 * plane, 2 * (index % height));
            let row = |y: usize| &grad[start + y * 2 * width..start + (y + 1) * 2 * width];
            // A repeated border row took part in its first output row twice.
            let rows = [
                row(y.saturating_sub(1)),
                row(y),
                row(y + 1),
                row((y + 2).min(2 * height - 1)),
            ];
            with_scratch(2 * width + 2, |scratch| one_row(rows, scratch, out));
        });
    // SAFETY: every row was written whole.
    unsafe { out.set_len(length) };
    out
}

/// Repeats the first and last value of a scratch row's inside on its border.
#[inline(always)]
fn repeat_border(scratch: &mut [f32]) {
    let last = scratch.len() - 1;
    scratch[0] = scratch[1];
    scratch[last] = scratch[last - 1];
}

/// The output rows 2y and 2y + 1 from the input rows y − 1, y, y + 1. The level is all `S` says: the compiler makes the
/// interleaved stores of these plain loops.
#[inline(always)]
unsafe fn two_rows_kernel<S: Simd>(
    rows: [&[f32]; 3],
    scratch: &mut [f32],
    out: &mut [MaybeUninit<f32>],
) {
    let width = rows[1].len();
    let (even, odd) = out.split_at_mut(2 * width);
    for (other, out) in [(rows[0], even), (rows[2], odd)] {
        for ((value, here), other) in scratch[1..].iter_mut().zip(rows[1]).zip(other) {
            *value = 0.75 * here + 0.25 * other;
        }
        repeat_border(scratch);
        let (pairs, _) = out.as_chunks_mut::<2>();
        let before = &scratch[..width];
        let here = &scratch[1..width + 1];
        let behind = &scratch[2..width + 2];
        for (((pair, before), here), behind) in pairs.iter_mut().zip(before).zip(here).zip(behind) {
            pair[0].write(0.75 * here + 0.25 * before);
            pair[1].write(0.75 * here + 0.25 * behind);
        }
    }
}
dispatch! {
    fn two_rows(rows: [&[f32]; 3], scratch: &mut [f32], out: &mut [MaybeUninit<f32>]) = two_rows_kernel
}

/// The input gradient's row y from the output gradient's rows 2y − 1 ..= 2y + 2.
#[inline(always)]
unsafe fn one_row_kernel<S: Simd>(
    rows: [&[f32]; 4],
    scratch: &mut [f32],
    out: &mut [MaybeUninit<f32>],
) {
    let [a, b, c, d] = rows;
    let inner = scratch[1..].iter_mut();
    for ((((value, a), b), c), d) in inner.zip(a).zip(b).zip(c).zip(d) {
        *value = 0.75 * (b + c) + 0.25 * (a + d);
    }
    repeat_border(scratch);
    let (left, _) = scratch.as_chunks::<2>();
    let (right, _) = scratch[2..].as_chunks::<2>();
    for ((value, left), right) in out.iter_mut().zip(left).zip(right) {
        value.write(0.75 * (left[1] + right[0]) + 0.25 * (left[0] + right[1]));
    }
}
dispatch! {
    fn one_row(rows: [&[f32]; 4], scratch: &mut [f32], out: &mut [MaybeUninit<f32>]) = one_row_kernel
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::simd::Portable;

    #[test]
    fn every_level_gives_the_same() {
        for width in [1, 2, 7, 33] {
            let x: Vec<f32> = (0..8 * width).map(|i| (i as f32 * 0.7).sin()).collect();
            let run = |portable: bool| -> Vec<f32> {
                let mut scratch = vec![f32::NAN; 2 * width + 2];
                let (narrow, wide) = (&x[..3 * width], &x[..8 * width]);
                let rows = std::array::from_fn(|i| &narrow[i * width..(i + 1) * width]);
                let grads = std::array::from_fn(|i| &wide[2 * i * width..2 * (i + 1) * width]);
                let mut out = vec![MaybeUninit::new(f32::NAN); 5 * width];
                let (two, one) = out.split_at_mut(4 * width);
                if portable {
                    // SAFETY: plain Rust runs everywhere.
                    unsafe {
                        two_rows_kernel::<Portable>(rows, &mut scratch[..width + 2], two);
                        one_row_kernel::<Portable>(grads, &mut scratch, one);
                    }
                } else {
                    two_rows(rows, &mut scratch[..width + 2], two);
                    one_row(grads, &mut scratch, one);
                }
                // SAFETY: initialised above.
                out.iter().map(|v| unsafe { v.assume_init() }).collect()
            };
            for (a, b) in run(false).iter().zip(run(true)) {
                assert!((a - b).abs() <= 1e-6, "{a} and {b}");
            }
        }
    }

    #[test]
    fn doubles_a_step() {
        // ¾·0 + ¼·4 = 1, ¼·0 + ¾·4 = 3; borders repeat.
        assert_eq!(
            upsample2x(&[0.0, 4.0], 1, 2),
            [0., 1., 3., 4., 0., 1., 3., 4.]
        );
        // The gradient 1 everywhere: each input shares in four outputs' worth.
        assert_eq!(upsample2x_backward(&[1.0; 8], 1, 2), [4.0, 4.0]);
    }
}
