use image::{GrayImage, Luma, RgbImage};
use imageproc::region_labelling::{Connectivity, connected_components};

use super::not_found;
use crate::{Mask, PixelBox, Plane, Result};

/// Longest side of the reduced photograph.
const MAX_SIDE: usize = 640;

/// How much lighter than the darkest corners the centre is, and whatever is no bar.
const LIGHTER: f32 = 16.0;
/// The photograph is at most so many times as large as its content.
const LEAST_CONTENT: usize = 25;
/// Of the content's sides, the margin that is left around it.
const MARGIN: usize = 40;

/// Rays from the centre along which the outline is sampled.
pub(super) const RAYS: usize = 360;

/// The largest bright part of a photograph, at reduced size, and its outline.
///
/// Coordinates are continuous: pixel (x, y) covers x..x+1, y..y+1.
pub(super) struct Outline {
    bright: Mask,
    scale: usize,
    area: usize,
    points: Vec<(f64, f64)>,
}

impl Outline {
    pub(super) fn of(image: &RgbImage) -> Result<Self> {
        let longest = image.width().max(image.height()) as usize;
        let scale = longest.div_ceil(MAX_SIDE).max(1);
        let brightness = reduce(image, scale);
        let (width, height) = brightness.size();
        if width.min(height) < 16 {
            return Err(not_found(&format!(
                "the photograph has {}x{} pixels, too few or too narrow to tell",
                image.width(),
                image.height()
            )));
        }
        let dark = corner_level(&brightness);
        let light = centre_level(&brightness);
        if light - dark < LIGHTER {
            return Err(not_found(&format!(
                "the centre (brightness {light:.0} of 255) is no brighter than the corners ({dark:.0})"
            )));
        }
        let threshold = dark + 0.2 * (light - dark);
        let (bright, area) = largest_part(&brightness.map(|&value| value > threshold));
        if area * 10 < width * height {
            return Err(not_found("no large bright part stands out"));
        }
        let points = trace(&bright, area);
        Ok(Self {
            bright,
            scale,
            area,
            points,
        })
    }

    /// Native pixels per reduced pixel.
    pub(super) fn scale(&self) -> usize {
        self.scale
    }

    /// The bright part.
    pub(super) fn bright(&self) -> &Mask {
        &self.bright
    }

    /// Its number of pixels, holes not counted.
    pub(super) fn area(&self) -> f64 {
        self.area as f64
    }

    /// Where each ray from the centre leaves the bright part for good.
    pub(super) fn points(&self) -> Vec<(f64, f64)> {
        self.points.clone()
    }

    /// Those of [`points`](Self::points) that do not lie on the photograph's edge.
    pub(super) fn free_points(&self) -> Vec<(f64, f64)> {
        let (width, height) = (self.bright.width() as f64, self.bright.height() as f64);
        let free =
            |&&(x, y): &&(f64, f64)| x > 2.0 && y > 2.0 && x < width - 2.0 && y < height - 2.0;
        self.points.iter().filter(free).copied().collect()
    }
}

/// The largest part of a photograph that is not dark, with a margin, if it is much smaller than the photograph, and not tiny.
pub(super) fn content(image: &RgbImage) -> Option<PixelBox> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let scale = width.max(height).div_ceil(MAX_SIDE).max(1);
    let brightness = reduce(image, scale);
    if brightness.width().min(brightness.height()) < 16 {
        return None;
    }
    let dark = corner_level(&brightness);
    let (part, _) = largest_part(&brightness.map(|&value| value > dark + LIGHTER));
    let found = PixelBox::around(&part)?;
    let along = |start: usize, length: usize, size: usize| {
        let margin = (length / MARGIN).max(2) * scale;
        let from = (start * scale).saturating_sub(margin);
        (from, ((start + length) * scale + margin).min(size) - from)
    };
    let (left, columns) = along(found.left, found.width, width);
    let (top, rows) = along(found.top, found.height, height);
    let is_smaller = 4 * columns <= 3 * width || 4 * rows <= 3 * height;
    // A reflex on black is no photograph.
    let is_large = LEAST_CONTENT * columns * rows >= width * height;
    (is_smaller && is_large).then_some(PixelBox {
        left,
        top,
        width: columns,
        height: rows,
    })
}

/// Greatest channel, averaged over blocks of `scale` x `scale` pixels (cut off at the right and lower edge).
fn reduce(image: &RgbImage, scale: usize) -> Plane {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let pixels = image.as_raw();
    Plane::from_fn(width.div_ceil(scale), height.div_ceil(scale), |x, y| {
        let columns = x * scale..((x + 1) * scale).min(width);
        let rows = y * scale..((y + 1) * scale).min(height);
        let count = columns.len() * rows.len();
        let mut sum = 0u32;
        for row in rows {
            for pixel in pixels[3 * (row * width + columns.start)..3 * (row * width + columns.end)]
                .chunks_exact(3)
            {
                sum += u32::from(pixel[0].max(pixel[1]).max(pixel[2]));
            }
        }
        sum as f32 / count as f32
    })
}

/// Mean of the two darkest corners: a notch or a stretched frame may light up the others.
fn corner_level(brightness: &Plane) -> f32 {
    let (width, height) = brightness.size();
    let side = (width.min(height) / 40).max(2);
    let mut levels: Vec<f32> = [
        (0, 0),
        (width - side, 0),
        (0, height - side),
        (width - side, height - side),
    ]
    .into_iter()
    .map(|(left, top)| median(brightness, left..left + side, top..top + side))
    .collect();
    levels.sort_by(f32::total_cmp);
    (levels[0] + levels[1]) / 2.0
}

/// Median of the middle half in both directions.
fn centre_level(brightness: &Plane) -> f32 {
    let (width, height) = brightness.size();
    median(
        brightness,
        width / 4..width - width / 4,
        height / 4..height - height / 4,
    )
}

fn median(plane: &Plane, columns: std::ops::Range<usize>, rows: std::ops::Range<usize>) -> f32 {
    let mut values: Vec<f32> = rows
        .flat_map(|y| plane.row(y)[columns.clone()].iter().copied())
        .collect();
    let middle = values.len() / 2;
    match values.is_empty() {
        true => 0.0,
        false => *values.select_nth_unstable_by(middle, f32::total_cmp).1,
    }
}

/// The largest 4-connected part of a mask and its number of pixels.
fn largest_part(mask: &Mask) -> (Mask, usize) {
    let (width, height) = mask.size();
    let image = GrayImage::from_fn(width as u32, height as u32, |x, y| {
        let on = mask.get(x as usize, y as usize) == Some(&true);
        Luma([u8::from(on)])
    });
    let parts = connected_components(&image, Connectivity::Four, Luma([0]));
    let mut sizes = vec![0usize];
    for &part in parts.as_raw() {
        let part = part as usize;
        if part >= sizes.len() {
            sizes.resize(part + 1, 0);
        }
        sizes[part] += usize::from(part != 0);
    }
    // The first of the largest.
    let best = (1..sizes.len()).rev().max_by_key(|&part| sizes[part]);
    let Some(best) = best else {
        return (Mask::filled(width, height, false), 0);
    };
    let part = Mask::from_fn(width, height, |x, y| {
        parts.as_raw()[y * width + x] as usize == best
    });
    (part, sizes[best])
}

fn trace(part: &Mask, area: usize) -> Vec<(f64, f64)> {
    let (mut sum_x, mut sum_y) = (0.0, 0.0);
    for y in 0..part.height() {
        for (x, _) in part.row(y).iter().enumerate().filter(|(_, on)| **on) {
            sum_x += x as f64 + 0.5;
            sum_y += y as f64 + 0.5;
        }
    }
    let (cx, cy) = (sum_x / area as f64, sum_y / area as f64);
    let reach = (part.width() as f64).hypot(part.height() as f64);
    let exit = |ray: usize| {
        let (sin, cos) = (ray as f64 / RAYS as f64 * std::f64::consts::TAU).sin_cos();
        let steps = (reach * 4.0) as usize;
        (0..=steps).rev().find_map(|step| {
            let distance = step as f64 / 4.0;
            let (x, y) = (cx + distance * cos, cy + distance * sin);
            let inside = x >= 0.0 && y >= 0.0 && part.get(x as usize, y as usize) == Some(&true);
            inside.then_some((x, y))
        })
    };
    (0..RAYS).filter_map(exit).collect()
}
