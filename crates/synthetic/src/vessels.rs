use venule_data::Mask;

use super::scene::Scene;
use super::tree::{Kind, Tree};

/// Vessels narrower than this radius in pixels are too faint to be seen; a label of them would be dotted.
const LEAST_RADIUS: f32 = 0.45;

/// The vessels as seen in the image.
pub(super) struct Vessels {
    /// Pixels of which more than half is a vessel wide enough to be seen.
    pub(super) label: Mask,
    /// Optical depth for green light of the arteries and of the veins.
    pub(super) artery: Vec<f32>,
    pub(super) vein: Vec<f32>,
}

/// Share of the field of view that the label of `tree` would cover.
pub(super) fn share(tree: &Tree, scene: &Scene, fov: &Mask) -> f32 {
    let mut label = Mask::filled(scene.width, scene.height, false);
    for_each_pixel(tree, scene, |at, _, gap, radius| {
        label.data_mut()[at] |= is_labelled(gap, radius, scene) && fov.data()[at];
    });
    label.count() as f32 / fov.count().max(1) as f32
}

/// Draws every segment as tapered capsules.
pub(super) fn draw(tree: &Tree, scene: &Scene, fov: &Mask, reflex: f32) -> Vessels {
    let (width, height) = (scene.width, scene.height);
    let mut vessels = Vessels {
        label: Mask::filled(width, height, false),
        artery: vec![0.0; width * height],
        vein: vec![0.0; width * height],
    };
    for_each_pixel(tree, scene, |at, kind, gap, radius| {
        vessels.label.data_mut()[at] |= is_labelled(gap, radius, scene) && fov.data()[at];
        let layer = match kind {
            Kind::Artery => &mut vessels.artery,
            Kind::Vein => &mut vessels.vein,
        };
        let depth = optical_depth(kind, gap, radius, scene, reflex);
        layer[at] = layer[at].max(depth);
    });
    vessels
}

/// A pixel's coverage is ½ + radius − distance of its centre from the axis; annotators go beyond the edge.
fn is_labelled(gap: f32, radius: f32, scene: &Scene) -> bool {
    radius >= LEAST_RADIUS && gap < radius + scene.margin(radius)
}

/// Calls `paint(pixel, kind, distance from the axis, radius)` for every pixel that a vessel or its label touches, lengths in pixels.
fn for_each_pixel(tree: &Tree, scene: &Scene, mut paint: impl FnMut(usize, Kind, f32, f32)) {
    let beyond = scene.label_margin.max(0.5);
    for segment in &tree.segments {
        let pieces = segment.points.len().saturating_sub(1).max(1) as f32;
        let radius = |i: usize| {
            let (first, last) = segment.radius;
            (first + (last - first) * i as f32 / pieces) * scene.scale
        };
        let pixels: Vec<[f32; 2]> = segment.points.iter().map(|&p| scene.to_pixel(p)).collect();
        for (i, ends) in pixels.windows(2).enumerate() {
            let capsule = Capsule {
                from: ends[0],
                to: ends[1],
                radius: (radius(i), radius(i + 1)),
            };
            capsule.for_each_pixel(scene.width, scene.height, beyond, |at, gap, radius| {
                paint(at, segment.kind, gap, radius);
            });
        }
    }
}

/// A piece of vessel between two points; its radius changes linearly.
struct Capsule {
    from: [f32; 2],
    to: [f32; 2],
    radius: (f32, f32),
}

impl Capsule {
    /// Every pixel whose centre is less than the radius and `beyond` from the axis.
    fn for_each_pixel(
        &self,
        width: usize,
        height: usize,
        beyond: f32,
        mut paint: impl FnMut(usize, f32, f32),
    ) {
        let margin = self.radius.0.max(self.radius.1) + beyond + 0.5;
        let span = |axis: usize, limit: usize| {
            let (a, b) = (self.from[axis], self.to[axis]);
            let low = (a.min(b) - margin).floor().max(0.0) as usize;
            let high = (a.max(b) + margin).ceil().max(0.0) as usize;
            low..high.min(limit)
        };
        let along = [self.to[0] - self.from[0], self.to[1] - self.from[1]];
        let square = (along[0] * along[0] + along[1] * along[1]).max(1e-12);
        for y in span(1, height) {
            for x in span(0, width) {
                let [dx, dy] = [x as f32 + 0.5 - self.from[0], y as f32 + 0.5 - self.from[1]];
                let t = ((dx * along[0] + dy * along[1]) / square).clamp(0.0, 1.0);
                let radius = self.radius.0 + (self.radius.1 - self.radius.0) * t;
                let gap = (dx - t * along[0]).hypot(dy - t * along[1]);
                if gap < radius + beyond {
                    paint(y * width + x, gap, radius);
                }
            }
        }
    }
}

/// Absorption at `gap` from the axis of a vessel of `radius`, both in pixels. Wide vessels saturate, as light scattered above them
/// reaches the camera without passing through blood.
fn optical_depth(kind: Kind, gap: f32, radius: f32, scene: &Scene, reflex: f32) -> f32 {
    // The radius in reference pixels.
    let calibre = radius / scene.scale;
    let coverage = (0.5 + radius - gap).min(2.0 * radius).clamp(0.0, 1.0);
    let relative = gap / (radius + 0.3);
    let thickness = (1.0 - relative * relative).max(0.0).powf(0.35);
    let (darkness, reflex) = match kind {
        Kind::Artery => (scene.artery_darkness, reflex),
        Kind::Vein => (1.0, 0.3 * reflex),
    };
    let peak = 0.42 * (1.0 - (-2.0 * calibre / 5.0).exp());
    // Light glances off the column of blood in vessels wide enough to show it.
    let shine =
        reflex * ((calibre - 1.2) / 1.5).clamp(0.0, 1.0) * (-(3.0 * relative).powi(2)).exp();
    darkness * peak * coverage * thickness * (1.0 - shine)
}
