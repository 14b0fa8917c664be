use crate::score_histogram::ScoreHistogram;

/// How often the vessel pixels of each image outrank the background pixels of each other: from this the ROC AUC of any
/// draw of images follows without looking at a pixel again, as the bootstrap needs it.
///
/// Scores are compared by bins less than one per cent wide (of the probability below ½, of its complement above), and
/// those of one bin count half, so the AUC is that of all pixels to about 10⁻⁴.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct AucMatrix {
    positives: Vec<u64>,
    negatives: Vec<u64>,
    /// Row by row: pairs won by the vessels of image i against the background of image j.
    wins: Vec<f64>,
}

impl AucMatrix {
    pub(crate) fn new<'a>(images: impl Iterator<Item = &'a ScoreHistogram>) -> Self {
        let images: Vec<&ScoreHistogram> = images.collect();
        let total = |counts: &[u32]| counts.iter().map(|&count| u64::from(count)).sum::<u64>();
        // Background pixels that a vessel pixel of each bin outranks, half of those in its own bin included.
        let outranked = images.iter().map(|image| {
            let mut below = 0u64;
            let at = image.negatives().iter().map(|&count| {
                let count = u64::from(count);
                let outranked = (2 * below + count) as f64 / 2.0;
                below += count;
                outranked
            });
            at.collect::<Vec<f64>>()
        });
        let outranked: Vec<Vec<f64>> = outranked.collect();
        let mut wins = Vec::with_capacity(images.len() * images.len());
        for image in &images {
            for outranked in &outranked {
                let bins = image.positives().iter().zip(outranked);
                wins.push(bins.map(|(&count, won)| f64::from(count) * won).sum());
            }
        }
        Self {
            positives: images
                .iter()
                .map(|image| total(image.positives()))
                .collect(),
            negatives: images
                .iter()
                .map(|image| total(image.negatives()))
                .collect(),
            wins,
        }
    }

    /// The ROC AUC of the pixels of the images with these indices, taken as often as they are named. `None` if a class
    /// is missing, or there is no such image.
    pub(crate) fn roc_auc(&self, drawn: &[usize]) -> Option<f64> {
        let count = self.positives.len();
        let (mut positives, mut negatives, mut wins) = (0u64, 0u64, 0.0);
        for &image in drawn {
            positives += self.positives.get(image)?;
            negatives += self.negatives.get(image)?;
            let row = &self.wins[image * count..(image + 1) * count];
            for &other in drawn {
                wins += row.get(other)?;
            }
        }
        let pairs = positives as f64 * negatives as f64;
        (pairs > 0.0).then(|| wins / pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SplitMix64;
    use crate::{ScoredImage, roc_auc};

    #[test]
    fn a_draw_has_the_auc_of_its_pixels() {
        let mut random = SplitMix64::new(1);
        for _ in 0..64 {
            let mut pixel = || {
                let score = random.below((1 << 24) + 1) as f32 / (1 << 24) as f32;
                (score, random.below(2) == 1)
            };
            let images: Vec<(Vec<f32>, Vec<bool>)> = (60..64)
                .map(|pixels| (0..pixels).map(|_| pixel()).unzip())
                .collect();
            let histogram = |(scores, targets): &(Vec<f32>, Vec<bool>)| {
                ScoreHistogram::of(&ScoredImage::flat(scores, targets, None).unwrap())
            };
            let histograms: Vec<_> = images.iter().map(histogram).collect();
            let matrix = AucMatrix::new(histograms.iter());
            for drawn in [vec![0, 1, 2], vec![1, 1, 0], vec![2, 2, 2]] {
                let scores: Vec<f32> = drawn.iter().flat_map(|&i| images[i].0.clone()).collect();
                let targets: Vec<bool> = drawn.iter().flat_map(|&i| images[i].1.clone()).collect();
                let exact = roc_auc(&scores, &targets, None).unwrap().unwrap();
                let found = matrix.roc_auc(&drawn).unwrap();
                // Uniform scores and few pixels: far more ties within a bin than photographs have.
                assert!((exact - found).abs() < 5e-3, "{exact} {found}");
            }
            assert_eq!(matrix.roc_auc(&[9]), None);
        }
        let background = ScoreHistogram::of(&ScoredImage::flat(&[0.5], &[false], None).unwrap());
        assert_eq!(AucMatrix::new([background].iter()).roc_auc(&[0]), None);
    }
}
