//! Seeded noise: every stream is keyed by the caller's numbers, so that order of use and thread count change nothing.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of random numbers keyed by several integers (ChaCha8).
///
/// The same key gives the same [`uniform`](Self::uniform) numbers on every machine; [`normal`](Self::normal) ones may differ
/// in the last bits, with the logarithm and cosine of the platform's maths library.
///
/// ```
/// use venule_nn::Noise;
/// let mut a = Noise::keyed(&[7, 3]);
/// let mut b = Noise::keyed(&[7, 3]);
/// assert_eq!(a.uniform(), b.uniform());
/// assert_ne!(Noise::keyed(&[7, 4]).uniform(), Noise::keyed(&[7, 3]).uniform());
/// ```
pub struct Noise(ChaCha8Rng);

impl Noise {
    /// A stream for this key; every integer and its place matter.
    pub fn keyed(key: &[u64]) -> Self {
        Self(ChaCha8Rng::seed_from_u64(mix(key)))
    }

    /// Uniform in [0, 1), with 24 random bits.
    pub fn uniform(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// Standard normal, by Box–Muller.
    pub fn normal(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - f64::from(self.uniform())).ln()).sqrt();
        (radius * (std::f64::consts::TAU * f64::from(self.uniform())).cos()) as f32
    }
}

/// Folds several integers into one seed (SplitMix64 finaliser over a running sum).
pub fn mix(key: &[u64]) -> u64 {
    key.iter().fold(0x9e37_79b9_7f4a_7c15, |state, &part| {
        let mut z = state.rotate_left(17) ^ part.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}
