//! Whole images against OpenCV and SciPy; the numbers come from `fixtures/make_whole.py`.

use std::path::PathBuf;

use flate2::Crc;
use image::{Rgb, RgbImage};
use serde_json::Value;
use venule_data::{Clahe, Mask, Raster, vesselness};

fn fixture(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    std::fs::read(folder.join(name)).unwrap()
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut crc = Crc::new();
    crc.update(bytes);
    u64::from(crc.sum())
}

/// The image and the disc of `make_whole.py`, in integers as there.
fn pattern(width: usize, height: usize) -> (Raster<u8>, Mask) {
    let disc = Mask::from_fn(width, height, |x, y| {
        let squared = |at: usize, side: usize| (2 * at + 1).abs_diff(side).pow(2);
        squared(x, width) + squared(y, height) < (94 * width.min(height) / 100).pow(2)
    });
    let image = Raster::from_fn(width, height, |x, y| {
        let light = 70 + 80 * x / width + 30 * y / height;
        let line = |at: usize, period: usize, wide: usize| at % period < wide;
        let first = if line(3 * x + 2 * y, 61, 4) { 30 } else { 0 };
        let second = if line(x + 2 * y, 97, 3) { 20 } else { 0 };
        let noise = ((x * 73_856_093) ^ (y * 19_349_663)) >> 7 & 7;
        let inside = disc.get(x, y) == Some(&true);
        (noise + if inside { light - first - second } else { 0 }) as u8
    });
    (image, disc)
}

#[test]
fn clahe_equals_opencv_on_whole_images() {
    let expected: Value = serde_json::from_slice(&fixture("whole.json")).unwrap();
    let rows = fixture("clahe_rows.u8");
    let mut rows = rows.as_slice();
    for (width, height) in [(565, 584), (3504, 2336)] {
        let (image, _) = pattern(width, height);
        let expected = &expected[format!("{width}x{height}")];
        assert_eq!(Some(checksum(image.data())), expected["input"].as_u64());
        let out = Clahe::default().apply(&image).unwrap();
        for y in (0..height).step_by(height / 12) {
            let (row, rest) = rows.split_at(width);
            rows = rest;
            let worst = row
                .iter()
                .zip(out.row(y))
                .map(|(a, b)| a.abs_diff(*b))
                .max();
            assert!(worst <= Some(1), "{worst:?} gray levels apart in row {y}");
        }
        // More than asked for: not one pixel differs.
        assert_eq!(Some(checksum(out.data())), expected["clahe"].as_u64());
    }
    assert!(rows.is_empty());
}

#[test]
fn the_vessel_map_equals_its_steps_in_scipy_and_opencv() {
    let (image, fov) = pattern(161, 123);
    let photograph = RgbImage::from_fn(161, 123, |x, y| {
        Rgb([0, image.row(y as usize)[x as usize], 0])
    });
    let map = vesselness(&photograph, &fov).unwrap();
    let bytes = fixture("vesselness.f32");
    let expected = bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b));
    assert_eq!(expected.len(), map.data().len());
    let off: Vec<f32> = map
        .data()
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs())
        .collect();
    let worst = off.iter().copied().fold(0.0, f32::max);
    assert!(worst < 1e-3, "{worst}");
    // A map of another midpoint or steepness would be off everywhere.
    assert!(map.data().iter().any(|&v| v > 0.9) && map.data().iter().any(|&v| v > 0.0 && v < 0.1));
}
