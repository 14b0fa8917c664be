//! How sharp a photograph is.

use image::{RgbImage, imageops};

use crate::prepare::window_sums;
use crate::{Channel, PixelBox, Result, resize_plane};

/// Side in pixels of the square that is looked at, half as wide as the field of view.
const SIDE: usize = 134;
/// Radii of two box means: what lies between the photograph and the first is fine, between the two coarse.
const RADII: [usize; 2] = [3, 6];

/// Standard deviation of the fine structures in the middle of a field of view over that of the coarse ones, of the green channel; `None` if
/// the photograph is too small to tell, or has none.
pub(super) fn sharpness(image: &RgbImage, bounds: PixelBox) -> Result<Option<f64>> {
    let side = bounds.width.max(bounds.height) / 2;
    let middle = |start: usize, length: usize, size: u32| {
        let first = (start + length / 2).saturating_sub(side / 2);
        (first + side <= size as usize).then_some(first as u32)
    };
    let left = middle(bounds.left, bounds.width, image.width());
    let top = middle(bounds.top, bounds.height, image.height());
    let (Some(left), Some(top), true) = (left, top, side >= SIDE) else {
        return Ok(None);
    };
    let square = imageops::crop_imm(image, left, top, side as u32, side as u32).to_image();
    let green = resize_plane(&Channel::Green.plane(0, &square), (SIDE, SIDE))?;
    let value = |x: usize, y: usize| f64::from(green.data()[y * SIDE + x]);
    let [near, far] = RADII.map(|radius| {
        let count = ((2 * radius + 1) * (2 * radius + 1)) as f64;
        let mut means = window_sums(SIDE, SIDE, radius, value);
        means.iter_mut().for_each(|sum| *sum /= count);
        means
    });
    let (mut fine, mut coarse) = (0.0, 0.0);
    let inner = RADII[1]..SIDE - RADII[1];
    for (x, y) in inner
        .clone()
        .flat_map(|y| inner.clone().map(move |x| (x, y)))
    {
        let at = y * SIDE + x;
        fine += (value(x, y) - near[at]).powi(2);
        coarse += (near[at] - far[at]).powi(2);
    }
    Ok((coarse > 0.0).then(|| (fine / coarse).sqrt()))
}
