use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use image::{ImageBuffer, Luma, Rgb, RgbImage};
use venule_data::{read_image, read_mask};

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/images")
        .join(name)
}

/// The colours of `make_images.py`.
fn colors() -> RgbImage {
    RgbImage::from_fn(12, 8, |x, y| {
        Rgb([20 * x, 30 * y, 10 * (x + y)].map(|value| value as u8))
    })
}

fn grays() -> RgbImage {
    RgbImage::from_fn(12, 8, |x, y| Rgb([(20 * x + y) as u8; 3]))
}

fn palette() -> RgbImage {
    const COLORS: [[u8; 3]; 4] = [[255; 3], [200, 10, 20], [0, 128, 255], [60; 3]];
    RgbImage::from_fn(12, 8, |x, y| Rgb(COLORS[(x + y) as usize % 4]))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Writes a file into a folder of its own.
fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

#[test]
fn lossless_formats_keep_every_pixel() {
    let cases = [
        ("lzw.tif", colors()),
        ("deflate.tif", colors()),
        ("rgba.png", colors()),
        ("cmyk.tif", colors()),
        ("packbits.tif", grays()),
        ("gray.gif", grays()),
        ("sixteen.png", grays()),
        ("palette.png", palette()),
        ("palette.gif", palette()),
    ];
    for (name, expected) in cases {
        assert_eq!(read_image(fixture(name)).unwrap(), expected, "{name}");
    }
}

#[test]
fn the_extension_plays_no_part() {
    let folder = tempfile::tempdir().unwrap();
    for (format, name) in [
        (image::ImageFormat::Png, "png.jpg"),
        (image::ImageFormat::Bmp, "bmp.png"),
        (image::ImageFormat::Tiff, "tiff"),
        (image::ImageFormat::Gif, "gif.txt"),
        (image::ImageFormat::Pnm, "pnm.gz"),
    ] {
        let path = folder.path().join(name);
        palette().save_with_format(&path, format).unwrap();
        assert_eq!(read_image(&path).unwrap(), palette(), "{name}");
    }
}

#[test]
fn jpeg_kinds_come_close() {
    // Red (220, 30, 40) on the left, blue (20, 60, 200) on the right; JPEG and the colour transforms shift by a few levels.
    for name in ["progressive.jpg", "cmyk.jpg"] {
        let image = read_image(fixture(name)).unwrap();
        assert_eq!(image.dimensions(), (32, 16), "{name}");
        for (x, expected) in [(4, [220, 30, 40]), (27, [20, 60, 200])] {
            let found = image.get_pixel(x, 8).0;
            let far = found
                .iter()
                .zip(expected)
                .any(|(&a, b): (&u8, u8)| a.abs_diff(b) > 6);
            assert!(!far, "{name}: {found:?} instead of {expected:?}");
        }
    }
}

#[test]
fn exif_orientation_is_applied() {
    // Turned clockwise by 90 degrees, left becomes top.
    let image = read_image(fixture("turned.jpg")).unwrap();
    assert_eq!(image.dimensions(), (16, 32));
    assert!(image.get_pixel(8, 4).0[0] > 200, "red is not on top");
    assert!(image.get_pixel(8, 27).0[2] > 180, "blue is not below");
}

#[test]
fn one_bit_masks_read_alike() {
    for name in ["one_bit.png", "one_bit.tif", "white_is_zero.tif"] {
        let mask = read_mask(fixture(name)).unwrap();
        assert_eq!(mask.size(), (12, 8));
        for y in 0..8 {
            for x in 0..12 {
                assert_eq!(
                    mask.get(x, y),
                    Some(&((x + 2 * y) % 3 == 0)),
                    "{name} at ({x}, {y})"
                );
            }
        }
    }
}

#[test]
fn sixteen_bit_masks_are_thresholded_at_half_of_their_range() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mask.png");
    // A ramp of more levels than are told apart: 127 * 257 = 32,639 is gray 127; 128 * 257 = 32,896 is gray 128.
    let levels = [
        0, 9000, 18_000, 32_639, 32_896, 40_000, 50_000, 60_000, 62_000, 65_535,
    ];
    let image: ImageBuffer<Luma<u16>, _> = ImageBuffer::from_raw(10, 1, levels.to_vec()).unwrap();
    image.save(&path).unwrap();
    let found = read_mask(&path).unwrap();
    assert_eq!(found.data(), levels.map(|level| level > 32_767));
}

#[test]
fn portable_maps_with_comments_maxima_and_gzip() {
    let cases: [(&[u8], &[u8]); 6] = [
        (
            b"P5\n# drawn by hand\n3 1\n# twice\n255\n\x00\x7f\x80",
            &[0, 127, 128],
        ),
        // Samples count up to the stated maximum: 1 of 1 is white, 2 of 4 is 127.5, rounded.
        (b"P5 3 1 1\n\x00\x01\x01", &[0, 255, 255]),
        (b"P2 3 1 4 0 2 4", &[0, 128, 255]),
        // Two bytes a sample from 256 on: 1023 of 1023 is white, 511 of 1023 is gray 127.
        (b"P5 2 1 1023\n\x03\xff\x01\xff", &[255, 127]),
        // In bitmaps 1 is black.
        (b"P1 3 1 1 0 1", &[0, 255, 0]),
        (b"P4 3 1\n\xa0", &[0, 255, 0]),
    ];
    for (bytes, expected) in cases {
        for bytes in [bytes.to_vec(), gzip(bytes)] {
            let (_folder, path) = file(&bytes);
            let image = read_image(&path).unwrap();
            let red: Vec<u8> = image.pixels().map(|pixel| pixel.0[0]).collect();
            assert_eq!(red, expected);
        }
    }
}

#[test]
fn what_is_no_readable_image_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.png");
    let float = folder.path().join("float.tif");
    image::Rgb32FImage::new(2, 2)
        .save_with_format(&float, image::ImageFormat::Tiff)
        .unwrap();
    let cases = [
        (missing, "cannot access"),
        (folder.path().to_owned(), "not a regular file"),
        (float, "floating point"),
        (fixture("float.tif"), "save it anew as 8-bit PNG"),
    ];
    for (path, expected) in cases {
        let message = read_image(&path).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert!(message.contains(&path.display().to_string()), "{message}");
    }
    let dicom = [&[0; 128], b"DICM".as_slice()].concat();
    let contents: [(&[u8], &str); 12] = [
        (
            b"",
            "is an empty file, which is not read: fetch or save it again",
        ),
        (b"just text", "is a text"),
        (b"\x07\xc8\x03", "bytes 07 c8 03"),
        (
            b"RIFF\x24\0\0\0WEBPVP8 ",
            "a WebP picture, which is not read: convert it to PNG",
        ),
        (&dicom, "a DICOM file, which is not read: convert it to PNG"),
        (
            b"\0\0\0\x0cjP  \r\n\x87\n\0",
            "a JPEG 2000 picture, which is not read: convert it to PNG",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "a Git LFS pointer, which is not read: run `git lfs pull`",
        ),
        (
            b"<!DOCTYPE html><html>",
            "an HTML page, which is not read: the download failed, fetch it again",
        ),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\0broken", "gzip"),
        (&gzip(&gzip(b"P5 1 1 255 \0")), "a gzip file in a gzip file"),
        (&gzip(b""), "empty"),
        (&gzip(b"%PDF-1.4"), "a PDF document"),
    ];
    for (bytes, expected) in contents {
        let (_folder, path) = file(bytes);
        let message = read_image(&path).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert!(message.contains(&path.display().to_string()), "{message}");
    }
}

#[test]
fn a_name_that_lies_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.jpg");
    std::fs::write(&path, b"RIFF\x24\0\0\0WEBPVP8 ").unwrap();
    let message = read_image(&path).unwrap_err().to_string();
    assert!(
        message.contains("a WebP picture (though its name ends in .jpg)"),
        "{message}"
    );
}
