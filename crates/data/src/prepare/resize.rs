use rayon::prelude::*;

use crate::{Error, Mask, Plane, Raster, Result};

/// Most pixels any resized, padded or cropped raster may have (268 million: an 16k×16k square).
const MAX_PIXELS: usize = 1 << 28;

/// Refuses sizes that are empty or would exhaust memory.
pub(crate) fn check_size(field: &'static str, (width, height): (usize, usize)) -> Result<()> {
    match width.checked_mul(height) {
        Some(1..=MAX_PIXELS) => Ok(()),
        _ => Err(Error::InvalidConfig {
            field,
            found: format!("{width}x{height}"),
            expected: "at least 1x1 and at most 2^28 pixels",
        }),
    }
}

/// Bilinear resampling with half-pixel centres.
///
/// Enlarging is the usual bilinear interpolation; along a shrinking axis the triangle grows with the factor, so that
/// every source pixel counts and nothing aliases. Both equal PyTorch's
/// `interpolate(mode="bilinear", align_corners=False, antialias=True)`.
///
/// ```
/// use venule_data::{resize_plane, Plane};
/// let row = Plane::new(2, 1, vec![0.0, 4.0])?;
/// assert_eq!(resize_plane(&row, (4, 1))?.data(), &[0.0, 1.0, 3.0, 4.0]);
/// assert_eq!(resize_plane(&row, (1, 1))?.data(), &[2.0]);
/// # Ok::<(), venule_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidConfig`] if either size is empty or the new one has more than 2^28 pixels.
pub fn resize_plane(plane: &Plane, size: (usize, usize)) -> Result<Plane> {
    check_size("the size to resize from", plane.size())?;
    check_size("the size to resize to", size)?;
    if plane.size() == size {
        return Ok(plane.clone());
    }
    let (columns, rows) = (taps(plane.width(), size.0), taps(plane.height(), size.1));
    // The usual order is across first; an extreme shape takes the other, whose map between the two is the smaller one.
    let most = (plane.width() * plane.height()).max(size.0 * size.1);
    Ok(match size.0 * plane.height() <= most {
        true => down(&across(plane, &columns), &rows),
        false => across(&down(plane, &rows), &columns),
    })
}

/// Resamples every row.
fn across(plane: &Plane, taps: &[Taps]) -> Plane {
    let mut out = Raster::filled(taps.len(), plane.height(), 0.0f32);
    let rows = out.data_mut().par_chunks_mut(taps.len());
    rows.enumerate().for_each(|(y, out)| {
        let row = plane.row(y);
        for (o, tap) in out.iter_mut().zip(taps) {
            let pixels = row[tap.first..].iter();
            *o = pixels.zip(&tap.weights).map(|(v, w)| v * w).sum();
        }
    });
    out
}

/// Resamples every column.
fn down(plane: &Plane, taps: &[Taps]) -> Plane {
    let mut out = Raster::filled(plane.width(), taps.len(), 0.0f32);
    let rows = out.data_mut().par_chunks_mut(plane.width());
    rows.zip(taps).for_each(|(out, tap)| {
        for (y, w) in (tap.first..).zip(&tap.weights) {
            for (o, v) in out.iter_mut().zip(plane.row(y)) {
                *o += w * v;
            }
        }
    });
    out
}

/// Nearest-neighbour resampling with half-pixel centres (PyTorch's `"nearest-exact"`); masks stay masks.
///
/// ```
/// use venule_data::{resize_mask, Mask};
/// let row = Mask::new(2, 1, vec![false, true])?;
/// assert_eq!(resize_mask(&row, (4, 1))?.data(), &[false, false, true, true]);
/// # Ok::<(), venule_data::Error>(())
/// ```
///
/// # Errors
/// As [`resize_plane`].
pub fn resize_mask(mask: &Mask, size: (usize, usize)) -> Result<Mask> {
    check_size("the size to resize from", mask.size())?;
    check_size("the size to resize to", size)?;
    let nearest =
        |out: usize, from: usize, to: usize| ((2 * out + 1) * from / (2 * to)).min(from - 1);
    let columns: Vec<usize> = (0..size.0)
        .map(|x| nearest(x, mask.width(), size.0))
        .collect();
    let mut data = Vec::with_capacity(size.0 * size.1);
    for y in 0..size.1 {
        let row = mask.row(nearest(y, mask.height(), size.1));
        data.extend(columns.iter().map(|&x| row[x]));
    }
    Mask::new(size.0, size.1, data)
}

/// The source pixels behind one output pixel along one axis.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

fn taps(from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let support = scale.max(1.0);
    (0..to)
        .map(|i| {
            let centre = scale * (i as f64 + 0.5);
            let first = ((centre - support + 0.5).max(0.0)) as usize;
            let end = ((centre + support + 0.5) as usize).clamp(first + 1, from.max(first + 1));
            let triangle: Vec<f64> = (first..end)
                .map(|j| (1.0 - ((j as f64 + 0.5 - centre) / support).abs()).max(0.0))
                .collect();
            let total: f64 = triangle.iter().sum();
            Taps {
                first,
                weights: triangle.iter().map(|w| (w / total) as f32).collect(),
            }
        })
        .collect()
}
