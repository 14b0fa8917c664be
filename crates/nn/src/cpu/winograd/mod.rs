//! 3×3 convolution, stride 1, zero padding 1, by Winograd's minimal filtering F(4×4, 3×3) (Lavin & Gray 2016): each tile of
//! 4×4 output pixels takes 36 products per pair of channels instead of 144.
//!
//! A task is a run of tiles of one image. Its input tiles (6×6 pixels, two shared with each neighbour) are transformed, each
//! of the 36 coefficients is multiplied by the transformed weights as a small matrix product over the channels, and the sums
//! are transformed back. Rounding errors are a few times those of the direct sum.

mod transform;
mod weight_gradient;

use rayon::prelude::*;

use super::map::{Kernel, MapShape, Planes};
use super::scratch::with_scratch;
use super::simd::{RegisterTile, Simd, dispatch, register_tile};
use transform::{Run, Tiles, transform_input};
pub use weight_gradient::weight_gradient;

/// Coefficients of a transformed tile.
const COEFFICIENTS: usize = 36;

/// Values between the coefficients of a run, so that those of one tile do not fall on the same few cache sets.
const SPREAD: usize = 16;

/// Side in pixels of the output tile.
const TILE: usize = 4;

/// Most tiles of a run at any level.
const RUN: usize = 48;

/// Weights transformed and reordered to (output block, coefficient, input, output in block); missing outputs are zero.
pub struct Packed {
    values: Vec<f32>,
    outputs: usize,
    inputs: usize,
    tile: RegisterTile,
}

impl Packed {
    /// Outputs with their padding.
    fn padded_outputs(&self) -> usize {
        self.outputs.next_multiple_of(self.tile.outputs)
    }

    /// Tiles in a run: the vectors of a register tile.
    fn run(&self) -> usize {
        self.tile.vectors * self.tile.lanes
    }
}

/// Packs a kernel.
pub fn pack(kernel: Kernel<'_>) -> Packed {
    let Kernel {
        outputs, inputs, ..
    } = kernel;
    let tile = register_tile();
    let size = inputs * tile.outputs;
    let mut values = vec![0.0; outputs.div_ceil(tile.outputs) * COEFFICIENTS * size];
    let blocks = values.par_chunks_exact_mut((COEFFICIENTS * size).max(1));
    blocks.enumerate().for_each(|(block, values)| {
        let first = block * tile.outputs;
        for o in first..outputs.min(first + tile.outputs) {
            for i in 0..inputs {
                let transformed = transform_weight(|tap| kernel.tap(o, i, tap));
                for (values, value) in values.chunks_exact_mut(size).zip(transformed) {
                    values[i * tile.outputs + o - first] = value;
                }
            }
        }
    });
    Packed {
        values,
        outputs,
        inputs,
        tile,
    }
}

/// One row of G·g.
fn weight_row(a: f32, b: f32, c: f32) -> [f32; 6] {
    let (even, odd) = ((a + c) / 6.0, b / 6.0);
    let (outer, inner) = (a / 24.0 + c / 6.0, b / 12.0);
    [
        a / 4.0,
        -(even + odd),
        odd - even,
        outer + inner,
        outer - inner,
        c,
    ]
}

/// G·g·Gᵀ.
fn transform_weight(tap: impl Fn(usize) -> f32) -> [f32; COEFFICIENTS] {
    let columns: [_; 3] = std::array::from_fn(|x| weight_row(tap(x), tap(3 + x), tap(6 + x)));
    let mut transformed = [0.0; COEFFICIENTS];
    for row in 0..6 {
        let values = weight_row(columns[0][row], columns[1][row], columns[2][row]);
        transformed[6 * row..6 * row + 6].copy_from_slice(&values);
    }
    transformed
}

/// Convolution (B, O, H, W) of `input` with packed weights, plus an optional bias per output.
pub fn convolve(input: &[f32], shape: MapShape, weight: &Packed, bias: Option<&[f32]>) -> Vec<f32> {
    let planes = Planes::new(shape.batch * weight.outputs, shape.plane());
    if planes.is_empty() {
        return Vec::new();
    }
    let run = weight.run();
    let held = shape.channels * run + SPREAD;
    let made = weight.padded_outputs() * run + SPREAD;
    let tasks = shape.batch * Tiles::of(shape).runs(run);
    (0..tasks).into_par_iter().for_each(|task| {
        with_scratch(COEFFICIENTS * (held + made), |scratch| {
            let (transformed, products) = scratch.split_at_mut(COEFFICIENTS * held);
            let run = &mut Run::new(input, shape, (task, run), shape.channels, transformed);
            transform_input(run);
            multiply(run, weight, products);
            let target = &Target {
                planes: &planes,
                first_plane: run.image * weight.outputs,
                weight,
                bias,
            };
            transform_output(run, products, target);
        });
    });
    // SAFETY: the runs cover every image, and each writes its tiles of all outputs.
    unsafe { planes.into_values() }
}

dispatch! { fn multiply(task: &Run<'_>, weight: &Packed, products: &mut [f32]) = multiply_kernel }

/// `products` (coefficient, output, tile) = weights · transformed input, for each coefficient.
#[inline(always)]
unsafe fn multiply_kernel<S: Simd>(task: &Run<'_>, weight: &Packed, products: &mut [f32]) {
    let (run, channels) = (weight.run(), weight.inputs);
    let block = weight.tile.outputs;
    let blocks = weight.outputs.div_ceil(block);
    let vectors = task.count.div_ceil(S::LANES);
    let (held, made) = (channels * run + SPREAD, blocks * block * run + SPREAD);
    for index in 0..COEFFICIENTS * blocks {
        let (coefficient, first) = (index / blocks, index % blocks * block);
        let place = index % blocks * COEFFICIENTS + coefficient;
        let weights = &weight.values[place * channels * block..][..channels * block];
        let input = &task.transformed[coefficient * held..][..channels * run];
        let target = &mut products[coefficient * made + first * run..][..block * run];
        let outputs = weight.outputs - first;
        // SAFETY: the level is the caller's, and the register tile is this level's.
        unsafe {
            match (S::REGISTERS == 32, outputs, vectors) {
                (true, _, 1) => product::<S, 8, 8, 1, 3>(weights, input, target),
                (true, _, 2) => product::<S, 8, 8, 2, 3>(weights, input, target),
                (true, ..) => product::<S, 8, 8, 3, 3>(weights, input, target),
                (false, 1..=2, _) => product::<S, 6, 2, 2, 2>(weights, input, target),
                (false, 3..=4, _) => product::<S, 6, 4, 2, 2>(weights, input, target),
                (false, _, 1) => product::<S, 6, 6, 1, 2>(weights, input, target),
                (false, ..) => product::<S, 6, 6, 2, 2>(weights, input, target),
            }
        }
    }
}

/// The first O outputs of a block of BLOCK by the first V of RUN vectors of tiles, summed over the channels.
#[inline(always)]
unsafe fn product<
    S: Simd,
    const BLOCK: usize,
    const O: usize,
    const V: usize,
    const VECTORS: usize,
>(
    weight: &[f32],
    input: &[f32],
    target: &mut [f32],
) {
    let run = VECTORS * S::LANES;
    let channels = weight.len() / BLOCK;
    assert!(input.len() == channels * run && target.len() == BLOCK * run);
    // SAFETY: the level is the caller's; sizes as just checked, O <= BLOCK and V <= VECTORS.
    unsafe {
        let mut sums = [[S::splat(0.0); V]; O];
        let (mut weight, mut input) = (weight.as_ptr(), input.as_ptr());
        for _ in 0..channels {
            let mut tiles = [S::splat(0.0); V];
            for (v, tile) in tiles.iter_mut().enumerate() {
                *tile = S::load(input.add(v * S::LANES));
            }
            for (o, sums) in sums.iter_mut().enumerate() {
                let factor = S::splat(*weight.add(o));
                for (sum, tile) in sums.iter_mut().zip(tiles) {
                    *sum = S::fma(factor, tile, *sum);
                }
            }
            weight = weight.add(BLOCK);
            input = input.add(run);
        }
        for (o, sums) in sums.iter().enumerate() {
            for (v, sum) in sums.iter().enumerate() {
                S::store(target.as_mut_ptr().add(o * run + v * S::LANES), *sum);
            }
        }
    }
}

/// Where a task's output goes.
struct Target<'a> {
    planes: &'a Planes,
    first_plane: usize,
    weight: &'a Packed,
    bias: Option<&'a [f32]>,
}

dispatch! { fn transform_output(task: &Run<'_>, products: &[f32], target: &Target<'_>) = output_kernel }

/// Aᵀ applied to six vectors.
#[inline(always)]
unsafe fn output_row<S: Simd>(m: [S::V; 6]) -> [S::V; 4] {
    // SAFETY: arithmetic of the caller's level.
    unsafe {
        let (a, b) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
        let (c, d) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
        [
            S::add(S::add(m[0], a), c),
            S::fma(S::splat(2.0), d, b),
            S::fma(S::splat(4.0), c, a),
            S::add(S::fma(S::splat(8.0), d, b), m[5]),
        ]
    }
}

#[inline(always)]
unsafe fn output_kernel<S: Simd>(task: &Run<'_>, products: &[f32], target: &Target<'_>) {
    let run = task.length;
    let stride = target.weight.padded_outputs() * run + SPREAD;
    let shape = task.shape;
    // The four rows of the output tiles beside each other.
    let mut rows = [[0f32; TILE * RUN]; TILE];
    for output in 0..target.weight.outputs {
        let bias = target.bias.map_or(0.0, |bias| bias[output]);
        let source = &products[output * run..];
        for first in (0..task.count).step_by(S::LANES) {
            // SAFETY: the level is the caller's; a run is a whole number of vectors.
            unsafe {
                let mut half = [[S::splat(0.0); 6]; TILE];
                for column in 0..6 {
                    let mut m = [S::splat(0.0); 6];
                    for (row, value) in m.iter_mut().enumerate() {
                        let place = (6 * row + column) * stride + first;
                        *value = S::load(source[place..][..S::LANES].as_ptr());
                    }
                    for (row, value) in half.iter_mut().zip(output_row::<S>(m)) {
                        row[column] = value;
                    }
                }
                for (row, half) in rows.iter_mut().zip(half) {
                    let pixels = output_row::<S>(half).map(|value| S::add(value, S::splat(bias)));
                    let target = &mut row[TILE * first..][..TILE * S::LANES];
                    S::store_phases(target.as_mut_ptr(), pixels);
                }
            }
        }
        for piece in task.tiles.pieces(task.first, task.count) {
            let width = (TILE * piece.count).min(shape.width - piece.x);
            for (row, pixels) in rows.iter().enumerate() {
                if piece.y + row >= shape.height {
                    break;
                }
                let offset = (piece.y + row) * shape.width + piece.x;
                // SAFETY: tiles of different runs, rows or outputs share no pixel, and this slice ends with its row.
                let line = unsafe {
                    let plane = target.first_plane + output;
                    target.planes.row(plane, offset, width)
                };
                line.write_copy_of_slice(&pixels[TILE * piece.offset..][..width]);
            }
        }
    }
}
