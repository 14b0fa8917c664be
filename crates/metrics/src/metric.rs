use crate::{Comparison, Result};

/// A metric of one's own: whole numbers counted on each image, and the value that their sums give.
///
/// The counts of images add up, so nothing else is needed: an [`Evaluator`](crate::Evaluator) takes the value of one image from its
/// counts, the pooled value from the sums over all images, and the value of a bootstrap draw from the sums over the images drawn.
/// Merging shards gives what one pass gives. A metric that is a mean over images counts `[its value on the image, 1]`; a real number
/// is counted in fixed point, in millionths for example.
///
/// Skeletons, thin maps, widths and components come from the [`Comparison`], which makes each at most once an image for all
/// metrics together.
///
/// # Example: length of the predicted centre lines, relative to the target's
/// ```
/// use venule_metrics::{Comparison, Evaluator, Metric, Result, ScoredImage};
///
/// struct LengthRatio;
///
/// impl Metric for LengthRatio {
///     fn name(&self) -> &'static str {
///         "length_ratio"
///     }
///     fn count(&self, image: &Comparison<'_>) -> Result<Vec<u128>> {
///         let length = |skeleton: &[bool]| skeleton.iter().filter(|&&s| s).count() as u128;
///         Ok(vec![length(image.prediction_skeleton()?), length(image.target_skeleton()?)])
///     }
///     fn value(&self, sums: &[u128]) -> Option<f64> {
///         (sums[1] > 0).then(|| sums[0] as f64 / sums[1] as f64)
///     }
/// }
///
/// // Target: a line of 4 px. Prediction: its last 2 px.
/// let target = [true, true, true, true, false];
/// let scores = [0.1, 0.2, 0.9, 0.8, 0.3];
/// let mut evaluator = Evaluator::new(0.5)?.with_metric(Box::new(LengthRatio))?;
/// evaluator.update(&ScoredImage::new(5, 1, &scores, &target, None)?)?;
/// assert_eq!(evaluator.finish().pooled.get("length_ratio"), Some(2.0 / 4.0));
/// # Ok::<(), venule_metrics::Error>(())
/// ```
pub trait Metric: Send + Sync {
    /// The name in reports: a key of JSON, a column of tables.
    fn name(&self) -> &'static str;

    /// The counts of one image; of every image equally many.
    ///
    /// # Errors
    /// If the metric cannot take the image; [`InvalidMetric`](crate::Error::InvalidMetric) is there for it.
    fn count(&self, image: &Comparison<'_>) -> Result<Vec<u128>>;

    /// The value of the counts of one image, or of the sums of several; `None` where it is undefined.
    fn value(&self, sums: &[u128]) -> Option<f64>;
}
