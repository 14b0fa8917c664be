use std::path::Path;

use image::{DynamicImage, Rgb, RgbImage};

use crate::{Error, Mask, Plane, Result};

mod decode;
mod gray_gif;
mod jpeg;
mod lzw;
mod plain_tiff;
mod source;

pub(crate) use source::looks_like_image;

/// Most pixels an image may have: 2²⁶, e.g. 8192 × 8192.
pub const MAX_PIXELS: u64 = 1 << 26;

/// Reads a photograph as 8-bit RGB.
///
/// The format (PNG, JPEG, TIFF, GIF, BMP or PNM, plain or gzipped) is found by content; the file name's extension plays no part.
/// Gray and palette images are expanded, 16-bit samples scaled to 8, CMYK converted, alpha dropped, the EXIF orientation
/// applied; of an animation the first frame is taken.
///
/// ```
/// let path = std::env::temp_dir().join("venule_doc_read_image.png");
/// image::GrayImage::from_pixel(3, 2, image::Luma([200])).save(&path)?;
/// let photograph = venule_data::read_image(&path)?;
/// assert_eq!(photograph.dimensions(), (3, 2));
/// assert_eq!(photograph.get_pixel(2, 1).0, [200, 200, 200]);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Io`], [`Error::NotAFile`] or [`Error::FileTooLarge`] (512 MiB) if the file cannot be read;
/// [`Error::UnknownFormat`], [`Error::Decode`] (damaged, truncated, or of an unsupported kind such as floating-point samples)
/// or [`Error::PixelCount`] (none, or more than [`MAX_PIXELS`]) if it holds no usable image. All name the file.
pub fn read_image(path: impl AsRef<Path>) -> Result<RgbImage> {
    let path = path.as_ref();
    Ok(decode::decode(path, source::read(path)?)?.into_rgb8())
}

/// Reads a map of vessels or of a field of view: `true` where the gray value exceeds 127.
///
/// In a colour image all three channels must exceed 127; alpha is ignored. Formats are those of [`read_image`]; 16-bit
/// samples are scaled to 8 bits first, PNM samples by their stated maximum.
///
/// ```
/// let path = std::env::temp_dir().join("venule_doc_read_mask.png");
/// image::GrayImage::from_raw(3, 1, vec![0, 127, 128]).unwrap().save(&path)?;
/// assert_eq!(venule_data::read_mask(&path)?.data(), [false, false, true]);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Those of [`read_image`], and [`Error::MaskRange`] for a mask that is not black, but nowhere as bright as half of
/// white (one of class numbers, say), which the threshold would turn into an empty mask.
pub fn read_mask(path: impl AsRef<Path>) -> Result<Mask> {
    let path = path.as_ref();
    let image = decode::decode(path, source::read(path)?)?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    let wide = is_wide(&image);
    if wide {
        let brightest = image.to_rgb16().iter().copied().max();
        check_range(path, brightest.unwrap_or(0), u16::MAX, 128 << 8)?;
    }
    let check = |brightest: Option<&u8>| {
        check_range(
            path,
            u16::from(*brightest.unwrap_or(&0)),
            u16::from(u8::MAX),
            128,
        )
    };
    let data = match image {
        DynamicImage::ImageLuma8(gray) => {
            check(gray.iter().max())?;
            gray.iter().map(|&value| value > 127).collect()
        }
        // What the GIF decoder gives for colours: not copied to RGB first.
        DynamicImage::ImageRgba8(image) => {
            let pixels = image.as_raw().as_chunks::<4>().0;
            let brightest = |[r, g, b, _]: &[u8; 4]| *r.max(g).max(b);
            check(pixels.iter().map(brightest).max().as_ref())?;
            pixels.iter().map(|&[r, g, b, _]| bright(r, g, b)).collect()
        }
        other => {
            let image = other.into_rgb8();
            if !wide {
                check(image.iter().max())?;
            }
            let pixels = image.as_raw().as_chunks::<3>().0;
            pixels.iter().map(|&[r, g, b]| bright(r, g, b)).collect()
        }
    };
    Mask::new(width, height, data)
}

/// Whether all three exceed 127: their highest bits are set.
fn bright(r: u8, g: u8, b: u8) -> bool {
    r & g & b >= 128
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

/// Reads a map of probabilities that another program wrote as a gray image: each value over the greatest its type can hold,
/// v / 255 for 8-bit and v / 65,535 for 16-bit samples, so that 0 is 0 and white is 1.
///
/// Of a colour image the mean of the three channels is taken, which may differ by a sixteenth. Formats are those of [`read_image`].
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
/// Those of [`read_image`], and [`Error::NotGray`] for a colour image.
pub fn read_probability(path: impl AsRef<Path>) -> Result<Plane> {
    let path = path.as_ref();
    let image = decode::decode(path, source::read(path)?)?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    let wide = is_wide(&image);
    let data: Option<Vec<f32>> = match image {
        DynamicImage::ImageLuma8(gray) => Some(gray.iter().map(|&v| share(v, u8::MAX)).collect()),
        DynamicImage::ImageLuma16(gray) => Some(gray.iter().map(|&v| share(v, u16::MAX)).collect()),
        other if wide => gray_values(other.into_rgb16().pixels(), u16::MAX),
        other => gray_values(other.into_rgb8().pixels(), u8::MAX),
    };
    let Some(data) = data else {
        return Err(Error::NotGray {
            path: path.to_owned(),
        });
    };
    Plane::new(width, height, data)
}

fn share<T: Into<f64>>(value: T, greatest: T) -> f32 {
    (value.into() / greatest.into()) as f32
}

/// The mean of each pixel's three channels, or `None` if they are far apart anywhere: palettes are seldom gray to the last bit.
fn gray_values<'a, T>(pixels: impl Iterator<Item = &'a Rgb<T>>, greatest: T) -> Option<Vec<f32>>
where
    T: Copy + Into<f64> + 'a,
{
    const APART: f64 = 1.0 / 16.0;
    let gray = |&Rgb(channels): &Rgb<T>| {
        let shares = channels.map(|value| value.into() / greatest.into());
        let highest = shares.into_iter().fold(0.0, f64::max);
        let lowest = shares.into_iter().fold(1.0, f64::min);
        let mean = (shares[0] + shares[1] + shares[2]) / 3.0;
        (highest - lowest <= APART).then_some(mean as f32)
    };
    pixels.map(gray).collect()
}

/// Finds masks stored as class numbers instead of black and white: whose brightest sample is not black, but below `least`.
fn check_range(path: &Path, brightest: u16, maximum: u16, least: u16) -> Result<()> {
    if (1..least).contains(&brightest) {
        return Err(Error::MaskRange {
            path: path.to_owned(),
            brightest: u32::from(brightest),
            maximum: u32::from(maximum),
        });
    }
    Ok(())
}
