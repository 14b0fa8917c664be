use crate::bootstrap::differences;
use crate::random::SplitMix64;
use crate::summary::{check_finite, mean};
use crate::{Error, Result};

/// The outcome of a paired test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairedTest {
    /// Mean of a − b over the images.
    pub mean_difference: f64,
    /// Two-sided p-value: how probable a mean difference at least this large is if the systems are exchangeable.
    pub p_value: f64,
    /// Number of sign patterns looked at.
    pub permutations: u64,
    /// Whether these were all there are, so that the p-value is exact and the seed without effect.
    pub exact: bool,
}

/// Paired permutation test (Fisher–Pitman) of the mean difference between two systems on the same images.
///
/// Under the null hypothesis the two systems may be swapped on any image, so every pattern of signs of the
/// differences is equally likely. If there are at most `permutations` patterns (2ⁿ for n images; 2²⁰ for the 20
/// test images of DRIVE) all are counted, as in `scipy.stats.permutation_test(…, permutation_type="samples")`;
/// else `permutations` random ones, and p = (1 + those at least as large) / (1 + permutations).
///
/// ```
/// use venule_metrics::paired_permutation_test;
/// let a = [0.82, 0.81, 0.84, 0.80];
/// let b = [0.80, 0.78, 0.80, 0.79];
/// let test = paired_permutation_test(&a, &b, 10_000, 0)?;
/// // All four differences are positive: only the patterns ++++ and −−−− reach the mean, 2 of 16.
/// assert!(test.exact && test.p_value == 2.0 / 16.0);
/// # Ok::<(), venule_metrics::Error>(())
/// ```
///
/// # Errors
/// If the lengths differ, nothing came, a value is not finite, or `permutations` is not in 1 … 2²⁴.
pub fn paired_permutation_test(
    a: &[f64],
    b: &[f64],
    permutations: usize,
    seed: u64,
) -> Result<PairedTest> {
    let (minimum, maximum) = (1, 1 << 24);
    if !(minimum..=maximum).contains(&permutations) {
        let what = "the number of permutations";
        return Err(Error::CountOutOfRange {
            what,
            minimum,
            maximum,
            found: permutations,
        });
    }
    let differences = differences(a, b)?;
    if differences.is_empty() {
        return Err(Error::Empty {
            what: "a paired test",
        });
    }
    for (index, &difference) in differences.iter().enumerate() {
        check_finite(index, difference)?;
    }
    let observed = differences.iter().sum::<f64>().abs();
    // Sums that are equal on paper differ by rounding; those count as equal.
    let scale: f64 = differences.iter().map(|d| d.abs()).sum();
    check_finite(0, scale)?;
    let bound = observed - scale * 1e-13;
    let reaches = |signs: &mut dyn FnMut() -> u64| {
        let sum: f64 = differences
            .chunks(64)
            .map(|chunk| {
                let mut signs = signs();
                let signed = chunk.iter().map(|&d| {
                    let flip = signs & 1 == 1;
                    signs >>= 1;
                    if flip { -d } else { d }
                });
                signed.sum::<f64>()
            })
            .sum();
        u64::from(sum.abs() >= bound)
    };
    let patterns = u32::try_from(differences.len())
        .ok()
        .and_then(|n| 1u64.checked_shl(n));
    let exact = patterns.filter(|&patterns| patterns <= permutations as u64);
    let (p_value, permutations) = match exact {
        Some(patterns) => {
            let hits: u64 = (0..patterns).map(|pattern| reaches(&mut || pattern)).sum();
            (hits as f64 / patterns as f64, patterns)
        }
        None => {
            let mut random = SplitMix64::new(seed);
            let hits: u64 = (0..permutations)
                .map(|_| reaches(&mut || random.next()))
                .sum();
            (
                (1 + hits) as f64 / (1 + permutations) as f64,
                permutations as u64,
            )
        }
    };
    Ok(PairedTest {
        mean_difference: mean(&differences),
        p_value,
        permutations,
        exact: exact.is_some(),
    })
}
