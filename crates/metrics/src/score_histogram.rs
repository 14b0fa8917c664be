use crate::ScoredImage;

/// Bins to an octave of probability: neighbouring bins differ by less than one per cent.
const PER_OCTAVE: u32 = 7;
/// Probabilities under 2⁻³² share a bin, and so do those within 2⁻³² of 1.
const LOWEST: u32 = (127 - 32) << 23;
/// Number of bins below ½.
const HALF: usize = 31 << PER_OCTAVE;
const BINS: usize = 2 * HALF + 1;

/// The probabilities of one image in bins that are fine near 0 and near 1, vessel and background apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScoreHistogram {
    pub(crate) positives: Vec<u32>,
    pub(crate) negatives: Vec<u32>,
}

/// The bin of a probability; rises with it.
fn bin(probability: f32) -> usize {
    let steps = |p: f32| ((p.to_bits().max(LOWEST) - LOWEST) >> (23 - PER_OCTAVE)) as usize;
    // Adding +0 turns −0, whose bits are large, into +0.
    let probability = (probability + 0.0).min(1.0);
    if probability < 0.5 {
        steps(probability)
    } else {
        2 * HALF - steps(1.0 - probability)
    }
}

impl ScoreHistogram {
    /// Of an image of probabilities.
    pub(crate) fn of(image: &ScoredImage<'_>) -> Self {
        let mut histogram = Self {
            positives: vec![0; BINS],
            negatives: vec![0; BINS],
        };
        for (index, (&score, &target)) in image.scores().iter().zip(image.targets()).enumerate() {
            if image.valid().is_none_or(|valid| valid[index]) {
                let counts = match target {
                    true => &mut histogram.positives,
                    false => &mut histogram.negatives,
                };
                counts[bin(score)] += 1;
            }
        }
        histogram
    }
}

/// The average precision of the pixels of the images with these indices, taken as often as they are named: Σ (Rₙ − Rₙ₋₁) Pₙ
/// over the bins from the highest. Scores of one bin, less than one per cent wide, count as equal. `None` without a vessel
/// pixel, or for an index that there is not.
pub(crate) fn average_precision(images: &[ScoreHistogram], drawn: &[usize]) -> Option<f64> {
    let (mut positives, mut negatives) = (vec![0u64; BINS], vec![0u64; BINS]);
    for &index in drawn {
        let image = images.get(index)?;
        add(&mut positives, &image.positives);
        add(&mut negatives, &image.negatives);
    }
    let total: u64 = positives.iter().sum();
    let (mut hits, mut marked, mut sum) = (0u64, 0u64, 0.0);
    for (positive, negative) in positives.into_iter().zip(negatives).rev() {
        hits += positive;
        marked += positive + negative;
        if positive > 0 {
            sum += positive as f64 * (hits as f64 / marked as f64);
        }
    }
    (total > 0).then(|| sum / total as f64)
}

fn add(sums: &mut [u64], counts: &[u32]) {
    for (sum, &count) in sums.iter_mut().zip(counts) {
        *sum += u64::from(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bins_rise_with_the_probability() {
        let rising = [
            0.0, 1e-12, 1e-9, 0.001, 0.2, 0.499, 0.5, 0.51, 0.9, 0.999, 0.999_999, 1.0,
        ];
        for pair in rising.windows(2) {
            assert!(bin(pair[0]) <= bin(pair[1]), "{pair:?}");
        }
        assert_eq!((bin(-0.0), bin(0.0), bin(1.0)), (0, 0, BINS - 1));
        assert!(bin(0.25) < bin(0.2525) && bin(0.9) < bin(0.901));
    }

    proptest! {
        // Scores that each have a bin of their own, so that nothing is rounded.
        #[test]
        fn a_draw_has_the_average_precision_of_its_pixels(
            images in proptest::collection::vec(
                proptest::collection::vec((0u8..=64, any::<bool>()), 1..40), 3..5
            )
        ) {
            let flat = |drawn: &[usize]| -> (Vec<f32>, Vec<bool>) {
                let pixels = drawn.iter().flat_map(|&index| images[index].iter().copied());
                pixels.map(|(score, target)| (f32::from(score) / 64.0, target)).unzip()
            };
            let histograms: Vec<ScoreHistogram> = (0..images.len())
                .map(|index| {
                    let (scores, targets) = flat(&[index]);
                    ScoreHistogram::of(&ScoredImage::flat(&scores, &targets, None).unwrap())
                })
                .collect();
            for drawn in [vec![0, 1, 2], vec![1, 1, 0], vec![2, 2, 2]] {
                let (scores, targets) = flat(&drawn);
                let exact = crate::average_precision(&scores, &targets, None).unwrap();
                let found = average_precision(&histograms, &drawn);
                prop_assert_eq!(exact.is_some(), found.is_some());
                if let (Some(exact), Some(found)) = (exact, found) {
                    prop_assert!((exact - found).abs() < 1e-12, "{} {}", exact, found);
                }
            }
            prop_assert_eq!(average_precision(&histograms, &[9]), None);
        }
    }
}
