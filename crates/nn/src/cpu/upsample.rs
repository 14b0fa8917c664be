//! Bilinear doubling of maps, and its adjoint. Both are separable: rows are blended first, then columns.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::scratch::with_scratch;
use super::simd::{Simd, dispatch};

/// Output values a thread takes at least.
const LEAST: usize = 16_384;

/// Sizes of maps (B, C, H, W), and of others (B, S, 2H, 2W) that lie behind the doubled ones of their image.
#[derive(Clone, Copy, Debug)]
pub struct Joint {
    /// C.
    pub channels: usize,
    /// S; 0 for doubling alone.
    pub others: usize,
    /// H.
    pub height: usize,
    /// W.
    pub width: usize,
}

impl Joint {
    /// Values of an image's maps, others, and both together.
    fn lengths(self) -> (usize, usize, usize) {
        let plane = self.height * self.width;
        let (small, others) = (self.channels * plane, self.others * 4 * plane);
        (small, others, 4 * small + others)
    }

    /// The number of images, with the lengths checked.
    fn images(self, x: usize, others: usize) -> usize {
        let (small, other, _) = self.lengths();
        assert!(small > 0 && x.is_multiple_of(small));
        assert!(others == x / small * other);
        x / small
    }
}

/// `x` doubled to (B, C, 2H, 2W), and `others` behind it: (B, C + S, 2H, 2W).
pub fn upsample2x_cat(x: &[f32], others: &[f32], sizes: Joint) -> Vec<f32> {
    let (small, other, whole) = sizes.lengths();
    let images = sizes.images(x.len(), others.len());
    let mut out = Vec::with_capacity(images * whole);
    let spare = &mut out.spare_capacity_mut()[..images * whole];
    for (image, out) in spare.chunks_exact_mut(whole).enumerate() {
        let (doubled, joined) = out.split_at_mut(4 * small);
        double(&x[image * small..][..small], sizes, doubled);
        copy(&others[image * other..][..other], joined);
    }
    // SAFETY: every image was written whole.
    unsafe { out.set_len(images * whole) };
    out
}

/// The gradient for `x` from that of [`upsample2x_cat`]'s result.
pub fn upsample2x_cat_backward(grad: &[f32], sizes: Joint) -> Vec<f32> {
    let (small, _, whole) = sizes.lengths();
    assert!(small > 0 && grad.len().is_multiple_of(whole));
    let images = grad.len() / whole;
    let mut out = Vec::with_capacity(images * small);
    let spare = &mut out.spare_capacity_mut()[..images * small];
    for (out, grad) in spare.chunks_exact_mut(small).zip(grad.chunks_exact(whole)) {
        double_backward(&grad[..4 * small], sizes, out);
    }
    // SAFETY: every image was written whole.
    unsafe { out.set_len(images * small) };
    out
}

/// The gradient for `others` from that of [`upsample2x_cat`]'s result.
pub fn others_of(grad: &[f32], sizes: Joint) -> Vec<f32> {
    let (small, other, whole) = sizes.lengths();
    assert!(small > 0 && grad.len().is_multiple_of(whole));
    let images = grad.len() / whole;
    let mut out = Vec::with_capacity(images * other);
    let spare = &mut out.spare_capacity_mut()[..images * other];
    for (image, grad) in grad.chunks_exact(whole).enumerate() {
        copy(&grad[4 * small..], &mut spare[image * other..][..other]);
    }
    // SAFETY: every image was written whole.
    unsafe { out.set_len(images * other) };
    out
}

/// Writes all of `out`, which is as long as `values`.
fn copy(values: &[f32], out: &mut [MaybeUninit<f32>]) {
    assert_eq!(values.len(), out.len());
    let parts = out.par_chunks_mut(LEAST).zip(values.par_chunks(LEAST));
    parts.for_each(|(out, values)| {
        out.write_copy_of_slice(values);
    });
}

fn double(x: &[f32], sizes: Joint, out: &mut [MaybeUninit<f32>]) {
    let Joint { height, width, .. } = sizes;
    // Each input row makes two output rows, whatever its plane.
    out.par_chunks_mut(4 * width)
        .enumerate()
        .with_min_len(LEAST.div_ceil(4 * width))
        .for_each(|(index, out)| {
            let (start, y) = (index / height * height * width, index % height);
            let row = |y: usize| &x[start + y * width..start + (y + 1) * width];
            let rows = [
                row(y.saturating_sub(1)),
                row(y),
                row((y + 1).min(height - 1)),
            ];
            with_scratch(width + 2, |scratch| two_rows(rows, scratch, out));
        });
}

fn double_backward(grad: &[f32], sizes: Joint, out: &mut [MaybeUninit<f32>]) {
    let Joint { height, width, .. } = sizes;
    let plane = height * width;
    out.par_chunks_mut(width)
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
    fn doubles_a_step_beside_another_map() {
        let sizes = Joint {
            channels: 1,
            others: 1,
            height: 1,
            width: 2,
        };
        // ¾·0 + ¼·4 = 1, ¼·0 + ¾·4 = 3; borders repeat. Two images.
        let others = [
            7., 7., 7., 7., 8., 8., 8., 8., 5., 5., 5., 5., 6., 6., 6., 6.,
        ];
        let joined = upsample2x_cat(&[0.0, 4.0, 4.0, 0.0], &others, sizes);
        let first = [0., 1., 3., 4., 0., 1., 3., 4.];
        assert_eq!(joined[..8], first);
        assert_eq!(joined[8..16], others[..8]);
        assert_eq!(joined[16..24], [4., 3., 1., 0., 4., 3., 1., 0.]);
        assert_eq!(joined[24..], others[8..]);
        // The gradient 1 everywhere: each input shares in four outputs' worth, the others in their own.
        assert_eq!(upsample2x_cat_backward(&[1.0; 32], sizes), [4.0; 4]);
        assert_eq!(others_of(&joined, sizes), others);
    }
}
