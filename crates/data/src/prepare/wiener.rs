use rayon::prelude::*;

use super::filter::window_sums;
use crate::{Error, Plane, Result};

/// The adaptive Wiener filter of SciPy (`scipy.signal.wiener(image, window)`).
///
/// With local mean m and variance s² over a `window`×`window` square (pixels outside the frame count as 0), and
/// the noise power n taken as the mean of all s²: `m + (1 − n/s²)(v − m)` where s² ≥ n, and `m` elsewhere. So flat
/// regions are smoothed and edges are left. Where SciPy would divide 0 by 0 (an image of zeros) the result is `m`.
///
/// Reference: Lim, *Two-Dimensional Signal and Image Processing*, 1990, p. 548.
///
/// ```
/// use venule_data::{wiener, Plane};
/// let image = Plane::from_fn(3, 3, |x, _| x as f32 * 10.0);
/// let smooth = wiener(&image, 3)?;
/// assert_eq!(smooth.size(), (3, 3));
/// # Ok::<(), venule_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidConfig`] unless `window` is odd and from 3 to 255.
pub fn wiener(image: &Plane, window: usize) -> Result<Plane> {
    check_window(window)?;
    let (width, height) = image.size();
    let data = image.data();
    let radius = window / 2;
    let at = |x: usize, y: usize| f64::from(data[y * width + x]);
    let mut means = window_sums(width, height, radius, at);
    let mut variances = window_sums(width, height, radius, |x, y| at(x, y) * at(x, y));
    let area = (window as f64) * (window as f64);
    means
        .par_iter_mut()
        .zip(&mut variances)
        .for_each(|(mean, variance)| {
            *mean /= area;
            *variance = *variance / area - *mean * *mean;
        });
    let noise = variances.iter().sum::<f64>() / (data.len().max(1) as f64);
    let filtered = data
        .par_iter()
        .zip(&means)
        .zip(&variances)
        .map(|((&value, &mean), &variance)| {
            if variance < noise || variance <= 0.0 {
                mean as f32
            } else {
                (mean + (f64::from(value) - mean) * (1.0 - noise / variance)) as f32
            }
        })
        .collect();
    Plane::new(width, height, filtered)
}

pub(crate) fn check_window(window: usize) -> Result<()> {
    if (3..=255).contains(&window) && !window.is_multiple_of(2) {
        return Ok(());
    }
    Err(Error::InvalidConfig {
        field: "the Wiener window",
        found: window.to_string(),
        expected: "an odd side from 3 to 255 pixels, e.g. 5",
    })
}
