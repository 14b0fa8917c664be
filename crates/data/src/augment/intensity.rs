//! Changes of the image alone, of all its channels alike; noise is drawn for each. What lies outside the field of view stays 0.

use crate::draw::Draw;
use crate::{Prepared, Result, gaussian_blur};

/// Gaussian blur; a sigma of 0 changes nothing.
pub(super) fn blur(out: &mut Prepared, sigma: f32) -> Result<()> {
    if sigma > 0.0 {
        let image = out.image.clone();
        out.image = image.map(|channel| gaussian_blur(&channel, sigma))?;
        for_each_inside(out, |v| v);
    }
    Ok(())
}

/// Maps the range of all channels inside the field of view to 0..1, applies the power, maps back; 1 changes nothing.
pub(super) fn gamma(out: &mut Prepared, exponent: f32) {
    if exponent == 1.0 {
        return;
    }
    let channels = out.image.each();
    let inside = channels.flat_map(|channel| channel.iter().zip(out.fov.data()));
    let range = inside.filter(|p| *p.1).fold(None, |range, (&v, _)| {
        let (low, high) = range.unwrap_or((v, v));
        Some((v.min(low), v.max(high)))
    });
    if let Some((low, high)) = range.filter(|(low, high)| high > low) {
        for_each_inside(out, |v| {
            low + (high - low) * ((v - low) / (high - low)).powf(exponent)
        });
    }
}

/// `v * factor + shift`.
pub(super) fn linear(out: &mut Prepared, factor: f32, shift: f32) {
    if factor != 1.0 || shift != 0.0 {
        for_each_inside(out, |v| v * factor + shift);
    }
}

/// Adds Gaussian noise; a sigma of 0 adds none.
pub(super) fn noise(out: &mut Prepared, sigma: f32, draw: &mut Draw) {
    if sigma <= 0.0 {
        return;
    }
    for channel in out.image.each_mut() {
        let fov = out.fov.data().chunks(2);
        for (pair, inside) in channel.chunks_mut(2).zip(fov) {
            let values = <[f32; 2]>::from(draw.normals());
            for ((v, &inside), n) in pair.iter_mut().zip(inside).zip(values) {
                if inside {
                    *v += sigma * n;
                }
            }
        }
    }
}

pub(super) fn for_each_inside(out: &mut Prepared, change: impl Fn(f32) -> f32) {
    for channel in out.image.each_mut() {
        for (v, &inside) in channel.iter_mut().zip(out.fov.data()) {
            *v = if inside { change(*v) } else { 0.0 };
        }
    }
}
