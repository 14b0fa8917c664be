//! Labels, fields of view and predictions by what their files hold.

use std::path::{Path, PathBuf};

use image::{DynamicImage, GrayImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, RgbImage, Rgba};
use proptest::prelude::*;
use venule_data::{
    Error, LabelValue, Mask, MaskRule, PredictionRange, PredictionScale, read_mask, read_mask_with,
};

use crate::build::{GRAY, TiffPage, TiffValue, page, png, tiff_of, zlib};

/// A drawing of 48x40 pixels: lines of three pixels, 18 % of the pixels.
fn drawing() -> Mask {
    Mask::from_fn(48, 40, |x, y| (x + y / 2) % 24 < 3 || (15..18).contains(&y))
}

fn saved(folder: &Path, name: &str, image: impl Into<DynamicImage>) -> PathBuf {
    let path = folder.join(name);
    image.into().save(&path).unwrap();
    path
}

fn colours(mask: &Mask, off: [u8; 3], on: [u8; 3]) -> RgbImage {
    RgbImage::from_fn(mask.width() as u32, mask.height() as u32, |x, y| {
        Rgb(if mask.get(x as usize, y as usize) == Some(&true) {
            on
        } else {
            off
        })
    })
}

fn grays(mask: &Mask, off: u8, on: u8) -> GrayImage {
    GrayImage::from_fn(mask.width() as u32, mask.height() as u32, |x, y| {
        Luma([if mask.get(x as usize, y as usize) == Some(&true) {
            on
        } else {
            off
        }])
    })
}

fn words(path: &Path) -> String {
    let read = read_mask_with(path, &MaskRule::AsMeant).unwrap();
    read.reading
        .map(|reading| reading.to_string())
        .unwrap_or_default()
}

fn refusal(path: &Path) -> String {
    let error = read_mask(path).unwrap_err();
    assert!(matches!(error, Error::AmbiguousMask { .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains(&path.display().to_string()), "{message}");
    assert!(message.contains("--label-value"), "{message}");
    message
}

/// A palette PNG of 8-bit indices.
fn palette_png(mask: &Mask, palette: &[[u8; 3]]) -> Vec<u8> {
    const PALETTE: u8 = 3;
    let rows = (0..mask.height())
        .flat_map(|y| std::iter::once(0).chain(mask.row(y).iter().map(|&on| u8::from(on))));
    let rows: Vec<u8> = rows.collect();
    let size = (mask.width() as u32, mask.height() as u32);
    png(
        size,
        8,
        PALETTE,
        &[(b"PLTE", palette.concat())],
        &zlib(&rows),
    )
}

#[test]
fn two_values_are_read_as_meant_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let mask = drawing();
    // A1: red on black. The matplotlib picture is what `imsave` writes of 0 and 1. [values of viridis: first and last colour]
    let cases: [(DynamicImage, &str); 9] = [
        (
            colours(&mask, [0; 3], [255, 0, 0]).into(),
            "labels hold 0 and 255,0,0 (red); 255,0,0 (red) counts as vessel",
        ),
        (
            colours(&mask, [0; 3], [0, 0, 255]).into(),
            "labels hold 0 and 0,0,255 (blue); 0,0,255 (blue) counts as vessel",
        ),
        (
            colours(&mask, [68, 1, 84], [253, 231, 37]).into(),
            "labels hold 68,1,84 (dark magenta) and 253,231,37 (yellow); 253,231,37 (yellow) counts as vessel",
        ),
        (
            grays(&mask, 0, 1).into(),
            "labels hold 0 and 1; 1 counts as vessel",
        ),
        (
            grays(&mask, 0, 128).into(),
            "labels hold 0 and 128; 128 counts as vessel",
        ),
        (
            grays(&mask, 1, 2).into(),
            "labels hold 1 and 2; 2 counts as vessel",
        ),
        (
            grays(&mask, 100, 200).into(),
            "labels hold 100 and 200; 200 counts as vessel",
        ),
        (
            grays(&mask, 60, 100).into(),
            "labels hold 60 and 100; 100 counts as vessel",
        ),
        (colours(&mask, [4, 2, 4], [252, 254, 252]).into(), ""),
    ];
    for (index, (image, expected)) in cases.into_iter().enumerate() {
        let path = saved(folder.path(), &format!("{index}.png"), image);
        assert_eq!(read_mask(&path).unwrap(), mask, "case {index}");
        assert_eq!(words(&path), expected);
    }
    // A2: class numbers with a palette, vessel in dark red.
    let path = folder.path().join("palette.png");
    std::fs::write(&path, palette_png(&mask, &[[0; 3], [128, 0, 0]])).unwrap();
    assert_eq!(read_mask(&path).unwrap(), mask);
    assert_eq!(
        words(&path),
        "labels hold 0 and 128,0,0 (dark red); 128,0,0 (dark red) counts as vessel"
    );
}

#[test]
fn what_is_transparent_is_background() {
    let folder = tempfile::tempdir().unwrap();
    let mask = drawing();
    let layer = |off: [u8; 4], on: [u8; 4]| {
        ImageBuffer::from_fn(48, 40, |x, y| {
            Rgba(if mask.get(x as usize, y as usize) == Some(&true) {
                on
            } else {
                off
            })
        })
    };
    let cases = [
        ([0; 4], [255, 0, 0, 255]),
        ([255, 255, 255, 0], [255, 0, 0, 255]),
        ([255, 255, 255, 0], [255; 4]),
        ([0; 4], [0, 0, 0, 255]),
        ([7, 8, 9, 3], [0, 200, 0, 255]),
        // Opaque everywhere, or nowhere: alpha tells nothing.
        ([0, 0, 0, 255], [255; 4]),
        ([0; 4], [255, 255, 255, 0]),
    ];
    for (index, (off, on)) in cases.into_iter().enumerate() {
        let path = saved(folder.path(), "layer.png", layer(off, on));
        assert_eq!(read_mask(&path).unwrap(), mask, "case {index}");
    }
    // A black pen on white glass, or white lines cut out of black?
    let path = saved(
        folder.path(),
        "layer.png",
        layer([255, 255, 255, 0], [0, 0, 0, 255]),
    );
    assert!(refusal(&path).contains("transparent"));
    let gray = ImageBuffer::from_fn(48, 40, |x, y| {
        LumaA([
            90u8,
            if mask.get(x as usize, y as usize) == Some(&true) {
                255
            } else {
                0
            },
        ])
    });
    let path = saved(folder.path(), "gray.png", DynamicImage::ImageLumaA8(gray));
    assert_eq!(read_mask(&path).unwrap(), mask);
}

/// Arteries of class 1 and veins of class 2.
fn classes() -> Vec<u8> {
    let class = |(x, y): (usize, usize)| match (x % 24 < 4, y % 20 < 4) {
        (true, _) => 1,
        (_, true) => 2,
        _ => 0,
    };
    (0..40)
        .flat_map(|y| (0..48).map(move |x| class((x, y))))
        .collect()
}

#[test]
fn several_classes_are_refused_unless_their_values_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let palettes: [[[u8; 3]; 3]; 6] = [
        [[0; 3], [1; 3], [2; 3]],
        [[0; 3], [128; 3], [255; 3]],
        [[0; 3], [85; 3], [170; 3]],
        [[0; 3], [1; 3], [255; 3]],
        [[0; 3], [255, 0, 0], [0, 0, 255]],
        [[255; 3], [255, 0, 0], [0, 0, 255]],
    ];
    for (index, palette) in palettes.into_iter().enumerate() {
        let pixels = classes()
            .into_iter()
            .flat_map(|class| palette[usize::from(class)]);
        let image = RgbImage::from_raw(48, 40, pixels.collect()).unwrap();
        let path = saved(folder.path(), "classes.png", image);
        let message = refusal(&path);
        // Two stripes of 4 x 40; two of 4 rows by the other 40 columns.
        let [_, one, two] = palette.map(value_of);
        assert!(
            message.contains(&format!("{one}: 320 pixels")),
            "{index}: {message}"
        );
        assert!(
            message.contains(&format!("{two}: 320 pixels")),
            "{index}: {message}"
        );
        let both = read_mask_with(&path, &MaskRule::Values(vec![one, two])).unwrap();
        assert_eq!(both.mask.count(), 640);
        let first = read_mask_with(&path, &MaskRule::Values(vec![one])).unwrap();
        assert_eq!(first.mask.count(), 320);
        let error = read_mask_with(&path, &MaskRule::Values(vec![LabelValue::Gray(77)]));
        let error = error.unwrap_err();
        assert!(matches!(error, Error::LabelValueAbsent { .. }), "{error}");
        assert!(error.to_string().contains("(77)"), "{error}");
    }
}

fn value_of([r, g, b]: [u8; 3]) -> LabelValue {
    format!("{r},{g},{b}").parse().unwrap()
}

#[test]
fn colours_on_white_and_grays_that_tell_nothing_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mask = drawing();
    let path = saved(
        folder.path(),
        "a.png",
        colours(&mask, [255; 3], [255, 0, 0]),
    );
    let message = refusal(&path);
    assert!(
        message.contains("255,0,0 (red)") && message.contains("not on black"),
        "{message}"
    );
    let red = MaskRule::Values(vec!["255,0,0".parse().unwrap()]);
    assert_eq!(read_mask_with(&path, &red).unwrap().mask, mask);
    // The lighter is the commoner.
    refusal(&saved(folder.path(), "b.png", grays(&mask, 100, 60)));
    refusal(&saved(folder.path(), "c.png", grays(&mask, 90, 90)));
    // Red and blue: neither is black.
    refusal(&saved(
        folder.path(),
        "d.png",
        colours(&mask, [0, 0, 255], [255, 0, 0]),
    ));
}

#[test]
fn constants_are_empty_or_full() {
    let folder = tempfile::tempdir().unwrap();
    let count = |level: u8| {
        let path = saved(
            folder.path(),
            "a.png",
            GrayImage::from_pixel(9, 7, Luma([level])),
        );
        read_mask(&path).map(|mask| mask.count())
    };
    assert_eq!(count(0).unwrap(), 0);
    assert_eq!(count(255).unwrap(), 63);
    for level in [1, 100, 128, 200] {
        assert!(count(level).is_err(), "{level}");
    }
    // The values asked for may be absent from an empty label.
    let path = saved(folder.path(), "a.png", GrayImage::new(9, 7));
    let rule = MaskRule::Values(vec![LabelValue::Gray(3)]);
    assert_eq!(read_mask_with(&path, &rule).unwrap().mask.count(), 0);
}

/// Smooth edges: each pixel is the mean of a square of the drawing at eight times the size.
fn smooth(peak: f64) -> (GrayImage, Mask) {
    let level = |x: u32, y: u32| {
        let inside = |x: f64, y: f64| (x * 0.8 + y * 0.6).rem_euclid(15.0) < 3.3;
        let places = (0..8).flat_map(|i| (0..8).map(move |j| (f64::from(i), f64::from(j))));
        let on = places.filter(|(i, j)| inside(f64::from(x) + i / 8.0, f64::from(y) + j / 8.0));
        (on.count() as f64 / 64.0 * peak).round() as u8
    };
    let image = GrayImage::from_fn(64, 64, |x, y| Luma([level(x, y)]));
    let mask = Mask::from_fn(64, 64, |x, y| {
        f64::from(level(x as u32, y as u32)) > peak / 2.0
    });
    (image, mask)
}

#[test]
fn smooth_edges_and_noise_are_thresholded() {
    let folder = tempfile::tempdir().unwrap();
    let (image, mask) = smooth(255.0);
    let path = saved(folder.path(), "smooth.png", image.clone());
    assert_eq!(
        (read_mask(&path).unwrap(), words(&path).as_str()),
        (mask.clone(), "")
    );
    // Smooth red on black, and the same as JPEG, which blurs colours.
    let red = RgbImage::from_fn(64, 64, |x, y| Rgb([image.get_pixel(x, y).0[0], 0, 0]));
    let path = saved(folder.path(), "red.png", red);
    let differ = |found: &Mask| {
        found
            .data()
            .iter()
            .zip(mask.data())
            .filter(|(a, b)| a != b)
            .count()
    };
    assert!(differ(&read_mask(&path).unwrap()) <= 40);
    assert!(words(&path).contains("counts as vessel"));
    // Noise of JPEG around two values, of gray and of red.
    let wide = Mask::from_fn(96, 96, |x, y| (x + y) % 32 < 6);
    for on in [[255; 3], [255, 0, 0]] {
        let path = folder.path().join("noise.jpg");
        let image = DynamicImage::from(colours(&wide, [0; 3], on));
        image.save_with_format(&path, ImageFormat::Jpeg).unwrap();
        let found = read_mask(&path).unwrap();
        let off = found
            .data()
            .iter()
            .zip(wide.data())
            .filter(|(a, b)| a != b)
            .count();
        assert!(off < 96 * 96 / 25, "{on:?}: {off}");
    }
    // Too dark all over, in many shades.
    let (dim, _) = smooth(100.0);
    assert!(refusal(&saved(folder.path(), "dim.png", dim)).contains("half of white"));
}

/// Encodings of a drawing in any two values, each a file's bytes.
fn encodings(mask: &Mask, level: u8) -> Vec<(&'static str, Vec<u8>)> {
    let size = (mask.width() as u32, mask.height() as u32);
    let on = |x: u32, y: u32| mask.get(x as usize, y as usize) == Some(&true);
    let as_bytes = |image: DynamicImage, format| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    let gray = grays(mask, 0, level);
    let colour = colours(mask, [0; 3], [level, 0, level / 2]);
    let deep = ImageBuffer::from_fn(size.0, size.1, |x, y| {
        Luma([if on(x, y) { u16::from(level) * 16 } else { 0 }])
    });
    let deep_colour = ImageBuffer::from_fn(size.0, size.1, |x, y| {
        Rgb([0, if on(x, y) { u16::from(level) * 257 } else { 0 }, 0])
    });
    let alpha = ImageBuffer::from_fn(size.0, size.1, |x, y| {
        LumaA([level, if on(x, y) { 255u8 } else { 0 }])
    });
    let indices: Vec<u8> = mask.data().iter().map(|&on| u8::from(on)).collect();
    let tiff =
        |bits: u16, photometric: u16, more: Vec<(u16, TiffValue)>, strip: Vec<u8>| TiffPage {
            size,
            tags: [
                vec![
                    (258, TiffValue::Shorts(vec![bits])),
                    (262, TiffValue::Shorts(vec![photometric])),
                    (277, TiffValue::Shorts(vec![1])),
                ],
                more,
            ]
            .concat(),
            strip,
        };
    // Samples of few bits, rows on whole bytes.
    let packed = |bits: usize| -> Vec<u8> {
        let row = |y: usize| {
            let mut bytes = vec![0u8; (mask.width() * bits).div_ceil(8)];
            for (x, _) in mask.row(y).iter().enumerate().filter(|(_, on)| **on) {
                bytes[x * bits / 8] |= 1 << (8 - bits - x * bits % 8);
            }
            bytes
        };
        (0..mask.height()).flat_map(row).collect()
    };
    let map = |bits: u32| {
        let mut map = vec![0u16; 3 << bits];
        map[1] = u16::from(level) * 257;
        (320, TiffValue::Shorts(map))
    };
    let filtered = |bits: usize| -> Vec<u8> {
        let row = (mask.width() * bits).div_ceil(8);
        let rows = packed(bits);
        zlib(
            &rows
                .chunks(row)
                .flat_map(|row| [&[0], row].concat())
                .collect::<Vec<u8>>(),
        )
    };
    let words: Vec<u8> = indices
        .iter()
        .flat_map(|&v| u32::from(v).to_le_bytes())
        .collect();
    let floats: Vec<u8> = indices
        .iter()
        .flat_map(|&v| f32::from(v).to_le_bytes())
        .collect();
    let gray_alpha: Vec<u8> = indices.iter().flat_map(|&v| [v * level, 255]).collect();
    let mut with_alpha = page(size, &gray_alpha[..indices.len()]);
    with_alpha.tags = vec![
        (258, TiffValue::Shorts(vec![8, 8])),
        (262, TiffValue::Shorts(vec![1])),
        (277, TiffValue::Shorts(vec![2])),
        (338, TiffValue::Shorts(vec![2])),
    ];
    with_alpha.strip = gray_alpha;
    vec![
        ("gray PNG", as_bytes(gray.clone().into(), ImageFormat::Png)),
        (
            "gray TIFF",
            as_bytes(gray.clone().into(), ImageFormat::Tiff),
        ),
        ("gray PNM", as_bytes(gray.clone().into(), ImageFormat::Pnm)),
        (
            "gray BMP",
            as_bytes(
                DynamicImage::from(gray).into_rgb8().into(),
                ImageFormat::Bmp,
            ),
        ),
        (
            "colour PNG",
            as_bytes(colour.clone().into(), ImageFormat::Png),
        ),
        (
            "colour TIFF",
            as_bytes(colour.clone().into(), ImageFormat::Tiff),
        ),
        (
            "colour BMP",
            as_bytes(colour.clone().into(), ImageFormat::Bmp),
        ),
        (
            "colour GIF",
            as_bytes(
                DynamicImage::from(colour).into_rgba8().into(),
                ImageFormat::Gif,
            ),
        ),
        (
            "16-bit PNG",
            as_bytes(DynamicImage::ImageLuma16(deep.clone()), ImageFormat::Png),
        ),
        (
            "16-bit TIFF",
            as_bytes(DynamicImage::ImageLuma16(deep), ImageFormat::Tiff),
        ),
        (
            "16-bit colour PNG",
            as_bytes(DynamicImage::ImageRgb16(deep_colour), ImageFormat::Png),
        ),
        (
            "transparent PNG",
            as_bytes(DynamicImage::ImageLumaA8(alpha), ImageFormat::Png),
        ),
        ("palette PNG", palette_png(mask, &[[0; 3], [level, 0, 0]])),
        ("1-bit PNG", png(size, 1, GRAY, &[], &filtered(1))),
        ("2-bit PNG", png(size, 2, GRAY, &[], &filtered(2))),
        ("4-bit PNG", png(size, 4, GRAY, &[], &filtered(4))),
        (
            "1-bit TIFF",
            tiff_of(false, &[tiff(1, 1, vec![], packed(1))]),
        ),
        (
            "2-bit TIFF",
            tiff_of(false, &[tiff(2, 1, vec![], packed(2))]),
        ),
        (
            "4-bit TIFF",
            tiff_of(true, &[tiff(4, 1, vec![], packed(4))]),
        ),
        (
            "palette TIFF",
            tiff_of(false, &[tiff(8, 3, vec![map(8)], indices)]),
        ),
        (
            "4-bit palette TIFF",
            tiff_of(true, &[tiff(4, 3, vec![map(4)], packed(4))]),
        ),
        (
            "1-bit palette TIFF",
            tiff_of(false, &[tiff(1, 3, vec![map(1)], packed(1))]),
        ),
        ("32-bit TIFF", tiff_of(false, &[tiff(32, 1, vec![], words)])),
        (
            "float TIFF",
            tiff_of(
                false,
                &[tiff(32, 1, vec![(339, TiffValue::Shorts(vec![3]))], floats)],
            ),
        ),
        ("gray TIFF with alpha", tiff_of(false, &[with_alpha])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_label_of_two_values_gives_the_same_mask_in_every_encoding(
        (width, height) in (2usize..40, 2usize..40), seed: u64, level in 2u8..,
    ) {
        let mut mask = Mask::from_fn(width, height, |x, y| {
            seed.rotate_left((7 * x + 13 * y) as u32) % 5 == 0
        });
        // Two values, not one.
        mask.data_mut()[0] = false;
        mask.data_mut()[1] = true;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("label");
        for (name, bytes) in encodings(&mask, level) {
            std::fs::write(&path, bytes).unwrap();
            let found = read_mask(&path);
            prop_assert!(found.is_ok(), "{}: {}", name, found.unwrap_err());
            prop_assert_eq!(&found.unwrap(), &mask, "{}", name);
        }
    }
}

#[test]
fn the_range_of_predictions_is_that_of_their_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mask = drawing();
    let scale = |images: Vec<GrayImage>| {
        let mut range = PredictionRange::new(folder.path());
        for image in images {
            range.add(saved(folder.path(), "a.png", image)).unwrap();
        }
        range.scale()
    };
    let full = |greatest| PredictionScale::Full {
        greatest,
        most: 255,
    };
    let masks = |marked| PredictionScale::Masks { marked, most: 255 };
    assert_eq!(scale(vec![grays(&mask, 0, 255)]).unwrap(), full(255));
    // One empty prediction among others says nothing.
    assert_eq!(
        scale(vec![GrayImage::new(4, 4), grays(&mask, 0, 255)]).unwrap(),
        full(255)
    );
    // B1: masks of 0 and 1.
    let two = vec![grays(&mask, 0, 1), GrayImage::new(4, 4), grays(&mask, 0, 1)];
    let found = scale(two).unwrap();
    assert_eq!(found, masks(1));
    let path = saved(folder.path(), "a.png", grays(&mask, 0, 1));
    let read = found.read(&path).unwrap();
    assert_eq!(read.map(|&p| p == 1.0), mask);
    assert_eq!(scale(vec![grays(&mask, 0, 100)]).unwrap(), masks(100));
    // Class numbers and percent.
    let percent = GrayImage::from_fn(101, 1, |x, _| Luma([x as u8]));
    let classes = GrayImage::from_raw(48, 40, classes()).unwrap();
    for (images, greatest) in [
        (vec![percent], "is 100 of 255"),
        (vec![classes], "is 2 of 255"),
        (vec![grays(&mask, 0, 1), grays(&mask, 0, 2)], "is 2 of 255"),
    ] {
        let error = scale(images).unwrap_err();
        assert!(matches!(error, Error::PredictionRange { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains(greatest), "{message}");
        assert!(
            message.contains(&folder.path().display().to_string()),
            "{message}"
        );
    }
    let black = scale(vec![GrayImage::new(4, 4)]).unwrap();
    assert_eq!(black, PredictionScale::Black { files: 1 });
    // 12-bit data in 16 bits.
    let deep = ImageBuffer::from_fn(4, 1, |x, _| Luma([x as u16 * 1300]));
    let path = saved(folder.path(), "a.png", DynamicImage::ImageLuma16(deep));
    let mut range = PredictionRange::new(folder.path());
    range.add(path).unwrap();
    assert_eq!(range.greatest(), (3900, 65_535));
    assert!(range.scale().is_err());
}
