use std::path::Path;

use image::RgbImage;

use crate::Result;

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
pub use photograph::{
    Photograph, ReadOptions, check_orientation, parse_photograph, read_photograph,
};
pub(crate) use plausible::marked;
pub use plausible::{LabelCheck, check_fov, check_label};
pub use prediction::{PredictionRange, PredictionScale, read_probability};
pub(crate) use source::open;
pub use source::{file_kind, looks_like_image};
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
