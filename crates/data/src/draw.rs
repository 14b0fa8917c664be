//! Seeded random numbers for augmentation and shuffling: ChaCha8 keyed by what the number is for.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a stream of numbers decides. Each has its own stream, so that switching one augmentation on or off leaves
/// the others as they were.
#[derive(Clone, Copy)]
#[repr(u64)]
pub(crate) enum Purpose {
    Geometry = 1,
    Centre = 2,
    Elastic = 3,
    Intensity = 4,
    Noise = 5,
    Order = 6,
    Colour = 7,
    Compression = 8,
}

/// A stream of random numbers.
pub(crate) struct Draw(ChaCha8Rng);

impl Draw {
    pub(crate) fn new(seed: u64, epoch: u64, index: u64, purpose: Purpose) -> Self {
        let mut key = [0; 32];
        let words = [seed, epoch, index, purpose as u64];
        for (bytes, word) in key.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Self::keyed(key)
    }

    /// The stream of a key that the caller has made unlike those of [`new`](Self::new).
    pub(crate) fn keyed(key: [u8; 32]) -> Self {
        Self(ChaCha8Rng::from_seed(key))
    }

    /// 32 random bits.
    pub(crate) fn bits(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Uniform in [0, 1), 24 bits.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.bits() >> 8) as f32 / (1 << 24) as f32
    }

    /// Uniform in [min, max).
    pub(crate) fn between(&mut self, min: f32, max: f32) -> f32 {
        min + (max - min) * self.unit()
    }

    /// Uniform in 0..limit; 0 for a limit of 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.0.next_u64()) * limit as u128) >> 64) as usize
    }

    /// Two independent standard normal numbers (Box and Muller, 1958).
    pub(crate) fn normals(&mut self) -> (f32, f32) {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        let (sin, cos) = (std::f32::consts::TAU * self.unit()).sin_cos();
        (radius * cos, radius * sin)
    }

    /// 0..count in random order.
    pub(crate) fn permutation(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        order.shuffle(&mut self.0);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_every_part_of_the_key_and_repeat() {
        let first =
            |seed, epoch, index, purpose| Draw::new(seed, epoch, index, purpose).0.next_u64();
        let base = first(1, 2, 3, Purpose::Geometry);
        assert_eq!(base, first(1, 2, 3, Purpose::Geometry));
        for other in [
            first(2, 2, 3, Purpose::Geometry),
            first(1, 3, 3, Purpose::Geometry),
            first(1, 2, 4, Purpose::Geometry),
            first(1, 2, 3, Purpose::Noise),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn normals_have_mean_0_and_variance_1() {
        let mut draw = Draw::new(0, 0, 0, Purpose::Noise);
        let values: Vec<f64> = (0..20_000)
            .flat_map(|_| <[f32; 2]>::from(draw.normals()))
            .map(f64::from)
            .collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        // standard errors: 1/sqrt(n) = 0.005 and sqrt(2/n) = 0.007; four of them
        assert!(
            mean.abs() < 0.02 && (variance - 1.0).abs() < 0.028,
            "{mean} {variance}"
        );
        assert!(values.iter().all(|v| v.is_finite()));
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = Draw::new(3, 0, 0, Purpose::Order).permutation(50);
        assert_ne!(order, (0..50).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..50).collect::<Vec<_>>());
    }
}
