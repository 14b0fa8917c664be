use super::scene::Scene;
use super::tree::{Kind, Tree};
use crate::Mask;

/// The vessels as seen in the image.
pub(super) struct Vessels {
    /// Pixels covered by more than half.
    pub(super) label: Mask,
    /// Optical depth for green light of the arteries and of the veins.
    pub(super) artery: Vec<f32>,
    pub(super) vein: Vec<f32>,
}

/// Draws every segment as tapered capsules; a pixel's coverage is ½ + radius − distance of its centre.
pub(super) fn draw(tree: &Tree, scene: &Scene, reflex: f32) -> Vessels {
    let (width, height) = (scene.width, scene.height);
    let mut vessels = Vessels {
        label: Mask::filled(width, height, false),
        artery: vec![0.0; width * height],
        vein: vec![0.0; width * height],
    };
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
            vessels.stamp(&capsule, segment.kind, scene, reflex);
        }
    }
    vessels
}

struct Capsule {
    from: [f32; 2],
    to: [f32; 2],
    radius: (f32, f32),
}

impl Vessels {
    fn stamp(&mut self, capsule: &Capsule, kind: Kind, scene: &Scene, reflex: f32) {
        let (width, height) = self.label.size();
        let margin = capsule.radius.0.max(capsule.radius.1) + 1.0;
        let span = |axis: usize, limit: usize| {
            let (a, b) = (capsule.from[axis], capsule.to[axis]);
            let low = (a.min(b) - margin).floor().max(0.0) as usize;
            let high = (a.max(b) + margin).ceil().max(0.0) as usize;
            low..high.min(limit)
        };
        let along = [
            capsule.to[0] - capsule.from[0],
            capsule.to[1] - capsule.from[1],
        ];
        let square = (along[0] * along[0] + along[1] * along[1]).max(1e-12);
        let layer = match kind {
            Kind::Artery => &mut self.artery,
            Kind::Vein => &mut self.vein,
        };
        for y in span(1, height) {
            for x in span(0, width) {
                let [dx, dy] = [
                    x as f32 + 0.5 - capsule.from[0],
                    y as f32 + 0.5 - capsule.from[1],
                ];
                let t = ((dx * along[0] + dy * along[1]) / square).clamp(0.0, 1.0);
                let radius = capsule.radius.0 + (capsule.radius.1 - capsule.radius.0) * t;
                let gap = (dx - t * along[0]).hypot(dy - t * along[1]);
                if gap >= radius + 0.5 {
                    continue;
                }
                let at = y * width + x;
                if gap < radius && scene.sees(x, y) {
                    self.label.data_mut()[at] = true;
                }
                let depth = optical_depth(kind, gap, radius, radius / scene.scale, reflex);
                layer[at] = layer[at].max(depth);
            }
        }
    }
}

/// Absorption at `gap` from the axis of a vessel of `radius`, both in pixels; `calibre` is the radius in reference
/// pixels. Wide vessels saturate, as light scattered above them reaches the camera without passing through blood.
fn optical_depth(kind: Kind, gap: f32, radius: f32, calibre: f32, reflex: f32) -> f32 {
    let coverage = (0.5 + radius - gap).min(2.0 * radius).clamp(0.0, 1.0);
    let relative = gap / (radius + 0.3);
    let thickness = (1.0 - relative * relative).max(0.0).powf(0.35);
    let (darkness, reflex) = match kind {
        Kind::Artery => (0.8, reflex),
        Kind::Vein => (1.0, 0.3 * reflex),
    };
    let peak = 0.42 * (1.0 - (-2.0 * calibre / 5.0).exp());
    // Light glances off the column of blood in vessels wide enough to show it.
    let shine =
        reflex * ((calibre - 1.2) / 1.5).clamp(0.0, 1.0) * (-(3.0 * relative).powi(2)).exp();
    darkness * peak * coverage * thickness * (1.0 - shine)
}
