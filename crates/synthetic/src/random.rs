use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Independent streams of one image, so that a change in one stage leaves the others as they were.
#[derive(Clone, Copy)]
pub(super) enum Stage {
    Scene = 1,
    Vessels,
    Background,
    Lesions,
    Camera,
    Look,
    Chances,
    Sheen,
    Rim,
}

/// Seeded numbers; every draw of the generator goes through here.
pub(super) struct Random(ChaCha8Rng);

impl Random {
    /// The stream of `stage` for image `index` of the set with `seed`.
    pub(super) fn new(seed: u64, index: usize, stage: Stage) -> Self {
        let mut key = [0_u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&(index as u64).to_le_bytes());
        key[16] = stage as u8;
        key[24..].copy_from_slice(b"synfunds");
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Uniform in [0, 1), 24 bits.
    pub(super) fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1 << 24) as f32
    }

    /// Uniform in [low, high).
    pub(super) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Log-uniform in [low, high), both positive.
    pub(super) fn log_range(&mut self, low: f32, high: f32) -> f32 {
        low * (high / low).powf(self.unit())
    }

    /// Uniform in {low, …, high − 1}.
    pub(super) fn whole(&mut self, low: usize, high: usize) -> usize {
        low + (self.unit() * (high - low) as f32) as usize
    }

    /// `true` with probability `p`.
    pub(super) fn chance(&mut self, p: f32) -> bool {
        self.unit() < p
    }

    /// −1 or 1.
    pub(super) fn sign(&mut self) -> f32 {
        if self.chance(0.5) { 1.0 } else { -1.0 }
    }

    /// Standard normal (Box and Muller, 1958).
    pub(super) fn normal(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        let (_, cos) = (std::f32::consts::TAU * self.unit()).sin_cos();
        radius * cos
    }

    /// Nearly normal with unit variance, from the sum of four bytes: sensor noise needs millions.
    pub(super) fn grain(&mut self) -> f32 {
        // Each byte has mean 127.5 and variance (256² − 1)/12; the standard deviation of the sum is 147.8.
        let sum: u32 = self.0.next_u32().to_le_bytes().map(u32::from).iter().sum();
        (sum as f32 - 510.0) / 147.8
    }
}
