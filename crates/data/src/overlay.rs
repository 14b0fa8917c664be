use image::{GrayImage, Luma, Rgb, RgbImage};

use crate::{Error, Mask, Plane, Result};

/// Vessel in both prediction and label.
const TRUE_POSITIVE: Rgb<u8> = Rgb([0, 220, 0]);
/// Vessel in the prediction alone.
const FALSE_POSITIVE: Rgb<u8> = Rgb([255, 40, 40]);
/// Vessel in the label alone.
const FALSE_NEGATIVE: Rgb<u8> = Rgb([60, 120, 255]);
/// Predicted vessel where nobody knows the truth.
const PREDICTION: Rgb<u8> = Rgb([0, 230, 230]);

/// A photograph, darkened to half, with the outcome of a segmentation drawn over it.
///
/// With a label: true positives green, false positives red, false negatives blue. Without: predicted vessels cyan.
/// Pixels outside the field of view, if one is given, are only darkened.
///
/// ```
/// use venule_data::{overlay, Mask};
/// let photo = image::RgbImage::from_pixel(2, 1, image::Rgb([100, 60, 20]));
/// let prediction = Mask::new(2, 1, vec![true, false])?;
/// let picture = overlay(&photo, &prediction, Some(&prediction), None)?;
/// assert_eq!(picture.get_pixel(0, 0).0, [0, 220, 0]);
/// assert_eq!(picture.get_pixel(1, 0).0, [50, 30, 10]);
/// # Ok::<(), venule_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::SizeMismatch`] if a map has another size than the photograph.
pub fn overlay(
    image: &RgbImage,
    prediction: &Mask,
    label: Option<&Mask>,
    fov: Option<&Mask>,
) -> Result<RgbImage> {
    let size = (image.width() as usize, image.height() as usize);
    prediction.expect_size("the prediction", size)?;
    if let Some(label) = label {
        label.expect_size("the label", size)?;
    }
    if let Some(fov) = fov {
        fov.expect_size("the field of view", size)?;
    }
    let mut out = image.clone();
    for (at, pixel) in out.pixels_mut().enumerate() {
        let inside = fov.is_none_or(|fov| fov.data()[at]);
        let colour = match (prediction.data()[at], label.map(|label| label.data()[at])) {
            (true, Some(true)) => Some(TRUE_POSITIVE),
            (true, Some(false)) => Some(FALSE_POSITIVE),
            (false, Some(true)) => Some(FALSE_NEGATIVE),
            (true, None) => Some(PREDICTION),
            (false, _) => None,
        };
        *pixel = match colour.filter(|_| inside) {
            Some(colour) => colour,
            None => Rgb(pixel.0.map(|v| v / 2)),
        };
    }
    Ok(out)
}

/// A map of 0..1 as gray levels 0..=255, rounded; values outside are clamped and NaN becomes 0.
///
/// ```
/// use venule_data::{probability_image, Plane};
/// let picture = probability_image(&Plane::new(2, 1, vec![0.5, 1.2])?)?;
/// assert_eq!(picture.as_raw(), &[128, 255]);
/// # Ok::<(), venule_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidConfig`] if a side exceeds 2^32 − 1.
pub fn probability_image(map: &Plane) -> Result<GrayImage> {
    gray_image(map.size(), |at| {
        (map.data()[at].clamp(0.0, 1.0) * 255.0).round() as u8
    })
}

/// A mask as gray levels: 255 where it is set, 0 elsewhere.
///
/// ```
/// use venule_data::{mask_image, Mask};
/// let picture = mask_image(&Mask::new(2, 1, vec![false, true])?)?;
/// assert_eq!(picture.as_raw(), &[0, 255]);
/// # Ok::<(), venule_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidConfig`] if a side exceeds 2^32 − 1.
pub fn mask_image(mask: &Mask) -> Result<GrayImage> {
    gray_image(mask.size(), |at| if mask.data()[at] { 255 } else { 0 })
}

fn gray_image((width, height): (usize, usize), level: impl Fn(usize) -> u8) -> Result<GrayImage> {
    let (Ok(w), Ok(h)) = (u32::try_from(width), u32::try_from(height)) else {
        return Err(Error::InvalidConfig {
            field: "the size of the picture",
            found: format!("{width}x{height}"),
            expected: "sides of at most 2^32 - 1 pixels",
        });
    };
    Ok(GrayImage::from_fn(w, h, |x, y| {
        Luma([level(y as usize * width + x as usize)])
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_its_colour() {
        let photo = RgbImage::from_pixel(5, 1, Rgb([201, 100, 3]));
        let mask = |bits: [u8; 5]| Mask::new(5, 1, bits.map(|b| b == 1).to_vec()).unwrap();
        let (prediction, label) = (mask([1, 1, 0, 0, 1]), mask([1, 0, 1, 0, 1]));
        let fov = mask([1, 1, 1, 1, 0]);
        let dark = Rgb([100, 50, 1]);
        let compared = overlay(&photo, &prediction, Some(&label), Some(&fov)).unwrap();
        let colours: Vec<_> = compared.pixels().copied().collect();
        assert_eq!(
            colours,
            [TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE, dark, dark]
        );
        let alone = overlay(&photo, &prediction, None, None).unwrap();
        let colours: Vec<_> = alone.pixels().copied().collect();
        assert_eq!(colours, [PREDICTION, PREDICTION, dark, dark, PREDICTION]);
    }

    #[test]
    fn other_sizes_are_errors_and_nan_is_black() {
        let photo = RgbImage::new(2, 2);
        let (right, wrong) = (Mask::filled(2, 2, true), Mask::filled(4, 1, true));
        assert!(overlay(&photo, &wrong, None, None).is_err());
        assert!(overlay(&photo, &right, Some(&wrong), None).is_err());
        assert!(overlay(&photo, &right, None, Some(&wrong)).is_err());
        let nan = Plane::filled(1, 1, f32::NAN);
        assert_eq!(probability_image(&nan).unwrap().as_raw(), &[0]);
    }
}
