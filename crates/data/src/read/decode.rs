use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::{MAX_PIXELS, gray_gif, jpeg, plain_tiff};
use crate::{Error, Result};

/// Most bytes a decoder may claim beside pixels, for headers and what is packed into them, such as colour profiles.
const HEADER_BYTES: u64 = 32 << 20;

/// Most bytes it may claim a pixel: 16-bit RGBA, and as much again to work in.
const PIXEL_BYTES: u64 = 2 * 8;

/// The readable format that bytes begin like, with its name.
pub(super) fn format_of(bytes: &[u8]) -> Option<(ImageFormat, &'static str)> {
    let format = image::guess_format(bytes).ok()?;
    let name = match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Gif => "GIF",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Pnm => "PNM",
        _ => return None,
    };
    Some((format, name))
}

/// Decodes an image file's bytes and turns it upright.
pub(super) fn decode(path: &Path, bytes: Vec<u8>) -> Result<DynamicImage> {
    let Some((format, name)) = format_of(&bytes) else {
        return Err(Error::UnknownFormat {
            path: path.to_owned(),
            begins: beginning(&bytes),
        });
    };
    let failed = |reason: String| Error::Decode {
        path: path.to_owned(),
        format: name,
        reason,
    };
    // The JPEG decoder fills what a truncated file lacks with gray and reports nothing.
    if format == ImageFormat::Jpeg
        && let Some(what) = jpeg::lacks(&bytes)
    {
        return Err(failed(what.to_owned()));
    }
    // A last wall: a panic in a decoder must end in an error about this file, not in the end of a long training run.
    let image = catch_unwind(AssertUnwindSafe(|| decode_as(path, format, name, &bytes)))
        .unwrap_or_else(|_| Err(failed("the decoder gave up on malformed data".to_owned())))?;
    match image {
        DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_) => Err(failed(
            "samples are floating point, whose range is unknown".to_owned(),
        )),
        image => Ok(image),
    }
}

fn decode_as(
    path: &Path,
    format: ImageFormat,
    name: &'static str,
    bytes: &[u8],
) -> Result<DynamicImage> {
    let failed = |cause: image::ImageError| Error::Decode {
        path: path.to_owned(),
        format: name,
        reason: cause.to_string(),
    };
    let decoder = |most: u64| {
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        let mut limits = Limits::default();
        limits.max_alloc = Some(most);
        reader.limits(limits);
        reader.into_decoder().map_err(failed)
    };
    // Opened twice: how much may be claimed depends on a size that the header tells, and some decoders unpack with the header.
    let (width, height) = decoder(HEADER_BYTES)?.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || pixels > MAX_PIXELS {
        return Err(Error::PixelCount {
            path: path.to_owned(),
            width,
            height,
            limit: MAX_PIXELS,
        });
    }
    // The kinds in which data sets come, faster.
    let common = match format {
        ImageFormat::Tiff => plain_tiff::decode(bytes),
        ImageFormat::Gif => gray_gif::decode(bytes),
        _ => None,
    };
    if let Some(image) = common {
        return Ok(image);
    }
    let mut decoder = decoder(HEADER_BYTES + PIXEL_BYTES * pixels)?;
    let orientation = decoder.orientation().map_err(failed)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(failed)?;
    image.apply_orientation(orientation);
    Ok(image)
}

fn beginning(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "nothing: it is empty".to_owned();
    }
    let start: Vec<String> = bytes
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("bytes {}", start.join(" "))
}
