//! Tiles of a map, and their transforms to the 36 coefficients.

use super::{COEFFICIENTS, RUN, SPREAD, TILE};
use crate::cpu::map::MapShape;
use crate::cpu::simd::{Simd, dispatch};

/// The tiles of a map, row by row.
#[derive(Clone, Copy)]
pub(super) struct Tiles {
    across: usize,
    count: usize,
}

impl Tiles {
    /// The tiles that cover a map.
    pub(super) fn of(shape: MapShape) -> Self {
        let across = shape.width.div_ceil(TILE);
        Self {
            across,
            count: across * shape.height.div_ceil(TILE),
        }
    }

    /// Runs of `length` tiles that hold them all.
    pub(super) fn runs(self, length: usize) -> usize {
        self.count.div_ceil(length)
    }

    /// The pieces of a run of tiles that lie in one row each.
    pub(super) fn pieces(self, first: usize, count: usize) -> impl Iterator<Item = Piece> {
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
pub(super) struct Piece {
    pub(super) y: usize,
    pub(super) x: usize,
    pub(super) count: usize,
    pub(super) offset: usize,
}

/// Values of a line behind a piece, with room for the last vector.
const LINE: usize = TILE * RUN + 32;

/// A run of tiles of one image.
pub(super) struct Run<'a> {
    pub(super) image: usize,
    /// From the image's first pixel.
    map: &'a [f32],
    pub(super) shape: MapShape,
    pub(super) tiles: Tiles,
    /// Tiles of a run with its padding.
    pub(super) length: usize,
    pub(super) first: usize,
    pub(super) count: usize,
    /// The map's channels with their padding.
    pub(super) channels: usize,
    /// (coefficient, channel, tile of the run), coefficients `channels · length + SPREAD` apart; padding becomes zero.
    pub(super) transformed: &'a mut [f32],
}

impl<'a> Run<'a> {
    /// The `index`th run of a batch whose images are each cut into runs of `length` tiles.
    pub(super) fn new(
        maps: &'a [f32],
        shape: MapShape,
        (index, length): (usize, usize),
        channels: usize,
        transformed: &'a mut [f32],
    ) -> Self {
        let tiles = Tiles::of(shape);
        let runs = tiles.runs(length);
        let (image, first) = (index / runs, index % runs * length);
        Self {
            image,
            map: &maps[image * shape.channels * shape.plane()..],
            shape,
            tiles,
            length,
            first,
            count: length.min(tiles.count - first),
            channels,
            transformed,
        }
    }
}

/// How the pixels of a tile become six values along each axis.
trait Transform {
    /// Pixels along an axis: the four of a tile, and those around it.
    const SIDE: usize;
    /// Pixels before the tile.
    const BEFORE: usize;
    /// Six values of the first `SIDE` vectors.
    unsafe fn apply<S: Simd>(d: [S::V; 6]) -> [S::V; 6];
}

/// Of the convolution's input: Bᵀ.
struct Input;

impl Transform for Input {
    const SIDE: usize = 6;
    const BEFORE: usize = 1;

    #[inline(always)]
    unsafe fn apply<S: Simd>(d: [S::V; 6]) -> [S::V; 6] {
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
}

/// Of the output's gradient: A.
struct Gradient;

impl Transform for Gradient {
    const SIDE: usize = 4;
    const BEFORE: usize = 0;

    #[inline(always)]
    unsafe fn apply<S: Simd>(d: [S::V; 6]) -> [S::V; 6] {
        // SAFETY: arithmetic of the caller's level.
        unsafe {
            let (a, b) = (S::add(d[0], d[2]), S::add(d[1], d[3]));
            let c = S::fma(S::splat(4.0), d[2], d[0]);
            let e = S::fma(S::splat(8.0), d[3], S::mul(S::splat(2.0), d[1]));
            [
                d[0],
                S::add(a, b),
                S::sub(a, b),
                S::add(c, e),
                S::sub(c, e),
                d[3],
            ]
        }
    }
}

dispatch! { pub(super) fn transform_input(run: &mut Run<'_>) = input_kernel }
dispatch! { pub(super) fn transform_gradient(run: &mut Run<'_>) = gradient_kernel }

#[inline(always)]
unsafe fn input_kernel<S: Simd>(run: &mut Run<'_>) {
    // SAFETY: the level is the caller's.
    unsafe { transform::<S, Input>(run) }
}

#[inline(always)]
unsafe fn gradient_kernel<S: Simd>(run: &mut Run<'_>) {
    // SAFETY: the level is the caller's.
    unsafe { transform::<S, Gradient>(run) }
}

/// What a transform works with, kept from channel to channel.
struct Lines {
    /// Rows that the map does not hold whole.
    copied: [[f32; LINE]; 6],
    /// The rows, transformed along the columns.
    down: [[f32; LINE]; 6],
    /// Every fourth value of a line.
    phases: [[f32; PHASE]; TILE],
}

/// Values of a phase, with room for a vector beyond the last tile.
const PHASE: usize = RUN + 17;

/// Values in a cache line.
const CACHE_LINE: usize = 16;

/// A row outside the image.
static ZEROS: [f32; LINE] = [0.0; LINE];

#[inline(always)]
unsafe fn transform<S: Simd, T: Transform>(run: &mut Run<'_>) {
    let (length, plane) = (run.length, run.shape.plane());
    let stride = run.channels * length + SPREAD;
    let mut lines = Lines {
        copied: [[0.0; LINE]; 6],
        down: [[0.0; LINE]; 6],
        phases: [[0.0; PHASE]; TILE],
    };
    for channel in 0..run.shape.channels {
        for piece in run.tiles.pieces(run.first, run.count) {
            let rows = find_rows::<T>(
                run.map,
                channel * plane,
                run.shape,
                &piece,
                &mut lines.copied,
            );
            let target = &mut run.transformed[channel * length + piece.offset..];
            // SAFETY: the level is the caller's.
            unsafe {
                let pixels = TILE * piece.count + T::SIDE - TILE;
                fetch_next::<S>(&rows[..T::SIDE], plane, pixels);
                down::<S, T>(rows, &mut lines.down, pixels);
                clear_outside::<T>(&mut lines.down, run.shape.width, &piece, pixels);
                across::<S, T>(&mut lines, piece.count, target, stride);
            }
        }
        for coefficient in 0..COEFFICIENTS {
            let start = coefficient * stride + channel * length;
            run.transformed[start + run.count..start + length].fill(0.0);
        }
    }
    for coefficient in 0..COEFFICIENTS {
        let start = coefficient * stride;
        let padding = start + run.shape.channels * length..start + run.channels * length;
        run.transformed[padding].fill(0.0);
    }
}

/// Where the rows behind a piece begin: in the map, whose values beside the image are of other rows, or in `copied` where it
/// has no values there. Each holds its last vector whole.
#[inline(always)]
fn find_rows<T: Transform>(
    map: &[f32],
    plane: usize,
    shape: MapShape,
    piece: &Piece,
    copied: &mut [[f32; LINE]; 6],
) -> [*const f32; 6] {
    let length = TILE * piece.count + T::SIDE - TILE;
    let mut starts = [ZEROS.as_ptr(); 6];
    for (row, (line, begin)) in copied.iter_mut().zip(&mut starts).take(T::SIDE).enumerate() {
        let y = (piece.y + row).checked_sub(T::BEFORE);
        let Some(y) = y.filter(|&y| y < shape.height) else {
            continue;
        };
        let first = plane + y * shape.width + piece.x;
        let whole = first
            .checked_sub(T::BEFORE)
            .and_then(|start| map.get(start..start + length + 16));
        *begin = match whole {
            Some(row) => row.as_ptr(),
            None => {
                for (x, value) in line[..length].iter_mut().enumerate() {
                    let place = (first + x).checked_sub(T::BEFORE);
                    *value = place.and_then(|place| map.get(place)).map_or(0.0, |v| *v);
                }
                line.as_ptr()
            }
        };
    }
    starts
}

/// Fetches the same rows of the next channel: too short and too far apart for the processor to foresee them.
#[inline(always)]
unsafe fn fetch_next<S: Simd>(rows: &[*const f32], plane: usize, length: usize) {
    for row in rows {
        for x in (0..length).step_by(CACHE_LINE) {
            // SAFETY: the level is the caller's; the address need not be valid.
            unsafe { S::prefetch(row.wrapping_add(plane + x)) }
        }
    }
}

/// Zeroes the columns that lie beside the image.
#[inline(always)]
fn clear_outside<T: Transform>(
    lines: &mut [[f32; LINE]; 6],
    width: usize,
    piece: &Piece,
    length: usize,
) {
    let before = T::BEFORE.saturating_sub(piece.x);
    let end = (width + T::BEFORE - piece.x).min(length);
    for line in lines {
        line[..before].fill(0.0);
        line[end..length].fill(0.0);
    }
}

/// Transforms the columns of the rows into `lines`.
#[inline(always)]
unsafe fn down<S: Simd, T: Transform>(
    rows: [*const f32; 6],
    lines: &mut [[f32; LINE]; 6],
    length: usize,
) {
    let mut x = 0;
    while x < length {
        // SAFETY: the level is the caller's; the first SIDE rows and all lines hold the vector that ends beyond `length`.
        unsafe {
            let mut d = [S::splat(0.0); 6];
            for (value, row) in d.iter_mut().zip(rows).take(T::SIDE) {
                *value = S::load(row.add(x));
            }
            for (value, line) in T::apply::<S>(d).into_iter().zip(&mut *lines) {
                S::store(line.as_mut_ptr().add(x), value);
            }
        }
        x += S::LANES;
    }
}

/// Transforms six lines along their rows: 36 coefficients of `count` tiles, `stride` values apart.
#[inline(always)]
unsafe fn across<S: Simd, T: Transform>(
    lines: &mut Lines,
    count: usize,
    target: &mut [f32],
    stride: usize,
) {
    let Lines { down, phases, .. } = lines;
    for (y, line) in down.iter().enumerate() {
        for t in (0..count).step_by(S::LANES) {
            // SAFETY: the level is the caller's; line and phases hold every vector of a run.
            unsafe {
                let values = S::load_phases(line.as_ptr().add(TILE * t));
                for (phase, values) in phases.iter_mut().zip(values) {
                    S::store(phase.as_mut_ptr().add(t), values);
                }
            }
        }
        // What the last tile shares with its neighbour.
        for (phase, &pixel) in phases.iter_mut().zip(&line[TILE * count..]) {
            phase[count] = pixel;
        }
        let mut t = 0;
        while t < count {
            let left = count - t;
            // SAFETY: the level is the caller's; phases have room for a vector beyond the last tile; stores are cut.
            unsafe {
                let mut d = [S::splat(0.0); 6];
                for (x, value) in d.iter_mut().enumerate().take(T::SIDE) {
                    *value = S::load(phases[x % TILE].as_ptr().add(t + x / TILE));
                }
                for (x, value) in T::apply::<S>(d).into_iter().enumerate() {
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
