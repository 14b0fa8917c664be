//! What the file of a map says beside its pixels: orientation, pictures, the order of bits, scale, alpha.

use std::path::{Path, PathBuf};

use image::codecs::gif::GifEncoder;
use image::{DynamicImage, Frame, GrayImage, ImageBuffer, Luma, LumaA, Rgba, RgbaImage};
use venule_data::{
    Error, Mask, MaskRule, Note, PredictionRange, PredictionScale, ReadOptions, read_image,
    read_mask, read_mask_with, read_photograph, read_probability,
};

use crate::build::{DEFLATE, GRAY, PLAIN, TiffPage, TiffValue, page, png, tiff, tiff_of, zlib};

const SIZE: (u32, u32) = (16, 12);

/// No symmetry: turned or mirrored it is another one.
fn drawing() -> Mask {
    Mask::from_fn(16, 12, |x, y| x == 2 || (y == 3 && x > 4) || x + y == 9)
}

fn levels(off: u8, on: u8) -> Vec<u8> {
    let level = |&marked: &bool| if marked { on } else { off };
    drawing().data().iter().map(level).collect()
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn save(folder: &Path, name: &str, image: impl Into<DynamicImage>) -> PathBuf {
    let path = folder.join(name);
    image.into().save(&path).unwrap();
    path
}

fn gray(off: u8, on: u8) -> GrayImage {
    GrayImage::from_raw(SIZE.0, SIZE.1, levels(off, on)).unwrap()
}

/// A PNG of 8-bit gray with these chunks before its pixels.
fn png_with(chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let rows: Vec<u8> = levels(0, 255)
        .chunks(16)
        .flat_map(|row| [&[0], row].concat())
        .collect();
    png(SIZE, 8, GRAY, chunks, &zlib(&rows))
}

fn exif(orientation: u8) -> Vec<u8> {
    let tag = [0x12, 1, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0];
    [b"II*\0\x08\0\0\0\x01\0".as_slice(), &tag, &[0; 4]].concat()
}

#[test]
fn a_map_is_turned_only_beside_a_photograph_that_is() {
    let folder = tempfile::tempdir().unwrap();
    for orientation in 2..=8 {
        let tagged = png_with(&[(b"eXIf", exif(orientation))]);
        let in_tiff = tiff(SIZE, PLAIN, u32::from(orientation), &levels(0, 255));
        let other = tiff(SIZE, PLAIN, 9 - u32::from(orientation).min(7), &[9; 192]);
        let photo_path = write(folder.path(), "photo", &tagged);
        let photograph = read_photograph(&photo_path, &ReadOptions::default()).unwrap();
        let other_path = write(folder.path(), "other", &other);
        let other = read_photograph(&other_path, &ReadOptions::default()).unwrap();
        for bytes in [tagged, in_tiff] {
            let path = write(folder.path(), "map", &bytes);
            for error in [
                read_mask(&path).unwrap_err(),
                read_probability(&path).unwrap_err(),
                PredictionRange::new("").add(&path).unwrap_err(),
            ] {
                assert!(matches!(error, Error::TurnedMap { .. }), "{error}");
                let message = error.to_string();
                let said = format!("orientation {orientation}");
                for part in [&said, "map", "remove the tag"] {
                    assert!(message.contains(part), "{message}");
                }
            }
            let rule = MaskRule::AsMeant;
            let read = photograph.read_mask(&photo_path, &path, &rule).unwrap();
            assert_eq!(read.orientation, orientation);
            // As the photograph, whose pixels are the same.
            let shown = photograph.image.pixels().map(|pixel| pixel.0[0] > 127);
            assert_eq!(read.mask.data(), shown.collect::<Vec<_>>());
            if other.orientation != orientation {
                let error = other.read_mask(&other_path, &path, &rule).unwrap_err();
                assert!(error.to_string().contains("other does not"), "{error}");
            }
        }
        let bare = write(folder.path(), "bare.png", &png_with(&[]));
        let read = photograph.read_mask(&photo_path, &bare, &MaskRule::AsMeant);
        let error = read.unwrap_err();
        assert!(matches!(error, Error::TurnedPhotograph { .. }), "{error}");
    }
}

#[test]
fn pictures_passed_over_in_maps_are_noted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gif");
    let mut encoder = GifEncoder::new(std::fs::File::create(&path).unwrap());
    for level in [255, 0] {
        let picture = DynamicImage::from(gray(0, level)).into_rgba8();
        encoder.encode_frame(Frame::new(picture)).unwrap();
    }
    drop(encoder);
    let note = Note::FirstFrame {
        frames: 2,
        apart: false,
    };
    let read = read_mask_with(&path, &MaskRule::AsMeant).unwrap();
    assert_eq!(
        (&read.mask, &read.notes[..]),
        (&drawing(), &[note.clone()][..])
    );
    let mut range = PredictionRange::new(folder.path());
    range.add(&path).unwrap();
    assert_eq!(range.notes(), [(path, note)]);
    // A reduced copy beside the label.
    let mut small = page((1, 1), &[0]);
    small.tags.push((254, TiffValue::Long(1)));
    let pages = [page(SIZE, &levels(0, 255)), small];
    let path = write(folder.path(), "a.tif", &tiff_of(false, &pages));
    let read = read_mask_with(&path, &MaskRule::AsMeant).unwrap();
    assert!(matches!(read.notes[..], [Note::PagesPassedOver { .. }]));
}

#[test]
fn the_picture_read_of_an_animated_png_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let control = [2u32.to_be_bytes(), [0; 4]].concat();
    let frame = [0, SIZE.0, SIZE.1, 0, 0].map(u32::to_be_bytes).concat();
    let frame = [&frame[..], &[0, 1, 0, 1, 0, 0]].concat();
    for (chunks, said) in [
        (vec![(b"acTL", control.clone())], "its default image"),
        (
            vec![(b"acTL", control), (b"fcTL", frame)],
            "the first of its 2 pictures",
        ),
    ] {
        let path = write(folder.path(), "a.png", &png_with(&chunks));
        let read = read_mask_with(&path, &MaskRule::AsMeant).unwrap();
        assert_eq!(read.mask, drawing());
        let [note] = &read.notes[..] else {
            panic!("{:?}", read.notes)
        };
        assert!(note.to_string().contains(said), "{note}");
    }
}

fn with_tag(mut file: TiffPage, tag: u16, value: u32) -> TiffPage {
    file.tags.push((tag, TiffValue::Long(value)));
    file
}

#[test]
fn bits_that_come_from_the_lowest_on_are_put_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let reversed = |bytes: &[u8]| -> Vec<u8> { bytes.iter().map(|b| b.reverse_bits()).collect() };
    let ramp: Vec<u8> = (0..192).collect();
    for big in [false, true] {
        let plain = page(SIZE, &ramp);
        let mut mirrored = with_tag(plain.clone(), 266, 2);
        mirrored.strip = reversed(&ramp);
        let path = write(folder.path(), "a.tif", &tiff_of(big, &[plain]));
        let twin = read_image(&path).unwrap();
        let path = write(folder.path(), "b.tif", &tiff_of(big, &[mirrored]));
        assert_eq!(read_image(&path).unwrap(), twin);
    }
    // One bit a sample, and packed bytes: the tag stands in place of the orientation.
    let bits: Vec<u8> = drawing()
        .data()
        .chunks(8)
        .map(|byte| byte.iter().fold(0, |sum, &on| sum << 1 | u8::from(on)))
        .collect();
    let one_bit = TiffPage {
        size: SIZE,
        tags: vec![
            (258, TiffValue::Shorts(vec![1])),
            (262, TiffValue::Shorts(vec![1])),
            (266, TiffValue::Shorts(vec![2])),
            (277, TiffValue::Shorts(vec![1])),
        ],
        strip: reversed(&bits),
    };
    let path = write(folder.path(), "c.tif", &tiff_of(false, &[one_bit]));
    assert_eq!(read_mask(&path).unwrap(), drawing());
    let mut packed = tiff(SIZE, DEFLATE, 2, &reversed(&zlib(&levels(0, 255))));
    let tag = 8 + 2 + 6 * 12;
    assert_eq!(packed[tag..tag + 2], 274u16.to_le_bytes());
    // Tags come in order: the offset of the strip changes places with it.
    packed[tag..tag + 2].copy_from_slice(&266u16.to_le_bytes());
    let (before, after) = packed[tag - 12..tag + 12].split_at_mut(12);
    before.swap_with_slice(after);
    let path = write(folder.path(), "d.tif", &packed);
    assert_eq!(read_mask(&path).unwrap(), drawing());
}

#[test]
fn few_bits_with_white_at_zero_are_inverted_by_their_own_depth() {
    let folder = tempfile::tempdir().unwrap();
    let levels: Vec<u16> = (0..192).map(|index| index * 20).collect();
    for bits in [16usize, 32] {
        let file = |photometric: u16, level: fn(u16) -> u16| {
            let wide = levels
                .iter()
                .flat_map(|&value| u32::from(level(value)).to_le_bytes()[..bits / 8].to_vec());
            let page = TiffPage {
                size: SIZE,
                tags: vec![
                    (258, TiffValue::Shorts(vec![bits as u16])),
                    (262, TiffValue::Shorts(vec![photometric])),
                    (277, TiffValue::Shorts(vec![1])),
                ],
                strip: wide.collect(),
            };
            let path = write(folder.path(), "a.tif", &tiff_of(false, &[page]));
            read_photograph(path, &ReadOptions::default()).unwrap()
        };
        let (plain, white) = (file(1, |value| value), file(0, |value| 4095 - value));
        assert_eq!(white.image, plain.image, "{bits}");
        assert_eq!(white.notes, plain.notes);
        assert!(matches!(
            white.notes[..],
            [Note::Stretched { bits: 12, .. }]
        ));
    }
}

#[test]
fn what_decoders_do_not_know_is_refused_in_plain_words() {
    let folder = tempfile::tempdir().unwrap();
    let mut tiles = page((16, 16), &[7; 768]);
    let at = 4 + 4;
    for (tag, value) in [(284, 2), (322, 16), (323, 16), (324, at), (325, 256)] {
        tiles = with_tag(tiles, tag, value);
    }
    let path = write(folder.path(), "tiles.tif", &tiff_of(false, &[tiles]));
    let error = read_image(&path).unwrap_err();
    assert!(matches!(error, Error::UnreadFormat { .. }), "{error}");
    for part in ["tiles.tif", "separate planes", "tag 284"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let wide = TiffPage {
        size: (1, 1),
        tags: vec![
            (258, TiffValue::Shorts(vec![32; 3])),
            (262, TiffValue::Shorts(vec![2])),
            (277, TiffValue::Shorts(vec![3])),
        ],
        strip: vec![1; 12],
    };
    let path = write(folder.path(), "wide.tif", &tiff_of(false, &[wide]));
    let message = read_image(&path).unwrap_err().to_string();
    assert!(message.contains("whole numbers of 32 bits"), "{message}");
    assert!(!message.contains("floating"), "{message}");
    // A label has no page to choose.
    let pages = [page(SIZE, &levels(0, 255)), page(SIZE, &levels(255, 0))];
    let path = write(folder.path(), "two.tif", &tiff_of(false, &pages));
    let message = read_mask(&path).unwrap_err().to_string();
    assert!(message.contains("2 pictures (page 1"), "{message}");
    assert!(!message.contains("--page"), "{message}");
}

#[test]
fn one_prediction_of_another_scale_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let good = save(folder.path(), "good.png", gray(0, 255));
    let scale = |other: &Path| {
        let mut range = PredictionRange::new(folder.path());
        range.add(&good).unwrap();
        range.add(other).unwrap();
        range.scale()
    };
    let deep = |most: u32| {
        DynamicImage::ImageLuma16(ImageBuffer::from_fn(16, 12, |x, _| {
            Luma([(x * most / 15) as u16])
        }))
    };
    for image in [gray(0, 1).into(), gray(0, 100).into(), deep(255)] {
        let path = save(folder.path(), "other.png", image);
        let error = scale(&path).unwrap_err();
        assert!(
            matches!(error, Error::PredictionOfOtherScale { .. }),
            "{error}"
        );
        assert!(error.to_string().contains("other.png"), "{error}");
    }
    // Nothing marked, faint shades, and faint shades of 16 bits.
    let faint = GrayImage::from_fn(16, 12, |x, y| Luma([(x + y) as u8]));
    for image in [GrayImage::new(16, 12).into(), faint.into(), deep(9000)] {
        let path = save(folder.path(), "other.png", image);
        let found = scale(&path).unwrap();
        assert!(matches!(found, PredictionScale::Full { .. }), "{found}");
    }
}

#[test]
fn what_is_transparent_in_a_prediction_is_background() {
    let folder = tempfile::tempdir().unwrap();
    let mask = drawing();
    let layer = |off: [u8; 4], on: [u8; 4]| {
        RgbaImage::from_fn(16, 12, |x, y| {
            Rgba(if mask.get(x as usize, y as usize) == Some(&true) {
                on
            } else {
                off
            })
        })
    };
    for (off, on) in [
        ([255, 255, 255, 0], [255; 4]),
        ([0; 4], [255; 4]),
        ([0; 4], [0, 0, 0, 255]),
        ([255, 0, 0, 0], [255; 4]),
        ([0, 0, 0, 255], [255; 4]),
        ([0; 4], [255, 255, 255, 0]),
    ] {
        let path = save(folder.path(), "a.png", layer(off, on));
        let map = read_probability(&path).unwrap();
        // A layer whose alpha is 0 everywhere has none.
        assert_eq!(map.map(|&share| share == 1.0), mask, "{off:?} {on:?}");
        assert_eq!(read_mask(&path).unwrap(), mask, "{off:?} {on:?}");
    }
    let soft = ImageBuffer::from_fn(16, 12, |x, _| LumaA([u8::MAX, x as u8 * 17]));
    let path = save(folder.path(), "b.png", DynamicImage::ImageLumaA8(soft));
    let map = read_probability(&path).unwrap();
    assert!((0..16).all(|x| (map.data()[x] - x as f32 / 15.0).abs() < 1e-6));
    let hidden = layer([255, 255, 255, 0], [0, 0, 0, 255]);
    let path = save(folder.path(), "c.png", hidden);
    let error = read_probability(&path).unwrap_err();
    assert!(matches!(error, Error::HiddenPrediction { .. }), "{error}");
    // All white, as all black, is said.
    let path = save(folder.path(), "d.png", gray(255, 255));
    let mut range = PredictionRange::new(folder.path());
    range.add(&path).unwrap();
    let scale = range.scale().unwrap();
    assert_eq!(scale, PredictionScale::White { files: 1 });
    assert!(scale.to_string().contains("all 1 predictions are white"));
}
