use super::random::Random;

/// Smooth noise of zero mean and about unit variance: normal values on a lattice with the given spacing in
/// pixels, interpolated by cubic B-splines, added to `plane` times `amplitude`.
pub(super) fn add_lattice_noise(
    plane: &mut [f32],
    width: usize,
    spacing: f32,
    amplitude: f32,
    random: &mut Random,
) {
    if plane.is_empty() || width == 0 {
        return;
    }
    let height = plane.len() / width;
    let spacing = spacing.max(1.0);
    let columns = (width as f32 / spacing) as usize + 5;
    let rows = (height as f32 / spacing) as usize + 5;
    // A cubic B-spline over unit-variance nodes has variance (Σ B²)² ≈ 0.479²: 2.09 restores 1.
    let gain = amplitude * 2.09;
    let across: Vec<(usize, [f32; 4])> = (0..width).map(|x| spline(x, spacing)).collect();
    // Every lattice row is expanded to the image's width once; a pixel is then four products.
    let mut expanded = vec![0.0_f32; rows * width];
    let mut nodes = vec![0.0_f32; columns];
    for line in expanded.chunks_exact_mut(width) {
        nodes.iter_mut().for_each(|node| *node = random.grain());
        for (value, (start, weights)) in line.iter_mut().zip(&across) {
            let four = nodes[*start..].iter().zip(weights);
            *value = gain * four.map(|(node, weight)| node * weight).sum::<f32>();
        }
    }
    for (y, line) in plane.chunks_exact_mut(width).enumerate() {
        let (start, weights) = spline(y, spacing);
        for (tap, weight) in weights.into_iter().enumerate() {
            let source = &expanded[(start + tap) * width..(start + tap + 1) * width];
            for (value, node) in line.iter_mut().zip(source) {
                *value += weight * node;
            }
        }
    }
}

/// First lattice node and the four cubic B-spline weights for a pixel.
fn spline(pixel: usize, spacing: f32) -> (usize, [f32; 4]) {
    let place = pixel as f32 / spacing;
    let start = place as usize;
    (start, b_spline(place - start as f32))
}

/// The weights of four nodes for a place `t` in [0, 1) between the second and the third.
fn b_spline(t: f32) -> [f32; 4] {
    let s = 1.0 - t;
    let inner = |t: f32| (3.0 * t * t * t - 6.0 * t * t + 4.0) / 6.0;
    [s * s * s / 6.0, inner(t), inner(s), t * t * t / 6.0]
}

/// One period of smooth noise around a circle, for everything that varies with an angle.
pub(super) struct RingNoise(Vec<f32>);

impl RingNoise {
    /// `nodes` normal values around the circle.
    pub(super) fn new(nodes: usize, random: &mut Random) -> Self {
        Self((0..nodes.max(1)).map(|_| random.normal()).collect())
    }

    /// The noise at `angle` in radians, interpolated smoothly.
    pub(super) fn at(&self, angle: f32) -> f32 {
        let nodes = self.0.len();
        let place = (angle / std::f32::consts::TAU).rem_euclid(1.0) * nodes as f32;
        let start = place as usize;
        let t = place - start as f32;
        let t = t * t * (3.0 - 2.0 * t);
        self.0[start % nodes] * (1.0 - t) + self.0[(start + 1) % nodes] * t
    }
}

#[cfg(test)]
mod tests {
    use super::super::random::Stage;
    use super::*;

    #[test]
    fn lattice_noise_has_zero_mean_and_unit_variance() {
        let mut random = Random::new(1, 0, Stage::Background);
        let mut plane = vec![0.0; 400 * 300];
        add_lattice_noise(&mut plane, 400, 5.0, 1.0, &mut random);
        let mean = plane.iter().sum::<f32>() / plane.len() as f32;
        let variance = plane.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / plane.len() as f32;
        assert!(mean.abs() < 0.08, "mean {mean}");
        assert!((variance - 1.0).abs() < 0.15, "variance {variance}");
    }

    #[test]
    fn ring_noise_closes() {
        let ring = RingNoise::new(7, &mut Random::new(3, 0, Stage::Background));
        let gap = ring.at(1e-4) - ring.at(std::f32::consts::TAU - 1e-4);
        assert!(gap.abs() < 1e-2, "{gap}");
    }
}
