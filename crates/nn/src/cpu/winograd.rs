//! 3×3 convolution, stride 1, zero padding 1, by Winograd's minimal filtering F(4×4, 3×3) (Lavin & Gray 2016): each tile of
//! 4×4 output pixels takes 36 products per pair of channels instead of 144.
//!
//! A task is a run of tiles of one image. Its input tiles (6×6 pixels, two shared with each neighbour) are transformed, each
//! of the 36 coefficients is multiplied by the transformed weights as a small matrix product over the channels, and the sums
//! are transformed back. Rounding errors are a few times those of the direct sum.

use rayon::prelude::*;

use super::conv3x3::{MapShape, Planes};
use super::scratch::with_scratch;
use super::simd::{RegisterTile, Simd, dispatch, register_tile};

/// Coefficients of a transformed tile.
const COEFFICIENTS: usize = 36;

/// Values between the coefficients of a run, so that those of one tile do not fall on the same few cache sets.
const SPREAD: usize = 16;

/// Side in pixels of the output tile.
const TILE: usize = 4;

/// Most tiles of a run at any level.
const RUN: usize = 48;

/// The tiles of a map, row by row.
#[derive(Clone, Copy)]
pub struct Tiles {
    across: usize,
    count: usize,
}

impl Tiles {
    /// The tiles that cover a map.
    pub fn of(shape: MapShape) -> Self {
        let across = shape.width.div_ceil(TILE);
        Self {
            across,
            count: across * shape.height.div_ceil(TILE),
        }
    }

    /// Their number.
    pub fn count(self) -> usize {
        self.count
    }

    /// The pieces of a run of tiles that lie in one row each.
    fn pieces(self, first: usize, count: usize) -> impl Iterator<Item = Piece> {
        let end = first + count;
        let mut next = first;
        std::iter::from_fn(move || {
            (next < end).then(|| {
                let (ty, tx) = (next / self.across, next % self.across);
                let count = (self.across - tx).min(end - next);
                let piece = Piece {
                    y: TILE * ty,
                    x: TILE * tx,
                    count,
                    offset: next - first,
                };
                next += count;
                piece
            })
        })
    }
}

/// Tiles beside each other: the pixel where they begin, how many, and the place of the first in its run.
struct Piece {
    y: usize,
    x: usize,
    count: usize,
    offset: usize,
}

/// Weights transformed and reordered to (coefficient, output block, input, output in block); missing outputs are zero.
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

/// Packs a weight (outputs, inputs, 3, 3) for the forward pass.
pub fn pack(weight: &[f32], outputs: usize, inputs: usize) -> Packed {
    pack_by(outputs, inputs, |o, i, tap| {
        weight[(o * inputs + i) * 9 + tap]
    })
}

/// Packs the same weight for the input gradient: inputs and outputs swapped, taps turned by 180°.
pub fn pack_transposed(weight: &[f32], outputs: usize, inputs: usize) -> Packed {
    pack_by(inputs, outputs, |i, o, tap| {
        weight[(o * inputs + i) * 9 + 8 - tap]
    })
}

fn pack_by(
    outputs: usize,
    inputs: usize,
    weight: impl Fn(usize, usize, usize) -> f32 + Sync,
) -> Packed {
    let tile = register_tile();
    let blocks = outputs.div_ceil(tile.outputs);
    let size = blocks * inputs * tile.outputs;
    let mut values = vec![0.0; COEFFICIENTS * size];
    for o in 0..outputs {
        for i in 0..inputs {
            let place = ((o / tile.outputs) * inputs + i) * tile.outputs + o % tile.outputs;
            let transformed = transform_weight(|tap| weight(o, i, tap));
            for (coefficient, value) in transformed.into_iter().enumerate() {
                values[coefficient * size + place] = value;
            }
        }
    }
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

/// `output` (B, O, H, W) = convolution of `input` with packed weights, plus an optional bias per output.
pub fn convolve(
    input: &[f32],
    shape: MapShape,
    weight: &Packed,
    bias: Option<&[f32]>,
    output: &mut [f32],
) {
    if output.is_empty() {
        return;
    }
    let tiles = Tiles::of(shape);
    let run = weight.run();
    let runs = tiles.count().div_ceil(run);
    let planes = Planes::new(output, shape.plane());
    let held = shape.channels * run + SPREAD;
    let made = weight.padded_outputs() * run + SPREAD;
    (0..shape.batch * runs).into_par_iter().for_each(|task| {
        let (image, first) = (task / runs, task % runs * run);
        with_scratch(COEFFICIENTS * (held + made), |scratch| {
            let (transformed, products) = scratch.split_at_mut(COEFFICIENTS * held);
            let task = &mut Task {
                input: &input[image * shape.channels * shape.plane()..],
                shape,
                tiles,
                run,
                first,
                count: run.min(tiles.count() - first),
                transformed,
            };
            transform_input(task);
            multiply(task, weight, products);
            transform_output(
                task,
                products,
                &Target {
                    planes: &planes,
                    first_plane: image * weight.outputs,
                    weight,
                    bias,
                },
            );
        });
    });
}

/// Values of a line behind a piece, with room for the last vector.
const LINE: usize = TILE * RUN + 32;

/// A run of tiles of one image.
struct Task<'a> {
    /// From the image's first pixel.
    input: &'a [f32],
    shape: MapShape,
    tiles: Tiles,
    /// Tiles of a run with its padding.
    run: usize,
    first: usize,
    count: usize,
    /// (coefficient, channel, tile of the run), coefficients `channels · run + SPREAD` apart.
    transformed: &'a mut [f32],
}

dispatch! { fn transform_input(task: &mut Task<'_>) = input_kernel }

#[inline(always)]
unsafe fn input_kernel<S: Simd>(task: &mut Task<'_>) {
    let (run, channels) = (task.run, task.shape.channels);
    let stride = channels * run + SPREAD;
    let (mut sources, mut lines) = ([[0f32; LINE]; 6], [[0f32; LINE]; 6]);
    for channel in 0..channels {
        let plane = &task.input[channel * task.shape.plane()..][..task.shape.plane()];
        for piece in task.tiles.pieces(task.first, task.count) {
            let rows = gather(plane, task.shape, &piece, &mut sources);
            let target = &mut task.transformed[channel * run + piece.offset..];
            // SAFETY: the level is the caller's.
            unsafe {
                down::<S>(rows, &mut lines, TILE * piece.count + 2);
                across::<S>(&lines, piece.count, target, stride);
            }
        }
        for coefficient in 0..COEFFICIENTS {
            let start = coefficient * stride + channel * run;
            task.transformed[start + task.count..start + run].fill(0.0);
        }
    }
}

/// Where the six input rows behind a piece begin: in the plane, or copied to `lines` where the image's border is near; zero
/// outside the image. Each holds its last vector whole.
#[inline(always)]
fn gather(
    plane: &[f32],
    shape: MapShape,
    piece: &Piece,
    lines: &mut [[f32; LINE]; 6],
) -> [*const f32; 6] {
    let length = TILE * piece.count + 2;
    let skipped = usize::from(piece.x == 0);
    let start = piece.x + skipped - 1;
    let end = (piece.x + length - 1).min(shape.width);
    let inside = end - start == length;
    let mut starts = [std::ptr::null(); 6];
    let rows = lines.iter_mut().zip(&mut starts);
    for (row, (line, begin)) in rows.enumerate() {
        let y = (piece.y + row).checked_sub(1).filter(|&y| y < shape.height);
        let source = y.map(|y| &plane[y * shape.width + start..]);
        *begin = match source {
            Some(source) if inside && source.len() >= length + 16 => source.as_ptr(),
            Some(source) => {
                line[..skipped].fill(0.0);
                line[skipped..][..end - start].copy_from_slice(&source[..end - start]);
                line[skipped + end - start..length].fill(0.0);
                line.as_ptr()
            }
            None => {
                line[..length].fill(0.0);
                line.as_ptr()
            }
        };
    }
    starts
}

/// Bᵀ applied to six vectors.
#[inline(always)]
unsafe fn input_row<S: Simd>(d: [S::V; 6]) -> [S::V; 6] {
    // SAFETY: arithmetic of the caller's level.
    unsafe {
        let [two, four, minus_five] = [S::splat(2.0), S::splat(4.0), S::splat(-5.0)];
        let (a, b) = (S::sub(d[4], d[2]), S::mul(two, S::sub(d[3], d[1])));
        let (c, e) = (
            S::fma(S::splat(-4.0), d[2], d[4]),
            S::fma(S::splat(-4.0), d[1], d[3]),
        );
        [
            S::fma(four, d[0], S::fma(minus_five, d[2], d[4])),
            S::add(c, e),
            S::sub(c, e),
            S::add(a, b),
            S::sub(a, b),
            S::fma(four, d[1], S::fma(minus_five, d[3], d[5])),
        ]
    }
}

/// Transforms the columns of six rows into `lines`.
#[inline(always)]
unsafe fn down<S: Simd>(rows: [*const f32; 6], lines: &mut [[f32; LINE]; 6], length: usize) {
    let mut x = 0;
    while x < length {
        // SAFETY: the level is the caller's; rows and lines hold the vector that ends beyond `length`.
        unsafe {
            let mut d = [S::splat(0.0); 6];
            for (value, row) in d.iter_mut().zip(rows) {
                *value = S::load(row.add(x));
            }
            for (value, line) in input_row::<S>(d).into_iter().zip(&mut *lines) {
                S::store(line.as_mut_ptr().add(x), value);
            }
        }
        x += S::LANES;
    }
}

/// Transforms six lines along their rows: 36 coefficients of `count` tiles, `stride` values apart.
#[inline(always)]
unsafe fn across<S: Simd>(
    lines: &[[f32; LINE]; 6],
    count: usize,
    target: &mut [f32],
    stride: usize,
) {
    const PHASE: usize = RUN + 17;
    let mut phases = [[0f32; PHASE]; TILE];
    for (y, line) in lines.iter().enumerate() {
        let quads = &line.as_chunks::<TILE>().0[..=count];
        for (t, pixels) in quads.iter().enumerate() {
            for (phase, &pixel) in phases.iter_mut().zip(pixels) {
                phase[t] = pixel;
            }
        }
        let mut t = 0;
        while t < count {
            let left = count - t;
            // SAFETY: the level is the caller's; phases have room for a vector beyond the last tile; stores are cut.
            unsafe {
                let at = |phase: usize, t: usize| S::load(phases[phase].as_ptr().add(t));
                let d = [
                    at(0, t),
                    at(1, t),
                    at(2, t),
                    at(3, t),
                    at(0, t + 1),
                    at(1, t + 1),
                ];
                for (x, value) in input_row::<S>(d).into_iter().enumerate() {
                    let target = &mut target[(6 * y + x) * stride + t..][..left.min(S::LANES)];
                    if left >= S::LANES {
                        S::store(target.as_mut_ptr(), value);
                    } else {
                        S::store_first(target.as_mut_ptr(), value, left);
                    }
                }
            }
            t += S::LANES;
        }
    }
}

dispatch! { fn multiply(task: &Task<'_>, weight: &Packed, products: &mut [f32]) = multiply_kernel }

/// `products` (coefficient, output, tile) = weights · transformed input, for each coefficient.
#[inline(always)]
unsafe fn multiply_kernel<S: Simd>(task: &Task<'_>, weight: &Packed, products: &mut [f32]) {
    let (run, channels) = (weight.run(), weight.inputs);
    let block = weight.tile.outputs;
    let blocks = weight.outputs.div_ceil(block);
    let vectors = task.count.div_ceil(S::LANES);
    let (held, made) = (channels * run + SPREAD, blocks * block * run + SPREAD);
    let weights = weight.values.chunks_exact(channels * block);
    for (index, weights) in weights.enumerate() {
        let (coefficient, first) = (index / blocks, index % blocks * block);
        let input = &task.transformed[coefficient * held..][..channels * run];
        let target = &mut products[coefficient * made + first * run..][..block * run];
        let outputs = weight.outputs - first;
        // SAFETY: the level is the caller's, and the register tile is this level's.
        unsafe {
            match (S::LANES == 16, outputs, vectors) {
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

dispatch! { fn transform_output(task: &Task<'_>, products: &[f32], target: &Target<'_>) = output_kernel }

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
unsafe fn output_kernel<S: Simd>(task: &Task<'_>, products: &[f32], target: &Target<'_>) {
    let run = task.run;
    let stride = target.weight.padded_outputs() * run + SPREAD;
    let shape = task.shape;
    // (row, column, tile) of the output tiles
    let mut pixels = [[[0f32; RUN]; TILE]; TILE];
    for output in 0..target.weight.outputs {
        let bias = target.bias.map_or(0.0, |bias| bias[output]);
        let source = &products[output * run..];
        for first in (0..task.count).step_by(S::LANES) {
            // SAFETY: the level is the caller's; a run is a whole number of vectors.
            unsafe {
                let mut rows = [[S::splat(0.0); 6]; TILE];
                for column in 0..6 {
                    let mut m = [S::splat(0.0); 6];
                    for (row, value) in m.iter_mut().enumerate() {
                        let place = (6 * row + column) * stride + first;
                        *value = S::load(source[place..][..S::LANES].as_ptr());
                    }
                    for (row, value) in rows.iter_mut().zip(output_row::<S>(m)) {
                        row[column] = value;
                    }
                }
                for (pixels, row) in pixels.iter_mut().zip(rows) {
                    for (pixels, value) in pixels.iter_mut().zip(output_row::<S>(row)) {
                        let value = S::add(value, S::splat(bias));
                        S::store(pixels[first..][..S::LANES].as_mut_ptr(), value);
                    }
                }
            }
        }
        for piece in task.tiles.pieces(task.first, task.count) {
            let width = (TILE * piece.count).min(shape.width - piece.x);
            for (row, pixels) in pixels.iter().enumerate() {
                if piece.y + row >= shape.height {
                    break;
                }
                let offset = (piece.y + row) * shape.width + piece.x;
                let line = target
                    .planes
                    .row(target.first_plane + output, offset, width);
                let (whole, rest) = line.as_chunks_mut::<TILE>();
                for (t, quad) in (piece.offset..).zip(whole.iter_mut()) {
                    *quad = std::array::from_fn(|x| pixels[x][t]);
                }
                let last = piece.offset + whole.len();
                for (x, value) in rest.iter_mut().enumerate() {
                    *value = pixels[x][last];
                }
            }
        }
    }
}
