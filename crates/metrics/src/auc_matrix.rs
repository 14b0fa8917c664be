use crate::score_histogram::ScoreHistogram;

/// How often the vessel pixels of each image outrank the background pixels of each other: from this the ROC AUC of any
/// draw of images follows without looking at a pixel again, as the bootstrap needs it.
///
/// Scores are compared by bins less than one per cent wide (of the probability below ½, of its complement above), and
/// those of one bin count half, so the AUC is that of all pixels to about 10⁻⁴.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AucMatrix {
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
    pub fn roc_auc(&self, drawn: &[usize]) -> Option<f64> {
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
    use crate::{ScoredImage, roc_auc};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_draw_has_the_auc_of_its_pixels(
            images in proptest::collection::vec(
                proptest::collection::vec((0.0f32..=1.0, any::<bool>()), 60..90), 3..5
            )
        ) {
            let flat = |drawn: &[usize]| -> (Vec<f32>, Vec<bool>) {
                drawn.iter().flat_map(|&index| images[index].iter().copied()).unzip()
            };
            let histograms: Vec<ScoreHistogram> = (0..images.len())
                .map(|index| {
                    let (scores, targets) = flat(&[index]);
                    ScoreHistogram::of(&ScoredImage::flat(&scores, &targets, None).unwrap())
                })
                .collect();
            let matrix = AucMatrix::new(histograms.iter());
            for drawn in [vec![0, 1, 2], vec![1, 1, 0], vec![2, 2, 2]] {
                let (scores, targets) = flat(&drawn);
                let exact = roc_auc(&scores, &targets, None).unwrap();
                let found = matrix.roc_auc(&drawn);
                prop_assert_eq!(exact.is_some(), found.is_some());
                if let (Some(exact), Some(found)) = (exact, found) {
                    // Uniform scores and few pixels: far more ties within a bin than photographs have.
                    prop_assert!((exact - found).abs() < 5e-3, "{} {}", exact, found);
                }
            }
            prop_assert_eq!(matrix.roc_auc(&[9]), None);
        }
    }
}
