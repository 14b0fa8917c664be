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
    positives: Vec<u32>,
    negatives: Vec<u32>,
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

    /// Vessel pixels of each bin, by rising probability.
    pub(crate) fn positives(&self) -> &[u32] {
        &self.positives
    }

    /// Background pixels of each bin.
    pub(crate) fn negatives(&self) -> &[u32] {
        &self.negatives
    }
}

/// The average precision of the pixels of the images with these indices, taken as often as they are named; pixels of one bin
/// count as of one score. `None` without a vessel pixel, or if there is no such image.
pub(crate) fn average_precision(images: &[ScoreHistogram], drawn: &[usize]) -> Option<f64> {
    let mut times = vec![0u64; images.len()];
    for &index in drawn {
        *times.get_mut(index)? += 1;
    }
    // Vessel and background pixels of each bin over all images drawn.
    let mut sums = vec![(0u64, 0u64); BINS];
    for (image, &times) in images.iter().zip(&times).filter(|(_, times)| **times > 0) {
        let counts = image.positives.iter().zip(&image.negatives);
        for ((vessel, background), (&positives, &negatives)) in sums.iter_mut().zip(counts) {
            *vessel += times * u64::from(positives);
            *background += times * u64::from(negatives);
        }
    }
    let total: u64 = sums.iter().map(|(vessel, _)| vessel).sum();
    let (mut found, mut marked, mut area) = (0, 0, 0.0);
    for (vessel, background) in sums.into_iter().rev() {
        found += vessel;
        marked += vessel + background;
        if vessel > 0 {
            area += vessel as f64 * found as f64 / marked as f64;
        }
    }
    (total > 0).then(|| area / total as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::average_precision as exact;
    use crate::random::SplitMix64;

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

    /// An image of scores that lie near 0 and 1 as those of a network do: logits of background about −4, of vessel about 1.
    fn image(seed: u64, pixels: usize) -> (Vec<f32>, Vec<bool>) {
        let mut random = SplitMix64::new(seed);
        let mut unit = || random.below(1 << 24) as f64 / f64::from(1 << 24);
        let pixel = |_| {
            let vessel = unit() < 0.12;
            // The sum of twelve uniform numbers is nearly normal.
            let noise: f64 = (0..12).map(|_| unit()).sum::<f64>() - 6.0;
            let logit = if vessel { 1.0 } else { -4.0 } + 2.0 * noise;
            ((1.0 / (1.0 + (-logit).exp())) as f32, vessel)
        };
        (0..pixels).map(pixel).unzip()
    }

    #[test]
    fn a_draw_has_the_average_precision_of_its_pixels() {
        let images: Vec<_> = (0..4).map(|seed| image(seed, 20_000)).collect();
        let histogram = |(scores, targets): &(Vec<f32>, Vec<bool>)| {
            ScoreHistogram::of(&ScoredImage::flat(scores, targets, None).unwrap())
        };
        let histograms: Vec<_> = images.iter().map(histogram).collect();
        let mut biases = Vec::new();
        for drawn in [vec![0, 1, 2, 3], vec![3, 0, 3, 1], vec![2, 2, 2, 2]] {
            let scores: Vec<f32> = drawn.iter().flat_map(|&i| images[i].0.clone()).collect();
            let targets: Vec<bool> = drawn.iter().flat_map(|&i| images[i].1.clone()).collect();
            let expected = exact(&scores, &targets, None).unwrap().unwrap();
            let found = average_precision(&histograms, &drawn).unwrap();
            assert!((0.5..0.95).contains(&expected), "{expected}");
            biases.push(found - expected);
        }
        // Bins cost up to 4e-4, of every draw nearly the same: an interval shifted by it is good to 1e-4.
        assert!(biases.iter().all(|bias| bias.abs() < 5e-4), "{biases:?}");
        assert!(
            biases.iter().all(|bias| (bias - biases[0]).abs() < 1e-4),
            "{biases:?}"
        );
        assert_eq!(average_precision(&histograms, &[4]), None);
        let none = ScoreHistogram::of(&ScoredImage::flat(&[0.5], &[false], None).unwrap());
        assert_eq!(average_precision(&[none], &[0]), None);
    }
}
