use crate::confusion::{narrow, ratio};

/// How much of a part of each map, its thin vessels or its skeleton, the other map covers, in pixels: of one image from
/// [`Comparison::thin_vessels`](crate::Comparison::thin_vessels) or [`Comparison::skeletons`](crate::Comparison::skeletons), of several by
/// [`merge`](Self::merge).
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

    /// Of a part of each map: (target, its part), (prediction, its part).
    pub(crate) fn of(
        (target, of_target): (&[bool], &[bool]),
        (prediction, of_prediction): (&[bool], &[bool]),
    ) -> Self {
        Self {
            target: count(of_target),
            found: count_both(of_target, prediction),
            predicted: count(of_prediction),
            right: count_both(of_prediction, target),
        }
    }

    /// The counts as a metric sums them.
    pub(crate) fn counts(&self) -> [u128; 4] {
        [self.target, self.found, self.predicted, self.right].map(u128::from)
    }

    /// Of sums of [`counts`](Self::counts).
    pub(crate) fn from_counts(sums: &[u128]) -> Self {
        let [target, found, predicted, right] = narrow(sums);
        Self {
            target,
            found,
            predicted,
            right,
        }
    }
}

/// Number of true pixels.
fn count(mask: &[bool]) -> u64 {
    mask.chunks(4096)
        .map(|chunk| u64::from(chunk.iter().map(|&m| u32::from(m)).sum::<u32>()))
        .sum()
}

/// Number of pixels true in both masks.
fn count_both(a: &[bool], b: &[bool]) -> u64 {
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
