use venule_data::{Plane, Result, gaussian_blur};

use super::background::{Planes, fibre_angle};
use super::noise::add_lattice_noise;
use super::random::Random;
use super::scene::Scene;
use super::vessels::Vessels;

/// The sheen of a young retina, bright where it is seen: streaks that run beside the vessels, glints around them, and the bundles of
/// the nerve fibre layer. Nothing of it is a vessel.
pub(super) fn paint(
    planes: &mut Planes,
    vessels: &Vessels,
    scene: &Scene,
    random: &mut Random,
) -> Result<()> {
    let size = scene.width * scene.height;
    let (beside, glints) = (random.range(0.2, 0.7), random.log_range(0.03, 0.25));
    let mut place = vec![0.0; size];
    add_lattice_noise(&mut place, scene.width, 80.0 * scene.scale, 1.0, random);
    let mut ridges = vec![0.0; size];
    add_lattice_noise(&mut ridges, scene.width, 12.0 * scene.scale, 1.0, random);
    let depth = |at: usize| vessels.artery[at].max(vessels.vein[at]);
    let depths = (0..size).map(depth).collect();
    let depths = Plane::new(scene.width, scene.height, depths)?;
    let near = gaussian_blur(&depths, 2.2 * scene.scale).into_data();
    let bundles = Bundles::new(random);
    for at in 0..size {
        let shows = (place[at] + 0.2).clamp(0.0, 1.2);
        if shows == 0.0 {
            continue;
        }
        let ridge = (1.0 - 4.0 * ridges[at].abs()).max(0.0);
        let around = (near[at] * 12.0).min(1.0);
        let pixel = [at % scene.width, at / scene.width].map(|place| place as f32 + 0.5);
        let streaks = bundles.at(scene.to_retina(pixel));
        let gain = shows
            * (beside * (near[at] - depths.data()[at]).max(0.0)
                + glints * ridge * around
                + streaks);
        // It mirrors white light on a red ground.
        for (plane, share) in planes.iter_mut().zip([0.4, 1.0, 1.2]) {
            plane[at] *= 1.0 + share * gain;
        }
    }
    Ok(())
}

/// Bundles of nerve fibres: short streaks, bright and dark, that fan out from the disc and bend around the macula.
struct Bundles {
    /// Streaks by angle (along a row) and distance from the disc (by row).
    streaks: Vec<f32>,
    strength: f32,
    reach: f32,
}

impl Bundles {
    /// Angles around the disc, and reference pixels of distance that a row stands for.
    const ANGLES: usize = 1440;
    const ROW: f32 = 8.0;
    const ROWS: usize = 75;

    fn new(random: &mut Random) -> Self {
        let mut streaks = vec![0.0; Self::ANGLES * Self::ROWS];
        let spacing = random.range(2.0, 8.0);
        add_lattice_noise(&mut streaks, Self::ANGLES, spacing, 1.0, random);
        Self {
            streaks,
            strength: random.log_range(0.03, 0.2),
            reach: random.range(90.0, 220.0),
        }
    }

    fn at(&self, point: [f32; 2]) -> f32 {
        let away = point[0].hypot(point[1]);
        let row = away / Self::ROW;
        if row as usize + 1 >= Self::ROWS {
            return 0.0;
        }
        let turns = fibre_angle(point) / std::f32::consts::TAU;
        let column = turns.rem_euclid(1.0) * Self::ANGLES as f32;
        let value =
            |row: usize, column: usize| self.streaks[row * Self::ANGLES + column % Self::ANGLES];
        let (r, c) = (row as usize, column as usize);
        let (down, along) = (row.fract(), column.fract());
        let upper = value(r, c) + (value(r, c + 1) - value(r, c)) * along;
        let lower = value(r + 1, c) + (value(r + 1, c + 1) - value(r + 1, c)) * along;
        // The first and the last angle are those of the axis from disc to fovea, where hardly a fibre is seen.
        let steep = (point[1] / away.max(1.0)).powi(2);
        let fades = (-(away / self.reach).powi(2)).exp() * (0.15 + steep).min(1.0);
        self.strength * (upper + (lower - upper) * down) * fades
    }
}
