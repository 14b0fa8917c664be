//! What a photograph's file holds beyond what is read: bits, pages, containers, orientation.

use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageBuffer, Rgb, RgbImage};
use venule_data::{
    Error, Note, Photograph, ReadOptions, check_orientation, read_image, read_photograph,
};

use crate::build::{TiffPage, TiffValue, page, tiff_of};
use crate::read::fixture;

fn write(folder: &Path, bytes: &[u8]) -> PathBuf {
    let path = folder.join("photograph");
    std::fs::write(&path, bytes).unwrap();
    path
}

fn read(path: &Path) -> Photograph {
    read_photograph(path, &ReadOptions::default()).unwrap()
}

/// A photograph of every level.
fn levels() -> RgbImage {
    RgbImage::from_fn(32, 24, |x, y| {
        Rgb([x * 8 + y % 8, y * 10 + 9, (x * y) % 256].map(|value| value as u8))
    })
}

#[test]
fn few_bits_in_sixteen_are_stretched_by_their_own_depth() {
    let folder = tempfile::tempdir().unwrap();
    let twin = levels();
    assert!(twin.contains(&255));
    for bits in [8u32, 10, 12, 14] {
        for with_low_bits in [false, true] {
            let deep = ImageBuffer::from_fn(32, 24, |x, y| {
                let low = if with_low_bits {
                    (x + y) as u16 % (1 << (bits - 8))
                } else {
                    0
                };
                Rgb(twin
                    .get_pixel(x, y)
                    .0
                    .map(|value| (u16::from(value) << (bits - 8)) + low))
            });
            for name in ["a.png", "a.tif"] {
                let path = folder.path().join(name);
                DynamicImage::ImageRgb16(deep.clone()).save(&path).unwrap();
                let photograph = read(&path);
                assert_eq!(photograph.image, twin, "{bits} bits in {name}");
                let [Note::Stretched { bits: said, .. }] = photograph.notes[..] else {
                    panic!("{:?}", photograph.notes);
                };
                assert_eq!(said, bits);
            }
        }
    }
    // All of 16 bits, also dark: multiples of 257 or of 256.
    for factor in [257, 256] {
        let deep = ImageBuffer::from_fn(32, 24, |x, y| {
            Rgb(twin
                .get_pixel(x, y)
                .0
                .map(|value| u16::from(value / 8) * factor))
        });
        let path = folder.path().join("a.png");
        DynamicImage::ImageRgb16(deep.clone()).save(&path).unwrap();
        let photograph = read(&path);
        assert_eq!(photograph.notes, []);
        assert_eq!(
            photograph.image.get_pixel(31, 23).0[0],
            twin.get_pixel(31, 23).0[0] / 8
        );
        // Unless the caller knows better.
        let options = ReadOptions::default().bits(14);
        let known = read_photograph(&path, &options).unwrap();
        assert_eq!(
            known.image.get_pixel(31, 23).0[0],
            (deep.get_pixel(31, 23).0[0] >> 6) as u8
        );
    }
    let error = read_photograph("a.png", &ReadOptions::default().bits(17)).unwrap_err();
    assert!(matches!(error, Error::InvalidConfig { .. }), "{error}");
}

fn marked(mut page: TiffPage, tag: u16, value: u32) -> TiffPage {
    page.tags.push((tag, TiffValue::Long(value)));
    page
}

#[test]
fn reduced_copies_and_masks_are_passed_over_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let photo = page((4, 3), &[200; 36]);
    let small = page((2, 1), &[9; 6]);
    let mask = page((4, 3), &[255; 12]);
    for big in [false, true] {
        let cases = [
            vec![marked(small.clone(), 254, 1), photo.clone()],
            vec![photo.clone(), marked(small.clone(), 254, 1)],
            vec![marked(small.clone(), 255, 2), photo.clone()],
            vec![
                marked(mask.clone(), 254, 4),
                photo.clone(),
                marked(small.clone(), 254, 1),
            ],
        ];
        for pages in cases {
            let path = write(folder.path(), &tiff_of(big, &pages));
            let photograph = read(&path);
            assert_eq!(photograph.image, RgbImage::from_pixel(4, 3, Rgb([200; 3])));
            let [note @ Note::PagesPassedOver { others, .. }] = &photograph.notes[..] else {
                panic!("{:?}", photograph.notes);
            };
            assert_eq!(others.len(), pages.len() - 1);
            let said = note.to_string();
            assert!(
                said.contains("a reduced copy of 2x1") || said.contains("mask"),
                "{said}"
            );
        }
    }
    // A reduced copy of nothing is all there is.
    let path = write(folder.path(), &tiff_of(false, &[marked(small, 254, 1)]));
    assert_eq!(read(&path).image.dimensions(), (2, 1));
}

#[test]
fn several_photographs_are_an_error_unless_one_is_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let pages = [page((4, 3), &[200; 36]), page((2, 2), &[90; 12])];
    let path = write(folder.path(), &tiff_of(false, &pages));
    let message = read_image(&path).unwrap_err().to_string();
    for part in [
        "2 photographs",
        "page 1: 4x3, page 2: 2x2",
        "--page",
        "photograph",
    ] {
        assert!(message.contains(part), "{message}");
    }
    for (number, size) in [(1, (4, 3)), (2, (2, 2))] {
        let chosen = read_photograph(&path, &ReadOptions::default().page(number)).unwrap();
        assert_eq!(chosen.image.dimensions(), size);
        assert_eq!(
            chosen.notes,
            [Note::PageChosen {
                page: number,
                pages: 2
            }]
        );
    }
    for number in [0, 3] {
        let error = read_photograph(&path, &ReadOptions::default().page(number)).unwrap_err();
        assert!(matches!(error, Error::NoPage { pages: 2, .. }), "{error}");
    }
    let error = read_photograph(fixture("small.png"), &ReadOptions::default().page(2));
    assert!(error.is_err());
}

#[test]
fn pages_that_are_channels_are_one_photograph() {
    let folder = tempfile::tempdir().unwrap();
    let gray = |level: u8| page((3, 2), &[level; 6]);
    let described = |text: &'static str| {
        let mut first = gray(200);
        first.tags.push((270, TiffValue::Text(text)));
        write(folder.path(), &tiff_of(false, &[first, gray(90), gray(40)]))
    };
    for text in [
        "ImageJ=1.53t\nimages=3\nchannels=3\nmode=composite\n",
        "<?xml version=\"1.0\"?><OME><Pixels SizeC=\"3\" SizeZ=\"1\" SizeT=\"1\"/></OME>",
    ] {
        let photograph = read(&described(text));
        assert_eq!(
            photograph.image,
            RgbImage::from_pixel(3, 2, Rgb([200, 90, 40]))
        );
        assert_eq!(photograph.notes, [Note::ChannelsJoined { pages: 3 }]);
    }
    for text in ["ImageJ=1.53t\nimages=3\nslices=3\n", "three photographs"] {
        let error = read_image(described(text)).unwrap_err();
        assert!(
            matches!(error, Error::SeveralPages { photographs: 3, .. }),
            "{error}"
        );
    }
}

#[test]
fn big_tiff_is_read_as_its_twin() {
    let folder = tempfile::tempdir().unwrap();
    let photo = levels();
    let bytes = tiff_of(true, &[page((32, 24), photo.as_raw())]);
    assert!(bytes.starts_with(b"II\x2b\0"));
    assert_eq!(read_image(write(folder.path(), &bytes)).unwrap(), photo);
    for length in 0..bytes.len() {
        let read = read_image(write(folder.path(), &bytes[..length]));
        // Behind the pixels lies the directory: without it there is nothing.
        assert!(read.is_err() || length + 8 >= bytes.len(), "{length}");
    }
}

#[test]
fn a_directory_that_points_at_itself_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = tiff_of(false, &[page((2, 1), &[7; 6])]);
    let start: [u8; 4] = bytes[4..8].try_into().unwrap();
    let end = bytes.len() - 4;
    bytes[end..].copy_from_slice(&start);
    let error = read_image(write(folder.path(), &bytes)).unwrap_err();
    assert!(error.to_string().contains("cycle"), "{error}");
}

#[test]
fn animations_are_said_to_be_such() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gif");
    let mut encoder = image::codecs::gif::GifEncoder::new(std::fs::File::create(&path).unwrap());
    for _ in 0..3 {
        let frame = image::RgbaImage::from_pixel(4, 4, image::Rgba([9, 9, 9, 255]));
        encoder.encode_frame(image::Frame::new(frame)).unwrap();
    }
    drop(encoder);
    assert_eq!(
        read(&path).notes,
        [Note::FirstFrame {
            frames: 3,
            apart: false
        }]
    );
    assert_eq!(read(&fixture("gray.gif")).notes, []);
}

#[test]
fn pictures_behind_the_first_of_a_jpeg_are_said_and_can_be_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stereo.jpg");
    let picture = |level: u8| {
        let mut bytes = Vec::new();
        let image = RgbImage::from_pixel(16, 8 + u32::from(level), image::Rgb([level; 3]));
        image
            .write_to(
                &mut std::io::Cursor::new(&mut bytes),
                image::ImageFormat::Jpeg,
            )
            .unwrap();
        bytes
    };
    let both = [picture(16), vec![0; 3], picture(24)].concat();
    std::fs::write(&path, &both).unwrap();
    let first = read(&path);
    assert_eq!(first.image.dimensions(), (16, 24));
    assert_eq!(first.notes, [Note::FirstPicture { pictures: 2 }]);
    let second = read_photograph(&path, &ReadOptions::default().page(2)).unwrap();
    assert_eq!(second.image.dimensions(), (16, 32));
    assert_eq!(second.notes, [Note::PageChosen { page: 2, pages: 2 }]);
    let error = read_photograph(&path, &ReadOptions::default().page(3)).unwrap_err();
    assert!(
        error.to_string().contains("has 2, counted from 1"),
        "{error}"
    );
    // Cut within the second: the first is whole, and the only one.
    std::fs::write(&path, &both[..both.len() - 9]).unwrap();
    assert_eq!(read(&path).notes, []);
    std::fs::write(&path, picture(16)).unwrap();
    assert_eq!(read(&path).notes, []);
}

#[test]
fn a_turned_photograph_says_so() {
    let path = fixture("turned.jpg");
    let photograph = read(&path);
    assert_eq!(photograph.orientation, 6);
    assert_eq!(photograph.notes, [Note::Turned { orientation: 6 }]);
    // Shown 16x32, stored 32x16: a map of the size shown fits, one of that stored does not.
    assert!(check_orientation(&photograph, &path, (16, 32), "a.png").is_ok());
    let message = check_orientation(&photograph, &path, (32, 16), "a.png")
        .unwrap_err()
        .to_string();
    for part in ["EXIF orientation 6", "turned.jpg", "a.png"] {
        assert!(message.contains(part), "{message}");
    }
    // Squares, and pictures that are mirrored or upside down, tell nothing by their size.
    let mut square = photograph.clone();
    square.image = RgbImage::new(16, 16);
    assert!(check_orientation(&square, &path, (16, 16), "a.png").is_err());
    square.orientation = 1;
    assert!(check_orientation(&square, &path, (16, 16), "a.png").is_ok());
    square.orientation = 3;
    square.image = RgbImage::new(20, 10);
    assert!(check_orientation(&square, &path, (20, 10), "a.png").is_err());
}
