use std::path::Path;

use image::DynamicImage;

use crate::read::{Note, ReadOptions, decode, source};
use crate::{Error, Plane, Result};

/// Reads a map of probabilities that another program wrote as a gray image: each value over the greatest its type can hold,
/// v / 255 for 8-bit and v / 65,535 for 16-bit samples, so that 0 is 0 and white is 1.
///
/// Of a colour image the mean of the three channels is taken, which may differ by a sixteenth. What is transparent is background:
/// where alpha is not the same everywhere, values count by its share, and where all that shows is black, alpha itself is the map.
///
/// Formats are those of
/// [`read_photograph`](crate::read_photograph), and floating-point TIFFs of values in 0 to 1. Whether a file's values are meant so
/// only its folder tells: see [`PredictionRange`](crate::PredictionRange).
///
/// ```
/// let path = std::env::temp_dir().join("venule_doc_read_probability.png");
/// let gray = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(3, 1, vec![0, 13_107, 65_535]);
/// gray.unwrap().save(&path)?;
/// assert_eq!(venule_data::read_probability(&path)?.data(), [0.0, 0.2, 1.0]);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Those of [`read_image`](crate::read_image), [`Error::NotGray`] for a colour image, and [`Error::TurnedMap`] for a file that
/// carries an orientation.
pub fn read_probability(path: impl AsRef<Path>) -> Result<Plane> {
    read(path.as_ref()).map(|map| map.plane)
}

/// A map of probabilities.
pub(super) struct Map {
    pub(super) plane: Plane,
    /// The greatest sample that its type can hold.
    pub(super) most: u16,
    /// What of its file was passed over.
    pub(super) notes: Vec<Note>,
}

pub(super) fn read(path: &Path) -> Result<Map> {
    let decoded = decode::decode(path, source::read(path)?, &ReadOptions::default(), true)?;
    if decoded.orientation != 1 {
        return Err(Error::TurnedMap {
            map: path.to_owned(),
            orientation: decoded.orientation,
            photograph: None,
        });
    }
    let (width, height) = (
        decoded.image.width() as usize,
        decoded.image.height() as usize,
    );
    let wide = is_wide(&decoded.image);
    let data = match decoded.image {
        DynamicImage::ImageLuma8(gray) => Ok(gray.iter().map(|&v| share(v, u8::MAX)).collect()),
        DynamicImage::ImageLuma16(gray) => Ok(gray.iter().map(|&v| share(v, u16::MAX)).collect()),
        other if wide => gray_values(other.into_rgba16().as_raw().as_chunks().0, u16::MAX),
        other => gray_values(other.into_rgba8().as_raw().as_chunks().0, u8::MAX),
    };
    let data = data.map_err(|unclear| match unclear {
        Unclear::Coloured => Error::NotGray {
            path: path.to_owned(),
        },
        Unclear::Hidden => Error::HiddenPrediction {
            path: path.to_owned(),
        },
    })?;
    let most = if wide { u16::MAX } else { u16::from(u8::MAX) };
    Ok(Map {
        plane: Plane::new(width, height, data)?,
        most,
        notes: decoded.notes,
    })
}

/// Whether samples have 16 bits.
fn is_wide(image: &DynamicImage) -> bool {
    matches!(
        image,
        DynamicImage::ImageLuma16(_)
            | DynamicImage::ImageLumaA16(_)
            | DynamicImage::ImageRgb16(_)
            | DynamicImage::ImageRgba16(_)
    )
}

fn share<T: Into<f64>>(value: T, greatest: T) -> f32 {
    (value.into() / greatest.into()) as f32
}

/// Why pixels are no probabilities.
enum Unclear {
    /// Channels are far apart.
    Coloured,
    /// Pixels are bright where they are transparent, and black where they are not.
    Hidden,
}

/// The mean of each pixel's three channels, which may be apart a little, as palettes are seldom gray to the last bit; where alpha
/// varies, with its share.
fn gray_values<T>(pixels: &[[T; 4]], greatest: T) -> std::result::Result<Vec<f32>, Unclear>
where
    T: Copy + Into<f64>,
{
    const APART: f64 = 1.0 / 16.0;
    let shares = || {
        pixels
            .iter()
            .map(|pixel| pixel.map(|value| value.into() / greatest.into()))
    };
    // The same alpha everywhere tells nothing, as for labels.
    let mut alphas = pixels.iter().map(|&[.., alpha]| alpha.into());
    let first = alphas.next();
    let varies = alphas.any(|alpha| Some(alpha) != first);
    let dark = |[r, g, b, _]: [f64; 4]| r.max(g).max(b) == 0.0;
    if varies && shares().all(|pixel| pixel[3] == 0.0 || dark(pixel)) {
        return match shares().any(|[r, g, b, _]| r.max(g).max(b) > 0.5) {
            true => Err(Unclear::Hidden),
            false => Ok(shares().map(|[.., alpha]| alpha as f32).collect()),
        };
    }
    let gray = |[r, g, b, alpha]: [f64; 4]| {
        let weight = if varies { alpha } else { 1.0 };
        let apart = weight * (r.max(g).max(b) - r.min(g).min(b));
        let mean = weight * (r + g + b) / 3.0;
        (apart <= APART).then_some(mean as f32)
    };
    let values: Option<Vec<f32>> = shares().map(gray).collect();
    values.ok_or(Unclear::Coloured)
}
