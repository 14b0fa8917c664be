use super::background::Planes;
use super::noise::RingNoise;
use super::random::Random;
use super::scene::Scene;

/// The penumbra of the camera's stop: light fades over the last pixels before the border of the view, more on one side than on another.
/// Its edge is long, thin and dark, and no vessel.
pub(super) fn paint(planes: &mut Planes, scene: &Scene, random: &mut Random) {
    let depth = random.range(0.1, 0.5);
    let width = random.range(1.0, 7.0) * scene.scale;
    // Optics split colours there: the rim is redder or bluer than the retina beside it.
    let colors: [f32; 3] = std::array::from_fn(|_| random.range(0.5, 1.0));
    let around = RingNoise::new(5, random);
    let (centre, _) = scene.circle;
    for y in 0..scene.height {
        for x in 0..scene.width {
            let edge = scene.edge(x, y).max(0.0);
            if edge > 3.0 * width {
                continue;
            }
            let angle = (y as f32 - centre[1]).atan2(x as f32 - centre[0]);
            let side = (0.6 + 0.6 * around.at(angle)).clamp(0.0, 1.6);
            let fades = depth * side * (-(edge / width).powi(2)).exp();
            for (plane, color) in planes.iter_mut().zip(colors) {
                plane[y * scene.width + x] *= 1.0 - fades * color;
            }
        }
    }
}
