use crate::{Result, ScoredImage};

/// An accumulator over images: feed it images, merge it with others, read the value.
///
/// Partial results of threads or shards merge into exactly what one pass over all images would have given
/// (lists of per-image values keep the order of the merges).
pub trait Metric {
    /// What [`compute`](Metric::compute) returns.
    type Output;

    /// Adds one image. On an error the accumulator is as before the call.
    ///
    /// # Errors
    /// If the scores of the image do not suit the metric, for example values outside [0, 1] for calibration.
    fn update(&mut self, image: &ScoredImage<'_>) -> Result<()>;

    /// The value over everything seen so far; may be called at any time.
    fn compute(&self) -> Self::Output;

    /// Adds everything `other` has seen.
    ///
    /// # Errors
    /// [`MergeMismatch`](crate::Error::MergeMismatch) if the two were built with different settings.
    fn merge(&mut self, other: &Self) -> Result<()>;
}
