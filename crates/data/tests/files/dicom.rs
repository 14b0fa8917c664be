//! Photographs in DICOM files, which the feature `dicom` reads, against what pydicom reads of them.

use std::fs;
use std::path::{Path, PathBuf};

use image::RgbImage;
use venule_data::{
    Error, FileKind, Note, ReadOptions, file_kind, read_image, read_mask, read_photograph,
};

const SIZE: (u32, u32) = (24, 16);

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/dicom")
        .join(name)
}

/// The pixels of a picture, as pydicom has them.
fn expected(name: &str, picture: usize) -> RgbImage {
    let bytes = fs::read(file(&format!("{name}.rgb"))).unwrap();
    let length = (3 * SIZE.0 * SIZE.1) as usize;
    let pixels = bytes[picture * length..][..length].to_vec();
    RgbImage::from_raw(SIZE.0, SIZE.1, pixels).unwrap()
}

fn greatest_difference(a: &RgbImage, b: &RgbImage) -> u8 {
    assert_eq!(a.dimensions(), b.dimensions());
    let pairs = a.as_raw().iter().zip(b.as_raw());
    pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn pixels_are_those_of_pydicom() {
    for (name, bound) in [
        ("explicit_rgb", 0),
        ("implicit_planar", 0),
        ("monochrome_12", 0),
        ("ybr_full", 0),
        // Another decoder's inverse transform.
        ("jpeg", 3),
    ] {
        let path = file(&format!("{name}.dcm"));
        let difference = greatest_difference(&read_image(&path).unwrap(), &expected(name, 0));
        assert!(difference <= bound, "{name}: {difference}");
        assert_eq!(file_kind(&path).unwrap(), FileKind::Readable("DICOM"));
    }
    let photograph = read_photograph(file("monochrome_12.dcm"), &ReadOptions::default()).unwrap();
    assert!(matches!(
        photograph.notes[..],
        [Note::Stretched { bits: 12, .. }]
    ));
}

#[test]
fn of_several_frames_one_is_chosen() {
    let path = file("two_frames.dcm");
    let error = read_image(&path).unwrap_err().to_string();
    for part in ["two_frames.dcm", "2 photographs", "24x16"] {
        assert!(error.contains(part), "{error}");
    }
    for page in [1, 2] {
        let read = read_photograph(&path, &ReadOptions::default().page(page)).unwrap();
        assert!(read.image == expected("two_frames", page - 1));
        assert_eq!(read.notes, [Note::PageChosen { page, pages: 2 }]);
    }
    let error = read_photograph(&path, &ReadOptions::default().page(3)).unwrap_err();
    assert!(matches!(
        error,
        Error::NoPage {
            page: 3,
            pages: 2,
            ..
        }
    ));
}

#[test]
fn other_ways_of_storing_pixels_are_named() {
    let error = read_image(file("jpeg_2000.dcm")).unwrap_err().to_string();
    for part in [
        "jpeg_2000.dcm",
        "a DICOM file of JPEG 2000",
        "convert it to PNG",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert!(
        read_mask(file("explicit_rgb.dcm")).is_err(),
        "a photograph is no mask"
    );
}

#[test]
fn a_file_that_is_cut_off_or_lies_is_an_error_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.dcm");
    for name in ["explicit_rgb", "implicit_planar", "jpeg", "two_frames"] {
        let whole = fs::read(file(&format!("{name}.dcm"))).unwrap();
        for length in (132..whole.len() - 8).step_by(5) {
            fs::write(&path, &whole[..length]).unwrap();
            let error = read_photograph(&path, &ReadOptions::default().page(1)).unwrap_err();
            assert!(
                error.to_string().contains("cut.dcm"),
                "{name} {length}: {error}"
            );
        }
        // Any byte may be anything; only a panic or an allocation beyond the file would be wrong.
        for at in 132..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] = 0xff;
            fs::write(&path, &bytes).unwrap();
            let read = read_photograph(&path, &ReadOptions::default().page(1));
            assert!(read.is_ok() || read.unwrap_err().to_string().contains("cut.dcm"));
        }
    }
}
