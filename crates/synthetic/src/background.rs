use super::SyntheticFundus;
use super::noise::{RingNoise, add_lattice_noise};
use super::random::Random;
use super::scene::Scene;
use super::tree::Point;

/// Red, green and blue planes, 0–255 and beyond before the camera clips them.
pub(super) type Planes = [Vec<f32>; 3];

/// Octaves of the retinal texture: spacing in reference pixels and relative amplitude.
const TEXTURE: [(f32, f32); 5] = [
    (4.0, 0.009),
    (10.0, 0.012),
    (22.0, 0.018),
    (50.0, 0.03),
    (120.0, 0.05),
];

/// Paints the retina without vessels: colour, illumination, texture, disc, macula.
pub(super) fn paint(scene: &Scene, config: &SyntheticFundus, random: &mut Random) -> Planes {
    let variation = config.variation;
    let (width, height) = (scene.width, scene.height);
    let mut texture = vec![0.0; width * height];
    let roughness = config.texture * (1.0 + 0.35 * variation * random.normal().clamp(-1.8, 2.0));
    for (spacing, amplitude) in TEXTURE {
        add_octave(&mut texture, scene, spacing, amplitude * roughness, random);
    }
    // Pigment: where there is more of it, the red glow of the choroid is dimmer.
    let mut pigment = vec![0.0; width * height];
    for (spacing, amplitude) in [(40.0, 0.022), (90.0, 0.045), (200.0, 0.07)] {
        add_octave(&mut pigment, scene, spacing, amplitude, random);
    }
    let choroid = choroid(scene, config.choroid * variation, random);
    let light = Light::new(scene, config, random);
    let disc = Disc::new(scene, variation, random);
    let fovea = Fovea::new(variation, random);
    let fibres = Fibres::new(scene, variation, random);

    let mut planes: Planes = std::array::from_fn(|_| vec![0.0; width * height]);
    for y in 0..height {
        for x in 0..width {
            if scene.edge(x, y) < -1.0 {
                continue;
            }
            let at = y * width + x;
            let point = scene.to_retina([x as f32 + 0.5, y as f32 + 0.5]);
            let (shade, haze) = light.at(scene, x, y);
            let grey = texture[at] + fibres.at(point);
            let red = -pigment[at];
            let vascular = choroid.as_ref().map_or(0.0, |choroid| choroid[at]);
            let relative = [
                (1.0 + 0.75 * grey + red + 0.5 * vascular) * shade[0],
                (1.0 + grey + 0.35 * red + vascular) * shade[1],
                (1.0 + 0.8 * grey + 0.2 * red + 0.3 * vascular) * shade[2],
            ];
            let mut color: [f32; 3] =
                std::array::from_fn(|c| scene.base[c] * relative[c].max(0.05));
            disc.apply(&mut color, point, scene, grey);
            fovea.apply(&mut color, point, scene);
            for (c, plane) in planes.iter_mut().enumerate() {
                plane[at] = color[c] + haze[c];
            }
        }
    }
    planes
}

fn add_octave(plane: &mut [f32], scene: &Scene, spacing: f32, amplitude: f32, random: &mut Random) {
    let spacing = spacing * scene.scale;
    // Finer than a pixel, it would only be more sensor noise.
    if spacing > 1.2 {
        add_lattice_noise(plane, scene.width, spacing, amplitude, random);
    }
}

/// Choroidal vessels that show through a pale retina, in some eyes and some places.
fn choroid(scene: &Scene, chance: f32, random: &mut Random) -> Option<Vec<f32>> {
    if !random.chance(chance) || 13.0 * scene.scale < 2.0 {
        return None;
    }
    let strength = random.range(0.025, 0.08);
    let mut bands = vec![0.0; scene.width * scene.height];
    let spacing = random.range(10.0, 17.0) * scene.scale;
    add_lattice_noise(&mut bands, scene.width, spacing, 1.0, random);
    let mut place = vec![0.0; bands.len()];
    add_lattice_noise(&mut place, scene.width, 110.0 * scene.scale, 1.0, random);
    for (band, place) in bands.iter_mut().zip(place) {
        // The zero lines of smooth noise form a net, as choroidal vessels do.
        let net = (-(*band * 1.5).powi(2)).exp() - 0.5;
        *band = -strength * net * (place + 0.3).clamp(0.0, 1.2);
    }
    Some(bands)
}

/// Uneven illumination: falloff from an off-centre hot spot, a gradient, a darker rim and a hazy crescent.
struct Light {
    hot: [f32; 2],
    falloff: [f32; 3],
    gradient: [f32; 2],
    rim: f32,
    crescent: RingNoise,
    crescent_width: f32,
    crescent_color: [f32; 3],
}

impl Light {
    fn new(scene: &Scene, config: &SyntheticFundus, random: &mut Random) -> Self {
        let variation = config.variation;
        let falloff = config.illumination * random.range(0.08, 0.08 + 0.34 * variation);
        let direction = random.range(0.0, std::f32::consts::TAU);
        let slope = config.illumination * 0.12 * variation * random.unit();
        let strength = scene.base[1] * random.range(0.0, 0.55 * variation.max(0.05));
        Self {
            hot: [
                0.22 * variation * random.normal(),
                0.18 * variation * random.normal(),
            ],
            // The periphery turns from orange to a greyish green: red falls off most.
            falloff: [
                falloff,
                falloff * random.range(0.4, 0.8),
                falloff * random.range(0.35, 0.75),
            ],
            gradient: [slope * direction.cos(), slope * direction.sin()],
            rim: random.range(0.02, 0.22),
            crescent: RingNoise::new(3, random),
            crescent_width: random.range(0.03, 0.12),
            crescent_color: [strength, 0.75 * strength, 0.25 * strength],
        }
    }

    /// Multiplied and added light at a pixel.
    fn at(&self, scene: &Scene, x: usize, y: usize) -> ([f32; 3], [f32; 3]) {
        let (centre, radius) = scene.circle;
        let u = (x as f32 + 0.5 - centre[0]) / radius;
        let v = (y as f32 + 0.5 - centre[1]) / radius;
        let away = (u - self.hot[0]).powi(2) + (v - self.hot[1]).powi(2);
        let rho = u.hypot(v);
        let slope = 1.0 + self.gradient[0] * u + self.gradient[1] * v;
        let rim = 1.0 - self.rim * rho.powi(8);
        let shade = self
            .falloff
            .map(|falloff| (slope * rim * (1.0 - falloff * away)).max(0.1));
        let depth = (1.0 - rho).max(0.0) / self.crescent_width;
        if depth > 5.0 {
            return (shade, [0.0; 3]);
        }
        let lit = (self.crescent.at(v.atan2(u)) * 0.7 + 0.1).clamp(0.0, 1.2) * (-depth).exp();
        (shade, self.crescent_color.map(|color| color * lit))
    }
}

/// The optic disc: a pale ellipse with a paler cup, pinker on its nasal side.
struct Disc {
    outline: RingNoise,
    wobble: f32,
    cup: f32,
    cup_centre: [f32; 2],
    rim: [f32; 3],
    pale: [f32; 3],
    softness: f32,
    crescent: f32,
    glow: f32,
}

impl Disc {
    fn new(scene: &Scene, variation: f32, random: &mut Random) -> Self {
        let bright = 1.0 + 0.12 * variation * random.normal().clamp(-1.5, 1.5);
        let [red, green, blue] = scene.base;
        // A disc is pale whatever the tint of the retina: its hue lies between the retina's and a pale yellow.
        let pale = [
            1.35 * red,
            1.3 * green + 0.33 * red,
            1.35 * blue + 0.17 * red,
        ];
        let rim = [
            1.24 * red,
            1.32 * green + 0.11 * red,
            1.3 * blue + 0.06 * red,
        ];
        Self {
            outline: RingNoise::new(7, random),
            wobble: 0.012 + 0.012 * variation,
            cup: random.range(0.3, 0.62),
            cup_centre: [random.range(0.05, 0.25), random.range(-0.1, 0.1)],
            rim: rim.map(|c| c * (0.5 + 0.5 * bright)),
            pale: pale.map(|c| c * bright),
            softness: random.range(0.05, 0.14),
            crescent: 0.22 * random.normal() * variation,
            glow: random.range(0.0, 0.16),
        }
    }

    fn apply(&self, color: &mut [f32; 3], point: [f32; 2], scene: &Scene, grey: f32) {
        let [u, v] = [
            point[0] / scene.disc_radius[0],
            point[1] / scene.disc_radius[1],
        ];
        let plain = u.hypot(v);
        if plain > 3.0 {
            return;
        }
        let angle = v.atan2(u);
        let away = plain / (1.0 + self.wobble * self.outline.at(angle));
        let glow = 1.0 + self.glow * (-(away - 1.0).max(0.0) / 0.5).exp();
        // A pale or dark crescent hugs the temporal border of many discs.
        let hug = (-((away - 1.08) / 0.08).powi(2)).exp() * angle.cos().max(0.0);
        for value in color.iter_mut() {
            *value *= glow * (1.0 + self.crescent * hug);
        }
        let inside = smoothstep(1.0 + self.softness, 1.0 - self.softness, away);
        let temporal = smoothstep(-0.9, 0.75, u);
        let from_cup = (u - self.cup_centre[0]).hypot(v - self.cup_centre[1]) / self.cup;
        let cup = smoothstep(1.35, 0.5, from_cup);
        let paleness = (0.25 + 0.5 * temporal + 0.4 * cup).min(1.1);
        for (c, value) in color.iter_mut().enumerate() {
            let tissue = self.rim[c] + (self.pale[c] - self.rim[c]) * paleness;
            *value += (tissue * (1.0 + grey) - *value) * inside;
        }
    }
}

/// The macula's pigment: a broad shade and a dark pit.
struct Fovea {
    pit: (f32, f32),
    shade: (f32, f32),
    reflex: f32,
}

impl Fovea {
    fn new(variation: f32, random: &mut Random) -> Self {
        Self {
            pit: (
                0.16 + 0.2 * variation * random.unit(),
                random.range(15.0, 24.0),
            ),
            shade: (
                0.05 + 0.12 * variation * random.unit(),
                random.range(45.0, 75.0),
            ),
            reflex: if random.chance(0.2 * variation) {
                random.range(0.05, 0.15)
            } else {
                0.0
            },
        }
    }

    fn apply(&self, color: &mut [f32; 3], point: [f32; 2], scene: &Scene) {
        let [dx, dy] = [point[0] - scene.fovea[0], point[1] - scene.fovea[1]];
        let gap = dx * dx + dy * dy;
        if gap > (2.5 * self.shade.1).powi(2) {
            return;
        }
        let depth = self.pit.0 * (-gap / self.pit.1.powi(2)).exp()
            + self.shade.0 * (-gap / self.shade.1.powi(2)).exp();
        let spark = self.reflex * (-gap / 9.0).exp();
        for (value, weight) in color.iter_mut().zip([0.75, 1.0, 0.85]) {
            *value *= (-weight * depth).exp() + spark;
        }
    }
}

/// Nerve fibres: faint bright streaks that fan out from the disc.
struct Fibres {
    streaks: RingNoise,
    strength: f32,
    reach: f32,
}

impl Fibres {
    fn new(scene: &Scene, variation: f32, random: &mut Random) -> Self {
        Self {
            streaks: RingNoise::new(150, random),
            strength: if scene.scale > 0.4 {
                random.range(0.004, 0.008 + 0.018 * variation)
            } else {
                0.0
            },
            reach: random.range(50.0, 110.0),
        }
    }

    fn at(&self, point: [f32; 2]) -> f32 {
        let away = point[0].hypot(point[1]);
        if away > 4.0 * self.reach || away < 20.0 {
            return 0.0;
        }
        // Strongest above and below the disc, where the fibres are thickest.
        let steep = (point[1] / away).powi(2);
        self.strength
            * (0.4 + self.streaks.at(fibre_angle(point)))
            * (0.25 + steep)
            * (-away / self.reach).exp()
            * 2.0
    }
}

/// The angle at which the nerve fibre of a place leaves the disc: fibres bend around the macula as the arcades do.
pub(super) fn fibre_angle(point: Point) -> f32 {
    let away = point[0].hypot(point[1]);
    let bend = point[1].signum() * 0.0022 * away * point[0].max(0.0) / away.max(1.0);
    point[1].atan2(point[0]) + bend
}

/// 0 below `from`, 1 above `to` (or the other way round), smooth between.
fn smoothstep(from: f32, to: f32, value: f32) -> f32 {
    let t = ((value - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}
