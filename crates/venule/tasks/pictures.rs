//! Pictures of a training, as PNG files in memory.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, imageops};
use venule_train::{BoxError, Picture};

/// Longest side of a picture: enough to see vessels, and small in a log of hundreds.
const LONGEST_SIDE: u32 = 768;

pub(super) fn picture(name: String, image: impl Into<DynamicImage>) -> Result<Picture, BoxError> {
    let mut image = image.into();
    if image.width().max(image.height()) > LONGEST_SIDE {
        image = image.resize(LONGEST_SIDE, LONGEST_SIDE, imageops::FilterType::Triangle);
    }
    let mut png = Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png)?;
    Ok(Picture {
        name,
        width: image.width(),
        height: image.height(),
        png: png.into_inner(),
    })
}
