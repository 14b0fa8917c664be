use image::RgbImage;

use super::filter::{gaussian_blur, window_sums};
use super::preprocess::{equalize, moments};
use crate::{Channel, Clahe, Error, Mask, PixelBox, Plane, Result, wiener};

/// Standard deviations above the mean darkness at which the map passes one half.
const MIDPOINT: f32 = 1.0;
/// How steeply it does so.
const STEEPNESS: f32 = 2.0;

/// A rough, training-free map of how much each pixel looks like vessel: 0..1, 0 outside the field of view.
///
/// The green channel, continued smoothly beyond the field of view, is denoised by a 5×5 [Wiener filter](wiener), equalised by [CLAHE](Clahe) and blurred by a
/// Gaussian of sigma 1. Its darkness d is the local background (a box mean inside the field of view, applied
/// three times, about a Gaussian of 1/40 of the field's width) minus the blurred image. With d standardised in the field of
/// view to z, the result is sigmoid(2 (z − 1)).
///
/// It is no segmentation, but enough to weight a reconstruction loss by 1 + w·vesselness, so that pretraining spends
/// more of its effort on vessels. A constant image gives sigmoid(−2) = 0.12 throughout.
///
/// ```
/// use venule_data::{vesselness, Mask};
/// let photo = image::RgbImage::from_fn(64, 64, |x, _| image::Rgb([0, if x == 32 { 60 } else { 140 }, 0]));
/// let map = vesselness(&photo, &Mask::filled(64, 64, true))?;
/// assert!(map.get(32, 30) > map.get(20, 30));
/// assert!(map.data().iter().all(|v| (0.0..=1.0).contains(v)));
/// # Ok::<(), venule_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::SizeMismatch`] if the field of view has another size, [`Error::EmptyFieldOfView`] if it holds no pixel.
pub fn vesselness(image: &RgbImage, fov: &Mask) -> Result<Plane> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    fov.expect_size("the field of view", (width, height))?;
    let Some(bounds) = PixelBox::around(fov) else {
        return Err(Error::EmptyFieldOfView {
            id: "the image".to_owned(),
        });
    };
    let radius = (bounds.width / 40).max(2);
    let filled = extend(&Channel::Green.plane(0, image), fov, 2 * radius)?;
    let clear = equalize(&wiener(&filled, 5)?, &Clahe::default())?;
    let smooth = gaussian_blur(&clear, 1.0);
    // Three box means of radius r make about a Gaussian of sigma r, in linear time.
    let mut background = smooth.clone();
    for _ in 0..3 {
        background = window_mean(&background, fov, radius)?;
    }
    let mut darkness = background;
    for (d, s) in darkness.data_mut().iter_mut().zip(smooth.data()) {
        *d -= s;
    }
    let (mean, deviation) = moments(&darkness, fov).unwrap_or((0.0, 0.0));
    let scale = if deviation > 1e-4 {
        1.0 / deviation
    } else {
        0.0
    };
    for (value, &inside) in darkness.data_mut().iter_mut().zip(fov.data()) {
        let z = ((f64::from(*value) - mean) * scale) as f32;
        *value = match inside {
            true => 1.0 / (1.0 + (-STEEPNESS * (z - MIDPOINT)).exp()),
            false => 0.0,
        };
    }
    Ok(darkness)
}

/// Mean over the part of each square window that lies inside the mask; 0 where there is none.
fn window_mean(plane: &Plane, mask: &Mask, radius: usize) -> Result<Plane> {
    let (width, height) = plane.size();
    let inside = |x: usize, y: usize| mask.data()[y * width + x];
    let counts = window_sums(width, height, radius, |x, y| {
        f64::from(u8::from(inside(x, y)))
    });
    let sums = window_sums(width, height, radius, |x, y| match inside(x, y) {
        true => f64::from(plane.data()[y * width + x]),
        false => 0.0,
    });
    let means = sums.iter().zip(&counts);
    let means = means.map(|(sum, count)| match *count > 0.0 {
        true => (sum / count) as f32,
        false => 0.0,
    });
    Plane::new(width, height, means.collect())
}

/// The plane with what lies outside the mask replaced by the mean of the mask's pixels nearby, or of all of them, so
/// that the mask's rim is no edge for the filters.
fn extend(plane: &Plane, mask: &Mask, radius: usize) -> Result<Plane> {
    let near = window_mean(plane, mask, radius)?;
    let (mean, _) = moments(plane, mask).unwrap_or((0.0, 0.0));
    let mut out = plane.clone();
    let outside = out.data_mut().iter_mut().zip(mask.data()).zip(near.data());
    for ((value, _), &near) in outside.filter(|((_, inside), _)| !**inside) {
        *value = if near > 0.0 { near } else { mean as f32 };
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    /// A bright disc on black with a dark line across, under uneven light.
    fn photo() -> (RgbImage, Mask, Mask) {
        let fov = Mask::from_fn(120, 120, |x, y| {
            (x as f32 - 60.0).hypot(y as f32 - 60.0) < 55.0
        });
        let line = Mask::from_fn(120, 120, |x, y| x.abs_diff(y) < 2);
        let image = RgbImage::from_fn(120, 120, |x, y| {
            let (x, y) = (x as usize, y as usize);
            let texture = ((x * 7 + y * 13) % 5) as u8;
            match (fov.get(x, y), line.get(x, y)) {
                (Some(true), Some(true)) => Rgb([0, 70 + (x / 2) as u8 + texture, 0]),
                (Some(true), _) => Rgb([0, 100 + (x / 2) as u8 + texture, 0]),
                _ => Rgb([0, 0, 0]),
            }
        });
        (image, fov, line)
    }

    #[test]
    fn a_dark_line_stands_out_and_the_outside_is_zero() {
        let (image, fov, line) = photo();
        let map = vesselness(&image, &fov).unwrap();
        let mean = |on: bool| {
            let pixels = map.data().iter().zip(fov.data()).zip(line.data());
            let chosen: Vec<f32> = pixels
                .filter(|((_, f), l)| **f && **l == on)
                .map(|((v, _), _)| *v)
                .collect();
            chosen.iter().sum::<f32>() / chosen.len() as f32
        };
        assert!(mean(true) > 0.8, "line {}", mean(true));
        assert!(mean(false) < 0.2, "background {}", mean(false));
        let outside = map.data().iter().zip(fov.data()).filter(|p| !*p.1);
        assert!(outside.into_iter().all(|p| *p.0 == 0.0));
    }

    #[test]
    fn a_constant_image_is_finite() {
        let image = RgbImage::from_pixel(9, 9, Rgb([5, 5, 5]));
        let map = vesselness(&image, &Mask::filled(9, 9, true)).unwrap();
        assert!(map.data().iter().all(|v| (0.0..=1.0).contains(v)));
        assert!(vesselness(&image, &Mask::filled(9, 9, false)).is_err());
    }
}
