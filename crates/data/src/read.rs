use std::path::Path;

use image::RgbImage;

use crate::{Error, Result};

mod decode;
#[cfg(feature = "dicom")]
mod dicom;
mod frames;
mod jpeg;
mod kind;
mod label;
mod note;
mod pages;
mod photograph;
mod pixels;
mod plausible;
mod prediction;
mod source;
mod tiff;
mod value;

pub use kind::FileKind;
pub(crate) use kind::NOT_PICTURE;
pub use label::{LabelReading, MaskRule, ReadMask, read_mask, read_mask_with};
pub use note::Note;
pub use photograph::{Photograph, ReadOptions, check_orientation, read_photograph};
pub use plausible::{LabelCheck, check_fov, check_label};
pub use prediction::{PredictionRange, PredictionScale, read_probability};
pub use source::file_kind;
pub(crate) use source::{looks_like_image, open};
pub use value::LabelValue;

/// Most pixels an image may have: 2²⁶, e.g. 8192 × 8192.
pub const MAX_PIXELS: u64 = 1 << 26;

/// Reads a photograph as 8-bit RGB: the image of [`read_photograph`] without its notes.
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
/// Those of [`read_photograph`].
pub fn read_image(path: impl AsRef<Path>) -> Result<RgbImage> {
    Ok(read_photograph(path, &ReadOptions::default())?.image)
}

/// Reads a photograph of 8 bits a sample from a file's bytes, where there is no file system: in a browser. As [`read_photograph`] in all
/// else, except that the bytes must not be gzipped. Errors call it `name`.
///
/// ```
/// use std::io::Cursor;
/// use venule_data::parse_photograph;
/// let mut png = Cursor::new(Vec::new());
/// image::GrayImage::from_pixel(3, 2, image::Luma([200])).write_to(&mut png, image::ImageFormat::Png)?;
/// let bytes = png.into_inner();
/// let photograph = parse_photograph("dropped.png", bytes.clone())?;
/// assert_eq!(photograph.image.get_pixel(2, 1).0, [200, 200, 200]);
/// let error = parse_photograph("dropped.png", bytes[..20].to_vec()).unwrap_err();
/// assert!(error.to_string().contains("dropped.png"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Those of [`read_photograph`] that are not of a file; [`Error::UnreadFormat`] for samples of 16 bits.
pub fn parse_photograph(name: impl AsRef<Path>, bytes: Vec<u8>) -> Result<Photograph> {
    let name = name.as_ref();
    let decoded = decode::decode(name, bytes, &ReadOptions::default(), false)?;
    if decoded.image.color().bytes_per_pixel() > decoded.image.color().channel_count() {
        return Err(Error::UnreadFormat {
            path: name.to_owned(),
            what: "a picture with 16 bits a sample".to_owned(),
            remedy: "save it with 8 bits a sample, or read it from a file",
        });
    }
    let mut notes = decoded.notes;
    if decoded.orientation != 1 {
        notes.push(Note::Turned {
            orientation: decoded.orientation,
        });
    }
    Ok(Photograph {
        image: decoded.image.into_rgb8(),
        notes,
        orientation: decoded.orientation,
    })
}
