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

        let columns: Vec<Mix> = (0..width).map(|x| Mix::new(x, tile_w, across)).collect();
        let mut out = Raster::filled(width, height, 0u8);
        out.data_mut()
            .par_chunks_mut(width)
            .enumerate()
            .for_each(|(y, row)| {
                let vertical = Mix::new(y, tile_h, down);
                let upper = &curves[vertical.first * across..][..across];
                let lower = &curves[vertical.second * across..][..across];
                for ((o, &v), mix) in row.iter_mut().zip(image.row(y)).zip(&columns) {
                    let level = usize::from(v);
                    let blend = |curves: &[[u8; LEVELS]]| {
                        f32::from(curves[mix.first][level]) * (1.0 - mix.weight)
                            + f32::from(curves[mix.second][level]) * mix.weight
                    };
                    let value =
                        blend(upper) * (1.0 - vertical.weight) + blend(lower) * vertical.weight;
                    *o = value.round_ties_even() as u8;
                }
            });
        Ok(out)
    }
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
    let mut bins = [0u32; LEVELS];
    let (width, height) = image.size();
    for y in top..top + tile_h {
        let row = image.row(reflect(y, height));
        for x in left..left + tile_w {
            bins[usize::from(row[reflect(x, width)])] += 1;
        }
    }
    bins
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

/// The two tiles a row or column lies between, and the second one's share.
struct Mix {
    first: usize,
    second: usize,
    weight: f32,
}

impl Mix {
    fn new(position: usize, tile: usize, count: usize) -> Self {
        let at = position as f32 * (1.0 / tile as f32) - 0.5;
        let floor = at.floor();
        let clamp = |index: f32| (index.max(0.0) as usize).min(count - 1);
        Self {
            first: clamp(floor),
            second: clamp(floor + 1.0),
            weight: at - floor,
        }
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
