use image::{RgbImage, imageops};

use crate::{Error, Mask, Result};

mod circle;
mod examine;
mod hull;
mod outline;
mod sharpness;

pub use examine::{FundusWarning, examine, examine_vessels};

use circle::Disc;
use outline::Outline;

/// Finds the field of view: the bright, roughly round part of a fundus photograph within its dark border.
///
/// Brightness (the greatest of the three channels, averaged over blocks so that no side exceeds 640) is split a fifth of the way from
/// that of the darkest corners to that of the centre. A circle is fitted to the outline of the largest bright part by
/// consensus, so that badly lit edges are bridged, and cut where the outline is straight, as cameras do. Where no circle
/// fits, the outline's convex hull is taken.
///
/// Where that finds nothing and the photograph lies in wide dark bars, they are cut off first.
///
/// Against the official masks of DRIVE and HRF the intersection over union is above 0.98 on average.
///
/// ```
/// // A disc of radius 60 on black.
/// let photograph = image::RgbImage::from_fn(160, 140, |x, y| {
///     let (x, y) = (x as f64 - 80.0, y as f64 - 70.0);
///     image::Rgb(if x.hypot(y) < 60.0 { [180, 90, 40] } else { [3, 2, 2] })
/// });
/// let fov = venule_data::detect_fov(&photograph)?;
/// let diameter = venule_data::equivalent_diameter(&fov);
/// assert!((diameter - 120.0).abs() < 1.0);
///
/// let black = image::RgbImage::new(160, 140);
/// assert!(venule_data::detect_fov(&black).is_err());
/// # Ok::<(), venule_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::FieldOfViewNotFound`] if the photograph is too small, is dark all over, has no dark border (as after cropping), or
/// shows no large compact bright part.
pub fn detect_fov(image: &RgbImage) -> Result<Mask> {
    let error = match detect(image) {
        Ok(fov) => return Ok(fov),
        Err(error) => error,
    };
    let Some(content) = outline::content(image) else {
        return Err(error);
    };
    let (left, top) = (content.left as u32, content.top as u32);
    let (width, height) = (content.width as u32, content.height as u32);
    let part = imageops::crop_imm(image, left, top, width, height).to_image();
    let Ok(found) = detect(&part) else {
        return Err(error);
    };
    let (width, height) = (image.width() as usize, image.height() as usize);
    Ok(Mask::from_fn(width, height, |x, y| {
        let (x, y) = (x.checked_sub(content.left), y.checked_sub(content.top));
        matches!((x, y), (Some(x), Some(y)) if found.get(x, y) == Some(&true))
    }))
}

fn detect(image: &RgbImage) -> Result<Mask> {
    let outline = Outline::of(image)?;
    let inside: Box<dyn Fn(f64, f64) -> bool> = match Disc::fit(&outline) {
        Some(disc) => Box::new(move |x, y| disc.contains(x, y)),
        None => {
            let hull = hull::convex_hull(&outline.points());
            if outline.area() < 0.7 * hull::area(&hull) {
                return Err(not_found("the bright part of the photograph is not round"));
            }
            Box::new(move |x, y| hull::contains(&hull, x, y))
        }
    };
    let (width, height) = (image.width() as usize, image.height() as usize);
    let scale = outline.scale() as f64;
    let mask = Mask::from_fn(width, height, |x, y| {
        inside((x as f64 + 0.5) / scale, (y as f64 + 0.5) / scale)
    });
    let share = mask.count() as f64 / (width * height) as f64;
    match share {
        0.1..=0.985 => Ok(mask),
        _ => Err(not_found(&format!(
            "the bright part covers {:.1} % of the photograph, and 10 to 98.5 % was expected",
            100.0 * share
        ))),
    }
}

/// A field of view of every pixel: the explicit choice for photographs without a dark border. `size` is (width, height).
pub fn full_frame(size: (usize, usize)) -> Mask {
    Mask::filled(size.0, size.1, true)
}

/// Diameter in pixels of the disc that has as many pixels as the field of view: 2·√(n/π).
pub fn equivalent_diameter(fov: &Mask) -> f64 {
    2.0 * (fov.count() as f64 / std::f64::consts::PI).sqrt()
}

fn not_found(reason: &str) -> Error {
    Error::FieldOfViewNotFound {
        reason: reason.to_owned(),
    }
}
