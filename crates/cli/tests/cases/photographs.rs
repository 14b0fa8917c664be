//! D, E and F: photographs.

use std::fs;

use venule::data::{Mask, mask_image};
use venule::image::{self, GrayImage, ImageBuffer, ImageFormat, Rgb, RgbImage};

use super::{DATA, EVALUATE, FINETUNE, Set, marked, refuse, save, says, succeed};

// D: photographs of which only a part is read.

#[test]
fn few_bits_in_sixteen_segment_as_their_eight_bit_twin() {
    let set = Set::plain();
    let photo = venule::data::read_image(set.path().join("set/images/p0.png")).unwrap();
    let mask = |name: &str| {
        let path = set.path().join(format!("out/segment/{name}_mask.png"));
        venule::data::read_mask(path).unwrap()
    };
    succeed(set.path(), "segment --fast set/images/p0.png");
    for bits in [10, 12, 14] {
        let samples = photo.as_raw().iter().map(|&v| u16::from(v) << (bits - 8));
        let deep = ImageBuffer::<Rgb<u16>, _>::from_raw(128, 128, samples.collect::<Vec<_>>());
        save(set.path().join(format!("deep{bits}.png")), deep.unwrap());
        let said = succeed(set.path(), &format!("segment --fast deep{bits}.png"));
        says(
            "segment",
            &said,
            &[&format!("so it is read as {bits}-bit data")],
        );
        assert_eq!(mask(&format!("deep{bits}")), mask("p0"), "{bits} bits");
    }
}

/// A TIFF of gray pages of 8 bits, one strip each.
fn tiff(pages: &[GrayImage]) -> Vec<u8> {
    let mut bytes = b"II*\0".to_vec();
    let mut next = 4;
    bytes.extend([0; 4]);
    for page in pages {
        let strip = bytes.len() as u32;
        bytes.extend(page.as_raw());
        bytes.resize(bytes.len().next_multiple_of(2), 0);
        let directory = bytes.len() as u32;
        bytes[next..next + 4].copy_from_slice(&directory.to_le_bytes());
        let entries: [(u16, u32); 9] = [
            (256, page.width()),
            (257, page.height()),
            (258, 8),
            (259, 1),
            (262, 1),
            (273, strip),
            (277, 1),
            (278, page.height()),
            (279, page.len() as u32),
        ];
        bytes.extend((entries.len() as u16).to_le_bytes());
        for (tag, value) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(4u16.to_le_bytes());
            bytes.extend(1u32.to_le_bytes());
            bytes.extend(value.to_le_bytes());
        }
        next = bytes.len();
        bytes.extend([0; 4]);
    }
    bytes
}

#[test]
fn of_several_photographs_in_a_tiff_one_is_chosen() {
    let set = Set::plain();
    let gray = |index: usize| {
        let path = set.path().join(format!("set/images/p{index}.png"));
        image::DynamicImage::from(venule::data::read_image(path).unwrap()).into_luma8()
    };
    let (first, second) = (gray(0), gray(1));
    fs::write(set.path().join("two.tif"), tiff(&[first, second.clone()])).unwrap();
    save(set.path().join("second.png"), second);
    refuse(
        set.path(),
        "segment --fast two.tif",
        &["two.tif", "2 photographs", "--page 1"],
    );
    refuse(
        set.path(),
        "segment --fast two.tif --page 3",
        &["two.tif", "no page 3"],
    );
    let said = succeed(set.path(), "segment --fast two.tif --page 2");
    says("segment", &said, &["page 2 of 2 was read"]);
    succeed(set.path(), "segment --fast second.png");
    let read = |name: &str| fs::read(set.path().join("out/segment").join(name)).unwrap();
    assert!(read("two_mask.png") == read("second_mask.png"));
}

#[test]
fn warnings_are_printed_written_and_strict() {
    let set = Set::plain();
    // 128 pixels are too few to show thin vessels.
    let command = "segment --fast set/images/p0.png --json out/all.json";
    let said = succeed(set.path(), command);
    says(
        command,
        &said,
        &["warning: set/images/p0.png", "pixels wide"],
    );
    let json = fs::read_to_string(set.path().join("out/all.json")).unwrap();
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(
        rows[0]["warning_kinds"]
            .as_array()
            .unwrap()
            .contains(&"low_resolution".into())
    );
    let share = rows[0]["vessel_share"].as_f64().unwrap();
    assert!(share > 0.0 && share < 0.5, "{json}");
    assert!(set.path().join(rows[0]["mask"].as_str().unwrap()).is_file());
    let strict = "segment --fast set/images/p0.png --out strict --strict";
    refuse(set.path(), strict, &["set/images/p0.png", "pixels wide"]);
    assert!(!set.path().join("strict/p0_mask.png").exists());
}

// E: files of unknown kind.

#[test]
fn what_is_no_picture_is_called_by_its_name() {
    let set = Set::plain();
    let dicom = [&[0; 128][..], b"DICM"].concat();
    let files: [(&str, &[u8], &[&str]); 6] = [
        ("photo.dcm", &dicom, &["DICOM", "convert it to PNG"]),
        (
            "photo.jp2",
            b"\0\0\0\x0cjP  \r\n\x87\n",
            &["JPEG 2000", "convert it to PNG"],
        ),
        (
            "photo.webp",
            b"RIFF\x24\0\0\0WEBPVP8 ",
            &["WebP", "convert it to PNG"],
        ),
        (
            "webp.jpg",
            b"RIFF\x24\0\0\0WEBPVP8 ",
            &["WebP", "though its name ends in .jpg"],
        ),
        (
            "pointer.png",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            &["a Git LFS pointer", "run `git lfs pull`"],
        ),
        (
            "page.jpg",
            b"<!DOCTYPE html><html><body>404</body></html>",
            &["an HTML page", "the download failed, fetch it again"],
        ),
    ];
    for (name, bytes, words) in files {
        fs::write(set.path().join(name), bytes).unwrap();
        refuse(
            set.path(),
            &format!("segment --fast {name}"),
            &[&[name], words].concat(),
        );
    }
    fs::copy(
        set.path().join("pointer.png"),
        set.path().join("set/images/p1.png"),
    )
    .unwrap();
    refuse(
        set.path(),
        FINETUNE,
        &["set/images/p1.png", "run `git lfs pull`"],
    );
}

// F: EXIF orientation.

/// A JPEG whose EXIF data says how it is turned.
fn turned(picture: &RgbImage, orientation: u8) -> Vec<u8> {
    let mut jpeg = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let mut bytes = b"\xff\xd8\xff\xe1".to_vec();
    bytes.extend((exif.len() as u16 + 2).to_be_bytes());
    bytes.extend(exif);
    bytes.extend(&jpeg.into_inner()[2..]);
    bytes
}

#[test]
fn a_turned_photograph_and_an_upright_label_do_not_pair_square_or_not() {
    for cut in [128, 96] {
        let set = Set::plain();
        for index in 0..3 {
            let path = set.path().join(format!("set/images/p{index}.png"));
            let photo = venule::data::read_image(&path).unwrap();
            let cut_photo = image::imageops::crop_imm(&photo, 0, 0, 128, cut).to_image();
            fs::write(path.with_extension("jpg"), turned(&cut_photo, 6)).unwrap();
            fs::remove_file(path).unwrap();
            let path = set.path().join(format!("set/masks/p{index}.png"));
            let label = venule::data::read_mask(&path).unwrap();
            save(
                path,
                mask_image(&Mask::from_fn(128, cut as usize, |x, y| {
                    marked(&label, x, y)
                }))
                .unwrap(),
            );
        }
        for command in [DATA, FINETUNE, EVALUATE] {
            refuse(
                set.path(),
                command,
                &["EXIF orientation 6", "set/images/p", ".jpg"],
            );
        }
    }
}
