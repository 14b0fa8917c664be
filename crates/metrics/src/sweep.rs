use crate::{Confusion, Result, ScoredImage};

/// The best threshold of a search, with what it reaches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BestF1 {
    /// Predict vessel where `score > threshold`.
    pub threshold: f32,
    /// The pooled F1 there.
    pub f1: f64,
    /// The pooled counts there.
    pub counts: Confusion,
}

/// Histograms of vessel and background scores: the exact confusion at every threshold k / 4096, k = 0 … 4096.
///
/// Constant memory (64 KiB) for any number of pixels, one pass, mergeable: meant for choosing a threshold on
/// validation images during training. The counts at the grid's thresholds are exact, because multiplying an f32
/// by 4096 is. For the best threshold over *all* values see [`RankedScores::best_f1`](crate::RankedScores::best_f1).
///
/// ```
/// use venule_metrics::{ScoredImage, ThresholdSweep};
/// let mut sweep = ThresholdSweep::new();
/// sweep.update(&ScoredImage::flat(&[0.9, 0.8, 0.3], &[true, true, false], None)?)?;
/// let best = sweep.compute().unwrap();
/// assert_eq!(best.f1, 1.0);
/// // The middle of the gap between 0.3 and 0.8, on the grid of 1/4096.
/// assert!((best.threshold - 0.55).abs() < 1.0 / 4096.0);
/// # Ok::<(), venule_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThresholdSweep {
    /// Interleaved: background count, vessel count per bin; bin b holds the scores in ((b−1)/4096, b/4096].
    bins: Vec<u64>,
}

impl Default for ThresholdSweep {
    fn default() -> Self {
        Self::new()
    }
}

impl ThresholdSweep {
    /// Number of steps between thresholds 0 and 1.
    pub const RESOLUTION: usize = 4096;

    /// Starts empty.
    pub fn new() -> Self {
        Self {
            bins: vec![0; 2 * (Self::RESOLUTION + 1)],
        }
    }

    /// The pooled counts at every threshold k / 4096, rising from 0 to 1.
    pub fn counts(&self) -> Vec<(f32, Confusion)> {
        let mut counts: Vec<_> = self.falling().collect();
        counts.reverse();
        counts
    }

    /// Threshold and counts from threshold 1 down to 0.
    fn falling(&self) -> impl Iterator<Item = (f32, Confusion)> {
        let negatives: u64 = self.bins.iter().step_by(2).sum();
        let positives: u64 = self.bins.iter().skip(1).step_by(2).sum();
        let mut counts = Confusion {
            tp: 0,
            fp: 0,
            tn: negatives,
            fn_: positives,
        };
        (0..=Self::RESOLUTION).rev().map(move |k| {
            if k < Self::RESOLUTION {
                // Bin k + 1 holds the scores that only this threshold lets pass.
                let (negative, positive) = (self.bins[2 * k + 2], self.bins[2 * k + 3]);
                counts.fp += negative;
                counts.tn -= negative;
                counts.tp += positive;
                counts.fn_ -= positive;
            }
            (k as f32 / Self::RESOLUTION as f32, counts)
        })
    }

    /// Adds an image of probabilities. On an error the counts are as before the call.
    ///
    /// # Errors
    /// [`NotAProbability`](crate::Error::NotAProbability) if a valid score lies outside [0, 1].
    pub fn update(&mut self, image: &ScoredImage<'_>) -> Result<()> {
        image.check_probabilities()?;
        let mut add = |p: f32, y: bool| {
            let scaled = p * Self::RESOLUTION as f32;
            let floor = scaled as usize;
            // The ceiling without a call into the maths library.
            let bin = floor + usize::from((floor as f32) < scaled);
            self.bins[2 * bin + usize::from(y)] += 1;
        };
        let pixels = image.scores().iter().zip(image.targets());
        match image.valid() {
            None => pixels.for_each(|(&p, &y)| add(p, y)),
            Some(valid) => pixels.zip(valid).for_each(|((&p, &y), &v)| {
                if v {
                    add(p, y);
                }
            }),
        }
        Ok(())
    }

    /// The threshold of maximal pooled F1; `None` if no vessel pixel was seen.
    ///
    /// Of several runs of thresholds with the same F1 the highest is taken, and of the run (thresholds that give
    /// the same counts) its middle.
    pub fn compute(&self) -> Option<BestF1> {
        let mut best: Option<(BestF1, f32)> = None;
        for (threshold, counts) in self.falling() {
            let f1 = if counts.tp + counts.fn_ > 0 {
                counts.f1()?
            } else {
                return None;
            };
            match &mut best {
                Some((found, lowest)) if found.counts == counts => *lowest = threshold,
                Some((found, _)) if f1 <= found.f1 => {}
                _ => {
                    best = Some((
                        BestF1 {
                            threshold,
                            f1,
                            counts,
                        },
                        threshold,
                    ))
                }
            }
        }
        best.map(|(found, lowest)| BestF1 {
            threshold: (found.threshold + lowest) / 2.0,
            ..found
        })
    }

    /// Adds everything `other` has seen.
    pub fn merge(&mut self, other: &Self) {
        self.bins
            .iter_mut()
            .zip(&other.bins)
            .for_each(|(a, &b)| *a += b);
    }
}

/// The middle of the highest run of thresholds k / 4096 of maximal F1 over one set of pixels, a multiple of 1 / 8192; see
/// [`ThresholdSweep`] to pool images.
///
/// `None` if the valid targets hold no vessel.
///
/// # Errors
/// If the slices differ in length, or a valid score is NaN or outside [0, 1].
pub fn best_f1_threshold(
    scores: &[f32],
    targets: &[bool],
    valid: Option<&[bool]>,
) -> Result<Option<BestF1>> {
    let mut sweep = ThresholdSweep::new();
    sweep.update(&ScoredImage::flat(scores, targets, valid)?)?;
    Ok(sweep.compute())
}
