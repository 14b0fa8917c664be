use image::RgbImage;
use image::imageops::crop_imm;

use crate::{Error, Mask, PixelBox, Raster, Result, Sample};

mod circle;
mod hull;
mod outline;

use circle::Disc;
use outline::Outline;

/// Finds the field of view: the bright, roughly round part of a fundus photograph within its dark border.
///
/// Brightness (the greatest of the three channels, averaged over blocks so that no side exceeds 640) is split a fifth of the way from
/// that of the darkest corners to that of the centre. A circle is fitted to the outline of the largest bright part by
/// consensus, so that badly lit edges are bridged, and cut where the outline is straight, as cameras do. Where no circle
/// fits, the outline's convex hull is taken.
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

/// Cuts photograph, labels and field of view to the box around a field of view, and tells which box that is.
///
/// ```
/// use venule_data::{Mask, PixelBox, Sample, crop_to_fov, paste_back};
/// let sample = Sample::unlabelled("a", image::RgbImage::new(6, 5));
/// let fov = Mask::from_fn(6, 5, |x, y| (1..4).contains(&x) && y < 2);
/// let (part, bounds) = crop_to_fov(&sample, &fov)?;
/// assert_eq!(bounds, PixelBox { left: 1, top: 0, width: 3, height: 2 });
/// assert_eq!(part.size(), (3, 2));
/// let restored = paste_back(part.fov.as_ref().unwrap(), bounds, sample.size(), false)?;
/// assert_eq!(restored, fov);
/// # Ok::<(), venule_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::SizeMismatch`] if the maps differ in size; [`Error::EmptyFieldOfView`].
pub fn crop_to_fov(sample: &Sample, fov: &Mask) -> Result<(Sample, PixelBox)> {
    sample.check_sizes()?;
    fov.expect_size(
        &format!("the field of view of sample '{}'", sample.id),
        sample.size(),
    )?;
    let bounds = PixelBox::around(fov).ok_or_else(|| Error::EmptyFieldOfView {
        id: sample.id.clone(),
    })?;
    let cut = |mask: &Option<Mask>| mask.as_ref().map(|mask| mask.crop(bounds)).transpose();
    let image = crop_imm(
        &sample.image,
        bounds.left as u32,
        bounds.top as u32,
        bounds.width as u32,
        bounds.height as u32,
    );
    let part = Sample {
        id: sample.id.clone(),
        image: image.to_image(),
        label: cut(&sample.label)?,
        second_label: cut(&sample.second_label)?,
        fov: Some(fov.crop(bounds)?),
        fov_diameter: sample.fov_diameter,
    };
    Ok((part, bounds))
}

/// Puts what was made of a box of an image back into its place; `outside` fills the rest. `size` is the image's (width, height).
///
/// # Errors
/// [`Error::SizeMismatch`] if `part` has not the box's size; [`Error::InvalidConfig`] if the box leaves the image.
pub fn paste_back<T: Copy>(
    part: &Raster<T>,
    bounds: PixelBox,
    size: (usize, usize),
    outside: T,
) -> Result<Raster<T>> {
    part.expect_size("the part to paste back", (bounds.width, bounds.height))?;
    let after =
        |start: usize, length: usize, limit: usize| limit.checked_sub(start)?.checked_sub(length);
    let (Some(right), Some(bottom)) = (
        after(bounds.left, bounds.width, size.0),
        after(bounds.top, bounds.height, size.1),
    ) else {
        return Err(Error::InvalidConfig {
            field: "the box to paste into",
            found: format!("{bounds:?} of {}x{} pixels", size.0, size.1),
            expected: "inside the image",
        });
    };
    part.pad((bounds.left, bounds.top), (right, bottom), outside)
}

fn not_found(reason: &str) -> Error {
    Error::FieldOfViewNotFound {
        reason: reason.to_owned(),
    }
}
