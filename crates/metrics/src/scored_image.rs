use std::borrow::Cow;

use crate::{Error, Result};

/// One image's scores beside its target, checked once: the input of every [`Metric`](crate::Metric).
///
/// All slices are row-major with `width * height` values. Pixels where `valid` is false take no part in any metric.
///
/// ```
/// use venule_metrics::{Error, ScoredImage};
/// let target = [true, false];
/// assert!(ScoredImage::new(2, 1, &[0.7, 0.1], &target, None).is_ok());
/// let nan = ScoredImage::new(2, 1, &[0.7, f32::NAN], &target, None);
/// assert_eq!(nan.unwrap_err(), Error::NanScore { index: 1 });
/// // The same NaN is no matter outside the field of view.
/// assert!(ScoredImage::new(2, 1, &[0.7, f32::NAN], &target, Some(&[true, false])).is_ok());
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ScoredImage<'a> {
    width: usize,
    height: usize,
    scores: &'a [f32],
    targets: &'a [bool],
    valid: Option<&'a [bool]>,
}

impl<'a> ScoredImage<'a> {
    /// Joins the slices of one image.
    ///
    /// # Errors
    /// If a slice has not `width * height` values, or a score at a valid pixel is NaN.
    pub fn new(
        width: usize,
        height: usize,
        scores: &'a [f32],
        targets: &'a [bool],
        valid: Option<&'a [bool]>,
    ) -> Result<Self> {
        check_dimensions(width, height, scores.len())?;
        check_lengths(scores.len(), targets, valid)?;
        check_numbers(scores, valid)?;
        Ok(Self {
            width,
            height,
            scores,
            targets,
            valid,
        })
    }

    /// Joins slices of pixels that form no image, as one row. Metrics of shape make no sense on it.
    ///
    /// # Errors
    /// If the slices differ in length, or a score at a valid pixel is NaN.
    pub fn flat(scores: &'a [f32], targets: &'a [bool], valid: Option<&'a [bool]>) -> Result<Self> {
        Self::new(scores.len(), 1, scores, targets, valid)
    }

    /// Pixels per row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The scores, row-major.
    pub fn scores(&self) -> &'a [f32] {
        self.scores
    }

    /// The targets, row-major; true is vessel.
    pub fn targets(&self) -> &'a [bool] {
        self.targets
    }

    /// The valid pixels, row-major; `None` means all.
    pub fn valid(&self) -> Option<&'a [bool]> {
        self.valid
    }

    /// The mask `score > threshold`, false outside the valid pixels.
    pub fn prediction(&self, threshold: f32) -> Vec<bool> {
        match self.valid {
            None => self.scores.iter().map(|&p| p > threshold).collect(),
            Some(valid) => self
                .scores
                .iter()
                .zip(valid)
                .map(|(&p, &v)| (p > threshold) & v)
                .collect(),
        }
    }

    /// The target, false outside the valid pixels.
    pub fn valid_targets(&self) -> Cow<'a, [bool]> {
        match self.valid {
            None => Cow::Borrowed(self.targets),
            Some(valid) => Cow::Owned(
                self.targets
                    .iter()
                    .zip(valid)
                    .map(|(&y, &v)| y & v)
                    .collect(),
            ),
        }
    }

    /// The first valid score outside [0, 1], as an error.
    pub(crate) fn check_probabilities(&self) -> Result<()> {
        let outside = |p: f32| !(0.0..=1.0).contains(&p);
        match first_bad(self.scores, self.valid, outside) {
            Some(index) => Err(Error::NotAProbability {
                index,
                value: self.scores[index],
            }),
            None => Ok(()),
        }
    }
}

/// Scores 1 and 0 from a binary mask, to evaluate a binary system such as a second human annotator.
///
/// Any threshold in [0, 1) gives the mask back.
pub fn scores_from_mask(mask: &[bool]) -> Vec<f32> {
    mask.iter().map(|&m| f32::from(u8::from(m))).collect()
}

pub(crate) fn check_dimensions(width: usize, height: usize, found: usize) -> Result<()> {
    if width.checked_mul(height) != Some(found) {
        return Err(Error::ImageLength {
            width,
            height,
            found,
        });
    }
    Ok(())
}

pub(crate) fn check_lengths(
    expected: usize,
    targets: &[bool],
    valid: Option<&[bool]>,
) -> Result<()> {
    if targets.len() != expected {
        return Err(Error::LengthMismatch {
            what: "the target",
            expected,
            found: targets.len(),
        });
    }
    match valid {
        Some(valid) if valid.len() != expected => Err(Error::LengthMismatch {
            what: "the valid map",
            expected,
            found: valid.len(),
        }),
        _ => Ok(()),
    }
}

pub(crate) fn check_numbers(scores: &[f32], valid: Option<&[bool]>) -> Result<()> {
    match first_bad(scores, valid, f32::is_nan) {
        Some(index) => Err(Error::NanScore { index }),
        None => Ok(()),
    }
}

pub(crate) fn check_threshold(threshold: f32) -> Result<()> {
    if threshold.is_nan() {
        Err(Error::NanThreshold)
    } else {
        Ok(())
    }
}

/// Position of the first valid score that is bad. The branch-free pass over the whole slice comes first because
/// it vectorises and nearly always finds nothing.
fn first_bad(scores: &[f32], valid: Option<&[bool]>, bad: impl Fn(f32) -> bool) -> Option<usize> {
    if !scores.iter().fold(false, |any, &p| any | bad(p)) {
        return None;
    }
    match valid {
        None => scores.iter().position(|&p| bad(p)),
        Some(valid) => scores.iter().zip(valid).position(|(&p, &v)| v && bad(p)),
    }
}
