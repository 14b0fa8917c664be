use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Error, Raster, Result};

const LEVELS: usize = 256;

/// Contrast-limited adaptive histogram equalisation of 8-bit images, step by step as OpenCV's `createCLAHE`.
///
/// The image is divided into `tiles.0`×`tiles.1` tiles. Each tile's histogram is cut at `clip_limit` times its mean
/// bin, what was cut is spread evenly over all bins, and the cumulative histogram becomes the tile's gray-level
/// curve; every pixel is mapped by the bilinear mix of its four nearest tiles' curves. If the size is no multiple of
/// the tile count, the histograms (not the result) see the image extended to the right and below by reflection.
///
/// Reference: Zuiderveld, "Contrast Limited Adaptive Histogram Equalization", *Graphics Gems IV*, 1994.
///
/// ```
/// use venule_data::{Clahe, Raster};
/// let dim = Raster::from_fn(64, 64, |x, y| 100 + ((x + y) % 16) as u8);
/// let clear = Clahe::default().apply(&dim)?;
/// let spread = |image: &Raster<u8>| image.data().iter().max().unwrap() - image.data().iter().min().unwrap();
/// assert!(spread(&clear) > spread(&dim));
/// # Ok::<(), venule_data::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clahe {
    /// Highest bin, in units of the mean bin; 0 does not clip. Default 2.0.
    pub clip_limit: f32,
    /// Number of tiles (across, down). Default (8, 8).
    pub tiles: (usize, usize),
}

impl Default for Clahe {
    fn default() -> Self {
        Self {
            clip_limit: 2.0,
            tiles: (8, 8),
        }
    }
}

impl Clahe {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for a clip limit below 0 or not finite, or a tile count outside 1..=256.
    pub fn validate(&self) -> Result<()> {
        if !(0.0..=1e6).contains(&self.clip_limit) {
            return Err(Error::InvalidConfig {
                field: "Clahe::clip_limit",
                found: self.clip_limit.to_string(),
                expected: "between 0 (no clipping) and 1e6, e.g. 2.0",
            });
        }
        if !(1..=256).contains(&self.tiles.0) || !(1..=256).contains(&self.tiles.1) {
            return Err(Error::InvalidConfig {
                field: "Clahe::tiles",
                found: format!("{:?}", self.tiles),
                expected: "two numbers between 1 and 256, e.g. (8, 8)",
            });
        }
        Ok(())
    }

    /// Equalises one image.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn apply(&self, image: &Raster<u8>) -> Result<Raster<u8>> {
        self.validate()?;
        let (width, height) = image.size();
        if width == 0 || height == 0 {
            return Ok(image.clone());
        }
        let (across, down) = self.tiles;
        let (tile_w, tile_h) = tile_size((width, height), self.tiles);
        let curves: Vec<[u8; LEVELS]> = (0..across * down)
            .into_par_iter()
            .map(|tile| {
                let origin = (tile % across * tile_w, tile / across * tile_h);
                curve(histogram(image, origin, (tile_w, tile_h)), self.clip_limit)
            })
            .collect();

        let (columns, rows) = (
            Mixes::new(width, tile_w, across),
            Mixes::new(height, tile_h, down),
        );
        let mut out = Raster::filled(width, height, 0u8);
        let mut rest = out.data_mut();
        let mut bands = Vec::with_capacity(rows.spans.len());
        for band in &rows.spans {
            let (part, below) = rest.split_at_mut(band.places.len() * width);
            bands.push((band, part));
            rest = below;
        }
        bands.into_par_iter().for_each(|(band, out)| {
            let upper = &curves[band.first * across..][..across];
            let lower = &curves[band.second * across..][..across];
            let cells: Vec<Cell> = columns
                .spans
                .iter()
                .map(|span| cell(upper, lower, span))
                .collect();
            let lines = out.par_chunks_mut(width).zip(band.places.clone());
            lines.for_each(|(out, y)| {
                let lower_share = rows.weights[y];
                for (span, cell) in columns.spans.iter().zip(&cells) {
                    let places = span.places.clone();
                    let levels = &image.row(y)[places.clone()];
                    let shares = &columns.weights[places.clone()];
                    for ((o, &level), &right_share) in
                        out[places].iter_mut().zip(levels).zip(shares)
                    {
                        *o = mix(cell[usize::from(level)], right_share, lower_share);
                    }
                }
            });
        });
        Ok(out)
    }
}

/// The four curves around a pixel, level by level: upper left, lower left, upper right, lower right.
type Cell = Box<[[f32; 4]; LEVELS]>;

fn cell(upper: &[[u8; LEVELS]], lower: &[[u8; LEVELS]], span: &Span) -> Cell {
    let curves = [
        &upper[span.first],
        &lower[span.first],
        &upper[span.second],
        &lower[span.second],
    ];
    // One load of four neighbours in place of four loads from as many curves.
    Box::new(std::array::from_fn(|level| {
        curves.map(|curve| f32::from(curve[level]))
    }))
}

/// First across, then down, as OpenCV, so that the roundings are the same.
fn mix([upper_left, lower_left, upper_right, lower_right]: [f32; 4], right: f32, lower: f32) -> u8 {
    let upper_value = upper_left * (1.0 - right) + upper_right * right;
    let lower_value = lower_left * (1.0 - right) + lower_right * right;
    let value = upper_value * (1.0 - lower) + lower_value * lower;
    // From 2²³ on floats are whole numbers: the sum rounds half to even, its lowest byte is the level. Without SSE 4.1
    // `round_ties_even` is a call of a function.
    (value + 8_388_608.0).to_bits() as u8
}

/// OpenCV extends *both* directions if either is no multiple, by a whole extra tile count where it is one.
fn tile_size((width, height): (usize, usize), (across, down): (usize, usize)) -> (usize, usize) {
    if width.is_multiple_of(across) && height.is_multiple_of(down) {
        (width / across, height / down)
    } else {
        (width / across + 1, height / down + 1)
    }
}

/// Index after reflection about the last pixel (… c d c b …), for images of any size.
fn reflect(index: usize, length: usize) -> usize {
    if length == 1 {
        return 0;
    }
    let folded = index % (2 * (length - 1));
    folded.min(2 * (length - 1) - folded)
}

fn histogram(
    image: &Raster<u8>,
    (left, top): (usize, usize),
    (tile_w, tile_h): (usize, usize),
) -> [u32; LEVELS] {
    let (width, height) = image.size();
    // Four histograms in turn: neighbours are often equal, and a count would wait for the one before it.
    let mut bins = [[0u32; LEVELS]; 4];
    for y in top..top + tile_h {
        let row = image.row(reflect(y, height));
        let inside = &row[left.min(width)..(left + tile_w).min(width)];
        let (fours, rest) = inside.as_chunks::<4>();
        for four in fours {
            for (bins, &level) in bins.iter_mut().zip(four) {
                bins[usize::from(level)] += 1;
            }
        }
        for &level in rest {
            bins[0][usize::from(level)] += 1;
        }
        for x in left.max(width)..(left + tile_w).max(left.max(width)) {
            bins[0][usize::from(row[reflect(x, width)])] += 1;
        }
    }
    let [first, others @ ..] = bins;
    let mut sum = first;
    for bins in others {
        sum.iter_mut().zip(bins).for_each(|(sum, bin)| *sum += bin);
    }
    sum
}

/// Clips a histogram, redistributes what was cut, and integrates it to a gray-level curve.
fn curve(mut bins: [u32; LEVELS], clip_limit: f32) -> [u8; LEVELS] {
    let total: u32 = bins.iter().sum();
    if clip_limit > 0.0 {
        let limit = (f64::from(clip_limit) * f64::from(total) / LEVELS as f64) as u32;
        let limit = limit.max(1);
        let mut cut = 0;
        for bin in &mut bins {
            cut += bin.saturating_sub(limit);
            *bin = (*bin).min(limit);
        }
        let levels = LEVELS as u32;
        bins.iter_mut().for_each(|bin| *bin += cut / levels);
        let residual = (cut % levels) as usize;
        // Nothing is taken if nothing is left, whatever the step.
        let step = LEVELS.checked_div(residual).map_or(1, |step| step.max(1));
        for bin in bins.iter_mut().step_by(step).take(residual) {
            *bin += 1;
        }
    }
    let scale = (LEVELS - 1) as f32 / total as f32;
    let mut sum = 0u32;
    bins.map(|bin| {
        sum += bin;
        (sum as f32 * scale).round_ties_even() as u8
    })
}

/// Between which tiles the rows, or columns, of an image lie.
struct Mixes {
    /// Stretches between the same two tiles, in order.
    spans: Vec<Span>,
    /// For each row or column the share of the second tile.
    weights: Vec<f32>,
}

/// Rows or columns between the same two tiles.
struct Span {
    places: Range<usize>,
    first: usize,
    second: usize,
}

impl Mixes {
    fn new(side: usize, tile: usize, count: usize) -> Self {
        let clamp = |index: f32| (index.max(0.0) as usize).min(count - 1);
        let mut spans: Vec<Span> = Vec::with_capacity(count + 1);
        let mut weights = Vec::with_capacity(side);
        for place in 0..side {
            let at = place as f32 * (1.0 / tile as f32) - 0.5;
            let floor = at.floor();
            let (first, second) = (clamp(floor), clamp(floor + 1.0));
            weights.push(at - floor);
            match spans.last_mut() {
                Some(span) if (span.first, span.second) == (first, second) => {
                    span.places.end = place + 1;
                }
                _ => spans.push(Span {
                    places: place..place + 1,
                    first,
                    second,
                }),
            }
        }
        Self { spans, weights }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reflection_repeats_no_edge() {
        let folded: Vec<usize> = (0..9).map(|i| reflect(i, 4)).collect();
        assert_eq!(folded, [0, 1, 2, 3, 2, 1, 0, 1, 2]);
        assert_eq!(reflect(5, 1), 0);
    }

    #[test]
    fn an_unclipped_flat_histogram_gives_a_straight_curve() {
        let curve = curve([4; LEVELS], 0.0);
        // sum = 4(i + 1) of 1024, times 255: 255(i + 1)/256
        assert_eq!((curve[0], curve[127], curve[255]), (1, 128, 255));
    }

    #[test]
    fn halves_are_rounded_to_even_as_the_function_of_that_name_does() {
        for tenth in 0..=2550u16 {
            let value = f32::from(tenth) / 10.0;
            let found = mix([value; 4], 0.0, 0.0);
            assert_eq!(found, value.round_ties_even() as u8, "{value}");
        }
    }

    #[test]
    fn rows_and_columns_are_divided_without_a_gap() {
        for (side, tile, count) in [(1, 1, 8), (7, 1, 8), (565, 71, 8), (64, 8, 8), (9, 9, 1)] {
            let mixes = Mixes::new(side, tile, count);
            let places = mixes.spans.iter().flat_map(|span| span.places.clone());
            assert!(places.eq(0..side));
            assert_eq!(mixes.weights.len(), side);
        }
    }

    #[test]
    fn odd_settings_and_sizes_do_not_panic() {
        let strict = Clahe {
            clip_limit: f32::NAN,
            ..Clahe::default()
        };
        assert!(strict.apply(&Raster::filled(4, 4, 0)).is_err());
        let no_tile = Clahe {
            tiles: (0, 8),
            ..Clahe::default()
        };
        assert!(no_tile.apply(&Raster::filled(4, 4, 0)).is_err());
        for (w, h) in [(0, 0), (1, 1), (3, 1), (1, 9), (7, 8)] {
            let out = Clahe::default().apply(&Raster::filled(w, h, 7)).unwrap();
            assert_eq!(out.size(), (w, h));
        }
    }
}
