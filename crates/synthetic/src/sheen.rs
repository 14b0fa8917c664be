use venule_data::{Plane, Result, gaussian_blur};

use super::background::Planes;
use super::noise::add_lattice_noise;
use super::random::Random;
use super::scene::Scene;
use super::vessels::Vessels;

/// The sheen of a young retina, bright where it is seen: streaks that run beside the vessels, and glints of the nerve fibre layer
/// around them. Nothing of it is a vessel.
pub(super) fn paint(
    planes: &mut Planes,
    vessels: &Vessels,
    scene: &Scene,
    random: &mut Random,
) -> Result<()> {
    let size = scene.width * scene.height;
    let (beside, glints) = (random.range(0.2, 0.7), random.range(0.03, 0.12));
    let mut place = vec![0.0; size];
    add_lattice_noise(&mut place, scene.width, 80.0 * scene.scale, 1.0, random);
    let mut ridges = vec![0.0; size];
    add_lattice_noise(&mut ridges, scene.width, 12.0 * scene.scale, 1.0, random);
    let depth = |at: usize| vessels.artery[at].max(vessels.vein[at]);
    let depths = (0..size).map(depth).collect();
    let depths = Plane::new(scene.width, scene.height, depths)?;
    let near = gaussian_blur(&depths, 2.2 * scene.scale).into_data();
    for at in 0..size {
        let shows = (place[at] + 0.2).clamp(0.0, 1.2);
        if shows == 0.0 {
            continue;
        }
        let ridge = (1.0 - 4.0 * ridges[at].abs()).max(0.0);
        let around = (near[at] * 12.0).min(1.0);
        let gain =
            shows * (beside * (near[at] - depths.data()[at]).max(0.0) + glints * ridge * around);
        // It mirrors white light on a red ground.
        for (plane, share) in planes.iter_mut().zip([0.4, 1.0, 1.2]) {
            plane[at] *= 1.0 + share * gain;
        }
    }
    Ok(())
}
