//! What a lossy file leaves of a view.

use image::codecs::jpeg::JpegEncoder;
use image::{GrayImage, ImageFormat};

use super::intensity::for_each_inside;
use crate::{Error, Prepared, Result};

/// Gray levels of one unit of the image: about the standard deviation of a photograph's green channel.
const LEVELS: f32 = 32.0;

/// Adds what JPEG of a quality of 1..=100 changes in each channel. The blocks begin `grid` pixels before the view.
///
/// Only the difference that compression makes is added, so rounding to gray levels and the ends of their range cost nothing.
pub(super) fn jpeg(out: &mut Prepared, quality: u8, grid: (usize, usize)) -> Result<()> {
    let (width, height) = out.image.size();
    let refused = || Error::InvalidConfig {
        field: "the crop of a view that is compressed (Augment::jpeg)",
        found: format!("{width}×{height} pixels"),
        expected: "at most 65,528 pixels a side, as JPEG has them",
    };
    let side = |length: usize, before: usize| u32::try_from(length + before).unwrap_or(u32::MAX);
    let (wide, high) = (side(width, grid.0), side(height, grid.1));
    if wide.max(high) > u32::from(u16::MAX) {
        return Err(refused());
    }
    for channel in out.image.each_mut() {
        // Before the view, its first row and column go on.
        let place = |x: u32, y: u32| {
            let x = (x as usize).saturating_sub(grid.0);
            let y = (y as usize).saturating_sub(grid.1);
            y * width + x
        };
        let level = |v: f32| (128.0 + LEVELS * v).round().clamp(0.0, 255.0) as u8;
        let plain = GrayImage::from_fn(wide, high, |x, y| {
            image::Luma([level(channel[place(x, y)])])
        });
        let mut bytes = Vec::new();
        let stored = plain
            .write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, quality))
            .and_then(|()| image::load_from_memory_with_format(&bytes, ImageFormat::Jpeg))
            .map_err(|_| refused())?
            .into_luma8();
        let (left, top) = (grid.0 as u32, grid.1 as u32);
        for (at, v) in channel.iter_mut().enumerate() {
            let (x, y) = ((at % width) as u32 + left, (at / width) as u32 + top);
            let [before, after] =
                [&plain, &stored].map(|picture| f32::from(picture.get_pixel(x, y).0[0]));
            *v += (after - before) / LEVELS;
        }
    }
    for_each_inside(out, |v| v);
    Ok(())
}
