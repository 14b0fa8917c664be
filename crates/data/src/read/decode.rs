use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::kind::{FileKind, format_of, kind_of, lie};
use super::pages::{Page, Pages};
use super::tiff::{Choice, choose, join, unusual, white};
use super::{MAX_PIXELS, Note, ReadOptions, frames, jpeg};
use crate::{Error, Result};

/// Most bytes a decoder may claim beside pixels, for headers and what is packed into them, such as colour profiles.
const HEADER_BYTES: u64 = 32 << 20;

/// Most bytes it may claim a pixel: 16-bit RGBA, and as much again to work in.
const PIXEL_BYTES: u64 = 2 * 8;

/// An image as its file holds it, upright.
pub(super) struct Decoded {
    pub(super) image: DynamicImage,
    pub(super) format: ImageFormat,
    /// EXIF orientation, which has been applied.
    pub(super) orientation: u8,
    /// The greatest sample that the file says it has, or 0.
    pub(super) max_sample: u64,
    /// Whether the file says that its samples are floating point.
    float: bool,
    pub(super) notes: Vec<Note>,
}

/// Decodes an image file's bytes and turns it upright. Maps may have floating-point samples in 0 to 1, which become 16-bit ones.
pub(super) fn decode(
    path: &Path,
    bytes: Vec<u8>,
    options: &ReadOptions,
    is_map: bool,
) -> Result<Decoded> {
    #[cfg(feature = "dicom")]
    if super::kind::is_dicom(&bytes) {
        return guarded(path, "DICOM", || {
            decode_dicom(path, &bytes, options, is_map)
        });
    }
    let Some((format, name)) = format_of(&bytes) else {
        return Err(not_read(path, &bytes));
    };
    let decoded = guarded(path, name, || match format {
        ImageFormat::Tiff => decode_tiff(path, bytes, options, is_map),
        ImageFormat::Jpeg => decode_jpeg(path, name, &bytes, options),
        _ => decode_first(path, format, name, &bytes, options),
    })?;
    match decoded.image {
        // The decoder takes whole numbers of 32 bits for floating point where the file does not say what they are.
        DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_) => Err(failed(
            path,
            name,
            match decoded.float {
                true => "samples are floating point, whose range is unknown",
                false => "samples are whole numbers of 32 bits in several channels",
            },
        )),
        _ => Ok(decoded),
    }
}

/// A last wall: a panic in a decoder must end in an error about this file, not in the end of a long training run.
fn guarded(
    path: &Path,
    name: &'static str,
    decode: impl FnOnce() -> Result<Decoded>,
) -> Result<Decoded> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(failed(path, name, "the decoder gave up on malformed data")))
}

fn failed(path: &Path, format: &'static str, reason: impl ToString) -> Error {
    Error::Decode {
        path: path.to_owned(),
        format,
        reason: reason.to_string(),
    }
}

/// The error for bytes of no readable format.
fn not_read(path: &Path, bytes: &[u8]) -> Error {
    match kind_of(bytes) {
        FileKind::Unread { what, name, remedy } => Error::UnreadFormat {
            path: path.to_owned(),
            what: format!("{what}{}", lie(path, name)),
            remedy,
        },
        _ => Error::UnknownFormat {
            path: path.to_owned(),
            begins: beginning(bytes),
        },
    }
}

/// Formats of one image a file, or of which the first counts.
fn decode_first(
    path: &Path,
    format: ImageFormat,
    name: &'static str,
    bytes: &[u8],
    options: &ReadOptions,
) -> Result<Decoded> {
    if let Some(page) = options.page.filter(|&page| page != 1) {
        return Err(no_page(path, page, 1));
    }
    let note = frames::note(format, bytes);
    decode_picture(path, format, name, bytes, note)
}

fn no_page(path: &Path, page: usize, pages: usize) -> Error {
    Error::NoPage {
        path: path.to_owned(),
        page,
        pages,
    }
}

/// A JPEG file, which may hold pictures behind the first.
fn decode_jpeg(
    path: &Path,
    name: &'static str,
    bytes: &[u8],
    options: &ReadOptions,
) -> Result<Decoded> {
    // The decoder fills what a truncated file lacks with gray and reports nothing.
    let starts = jpeg::pictures(bytes).map_err(|what| failed(path, name, what))?;
    let (page, pages) = (options.page.unwrap_or(1), starts.len());
    let start = page.checked_sub(1).and_then(|index| starts.get(index));
    let start = *start.ok_or_else(|| no_page(path, page, pages))?;
    let note = match options.page {
        _ if pages == 1 => None,
        Some(page) => Some(Note::PageChosen { page, pages }),
        None => Some(Note::FirstPicture { pictures: pages }),
    };
    decode_picture(path, ImageFormat::Jpeg, name, &bytes[start..], note)
}

/// A DICOM file, of which several frames are several photographs.
#[cfg(feature = "dicom")]
fn decode_dicom(path: &Path, bytes: &[u8], options: &ReadOptions, is_map: bool) -> Result<Decoded> {
    use super::dicom::{Dicom, Picture, Refusal};

    const NAME: &str = "DICOM";
    let refused = |refusal: Refusal| match refusal {
        Refusal::Damaged(reason) => failed(path, NAME, reason),
        Refusal::Unread(what) => Error::UnreadFormat {
            path: path.to_owned(),
            what: format!("a DICOM file of {what}"),
            remedy: "convert it to PNG",
        },
    };
    let file = Dicom::of(bytes).map_err(refused)?;
    expect_pixels(path, file.width, file.height)?;
    let (frames, sizes) = (
        file.frames,
        format!("frames of {}x{}", file.width, file.height),
    );
    let page = match options.page {
        None if frames > 1 => {
            return Err(Error::SeveralPages {
                path: path.to_owned(),
                photographs: frames,
                sizes,
                is_map,
            });
        }
        None => 1,
        Some(page) if (1..=frames).contains(&page) => page,
        Some(page) => return Err(no_page(path, page, frames)),
    };
    let note = (frames > 1).then_some(Note::PageChosen {
        page,
        pages: frames,
    });
    match file.picture(page - 1).map_err(refused)? {
        Picture::Jpeg(stream) => {
            jpeg::pictures(&stream).map_err(|what| failed(path, NAME, what))?;
            let decoded = decode_picture(path, ImageFormat::Jpeg, NAME, &stream, note)?;
            let size = (decoded.image.width(), decoded.image.height());
            match size == (file.width, file.height) {
                true => Ok(decoded),
                false => Err(failed(
                    path,
                    NAME,
                    format!("its picture is {}x{}, and it says {sizes}", size.0, size.1),
                )),
            }
        }
        Picture::Samples(image, greatest) => Ok(Decoded {
            image,
            // Its samples are kept without loss, as a PNM's are.
            format: ImageFormat::Pnm,
            orientation: 1,
            max_sample: greatest,
            float: false,
            notes: note.into_iter().collect(),
        }),
    }
}

fn expect_pixels(path: &Path, width: u32, height: u32) -> Result<u64> {
    match u64::from(width) * u64::from(height) {
        pixels @ 1..=MAX_PIXELS => Ok(pixels),
        _ => Err(Error::PixelCount {
            path: path.to_owned(),
            width,
            height,
            limit: MAX_PIXELS,
        }),
    }
}

fn decode_picture(
    path: &Path,
    format: ImageFormat,
    name: &'static str,
    bytes: &[u8],
    note: Option<Note>,
) -> Result<Decoded> {
    let (image, orientation) = decode_as(path, format, name, bytes)?;
    Ok(Decoded {
        image,
        format,
        orientation,
        max_sample: 0,
        float: false,
        notes: note.into_iter().collect(),
    })
}

fn decode_tiff(
    path: &Path,
    bytes: Vec<u8>,
    options: &ReadOptions,
    is_map: bool,
) -> Result<Decoded> {
    const NAME: &str = "TIFF";
    let pages = Pages::of(&bytes);
    let (mut image, orientation, page, note) = match choose(path, &pages, options, is_map)? {
        Choice::First(note) => {
            let first = pages.list.first();
            let file = first.filter(|page| page.mirrored);
            let file = file.map(|page| pages.with_first(page, false));
            let file = file.as_deref().unwrap_or(&bytes);
            let (image, orientation) = decode_page(path, &pages, first, file, is_map)?;
            (image, orientation, first.cloned(), note)
        }
        Choice::Page(page, note) => {
            let file = pages.with_first(&page, false);
            let (image, orientation) = decode_page(path, &pages, Some(&page), &file, is_map)?;
            (image, orientation, Some(*page), note)
        }
        Choice::Channels(channels, note) => {
            let read = |page: &Page| {
                let file = pages.with_first(page, false);
                decode_page(path, &pages, Some(page), &file, is_map)
            };
            let [red, green, blue] = &*channels;
            let (red, orientation) = read(red)?;
            let joined = join([red, read(green)?.0, read(blue)?.0]);
            let image = joined
                .ok_or_else(|| failed(path, NAME, "its channels are not gray of 8 or 16 bits"))?;
            let [page, ..] = *channels;
            (image, orientation, Some(page), Some(note))
        }
    };
    let mut max_sample = page.as_ref().map_or(0, |page| page.max_sample);
    if page.as_ref().is_some_and(Page::inverts) {
        max_sample = white::invert(&mut image, max_sample, options.bits);
    }
    Ok(Decoded {
        image,
        format: ImageFormat::Tiff,
        orientation,
        max_sample,
        float: page.is_some_and(|page| page.float),
        notes: note.into_iter().collect(),
    })
}

/// The page that comes first in `file`, with its orientation.
fn decode_page(
    path: &Path,
    pages: &Pages<'_>,
    page: Option<&Page>,
    file: &[u8],
    is_map: bool,
) -> Result<(DynamicImage, u8)> {
    const NAME: &str = "TIFF";
    if page.is_some_and(Page::is_tiled_planar) {
        // The decoder panics.
        return Err(Error::UnreadFormat {
            path: path.to_owned(),
            what: "a TIFF of tiles whose colours lie in separate planes (tag 284 is 2)".to_owned(),
            remedy: "save it with the colours of each pixel side by side (tag 284 is 1), or as PNG",
        });
    }
    let own = page.and_then(|page| {
        let pixels = page.width.saturating_mul(page.height).min(MAX_PIXELS);
        unusual(pages, page, is_map, HEADER_BYTES + PIXEL_BYTES * pixels)
    });
    match own {
        Some(image) => {
            let orientation = page.map_or(1, |page| page.orientation);
            let image = image.map_err(|reason| failed(path, NAME, reason))?;
            Ok(upright(image, Orientation::from_exif(orientation)))
        }
        None => decode_as(path, ImageFormat::Tiff, NAME, file),
    }
}

fn upright(mut image: DynamicImage, orientation: Option<Orientation>) -> (DynamicImage, u8) {
    let orientation = orientation.unwrap_or(Orientation::NoTransforms);
    image.apply_orientation(orientation);
    (image, orientation.to_exif())
}

fn decode_as(
    path: &Path,
    format: ImageFormat,
    name: &'static str,
    bytes: &[u8],
) -> Result<(DynamicImage, u8)> {
    let failed = |cause: image::ImageError| failed(path, name, cause);
    let decoder = |most: u64| {
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        let mut limits = Limits::default();
        limits.max_alloc = Some(most);
        reader.limits(limits);
        reader.into_decoder().map_err(failed)
    };
    // Opened twice: how much may be claimed depends on a size that the header tells, and some decoders unpack with the header.
    let (width, height) = decoder(HEADER_BYTES)?.dimensions();
    let pixels = expect_pixels(path, width, height)?;
    let mut decoder = decoder(HEADER_BYTES + PIXEL_BYTES * pixels)?;
    let orientation = decoder.orientation().map_err(failed)?;
    let image = DynamicImage::from_decoder(decoder).map_err(failed)?;
    Ok(upright(image, Some(orientation)))
}

fn beginning(bytes: &[u8]) -> String {
    let start: Vec<String> = bytes
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("bytes {}", start.join(" "))
}
