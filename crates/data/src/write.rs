use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageFormat};
use venule_file::write_atomic;

use crate::{Error, Result};

/// Writes an image as PNG, whole or not at all (see [`venule_file::write_atomic`]).
///
/// ```
/// use venule_data::{mask_image, write_png, Mask};
/// # let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("mask.png");
/// write_png(&path, mask_image(&Mask::filled(4, 3, true))?)?;
/// assert!(path.exists());
/// # Ok::<(), venule_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::Encode`] if the image cannot be encoded (a side of 0, say), [`Error::File`] if the file cannot be written.
pub fn write_png(path: impl AsRef<Path>, image: impl Into<DynamicImage>) -> Result<()> {
    let path = path.as_ref();
    let mut bytes = Vec::new();
    image
        .into()
        .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
        .map_err(|source| Error::Encode {
            path: path.to_owned(),
            source,
        })?;
    Ok(write_atomic(path, &bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_pixels_is_refused_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.png");
        assert!(write_png(&path, image::RgbImage::new(0, 0)).is_err());
        assert!(!path.exists());
    }

    #[test]
    fn png_reads_back_equal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let image = image::RgbImage::from_fn(9, 5, |x, y| image::Rgb([x as u8, y as u8, 200]));
        write_png(&path, image.clone()).unwrap();
        assert_eq!(image::open(&path).unwrap().to_rgb8(), image);
    }
}
