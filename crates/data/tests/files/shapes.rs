//! Images of extreme shapes in every format, and all ways a camera may be held.

use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, Rgb, RgbImage};
use venule_data::{Error, read_image, read_mask};

use crate::build::{GRAY, PLAIN, png, tiff, zlib};

#[test]
fn one_row_or_column_of_the_greatest_length_is_read_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("thin");
    // Four grays, so that a palette holds them, in runs of whole JPEG blocks, so that their middles stay what they are.
    const GRAYS: [u8; 4] = [10, 90, 170, 250];
    let gray = |at: u32| GRAYS[(at / 64 % 4) as usize];
    for size in [(1, 65_535), (65_535, 1)] {
        let image = RgbImage::from_fn(size.0, size.1, |x, y| Rgb([gray(x.max(y)); 3]));
        for (format, off) in [
            (ImageFormat::Png, 0),
            (ImageFormat::Tiff, 0),
            (ImageFormat::Bmp, 0),
            (ImageFormat::Pnm, 0),
            (ImageFormat::Gif, 0),
            (ImageFormat::Jpeg, 4),
        ] {
            image.save_with_format(&path, format).unwrap();
            let read = read_image(&path).unwrap();
            assert_eq!(read.dimensions(), size, "{format:?}");
            let far = |at: &u32| {
                let (x, y) = if size.0 == 1 { (0, *at) } else { (*at, 0) };
                read.get_pixel(x, y).0[1].abs_diff(gray(*at)) > off
            };
            // The middle of each run, and the two ends.
            let places = (0..1023).map(|run| run * 64 + 32).chain([0, 65_534]);
            assert_eq!(places.filter(far).count(), 0, "{format:?} of {size:?}");
            // Four grays in runs are four classes, but for those of JPEG, which lie on no square.
            match read_mask(&path) {
                Ok(mask) => assert_eq!(mask.size(), (size.0 as usize, size.1 as usize)),
                Err(error) => assert!(matches!(error, Error::AmbiguousMask { .. }), "{error}"),
            }
        }
    }
}

/// By EXIF orientation, how the stored rows `abc`, `def` are to be shown (EXIF 2.3, table 6).
const UPRIGHT: [(u16, &[&str]); 8] = [
    (1, &["abc", "def"]),
    (2, &["cba", "fed"]),
    (3, &["fed", "cba"]),
    (4, &["def", "abc"]),
    (5, &["ad", "be", "cf"]),
    (6, &["da", "eb", "fc"]),
    (7, &["fc", "eb", "da"]),
    (8, &["cf", "be", "ad"]),
];

fn level(letter: char) -> u8 {
    20 + 40 * (letter as u8 - b'a')
}

/// A TIFF header with the one tag.
fn exif(orientation: u16) -> Vec<u8> {
    let [low, high] = orientation.to_le_bytes();
    let tag = [0x12, 1, 3, 0, 1, 0, 0, 0, low, high, 0, 0];
    [b"II*\0\x08\0\0\0\x01\0".as_slice(), &tag, &[0; 4]].concat()
}

/// Checks the levels of `side`-pixel blocks against the table.
fn check(path: &Path, orientation: u16, rows: &[&str], side: u32, off: u8) {
    let image = read_image(path).unwrap();
    let size = (side * rows[0].len() as u32, side * rows.len() as u32);
    assert_eq!(image.dimensions(), size, "orientation {orientation}");
    for (y, row) in rows.iter().enumerate() {
        for (x, letter) in row.chars().enumerate() {
            let at = (x as u32 * side + side / 2, y as u32 * side + side / 2);
            let found = image.get_pixel(at.0, at.1).0[0];
            assert!(
                found.abs_diff(level(letter)) <= off,
                "orientation {orientation}: {found} where {letter} should be"
            );
        }
    }
}

#[test]
fn every_orientation_is_turned_upright_in_png_tiff_and_jpeg() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("turned");
    let levels: Vec<u8> = "abcdef".chars().map(level).collect();
    let filtered = [&[0], &levels[..3], &[0], &levels[3..]].concat();
    for (orientation, rows) in UPRIGHT {
        let chunk = (b"eXIf", exif(orientation));
        std::fs::write(&path, png((3, 2), 8, GRAY, &[chunk], &zlib(&filtered))).unwrap();
        check(&path, orientation, rows, 1, 0);

        let file = tiff((3, 2), PLAIN, u32::from(orientation), &levels);
        std::fs::write(&path, file).unwrap();
        check(&path, orientation, rows, 1, 0);

        let blocks = RgbImage::from_fn(48, 32, |x, y| {
            Rgb([levels[(y / 16 * 3 + x / 16) as usize]; 3])
        });
        let mut jpeg = Cursor::new(Vec::new());
        blocks.write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
        let body = [b"Exif\0\0".as_slice(), &exif(orientation)].concat();
        let mut segment = vec![0xff, 0xe1];
        segment.extend((body.len() as u16 + 2).to_be_bytes());
        segment.extend(body);
        // Right after the start marker.
        let mut file = jpeg.into_inner();
        file.splice(2..2, segment);
        std::fs::write(&path, file).unwrap();
        check(&path, orientation, rows, 16, 6);
    }
}

#[test]
fn an_orientation_that_does_not_exist_leaves_the_image_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("turned");
    let levels: Vec<u8> = "abcdef".chars().map(level).collect();
    for orientation in [0, 9, 65_535] {
        let file = tiff((3, 2), PLAIN, u32::from(orientation), &levels);
        std::fs::write(&path, file).unwrap();
        check(&path, orientation, UPRIGHT[0].1, 1, 0);
    }
}
