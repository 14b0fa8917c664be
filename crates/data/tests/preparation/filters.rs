//! Filters against OpenCV, SciPy and PyTorch; the fixtures come from `fixtures/make_filters.py`.

use std::path::PathBuf;

use venule_data::{Clahe, Mask, Plane, Raster, resize_mask, resize_plane, wiener};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn gray(name: &str) -> Raster<u8> {
    let image = image::open(fixture(name)).unwrap().to_luma8();
    let (width, height) = image.dimensions();
    Raster::new(width as usize, height as usize, image.into_raw()).unwrap()
}

fn floats(name: &str) -> Vec<f32> {
    let bytes = std::fs::read(fixture(name)).unwrap();
    bytes
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect()
}

fn largest_difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    found
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

#[test]
fn clahe_equals_opencv() {
    let cases = [
        ("divisible", 2.0, (8, 8)),
        ("ragged", 2.0, (8, 8)),
        ("half", 3.0, (4, 6)),
        ("unclipped", 0.0, (3, 2)),
    ];
    for (name, clip_limit, tiles) in cases {
        let found = Clahe { clip_limit, tiles }
            .apply(&gray(&format!("clahe_{name}.png")))
            .unwrap();
        let expected = gray(&format!("clahe_{name}_out.png"));
        let worst = found
            .data()
            .iter()
            .zip(expected.data())
            .map(|(a, b)| a.abs_diff(*b))
            .max();
        assert!(worst <= Some(1), "{name}: {worst:?} gray levels apart");
    }
}

#[test]
fn wiener_equals_scipy() {
    let image = gray("small.png").map(|&v| f32::from(v));
    for window in [3, 5] {
        let found = wiener(&image, window).unwrap();
        let worst = largest_difference(found.data(), &floats(&format!("wiener_{window}.f32")));
        assert!(worst < 1e-4, "window {window}: {worst}");
    }
    for window in [0, 1, 4, 257] {
        assert!(wiener(&image, window).is_err(), "{window}");
    }
    let black = Plane::filled(9, 7, 0.0);
    assert_eq!(wiener(&black, 5).unwrap(), black);
}

#[test]
fn resizing_equals_pytorch() {
    let image = gray("small.png").map(|&v| f32::from(v));
    for size in [(16, 16), (64, 20), (7, 90)] {
        let found = resize_plane(&image, size).unwrap();
        let worst = largest_difference(
            found.data(),
            &floats(&format!("resize_{}x{}.f32", size.0, size.1)),
        );
        assert!(worst < 1e-3, "{size:?}: {worst}");
    }
    let mask: Mask = image.map(|&v| v > 100.0);
    let expected: Vec<bool> = floats("nearest_17x23.f32")
        .iter()
        .map(|&v| v == 1.0)
        .collect();
    assert_eq!(resize_mask(&mask, (17, 23)).unwrap().data(), expected);
}

#[test]
fn resizing_keeps_constants_and_refuses_the_impossible() {
    let flat = Plane::filled(13, 9, 0.7);
    for size in [(1, 1), (5, 40), (26, 18), (13, 9)] {
        let out = resize_plane(&flat, size).unwrap();
        assert!(
            out.data().iter().all(|v| (v - 0.7).abs() < 1e-6),
            "{size:?}"
        );
    }
    for size in [(0, 4), (usize::MAX, 2), (1 << 20, 1 << 20)] {
        assert!(resize_plane(&flat, size).is_err(), "{size:?}");
        assert!(
            resize_mask(&Mask::filled(2, 2, true), size).is_err(),
            "{size:?}"
        );
    }
    assert!(resize_plane(&Plane::filled(0, 3, 0.0), (2, 2)).is_err());

    // Neither order of the two passes may take the memory of a map that is long one way and wide the other.
    for (from, to) in [
        ((1, 1 << 22), (512, 512)),
        ((1 << 22, 1), (512, 512)),
        ((512, 512), (1, 1 << 22)),
    ] {
        let out = resize_plane(&Plane::filled(from.0, from.1, 3.0), to).unwrap();
        assert!(out.size() == to && out.data().iter().all(|v| (v - 3.0).abs() < 1e-4));
    }
}
