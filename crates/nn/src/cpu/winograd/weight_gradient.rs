//! The weight's gradient by the transposed algorithm: Gᵀ [Σ over tiles of (A dY Aᵀ) ⊙ (Bᵀ d B)] G. For each of the 36
//! coefficients the sum is a matrix product of gradients and inputs over the tiles.

use rayon::prelude::*;

use super::transform::{Run, Tiles, transform_gradient, transform_input};
use super::{COEFFICIENTS, RUN, SPREAD};
use crate::cpu::map::MapShape;
use crate::cpu::scratch::with_scratch;
use crate::cpu::simd::{Simd, dispatch, register_tile};

/// Groups of runs are summed apart and then together in order: the result does not depend on the thread count.
const GROUPS: usize = 16;

/// Runs of a group at least: its sums are cleared and transformed back once.
const LEAST: usize = 2;

/// Channels are padded to the widest vector.
const WIDE: usize = 16;

/// Taps of a kernel.
const TAPS: usize = 9;

/// `weight_grad` (O, I, 3, 3) of the convolution of `input` whose output has the gradient `grad` (B, O, H, W).
pub fn weight_gradient(
    input: &[f32],
    shape: MapShape,
    grad: &[f32],
    outputs: usize,
    weight_grad: &mut [f32],
) {
    weight_grad.fill(0.0);
    if grad.is_empty() || weight_grad.is_empty() {
        return;
    }
    let output = MapShape {
        channels: outputs,
        ..shape
    };
    let tasks = shape.batch * Tiles::of(shape).runs(RUN);
    let groups = (tasks / LEAST).clamp(1, GROUPS);
    let sizes = Sizes {
        inputs: shape.channels.next_multiple_of(WIDE),
        outputs: outputs.next_multiple_of(register_tile().outputs),
    };
    let part = TAPS * outputs * sizes.inputs;
    let mut partial = vec![0f32; groups * part];
    partial
        .par_chunks_exact_mut(part)
        .enumerate()
        .for_each(|(group, partial)| {
            with_scratch(sizes.scratch(), |scratch| {
                let (sums, rest) = scratch.split_at_mut(sizes.sums());
                let (inputs, rest) = rest.split_at_mut(transformed(sizes.inputs));
                let (grads, turned) = rest.split_at_mut(transformed(sizes.outputs));
                sums.fill(0.0);
                for task in group * tasks / groups..(group + 1) * tasks / groups {
                    let inputs_run = &mut Run::new(input, shape, (task, RUN), sizes.inputs, inputs);
                    transform_input(inputs_run);
                    let count = inputs_run.count;
                    transform_gradient(&mut Run::new(
                        grad,
                        output,
                        (task, RUN),
                        sizes.outputs,
                        grads,
                    ));
                    add_products(sizes, (inputs, grads), count, turned, sums);
                }
                transform_back(sizes, sums, outputs, partial);
            });
        });
    for part in partial.chunks_exact(part) {
        let taps = part.chunks_exact(outputs * sizes.inputs);
        for (tap, values) in taps.enumerate() {
            let rows = values.chunks_exact(sizes.inputs);
            for (row, target) in rows.zip(weight_grad.chunks_exact_mut(TAPS * shape.channels)) {
                for (value, target) in row.iter().zip(target.chunks_exact_mut(TAPS)) {
                    target[tap] += value;
                }
            }
        }
    }
}

/// Channels with their padding.
#[derive(Clone, Copy)]
struct Sizes {
    inputs: usize,
    outputs: usize,
}

/// Values of a transformed run.
fn transformed(channels: usize) -> usize {
    COEFFICIENTS * (channels * RUN + SPREAD)
}

impl Sizes {
    /// Sums of a coefficient.
    fn product(self) -> usize {
        self.inputs * self.outputs
    }

    fn sums(self) -> usize {
        COEFFICIENTS * self.product()
    }

    fn scratch(self) -> usize {
        self.sums() + transformed(self.inputs) + transformed(self.outputs) + RUN * self.inputs
    }
}

dispatch! {
    /// sums (coefficient, output, input) += gradients (coefficient, output, tile) · inputs (coefficient, input, tile)ᵀ.
    fn add_products(
        sizes: Sizes,
        maps: (&[f32], &[f32]),
        count: usize,
        turned: &mut [f32],
        sums: &mut [f32],
    ) = products_kernel
}

#[inline(always)]
unsafe fn products_kernel<S: Simd>(
    sizes: Sizes,
    (inputs, grads): (&[f32], &[f32]),
    count: usize,
    turned: &mut [f32],
    sums: &mut [f32],
) {
    let width = sizes.inputs;
    let inputs = inputs.chunks_exact(width * RUN + SPREAD);
    let grads = grads.chunks_exact(sizes.outputs * RUN + SPREAD);
    let sums = sums.chunks_exact_mut(sizes.product());
    assert!(turned.len() == RUN * width);
    for ((inputs, grads), sums) in inputs.zip(grads).zip(sums) {
        for channel in (0..width).step_by(S::LANES) {
            for tile in (0..RUN).step_by(S::LANES) {
                // SAFETY: the level is the caller's; runs and padded channels are whole numbers of vectors.
                unsafe {
                    let source = inputs.as_ptr().add(channel * RUN + tile);
                    let target = turned.as_mut_ptr().add(tile * width + channel);
                    S::transpose(source, RUN, target, width);
                }
            }
        }
        let block = if S::REGISTERS == 32 { 8 } else { 6 };
        for output in (0..sizes.outputs).step_by(block) {
            let mut input = 0;
            while input < width {
                // SAFETY: the level is the caller's, and the register tile is this level's; the vectors end within the padded
                // inputs.
                unsafe {
                    let operands = (grads.as_ptr().add(output * RUN), turned.as_ptr().add(input));
                    let target = sums.as_mut_ptr().add(output * width + input);
                    input += S::LANES
                        * match (S::REGISTERS == 32, (width - input) / S::LANES) {
                            (true, 1) => outer::<S, 8, 1>(operands, width, count, target),
                            (true, 2 | 4) => outer::<S, 8, 2>(operands, width, count, target),
                            (true, _) => outer::<S, 8, 3>(operands, width, count, target),
                            (false, _) => outer::<S, 6, 2>(operands, width, count, target),
                        };
                }
            }
        }
    }
}

/// Adds `count` tiles' products of O outputs and V vectors of inputs to the sums, whose rows are `width` apart. Returns V.
#[inline(always)]
unsafe fn outer<S: Simd, const O: usize, const V: usize>(
    (grads, inputs): (*const f32, *const f32),
    width: usize,
    count: usize,
    target: *mut f32,
) -> usize {
    // SAFETY: by the caller, whose operands hold `count` tiles of O outputs and of V vectors of inputs.
    unsafe {
        let mut sums = [[S::splat(0.0); V]; O];
        for (o, sums) in sums.iter_mut().enumerate() {
            for (v, sum) in sums.iter_mut().enumerate() {
                *sum = S::load(target.add(o * width + v * S::LANES));
            }
        }
        for tile in 0..count {
            let mut pixels = [S::splat(0.0); V];
            for (v, value) in pixels.iter_mut().enumerate() {
                *value = S::load(inputs.add(tile * width + v * S::LANES));
            }
            for (o, sums) in sums.iter_mut().enumerate() {
                let factor = S::splat(*grads.add(o * RUN + tile));
                for (sum, pixel) in sums.iter_mut().zip(pixels) {
                    *sum = S::fma(factor, pixel, *sum);
                }
            }
        }
        for (o, sums) in sums.iter().enumerate() {
            for (v, sum) in sums.iter().enumerate() {
                S::store(target.add(o * width + v * S::LANES), *sum);
            }
        }
    }
    V
}

dispatch! {
    /// `taps` (tap, output, input) = Gᵀ · sums · G for every pair of channels.
    fn transform_back(sizes: Sizes, sums: &[f32], outputs: usize, taps: &mut [f32]) = back_kernel
}

/// Gᵀ applied to six vectors.
#[inline(always)]
unsafe fn weight_row<S: Simd>(m: [S::V; 6]) -> [S::V; 3] {
    // SAFETY: arithmetic of the caller's level.
    unsafe {
        let (a, b) = (S::add(m[1], m[2]), S::sub(m[2], m[1]));
        let (c, d) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
        let sixth = S::splat(1.0 / 6.0);
        let minus = S::mul(S::splat(-1.0 / 6.0), a);
        [
            S::fma(S::splat(0.25), m[0], S::fma(S::splat(1.0 / 24.0), c, minus)),
            S::fma(sixth, b, S::mul(S::splat(1.0 / 12.0), d)),
            S::add(S::fma(sixth, c, minus), m[5]),
        ]
    }
}

#[inline(always)]
unsafe fn back_kernel<S: Simd>(sizes: Sizes, sums: &[f32], outputs: usize, taps: &mut [f32]) {
    let (width, stride) = (sizes.inputs, sizes.product());
    assert!(sums.len() == COEFFICIENTS * stride && taps.len() == TAPS * outputs * width);
    for place in (0..outputs * width).step_by(S::LANES) {
        // SAFETY: the level is the caller's; `place` and a vector behind it lie in every coefficient and every tap.
        unsafe {
            let mut rows = [[S::splat(0.0); 6]; 3];
            for column in 0..6 {
                let mut m = [S::splat(0.0); 6];
                for (row, value) in m.iter_mut().enumerate() {
                    *value = S::load(sums.as_ptr().add((6 * row + column) * stride + place));
                }
                for (row, value) in rows.iter_mut().zip(weight_row::<S>(m)) {
                    row[column] = value;
                }
            }
            for (y, row) in rows.into_iter().enumerate() {
                for (x, value) in weight_row::<S>(row).into_iter().enumerate() {
                    let tap = (3 * y + x) * outputs * width;
                    S::store(taps.as_mut_ptr().add(tap + place), value);
                }
            }
        }
    }
}
