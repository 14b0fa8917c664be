use crate::confusion::{ratio, same_threshold};
use crate::scored_image::check_threshold;
use crate::{Metric, Result, ScoredImage, thin_map};

/// Pixel counts of the thin vessels ([`thin_map`]) of target and prediction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ThinCounts {
    /// Pixels of the target's thin vessels.
    pub target: u64,
    /// Those of them that are predicted vessel (of any width).
    pub found: u64,
    /// Pixels of the prediction's thin vessels.
    pub predicted: u64,
    /// Those of them that are vessel (of any width) in the target.
    pub right: u64,
}

impl ThinCounts {
    /// Share of the target's thin vessels that the prediction covers; `None` if the target has none.
    pub fn recall(&self) -> Option<f64> {
        ratio(self.found.into(), self.target.into())
    }

    /// Share of the prediction's thin vessels that are vessel in the target; `None` if the prediction has none.
    pub fn precision(&self) -> Option<f64> {
        ratio(self.right.into(), self.predicted.into())
    }

    /// Harmonic mean of precision and recall, 0 if both are 0; `None` if either is undefined.
    pub fn f1(&self) -> Option<f64> {
        harmonic_mean(self.precision()?, self.recall()?)
    }

    /// Adds the counts of another.
    pub fn merge(&mut self, other: &Self) {
        self.target += other.target;
        self.found += other.found;
        self.predicted += other.predicted;
        self.right += other.right;
    }
}

pub(crate) fn harmonic_mean(a: f64, b: f64) -> Option<f64> {
    Some(if a + b > 0.0 {
        2.0 * a * b / (a + b)
    } else {
        0.0
    })
}

/// Thin-vessel recall, precision and F1, pooled over images, at a fixed threshold.
///
/// Thin is the mask minus its opening by a 3×3 square, at the image's native size. Recall looks at the target's
/// thin vessels, precision at the prediction's; each is a hit where the other map has a vessel of any width, so
/// a vessel drawn one pixel too wide is not held against recall. Outside the valid pixels both maps are background.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ThinVessels {
    threshold: f32,
    counts: ThinCounts,
}

impl ThinVessels {
    /// Starts empty; a pixel is predicted vessel when `score > threshold`.
    ///
    /// # Errors
    /// [`NanThreshold`](crate::Error::NanThreshold) if the threshold is NaN.
    pub fn new(threshold: f32) -> Result<Self> {
        check_threshold(threshold)?;
        Ok(Self {
            threshold,
            counts: ThinCounts::default(),
        })
    }

    pub(crate) fn count(
        prediction: &[bool],
        target: &[bool],
        width: usize,
        height: usize,
    ) -> Result<ThinCounts> {
        let thin_target = thin_map(target, width, height)?;
        let thin_prediction = thin_map(prediction, width, height)?;
        Ok(ThinCounts {
            target: count(&thin_target),
            found: count_both(&thin_target, prediction),
            predicted: count(&thin_prediction),
            right: count_both(&thin_prediction, target),
        })
    }
}

impl Metric for ThinVessels {
    type Output = ThinCounts;

    fn update(&mut self, image: &ScoredImage<'_>) -> Result<()> {
        let (prediction, target) = (image.prediction(self.threshold), image.valid_targets());
        self.counts.merge(&Self::count(
            &prediction,
            &target,
            image.width(),
            image.height(),
        )?);
        Ok(())
    }

    fn compute(&self) -> ThinCounts {
        self.counts
    }

    fn merge(&mut self, other: &Self) -> Result<()> {
        same_threshold(self.threshold, other.threshold)?;
        self.counts.merge(&other.counts);
        Ok(())
    }
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
