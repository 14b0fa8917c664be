//! Direct 3×3 convolution, stride 1, zero padding 1.
//!
//! A task is a band of rows of one image: its input rows are copied once into a zero-padded scratch, then every tile of
//! (a few output channels) × (a few vectors of pixels) is summed in registers over all input channels and the nine taps.
//! No im2col matrix exists.

use rayon::prelude::*;

use super::map::{Kernel, MapShape, Planes};
use super::scratch::with_scratch;
use super::simd::{Simd, dispatch, register_tile};

/// Scratch rows are rounded up to the widest vector, plus the two padding columns.
fn padded_width(width: usize) -> usize {
    width.next_multiple_of(16) + 16
}

/// Weights reordered to (output block, input, tap, output in block), where a block is what a register tile holds; missing
/// outputs are zero.
pub struct Packed {
    values: Vec<f32>,
    outputs: usize,
    block: usize,
}

/// Packs a kernel.
pub fn pack(kernel: Kernel<'_>) -> Packed {
    let Kernel {
        outputs, inputs, ..
    } = kernel;
    let block = register_tile().outputs;
    let mut values = vec![0.0; outputs.next_multiple_of(block) * inputs * 9];
    for o in 0..outputs {
        for i in 0..inputs {
            for tap in 0..9 {
                let place = (((o / block) * inputs + i) * 9 + tap) * block + o % block;
                values[place] = kernel.tap(o, i, tap);
            }
        }
    }
    Packed {
        values,
        outputs,
        block,
    }
}

/// Convolution (B, O, H, W) of `input` with packed weights, plus an optional bias per output.
pub fn convolve(input: &[f32], shape: MapShape, weight: &Packed, bias: Option<&[f32]>) -> Vec<f32> {
    let outputs = weight.outputs;
    let (height, width) = (shape.height, shape.width);
    let planes = Planes::new(shape.batch * outputs, shape.plane());
    if planes.is_empty() {
        return Vec::new();
    }
    let row_values = shape.channels * padded_width(width);
    // About half a level-2 cache of input.
    let rows = (128 * 1024 / row_values.max(1)).clamp(4, 64).min(height);
    let bands = height.div_ceil(rows);
    (0..shape.batch * bands).into_par_iter().for_each(|task| {
        let (image, band) = (task / bands, task % bands);
        let top = band * rows;
        let count = rows.min(height - top);
        let input = &input[image * shape.channels * shape.plane()..];
        with_scratch(
            shape.channels * (count + 2) * padded_width(width),
            |scratch| {
                pad_band(input, shape, top, count, scratch);
                band_forward(&Band {
                    scratch,
                    shape,
                    weight,
                    bias,
                    top,
                    rows: count,
                    planes: &planes,
                    first_plane: image * outputs,
                });
            },
        );
    });
    // SAFETY: the bands cover every image, and each writes its rows of all outputs.
    unsafe { planes.into_values() }
}

/// Copies rows top−1 ..= top+count of every channel, zero outside the image.
fn pad_band(input: &[f32], shape: MapShape, top: usize, count: usize, scratch: &mut [f32]) {
    let (width, padded) = (shape.width, padded_width(shape.width));
    for (line, target) in scratch.chunks_exact_mut(padded).enumerate() {
        let (channel, row) = (line / (count + 2), line % (count + 2));
        match (top + row).checked_sub(1).filter(|&y| y < shape.height) {
            Some(y) => {
                let start = channel * shape.plane() + y * width;
                target[0] = 0.0;
                target[1..=width].copy_from_slice(&input[start..start + width]);
                target[width + 1..].fill(0.0);
            }
            None => target.fill(0.0),
        }
    }
}

struct Band<'a> {
    scratch: &'a [f32],
    shape: MapShape,
    weight: &'a Packed,
    bias: Option<&'a [f32]>,
    top: usize,
    rows: usize,
    planes: &'a Planes,
    first_plane: usize,
}

dispatch! { fn band_forward(band: &Band<'_>) = band_kernel }

#[inline(always)]
unsafe fn band_kernel<S: Simd>(band: &Band<'_>) {
    let outputs = band.weight.outputs;
    for first in (0..outputs).step_by(band.weight.block) {
        for row in 0..band.rows {
            let mut x = 0;
            while x < band.shape.width {
                let vectors = (band.shape.width - x).div_ceil(S::LANES);
                // SAFETY: the level is the caller's, and the register tile is this level's; `x` lies in the row and the scratch
                // row holds the last vector whole.
                unsafe {
                    x += match (S::REGISTERS == 32, outputs - first, vectors) {
                        (true, _, 1) => tile::<S, 8, 8, 1>(band, first, row, x),
                        (true, _, 2) => tile::<S, 8, 8, 2>(band, first, row, x),
                        (true, ..) => tile::<S, 8, 8, 3>(band, first, row, x),
                        (false, 1..=2, 1) => tile::<S, 6, 2, 1>(band, first, row, x),
                        (false, 1..=2, _) => tile::<S, 6, 2, 2>(band, first, row, x),
                        (false, 3..=4, 1) => tile::<S, 6, 4, 1>(band, first, row, x),
                        (false, 3..=4, _) => tile::<S, 6, 4, 2>(band, first, row, x),
                        (false, _, 1) => tile::<S, 6, 6, 1>(band, first, row, x),
                        (false, ..) => tile::<S, 6, 6, 2>(band, first, row, x),
                    };
                }
            }
        }
    }
}

/// Sums one tile: O outputs from `first` on, which begins a block of BLOCK, by V vectors from pixel x. Returns the pixels done.
#[inline(always)]
unsafe fn tile<S: Simd, const BLOCK: usize, const O: usize, const V: usize>(
    band: &Band<'_>,
    first: usize,
    row: usize,
    x: usize,
) -> usize {
    let padded = padded_width(band.shape.width);
    let plane = (band.rows + 2) * padded;
    let channels = band.shape.channels;
    let outputs = (band.weight.outputs - first).min(O);
    // SAFETY: the last vector ends at most at column next_multiple_of(width, 16) + 2 <= padded; rows row ..= row + 2 and all
    // channels are in the scratch; the packed weights hold `channels · 9 · BLOCK` values per block, BLOCK >= O; stores are cut at the width.
    unsafe {
        let mut sums = [[S::splat(0.0); V]; O];
        if let Some(bias) = band.bias {
            for (o, sum) in sums.iter_mut().enumerate().take(outputs) {
                *sum = [S::splat(bias[first + o]); V];
            }
        }
        let mut weight = band.weight.values.as_ptr().add(first * channels * 9);
        for channel in 0..channels {
            let channel = band
                .scratch
                .as_ptr()
                .add(channel * plane + row * padded + x);
            for ky in 0..3 {
                for kx in 0..3 {
                    let source = channel.add(ky * padded + kx);
                    let mut pixels = [S::splat(0.0); V];
                    for (v, pixel) in pixels.iter_mut().enumerate() {
                        *pixel = S::load(source.add(v * S::LANES));
                    }
                    for (o, sum) in sums.iter_mut().enumerate() {
                        let factor = S::splat(*weight.add(o));
                        for (sum, pixel) in sum.iter_mut().zip(pixels) {
                            *sum = S::fma(factor, pixel, *sum);
                        }
                    }
                    weight = weight.add(BLOCK);
                }
            }
        }
        for (o, sum) in sums.iter().enumerate().take(outputs) {
            let offset = (band.top + row) * band.shape.width + x;
            let target = band.planes.at(band.first_plane + first + o, offset);
            for (v, value) in sum.iter().enumerate() {
                let left = (band.shape.width - x).saturating_sub(v * S::LANES);
                if left >= S::LANES {
                    S::store(target.add(v * S::LANES), *value);
                } else if left > 0 {
                    S::store_first(target.add(v * S::LANES), *value, left);
                }
            }
        }
    }
    V * S::LANES
}

/// Groups of bands summed apart and then together in order: the result does not depend on the thread count.
const GROUPS: usize = 16;

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
    let rows = (4096 / shape.width).clamp(1, shape.height);
    let bands = shape.height.div_ceil(rows);
    let tasks = shape.batch * bands;
    let groups = tasks.min(GROUPS);
    let size = weight_grad.len();
    let mut partial = vec![0f32; groups * size];
    partial
        .par_chunks_exact_mut(size)
        .enumerate()
        .for_each(|(group, sums)| {
            for task in group * tasks / groups..(group + 1) * tasks / groups {
                let (image, band) = (task / bands, task % bands);
                let top = band * rows;
                let count = rows.min(shape.height - top);
                let input = &input[image * shape.channels * shape.plane()..];
                let scratch = shape.channels * (count + 2) * padded_width(shape.width);
                with_scratch(scratch, |scratch| {
                    pad_band(input, shape, top, count, scratch);
                    band_weight_gradient(&mut GradBand {
                        scratch,
                        shape,
                        grad: &grad[image * outputs * shape.plane() + top * shape.width..],
                        outputs,
                        rows: count,
                        sums,
                    });
                });
            }
        });
    weight_grad
        .par_chunks_mut(4096)
        .enumerate()
        .for_each(|(chunk, target)| {
            for group in partial.chunks_exact(size) {
                let source = &group[chunk * 4096..chunk * 4096 + target.len()];
                for (sum, value) in target.iter_mut().zip(source) {
                    *sum += value;
                }
            }
        });
}

struct GradBand<'a> {
    scratch: &'a [f32],
    shape: MapShape,
    /// From the band's first row of the image's first output plane.
    grad: &'a [f32],
    outputs: usize,
    rows: usize,
    sums: &'a mut [f32],
}

dispatch! { fn band_weight_gradient(band: &mut GradBand<'_>) = weight_kernel }

#[inline(always)]
unsafe fn weight_kernel<S: Simd>(band: &mut GradBand<'_>) {
    let block = if S::REGISTERS == 32 { 4 } else { 2 };
    for input in (0..band.shape.channels).step_by(2) {
        for output in (0..band.outputs).step_by(block) {
            for ky in 0..3 {
                // SAFETY: the level is the caller's; `weight_tile` stays within the band.
                unsafe {
                    if S::REGISTERS == 32 {
                        weight_tile::<S, 4>(band, input, output, ky);
                    } else {
                        weight_tile::<S, 2>(band, input, output, ky);
                    }
                }
            }
        }
    }
}

/// Adds the band's share of the gradient of O outputs by two inputs by one kernel row.
#[inline(always)]
unsafe fn weight_tile<S: Simd, const O: usize>(
    band: &mut GradBand<'_>,
    input: usize,
    output: usize,
    ky: usize,
) {
    let (width, padded) = (band.shape.width, padded_width(band.shape.width));
    let (inputs, outputs) = (band.shape.channels, band.outputs);
    let second = (input + 1).min(inputs - 1);
    let whole = width / S::LANES * S::LANES;
    // SAFETY: channel, output and row indices are clamped to the band; a scratch row holds its last vector whole; gradient
    // loads are cut at the width.
    unsafe {
        let mut sums = [[[S::splat(0.0); 3]; 2]; O];
        for row in 0..band.rows {
            let line = |channel: usize| {
                let start = (channel * (band.rows + 2) + row + ky) * padded;
                band.scratch.as_ptr().add(start)
            };
            let lines = [line(input), line(second)];
            let mut grads = [band.grad.as_ptr(); O];
            for (o, grad) in grads.iter_mut().enumerate() {
                let plane = (output + o).min(outputs - 1);
                *grad = grad.add(plane * band.shape.plane() + row * width);
            }
            let mut x = 0;
            while x < width {
                let mut grad = [S::splat(0.0); O];
                for (o, value) in grad.iter_mut().enumerate() {
                    *value = if x < whole {
                        S::load(grads[o].add(x))
                    } else {
                        S::load_first(grads[o].add(x), width - x)
                    };
                }
                for (c, line) in lines.iter().enumerate() {
                    for kx in 0..3 {
                        let pixels = S::load(line.add(x + kx));
                        for (sums, grad) in sums.iter_mut().zip(grad) {
                            sums[c][kx] = S::fma(grad, pixels, sums[c][kx]);
                        }
                    }
                }
                x += S::LANES;
            }
        }
        for (o, sums) in sums.iter().enumerate().take(outputs - output.min(outputs)) {
            for (c, sums) in sums.iter().enumerate().take(inputs - input) {
                for (kx, sum) in sums.iter().enumerate() {
                    let place = ((output + o) * inputs + input + c) * 9 + ky * 3 + kx;
                    band.sums[place] += S::sum(*sum);
                }
            }
        }
    }
}
