use crate::confusion::{ratio, same_threshold};
use crate::scored_image::check_threshold;
use crate::thin::{count, count_both, harmonic_mean};
use crate::{Metric, Result, ScoredImage, skeletonize};

/// Pixel counts of the skeletons of target and prediction, and how much of each the other mask covers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClDiceCounts {
    /// Pixels of the target's skeleton.
    pub target: u64,
    /// Those of them inside the prediction.
    pub found: u64,
    /// Pixels of the prediction's skeleton.
    pub predicted: u64,
    /// Those of them inside the target.
    pub right: u64,
}

impl ClDiceCounts {
    /// Topology sensitivity: the share of the target's skeleton inside the prediction; `None` without a vessel.
    pub fn sensitivity(&self) -> Option<f64> {
        ratio(self.found.into(), self.target.into())
    }

    /// Topology precision: the share of the prediction's skeleton inside the target; `None` without a vessel.
    pub fn precision(&self) -> Option<f64> {
        ratio(self.right.into(), self.predicted.into())
    }

    /// clDice: the harmonic mean of the two, 0 if both are 0; `None` if either is undefined.
    pub fn cl_dice(&self) -> Option<f64> {
        harmonic_mean(self.precision()?, self.sensitivity()?)
    }

    /// Adds the counts of another.
    pub fn merge(&mut self, other: &Self) {
        self.target += other.target;
        self.found += other.found;
        self.predicted += other.predicted;
        self.right += other.right;
    }
}

/// Centre-line Dice (Shit et al. 2021, "clDice – a novel topology-preserving loss function") with hard skeletons
/// ([`skeletonize`]), its counts pooled over images, at a fixed threshold.
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
/// assert_eq!(counts.sensitivity(), Some(2.0 / 4.0));
/// assert_eq!(counts.precision(), Some(2.0 / 3.0));
/// # Ok::<(), venule_metrics::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClDice {
    threshold: f32,
    counts: ClDiceCounts,
}

impl ClDice {
    /// Starts empty; a pixel is predicted vessel when `score > threshold`.
    ///
    /// # Errors
    /// [`NanThreshold`](crate::Error::NanThreshold) if the threshold is NaN.
    pub fn new(threshold: f32) -> Result<Self> {
        check_threshold(threshold)?;
        Ok(Self {
            threshold,
            counts: ClDiceCounts::default(),
        })
    }

    pub(crate) fn count(
        prediction: &[bool],
        target: &[bool],
        width: usize,
        height: usize,
    ) -> Result<ClDiceCounts> {
        let target_line = skeletonize(target, width, height)?;
        let prediction_line = skeletonize(prediction, width, height)?;
        Ok(ClDiceCounts {
            target: count(&target_line),
            found: count_both(&target_line, prediction),
            predicted: count(&prediction_line),
            right: count_both(&prediction_line, target),
        })
    }
}

impl Metric for ClDice {
    type Output = ClDiceCounts;

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

    fn compute(&self) -> ClDiceCounts {
        self.counts
    }

    fn merge(&mut self, other: &Self) -> Result<()> {
        same_threshold(self.threshold, other.threshold)?;
        self.counts.merge(&other.counts);
        Ok(())
    }
}
