//! Photographs in WebP, which the feature `webp` reads.

use std::fs;

use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, Rgb, RgbImage};
use venule_data::{Error, FileKind, Note, ReadOptions, file_kind, read_image, read_photograph};

fn photograph() -> RgbImage {
    RgbImage::from_fn(40, 30, |x, y| {
        Rgb([(5 * x) as u8, (7 * y) as u8, (x * y) as u8])
    })
}

fn webp(image: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = WebPEncoder::new_lossless(&mut bytes);
    let (width, height) = image.dimensions();
    encoder
        .encode(image, width, height, ExtendedColorType::Rgb8)
        .unwrap();
    bytes
}

/// Of a frame: it takes the place of what was there before, so that no pixel is mixed and rounded.
const NOT_BLENDED: u8 = 2;

/// An animation of one picture, shown several times.
fn animation(image: &RgbImage, frames: usize) -> Vec<u8> {
    let still = webp(image);
    let still = &still[12..];
    let chunk = |name: &[u8; 4], data: &[u8]| {
        let length = (data.len() as u32).to_le_bytes();
        let padding = vec![0; data.len() % 2];
        [&name[..], &length, data, &padding].concat()
    };
    let size = |side: u32| (side - 1).to_le_bytes()[..3].to_vec();
    let (width, height) = (size(image.width()), size(image.height()));
    let header = [&[2, 0, 0, 0][..], &width, &height].concat();
    let frame = [
        &[0; 6][..],
        &width,
        &height,
        &[100, 0, 0, NOT_BLENDED],
        still,
    ]
    .concat();
    let mut body = [
        &b"WEBP"[..],
        &chunk(b"VP8X", &header),
        &chunk(b"ANIM", &[0; 6]),
    ]
    .concat();
    for _ in 0..frames {
        body.extend(chunk(b"ANMF", &frame));
    }
    chunk(b"RIFF", &body)
}

#[test]
fn a_webp_photograph_is_read_to_the_pixel() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.webp");
    fs::write(&path, webp(&photograph())).unwrap();
    assert!(read_image(&path).unwrap() == photograph());
    assert_eq!(file_kind(&path).unwrap(), FileKind::Readable("WebP"));
}

#[test]
fn a_cut_off_webp_photograph_is_an_error_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.webp");
    let whole = webp(&photograph());
    for length in (13..whole.len()).step_by(7) {
        fs::write(&path, &whole[..length]).unwrap();
        let error = read_image(&path).unwrap_err();
        assert!(matches!(error, Error::Decode { .. }), "{length}: {error}");
        assert!(error.to_string().contains("cut.webp"), "{error}");
    }
}

#[test]
fn the_pictures_of_a_webp_animation_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("film.webp");
    fs::write(&path, animation(&photograph(), 3)).unwrap();
    let read = read_photograph(&path, &ReadOptions::default()).unwrap();
    let notes = &read.notes[..];
    assert!(
        matches!(notes, [Note::FirstFrame { frames: 3, .. }]),
        "{notes:?}"
    );
    assert!(read.image == photograph());
}
