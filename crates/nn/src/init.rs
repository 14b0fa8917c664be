use candle_core::Shape;

use crate::noise::{Noise, mix};

/// How a new parameter is filled. Random ones are keyed by (store seed, variable name) alone, so that neither the order of
/// construction nor other layers change them.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Init {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// One value everywhere.
    Constant(f32),
    /// Uniform in ±√(6 / (fan_in + fan_out)), for weights (out, in, …) (Glorot & Bengio 2010).
    XavierUniform,
    /// Normal with standard deviation √(2 / fan_in), for weights before a ReLU (He et al. 2015).
    HeNormal,
    /// Normal with this standard deviation, redrawn outside ±2 standard deviations.
    TruncatedNormal(f32),
    /// Uniform from the first value to the second.
    Uniform(f32, f32),
    /// Normal with this mean and standard deviation.
    Normal(f32, f32),
}

impl Init {
    pub(crate) fn values(self, shape: &Shape, name: &str, seed: u64) -> Vec<f32> {
        let count = shape.elem_count();
        let mut noise = Noise::keyed(&[seed, name_key(name)]);
        let (fan_out, fan_in) = match shape.dims() {
            [] => (1, 1),
            [n] => (*n, *n),
            [out, rest @ ..] => {
                let inner = rest.iter().product::<usize>();
                let kernel = rest[1..].iter().product::<usize>();
                (out * kernel, inner)
            }
        };
        match self {
            Init::Zeros => vec![0.0; count],
            Init::Ones => vec![1.0; count],
            Init::Constant(value) => vec![value; count],
            Init::XavierUniform => {
                let bound = (6.0 / (fan_in + fan_out) as f32).sqrt();
                (0..count)
                    .map(|_| (2.0 * noise.uniform() - 1.0) * bound)
                    .collect()
            }
            Init::HeNormal => {
                let deviation = (2.0 / fan_in as f32).sqrt();
                (0..count).map(|_| noise.normal() * deviation).collect()
            }
            Init::TruncatedNormal(deviation) => (0..count)
                .map(|_| {
                    loop {
                        let value = noise.normal();
                        if value.abs() <= 2.0 {
                            return value * deviation;
                        }
                    }
                })
                .collect(),
            Init::Uniform(low, high) => (0..count)
                .map(|_| low + noise.uniform() * (high - low))
                .collect(),
            Init::Normal(mean, deviation) => (0..count)
                .map(|_| mean + noise.normal() * deviation)
                .collect(),
        }
    }
}

/// Name as an integer, by folding its bytes.
fn name_key(name: &str) -> u64 {
    let words: Vec<u64> = name.bytes().map(u64::from).collect();
    mix(&words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xavier_stays_within_its_bound_and_fills_it() {
        // sqrt(6 / (30 + 20)) = 0.34641
        let values = Init::XavierUniform.values(&Shape::from((20, 30)), "w", 1);
        let largest = values.iter().fold(0f32, |a, v| a.max(v.abs()));
        assert!(largest <= 0.346_41 && largest > 0.33, "{largest}");
    }

    #[test]
    fn truncated_normal_is_cut_at_two_deviations() {
        let values = Init::TruncatedNormal(0.02).values(&Shape::from(10_000), "token", 1);
        assert!(values.iter().all(|v| v.abs() <= 0.04));
        let variance = values.iter().map(|v| v * v).sum::<f32>() / 10_000.0;
        // a standard normal cut at ±2 has standard deviation 0.8796
        assert!((variance.sqrt() - 0.02 * 0.8796).abs() < 5e-4);
    }

    #[test]
    fn a_value_depends_on_seed_and_name_only() {
        let shape = Shape::from((4, 4));
        let init = Init::HeNormal;
        assert_eq!(init.values(&shape, "a", 1), init.values(&shape, "a", 1));
        assert_ne!(init.values(&shape, "a", 1), init.values(&shape, "b", 1));
        assert_ne!(init.values(&shape, "a", 1), init.values(&shape, "a", 2));
    }
}
