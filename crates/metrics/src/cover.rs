use crate::confusion::{ratio, same_threshold};
use crate::scored_image::check_threshold;
use crate::{Metric, Result, ScoredImage, skeletonize, thin_map};

/// How much of a part of each map, its thin vessels or its skeleton, the other map covers, in pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CoverCounts {
    /// Pixels of the target's part.
    pub target: u64,
    /// Those of them that are predicted vessel.
    pub found: u64,
    /// Pixels of the prediction's part.
    pub predicted: u64,
    /// Those of them that are vessel in the target.
    pub right: u64,
}

impl CoverCounts {
    /// Share of the target's part that the prediction covers (of skeletons the topology sensitivity), in [0, 1]; `None` if the
    /// target has none.
    pub fn recall(&self) -> Option<f64> {
        ratio(self.found.into(), self.target.into())
    }

    /// Share of the prediction's part that the target covers (of skeletons the topology precision), in [0, 1]; `None` if the
    /// prediction has none.
    pub fn precision(&self) -> Option<f64> {
        ratio(self.right.into(), self.predicted.into())
    }

    /// Harmonic mean of precision and recall (of skeletons clDice), in [0, 1]; 0 if either is 0, or one part has no pixel and the
    /// other has, as [`Confusion::f1`](crate::Confusion::f1) is; `None` if neither part has any.
    ///
    /// ```
    /// use venule_metrics::CoverCounts;
    /// let nothing_predicted = CoverCounts { target: 9, ..CoverCounts::default() };
    /// assert_eq!((nothing_predicted.precision(), nothing_predicted.f1()), (None, Some(0.0)));
    /// assert_eq!(CoverCounts::default().f1(), None);
    /// ```
    pub fn f1(&self) -> Option<f64> {
        match (self.precision(), self.recall()) {
            (None, None) => None,
            (Some(precision), Some(recall)) if precision + recall > 0.0 => {
                Some(2.0 * precision * recall / (precision + recall))
            }
            _ => Some(0.0),
        }
    }

    /// Adds the counts of another. Counts end at `u64::MAX`, so that no input can overflow.
    pub fn merge(&mut self, other: &Self) {
        for (sum, count) in [
            (&mut self.target, other.target),
            (&mut self.found, other.found),
            (&mut self.predicted, other.predicted),
            (&mut self.right, other.right),
        ] {
            *sum = sum.saturating_add(count);
        }
    }

    /// Of the parts that `part` takes from each map.
    fn of(
        part: fn(&[bool], usize, usize) -> Result<Vec<bool>>,
        prediction: &[bool],
        target: &[bool],
        (width, height): (usize, usize),
    ) -> Result<Self> {
        let of_target = part(target, width, height)?;
        let of_prediction = part(prediction, width, height)?;
        Ok(Self {
            target: count(&of_target),
            found: count_both(&of_target, prediction),
            predicted: count(&of_prediction),
            right: count_both(&of_prediction, target),
        })
    }
}

/// A metric of [`CoverCounts`] pooled over images.
macro_rules! cover_metric {
    ($(#[$doc:meta])* $name:ident, $part:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub struct $name {
            threshold: f32,
            counts: CoverCounts,
        }

        impl $name {
            /// Starts empty; a pixel is predicted vessel when `score > threshold`.
            ///
            /// # Errors
            /// [`NanThreshold`](crate::Error::NanThreshold) if the threshold is NaN.
            pub fn new(threshold: f32) -> Result<Self> {
                check_threshold(threshold)?;
                Ok(Self {
                    threshold,
                    counts: CoverCounts::default(),
                })
            }

            pub(crate) fn count(
                prediction: &[bool],
                target: &[bool],
                width: usize,
                height: usize,
            ) -> Result<CoverCounts> {
                CoverCounts::of($part, prediction, target, (width, height))
            }
        }

        impl Metric for $name {
            type Output = CoverCounts;

            fn update(&mut self, image: &ScoredImage<'_>) -> Result<()> {
                let (prediction, target) =
                    (image.prediction(self.threshold), image.valid_targets());
                let (width, height) = (image.width(), image.height());
                self.counts
                    .merge(&Self::count(&prediction, &target, width, height)?);
                Ok(())
            }

            fn compute(&self) -> CoverCounts {
                self.counts
            }

            fn merge(&mut self, other: &Self) -> Result<()> {
                same_threshold(self.threshold, other.threshold)?;
                self.counts.merge(&other.counts);
                Ok(())
            }
        }
    };
}

cover_metric! {
    /// Thin-vessel recall, precision and F1, pooled over images, at a fixed threshold.
    ///
    /// Thin is the mask minus its opening by a 3×3 square ([`thin_map`]), at the image's native size. Recall looks at the
    /// target's thin vessels, precision at the prediction's; each is a hit where the other map has a vessel of any width, so
    /// a vessel drawn one pixel too wide is not held against recall.
    ///
    /// Outside the valid pixels both maps are background before they are opened: at the rim a pixel of a wide vessel is thin if no
    /// 3×3 square of valid vessel pixels holds it. The thin-vessel loss of `venule-loss` does not count it as thin: it leaves invalid
    /// pixels out, as what lies beyond the image border.
    ///
    /// ```
    /// use venule_metrics::{Metric, ScoredImage, ThinVessels};
    /// // Target: a line of 4 px. Prediction: its first 2 px and 1 px too far.
    /// let target = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0].map(|v| v == 1);
    /// let scores = [0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0].map(|v| v as f32);
    /// let mut metric = ThinVessels::new(0.5)?;
    /// metric.update(&ScoredImage::new(5, 3, &scores, &target, None)?)?;
    /// let counts = metric.compute();
    /// assert_eq!(counts.recall(), Some(2.0 / 4.0));
    /// assert_eq!(counts.precision(), Some(2.0 / 3.0));
    /// # Ok::<(), venule_metrics::Error>(())
    /// ```
    ThinVessels, thin_map
}

cover_metric! {
    /// Centre-line Dice (Shit et al. 2021, "clDice – a novel topology-preserving loss function") with hard skeletons
    /// ([`skeletonize`]), its counts pooled over images, at a fixed threshold: [`CoverCounts::f1`] is clDice.
    ///
    /// Outside the valid pixels both masks are background before they are thinned.
    ///
    /// ```
    /// use venule_metrics::{ClDice, Metric, ScoredImage};
    /// // Target: a line of 4 px. Prediction: its first 2 px and 1 px too far.
    /// let target = [false, true, true, true, true];
    /// let scores = [0.9, 0.9, 0.9, 0.1, 0.1];
    /// let mut metric = ClDice::new(0.5)?;
    /// metric.update(&ScoredImage::new(5, 1, &scores, &target, None)?)?;
    /// let counts = metric.compute();
    /// assert_eq!(counts.recall(), Some(2.0 / 4.0));
    /// assert_eq!(counts.precision(), Some(2.0 / 3.0));
    /// # Ok::<(), venule_metrics::Error>(())
    /// ```
    ClDice, skeletonize
}

/// Number of true pixels.
pub(crate) fn count(mask: &[bool]) -> u64 {
    mask.chunks(4096)
        .map(|chunk| u64::from(chunk.iter().map(|&m| u32::from(m)).sum::<u32>()))
        .sum()
}

/// Number of pixels true in both masks.
pub(crate) fn count_both(a: &[bool], b: &[bool]) -> u64 {
    let chunks = a.chunks(4096).zip(b.chunks(4096));
    chunks
        .map(|(a, b)| {
            u64::from(
                a.iter()
                    .zip(b)
                    .map(|(&a, &b)| u32::from(a & b))
                    .sum::<u32>(),
            )
        })
        .sum()
}
