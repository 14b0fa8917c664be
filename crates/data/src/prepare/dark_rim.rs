//! The rim along the border of a field of view, in which the light fades.

use image::GrayImage;
use imageproc::distance_transform::{Norm, distance_transform};

use crate::{Mask, Plane, equivalent_diameter};

/// The widest rim, as a share of the diameter. Where the light fades over more than that, it is the photograph that is dark outside.
const WIDEST: f64 = 0.02;
/// How far inside, as a share of the diameter, the level that rings are compared with is taken from: up to here from the widest rim.
const INSIDE: f64 = 0.03;

/// A field of view without the rings one pixel wide, counted from its border, whose mean level is below `share` of that further inside.
/// Where it ends with the frame there is no border. `planes` are levels, 0 for black, of its size.
pub(super) fn without_dark_rim(fov: Mask, planes: &[Plane], share: f32) -> Mask {
    let (width, height) = fov.size();
    let outside = fov.data().iter().map(|&inside| 255 * u8::from(!inside));
    let outside = GrayImage::from_vec(width as u32, height as u32, outside.collect());
    let Some(outside) = outside.filter(|_| fov.count() < width * height) else {
        return fov;
    };
    // Rounded up: the first ring has the distance 1. Pixels outside have 0.
    let distance = distance_transform(&outside, Norm::L2).into_raw();
    let mut rings = [(0.0_f64, 0_usize); 256];
    for plane in planes {
        for (&ring, &level) in distance.iter().zip(plane.data()) {
            let (sum, count) = &mut rings[usize::from(ring)];
            *sum += f64::from(level);
            *count += 1;
        }
    }
    let diameter = equivalent_diameter(&fov);
    // Distances are bytes; beyond some 6,700 pixels the shares are smaller.
    let at = |part: f64| ((part * diameter).ceil() as usize).clamp(1, 200);
    let (widest, inside) = (at(WIDEST), at(INSIDE).max(at(WIDEST) + 2));
    let mean = |rings: &[(f64, usize)]| {
        let (sum, count) = rings
            .iter()
            .fold((0.0, 0), |all, ring| (all.0 + ring.0, all.1 + ring.1));
        (count > 0).then(|| sum / count as f64)
    };
    let Some(level) = mean(&rings[widest + 1..=inside]) else {
        return fov;
    };
    let is_dark = |ring: &usize| {
        let own = mean(&rings[*ring..=*ring]);
        own.is_some_and(|own| own < f64::from(share) * level)
    };
    match (1..=widest + 1).take_while(is_dark).count() {
        dark if dark > widest => fov,
        dark => Mask::from_fn(width, height, |x, y| {
            usize::from(distance[y * width + x]) > dark
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disc of this radius in the middle of a frame, and the distance of a pixel from its border.
    fn disc(side: usize, radius: f64) -> (Mask, impl Fn(usize, usize) -> f64) {
        let depth = move |x: usize, y: usize| {
            let middle = (side - 1) as f64 / 2.0;
            radius - (x as f64 - middle).hypot(y as f64 - middle)
        };
        (Mask::from_fn(side, side, |x, y| depth(x, y) > 0.0), depth)
    }

    #[test]
    fn the_ring_that_is_dark_is_left_out_and_no_more() {
        let (fov, depth) = disc(240, 100.0);
        let photograph = |ring: f64, level: f32| {
            Plane::from_fn(240, 240, |x, y| match depth(x, y) {
                depth if depth <= 0.0 => 0.0,
                depth if depth <= ring => level,
                _ => 100.0,
            })
        };
        // Rings follow the pixels of the mask, a circle does not: up to one pixel between.
        let left_out = |plane: Plane| {
            let seen = without_dark_rim(fov.clone(), &[plane], 0.7);
            let lost = (0..240 * 240).filter(|&at| fov.data()[at] && !seen.data()[at]);
            lost.map(|at| depth(at % 240, at / 240)).fold(0.0, f64::max)
        };
        let lost = left_out(photograph(2.0, 30.0));
        assert!((1.0..=3.0).contains(&lost), "{lost}");
        assert_eq!(left_out(photograph(2.0, 90.0)), 0.0);
        assert_eq!(left_out(photograph(0.0, 30.0)), 0.0);
        // A photograph that is dark far into the field of view is dark there.
        assert_eq!(left_out(photograph(30.0, 30.0)), 0.0);
    }

    #[test]
    fn where_there_is_no_border_nothing_is_left_out() {
        let whole = Mask::filled(50, 40, true);
        let plane = Plane::from_fn(50, 40, |x, _| if x < 3 { 1.0 } else { 100.0 });
        assert_eq!(without_dark_rim(whole.clone(), &[plane], 1.0), whole);
        // Nor in a field of view of a pixel, nor in a black photograph.
        let dot = Mask::from_fn(50, 40, |x, y| (x, y) == (7, 7));
        let black = Plane::filled(50, 40, 0.0);
        assert_eq!(
            without_dark_rim(dot.clone(), std::slice::from_ref(&black), 1.0),
            dot
        );
        let half = Mask::from_fn(50, 40, |x, _| x < 25);
        assert_eq!(without_dark_rim(half.clone(), &[black], 1.0), half);
    }
}
