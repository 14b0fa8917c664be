use super::background::Planes;
use super::noise::RingNoise;
use super::random::Random;
use super::scene::Scene;

/// Distractors that are no vessels: exudates, drusen, haemorrhages, microaneurysms.
pub(super) fn paint(planes: &mut Planes, scene: &Scene, random: &mut Random) {
    if random.chance(0.55) {
        for _ in 0..random.whole(1, 4) {
            let centre = place(scene, random);
            let spread = random.range(6.0, 26.0);
            for _ in 0..random.whole(4, 26) {
                let at = beside(centre, spread, random);
                let gain = random.range(0.15, 0.6);
                let radius = random.log_range(0.8, 3.4);
                Spot {
                    at,
                    radius,
                    soft: 0.35,
                    gain: [0.5 * gain, gain, 0.6 * gain],
                }
                .paint(planes, scene, random);
            }
        }
    }
    if random.chance(0.45) {
        let centre = beside(scene.fovea, 20.0, random);
        for _ in 0..random.whole(6, 40) {
            let at = beside(centre, 55.0, random);
            let gain = random.range(0.04, 0.16);
            let radius = random.log_range(1.5, 4.5);
            Spot {
                at,
                radius,
                soft: 0.8,
                gain: [0.6 * gain, gain, 0.6 * gain],
            }
            .paint(planes, scene, random);
        }
    }
    if random.chance(0.55) {
        for _ in 0..random.whole(3, 24) {
            let at = place(scene, random);
            let loss = -random.range(0.1, 0.32);
            let radius = if random.chance(0.7) {
                random.range(0.9, 1.8)
            } else {
                random.range(2.0, 6.5)
            };
            Spot {
                at,
                radius,
                soft: 0.4,
                gain: [0.4 * loss, loss, 0.6 * loss],
            }
            .paint(planes, scene, random);
        }
    }
}

/// Anywhere in view.
fn place(scene: &Scene, random: &mut Random) -> [f32; 2] {
    let angle = random.range(0.0, std::f32::consts::TAU);
    let away = scene.view_radius * random.unit().sqrt() * 0.95;
    [
        scene.view_centre[0] + away * angle.cos(),
        scene.view_centre[1] + away * angle.sin(),
    ]
}

fn beside(centre: [f32; 2], spread: f32, random: &mut Random) -> [f32; 2] {
    [
        centre[0] + spread * random.normal(),
        centre[1] + spread * random.normal(),
    ]
}

/// A blot with an irregular outline; `gain` multiplies 1 + gain into the channels at its middle.
struct Spot {
    at: [f32; 2],
    radius: f32,
    soft: f32,
    gain: [f32; 3],
}

impl Spot {
    fn paint(&self, planes: &mut Planes, scene: &Scene, random: &mut Random) {
        let outline = RingNoise::new(6, random);
        let stretch = random.range(0.75, 1.3);
        let [cx, cy] = scene.to_pixel(self.at);
        let radius = self.radius * scene.scale;
        let reach = 2.2 * radius + 2.0;
        let span = |centre: f32, limit: usize| {
            let low = (centre - reach).max(0.0) as usize;
            let high = (centre + reach).max(0.0) as usize;
            low..high.min(limit)
        };
        for y in span(cy, scene.height) {
            for x in span(cx, scene.width) {
                let [dx, dy] = [
                    (x as f32 + 0.5 - cx) * stretch,
                    (y as f32 + 0.5 - cy) / stretch,
                ];
                let edge = radius * (1.0 + 0.25 * outline.at(dy.atan2(dx)).clamp(-2.0, 2.0));
                let softness = (self.soft * radius).max(0.6);
                let cover = ((edge - dx.hypot(dy)) / softness + 0.5).clamp(0.0, 1.0);
                for (plane, gain) in planes.iter_mut().zip(self.gain) {
                    plane[y * scene.width + x] *= 1.0 + gain * cover;
                }
            }
        }
    }
}
