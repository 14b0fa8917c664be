//! Small linear filters that several modules share.

use rayon::prelude::*;

use crate::{Plane, Raster};

/// The weights of four grid points for a place `t` in [0, 1) between the second and the third, by the cubic B-spline.
pub(crate) fn b_spline(t: f32) -> [f32; 4] {
    let s = 1.0 - t;
    let inner = |t: f32| (3.0 * t * t * t - 6.0 * t * t + 4.0) / 6.0;
    [s * s * s / 6.0, inner(t), inner(s), t * t * t / 6.0]
}

/// So small a sigma leaves every weight but the middle one 0, and a smaller one has a square of 0.
const SMALLEST_SIGMA: f32 = 1e-3;

/// Gaussian blur by a standard deviation of `sigma` pixels.
///
/// The kernel reaches ⌈3 sigma⌉ pixels and sums to 1; edge pixels are repeated outwards. A sigma below a thousandth copies.
///
/// ```
/// use venule_data::{Plane, gaussian_blur};
/// let point = Plane::from_fn(9, 9, |x, y| f32::from(u8::from((x, y) == (4, 4))));
/// let blurred = gaussian_blur(&point, 1.0);
/// assert!((blurred.data().iter().sum::<f32>() - 1.0).abs() < 1e-5);
/// assert!(blurred.get(4, 4) > blurred.get(5, 4));
/// ```
pub fn gaussian_blur(plane: &Plane, sigma: f32) -> Plane {
    let (width, height) = plane.size();
    if sigma < SMALLEST_SIGMA || width == 0 || height == 0 {
        return plane.clone();
    }
    let radius = ((3.0 * sigma).ceil() as usize).clamp(1, width.max(height));
    let mut kernel: Vec<f32> = (0..=2 * radius)
        .map(|i| {
            let d = i as f32 - radius as f32;
            (-d * d / (2.0 * sigma * sigma)).exp()
        })
        .collect();
    let total: f32 = kernel.iter().sum();
    kernel.iter_mut().for_each(|k| *k /= total);

    let mut across = Raster::filled(width, height, 0.0f32);
    across
        .data_mut()
        .par_chunks_mut(width)
        .enumerate()
        .for_each_init(
            || vec![0.0f32; width + 2 * radius],
            |padded, (y, out)| {
                let row = plane.row(y);
                padded[..radius].fill(row[0]);
                padded[radius..radius + width].copy_from_slice(row);
                padded[radius + width..].fill(row[width - 1]);
                for (k, shifted) in kernel.iter().zip(0..) {
                    for (o, v) in out.iter_mut().zip(&padded[shifted..]) {
                        *o += k * v;
                    }
                }
            },
        );
    let mut down = Raster::filled(width, height, 0.0f32);
    down.data_mut()
        .par_chunks_mut(width)
        .enumerate()
        .for_each(|(y, out)| {
            for (i, k) in kernel.iter().enumerate() {
                let from = (y + i).saturating_sub(radius).min(height - 1);
                for (o, v) in out.iter_mut().zip(across.row(from)) {
                    *o += k * v;
                }
            }
        });
    down
}

/// Sum of `value(x, y)` over the square window of side `2 * radius + 1` around each pixel, zero outside the frame.
///
/// Running sums, so the cost does not depend on the radius; in f64, so integers stay exact.
pub(crate) fn window_sums(
    width: usize,
    height: usize,
    radius: usize,
    value: impl Fn(usize, usize) -> f64,
) -> Vec<f64> {
    let mut sums = vec![0.0; width * height];
    let mut columns = vec![0.0; width];
    let add_row = |columns: &mut [f64], y: usize, sign: f64| {
        for (x, c) in columns.iter_mut().enumerate() {
            *c += sign * value(x, y);
        }
    };
    for y in 0..radius.min(height) {
        add_row(&mut columns, y, 1.0);
    }
    for y in 0..height {
        if y + radius < height {
            add_row(&mut columns, y + radius, 1.0);
        }
        if y > radius {
            add_row(&mut columns, y - radius - 1, -1.0);
        }
        let mut sum: f64 = columns[..radius.min(width)].iter().sum();
        for x in 0..width {
            if x + radius < width {
                sum += columns[x + radius];
            }
            if x > radius {
                sum -= columns[x - radius - 1];
            }
            sums[y * width + x] = sum;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn window_sums_equal_the_double_loop(w in 1usize..9, h in 1usize..9, radius in 0usize..12, seed in 0u64..1000) {
            let value = |x: usize, y: usize| ((x * 31 + y * 17 + seed as usize) % 23) as f64;
            let sums = window_sums(w, h, radius, value);
            for y in 0..h {
                for x in 0..w {
                    let mut slow = 0.0;
                    for v in y.saturating_sub(radius)..(y + radius + 1).min(h) {
                        for u in x.saturating_sub(radius)..(x + radius + 1).min(w) {
                            slow += value(u, v);
                        }
                    }
                    prop_assert_eq!(sums[y * w + x], slow);
                }
            }
        }
    }

    #[test]
    fn blur_keeps_a_constant_and_the_mass_of_a_point() {
        let flat = gaussian_blur(&Plane::filled(7, 5, 2.5), 3.0);
        assert!(flat.data().iter().all(|v| (v - 2.5).abs() < 1e-5));
        let point = Plane::from_fn(31, 31, |x, y| f32::from(u8::from((x, y) == (15, 15))));
        let blurred = gaussian_blur(&point, 2.0);
        assert!((blurred.data().iter().sum::<f32>() - 1.0).abs() < 1e-5);
        for tiny in [1e-30, 1e-20, 9e-4] {
            assert_eq!(gaussian_blur(&point, tiny), point);
        }
        // centre of a Gaussian of sigma 2: 1 / (2 pi 4) = 0.0398, a little more for the cut at 3 sigma
        assert!((blurred.data()[15 * 31 + 15] - 0.0398).abs() < 5e-4);
    }
}
