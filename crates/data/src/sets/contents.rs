//! Masks among photographs, by what the files hold.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use image::RgbImage;

use crate::read_image;

/// Files of other formats than PNG that are larger than this are not looked into: masks pack well.
const LARGEST: u64 = 8 << 20;

/// Images of fewer pixels are too small to tell.
const SMALLEST: u32 = 32 * 32;

/// What decides whether a file is looked into, without decoding it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It is no mask by its format and size.
    No,
    /// It may be one.
    Yes,
    /// It may be one, as most photographs may: a JPEG file, or a small one of PNG in colour. Nothing short of decoding tells.
    Probe,
}

/// How to look at a file: by its name, its first bytes and its size.
pub(super) fn look(path: &Path) -> Look {
    let named = path.extension().unwrap_or_default().to_string_lossy();
    if ["jpg", "jpeg", "jpe"].contains(&&*named.to_lowercase()) {
        return Look::Probe;
    }
    let Ok(metadata) = std::fs::metadata(path) else {
        return Look::No;
    };
    let mut start = [0; 26];
    if !File::open(path).is_ok_and(|mut file| file.read_exact(&mut start).is_ok()) {
        return Look::No;
    }
    if start.starts_with(&[0xff, 0xd8]) {
        return Look::Probe;
    }
    if !start.starts_with(b"\x89PNG\r\n\x1a\n") {
        return match metadata.len() <= LARGEST {
            true => Look::Yes,
            false => Look::No,
        };
    }
    let number = |at: usize| {
        start[at..at + 4]
            .iter()
            .fold(0, |n, &b| n << 8 | u64::from(b))
    };
    let pixels = number(16) * number(20);
    match start[25] {
        // Gray, a palette, gray with alpha.
        0 | 3 | 4 => Look::Yes,
        // In colour two values pack to a quarter of a byte a pixel at most, with smooth edges to one, as some photographs do.
        _ if metadata.len() < pixels / 4 => Look::Yes,
        _ if metadata.len() < pixels => Look::Probe,
        _ => Look::No,
    }
}

/// Whether an image is a mask's: of exactly two values, or of black and white but for the edges between.
///
/// What cannot be decoded is not called a mask.
pub(super) fn holds_mask(path: &Path) -> bool {
    let Ok(image) = read_image(path) else {
        return false;
    };
    image.width() * image.height() >= SMALLEST && (is_two_valued(&image) || is_edged(&image))
}

fn is_two_valued(image: &RgbImage) -> bool {
    let mut pixels = image.pixels();
    let Some(first) = pixels.next() else {
        return false;
    };
    let mut second = None;
    for pixel in pixels.filter(|pixel| *pixel != first) {
        if *second.get_or_insert(pixel) != pixel {
            return false;
        }
    }
    second.is_some()
}

/// A pixel whose channels are all within this of black, or of white, is called so: JPEG blurs.
const NEAR: u8 = 40;

/// Channels of the ground of a mask, away from edges. A dark photograph is black at its border alone.
const GROUND: u8 = 12;

/// Largest difference of the channels of a gray pixel.
const GRAY: u8 = 16;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tone {
    Black,
    White,
    Between,
}

/// Whether an image is black and white but for smooth edges, as a mask is that was resized or stored as JPEG.
///
/// Of the pixels at least 1 % are white, 1 % black, and 80 % one of them. Three quarters of the black ones are so to a few levels.
/// What is between is gray, and beside black or white: in published masks, halved or in JPEG, 99 % of it is. In photographs, however
/// dark, hard or gray, at most 40 % is.
fn is_edged(image: &RgbImage) -> bool {
    let tone = |&image::Rgb(channels): &image::Rgb<u8>| match channels {
        [r, g, b] if r.max(g).max(b) <= NEAR => Some(Tone::Black),
        [r, g, b] if r.min(g).min(b) >= 255 - NEAR => Some(Tone::White),
        [r, g, b] if r.max(g).max(b) - r.min(g).min(b) <= GRAY => Some(Tone::Between),
        _ => None,
    };
    // Colour between black and white ends it: of most photographs little more than the border is seen.
    let Some(tones) = image.pixels().map(tone).collect::<Option<Vec<Tone>>>() else {
        return false;
    };
    let count = |wanted: Tone| tones.iter().filter(|tone| **tone == wanted).count();
    let (black, white, between) = (count(Tone::Black), count(Tone::White), count(Tone::Between));
    let all = tones.len();
    if 100 * black < all || 100 * white < all || 5 * between > all {
        return false;
    }
    let ground = image
        .pixels()
        .filter(|pixel| pixel.0.iter().all(|&c| c <= GROUND));
    if 4 * ground.count() < 3 * black {
        return false;
    }
    let (width, height) = (image.width() as usize, image.height() as usize);
    let beside = |at: usize| {
        let (x, y) = (at % width, at / width);
        let rows = y.saturating_sub(1)..(y + 2).min(height);
        rows.into_iter().any(|row| {
            let first = row * width + x.saturating_sub(1);
            let last = row * width + (x + 2).min(width);
            tones[first..last].iter().any(|tone| *tone != Tone::Between)
        })
    };
    let edges = (0..all).filter(|&at| tones[at] == Tone::Between && beside(at));
    100 * edges.count() >= 90 * between
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma, Rgb, RgbImage};

    use super::*;

    #[test]
    fn two_values_in_any_encoding_are_a_mask_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let gray = |low: u8, high: u8| {
            GrayImage::from_fn(40, 40, |x, y| {
                Luma([if (x + y) % 9 < 2 { high } else { low }])
            })
        };
        let red = RgbImage::from_fn(40, 40, |x, _| Rgb([if x % 9 < 2 { 255 } else { 0 }, 0, 0]));
        for (name, expected) in [
            ("gray.png", true),
            ("classes.png", true),
            ("red.png", true),
            ("red.tif", true),
            ("red.gif", true),
            ("gray.bmp", true),
            ("gray.pgm", true),
            ("constant.png", false),
            ("small.png", false),
            ("ramp.png", false),
            ("damaged.png", false),
        ] {
            match name {
                "classes.png" => gray(0, 1).save(path(name)).unwrap(),
                "constant.png" => gray(7, 7).save(path(name)).unwrap(),
                "small.png" => GrayImage::from_fn(4, 3, |x, _| Luma([x as u8 % 2]))
                    .save(path(name))
                    .unwrap(),
                "ramp.png" => GrayImage::from_fn(40, 40, |x, _| Luma([x as u8]))
                    .save(path(name))
                    .unwrap(),
                "damaged.png" => {
                    std::fs::write(path(name), "no picture at all, but some text").unwrap()
                }
                _ if name.starts_with("gray") => gray(0, 255).save(path(name)).unwrap(),
                _ => red.save(path(name)).unwrap(),
            }
            let is_mask = look(&path(name)) == Look::Yes && holds_mask(&path(name));
            assert_eq!(is_mask, expected, "{name}");
        }
    }

    /// A gray image of 120 × 120 pixels: the mean of 3 × 3 values around each pixel.
    fn smooth(value: impl Fn(i32, i32) -> u8) -> GrayImage {
        GrayImage::from_fn(120, 120, |x, y| {
            let (x, y) = (x as i32, y as i32);
            let around = (0..9).map(|i| u32::from(value(x + i % 3 - 1, y + i / 3 - 1)));
            Luma([(around.sum::<u32>() / 9) as u8])
        })
    }

    /// Distance from the middle, and distance from the nearest of several curved vessels.
    fn eye(x: i32, y: i32) -> (f64, f64) {
        let (x, y) = (f64::from(x - 60), f64::from(y - 60));
        let vessel = (x + 12.0 * (y / 17.0).sin()).rem_euclid(30.0);
        (x.hypot(y), vessel.min(30.0 - vessel))
    }

    #[test]
    fn masks_with_smooth_edges_or_in_jpeg_are_masks_and_gray_photographs_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let vessels = smooth(|x, y| {
            let (middle, vessel) = eye(x, y);
            if middle < 55.0 && vessel < 2.5 {
                255
            } else {
                0
            }
        });
        let field = smooth(|x, y| if eye(x, y).0 < 50.0 { 255 } else { 0 });
        let shaded = |scale: f64, disc: f64| {
            smooth(move |x, y| {
                let (middle, vessel) = eye(x, y);
                let level = match middle {
                    _ if middle >= 55.0 => 0.0,
                    // The disc, which may be white altogether.
                    _ if middle < disc => 255.0,
                    _ => scale * (120.0 + 60.0 * (middle / 9.0).cos() - 30.0 / (1.0 + vessel)),
                };
                level as u8
            })
        };
        let photographs = [
            shaded(1.0, 8.0),
            shaded(0.3, 8.0),
            // Nearly all of it is black.
            shaded(0.22, 14.0),
            shaded(0.1, 0.0),
            // An angiogram: bright vessels on a dark ground.
            smooth(|x, y| match eye(x, y) {
                (middle, _) if middle >= 55.0 => 0,
                (_, vessel) => (20.0 + 235.0 * (-vessel * vessel / 20.0).exp()) as u8,
            }),
        ];
        for name in ["a.png", "a.jpg"] {
            let path = folder.path().join(name);
            for mask in [&vessels, &field] {
                mask.save(&path).unwrap();
                assert!(holds_mask(&path), "{name}");
                image::DynamicImage::from(mask.clone())
                    .into_rgb8()
                    .save(&path)
                    .unwrap();
                assert!(holds_mask(&path), "{name} in colour");
                assert_ne!(look(&path), Look::No, "{name} in colour");
            }
            for (number, photograph) in photographs.iter().enumerate() {
                photograph.save(&path).unwrap();
                assert!(!holds_mask(&path), "{name}, photograph {number}");
            }
        }
    }
}
