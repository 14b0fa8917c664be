//! Masks among photographs, by what the files hold.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::read_image;

/// Files of other formats than PNG that are larger than this are not looked into: masks pack well.
const LARGEST: u64 = 8 << 20;

/// Images of fewer pixels are too small to tell.
const SMALLEST: u32 = 32 * 32;

/// Whether an image holds exactly two different values, as masks do and photographs do not.
///
/// Cheap, since it is asked of every file in a folder: JPEG files, which never hold two values, and PNG files that are too large for
/// a mask of their size are not decoded. What cannot be decoded is not called a mask.
pub(super) fn is_two_valued(path: &Path) -> bool {
    let named = path.extension().unwrap_or_default().to_string_lossy();
    if ["jpg", "jpeg", "jpe"].contains(&&*named.to_lowercase()) {
        return false;
    }
    may_be(path) && holds_two_values(path)
}

/// Whether a file may be a mask by its first bytes and its size.
fn may_be(path: &Path) -> bool {
    let Ok(metadata) = std::fs::metadata(path) else {
        return false;
    };
    let mut start = [0; 26];
    if !File::open(path).is_ok_and(|mut file| file.read_exact(&mut start).is_ok()) {
        return false;
    }
    if start.starts_with(b"\x89PNG\r\n\x1a\n") {
        let number = |at: usize| {
            start[at..at + 4]
                .iter()
                .fold(0, |n, &b| n << 8 | u64::from(b))
        };
        let pixels = number(16) * number(20);
        // Gray is 0, a palette 3, gray with alpha 4. In colour two values pack to a quarter of a byte a pixel at most.
        let gray = matches!(start[25], 0 | 3 | 4);
        return gray || metadata.len() < pixels / 4;
    }
    !start.starts_with(&[0xff, 0xd8]) && metadata.len() <= LARGEST
}

fn holds_two_values(path: &Path) -> bool {
    let Ok(image) = read_image(path) else {
        return false;
    };
    let mut pixels = image.pixels();
    let Some(first) = pixels.next() else {
        return false;
    };
    let mut second = None;
    for pixel in pixels.filter(|pixel| *pixel != first) {
        if *second.get_or_insert(pixel) != pixel {
            return false;
        }
    }
    second.is_some() && image.width() * image.height() >= SMALLEST
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma, Rgb, RgbImage};

    use super::*;

    #[test]
    fn two_values_in_any_encoding_are_a_mask_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let gray = |low: u8, high: u8| {
            GrayImage::from_fn(40, 40, |x, y| {
                Luma([if (x + y) % 9 < 2 { high } else { low }])
            })
        };
        let red = RgbImage::from_fn(40, 40, |x, _| Rgb([if x % 9 < 2 { 255 } else { 0 }, 0, 0]));
        for (name, expected) in [
            ("gray.png", true),
            ("classes.png", true),
            ("red.png", true),
            ("red.tif", true),
            ("red.gif", true),
            ("gray.bmp", true),
            ("gray.pgm", true),
            ("constant.png", false),
            ("small.png", false),
            ("ramp.png", false),
            ("photo.jpg", false),
            ("damaged.png", false),
        ] {
            match name {
                "classes.png" => gray(0, 1).save(path(name)).unwrap(),
                "constant.png" => gray(7, 7).save(path(name)).unwrap(),
                "small.png" => GrayImage::from_fn(4, 3, |x, _| Luma([x as u8 % 2]))
                    .save(path(name))
                    .unwrap(),
                "ramp.png" => GrayImage::from_fn(40, 40, |x, _| Luma([x as u8]))
                    .save(path(name))
                    .unwrap(),
                "damaged.png" => {
                    std::fs::write(path(name), "no picture at all, but some text").unwrap()
                }
                _ if name.starts_with("gray") => gray(0, 255).save(path(name)).unwrap(),
                _ => red.save(path(name)).unwrap(),
            }
            assert_eq!(is_two_valued(&path(name)), expected, "{name}");
        }
    }
}
