use std::borrow::Cow;
use std::cell::OnceCell;

use crate::confusion::Confusion;
use crate::scored_image::check_threshold;
use crate::width::{count_widths, width_along, width_classes};
use crate::{
    Calibration, CoverCounts, Result, ScoredImage, WidthClass, betti0, skeletonize, thin_map,
};

/// One image's prediction at a threshold beside its target, with the counts and maps that metrics are made of. Each map is made
/// when it is first asked for, and once.
///
/// Prediction and target are background outside the valid pixels, so the two-dimensional maps see background there.
///
/// ```
/// use venule_metrics::{Comparison, ScoredImage};
/// // Target: a line of 4 px. Prediction: its first 2 px and 1 px too far.
/// let target = [false, true, true, true, true];
/// let scores = [0.9, 0.9, 0.9, 0.1, 0.1];
/// let comparison = Comparison::new(&ScoredImage::new(5, 1, &scores, &target, None)?, 0.5)?;
/// assert_eq!(comparison.confusion().recall(), Some(2.0 / 4.0));
/// // All of the lines is skeleton: clDice is the harmonic mean of 2/3 and 2/4.
/// let skeletons = comparison.skeletons()?;
/// assert_eq!((skeletons.precision(), skeletons.recall()), (Some(2.0 / 3.0), Some(2.0 / 4.0)));
/// # Ok::<(), venule_metrics::Error>(())
/// ```
#[derive(Debug)]
pub struct Comparison<'a> {
    image: ScoredImage<'a>,
    threshold: f32,
    prediction: Vec<bool>,
    target: Cow<'a, [bool]>,
    confusion: OnceCell<Confusion>,
    calibration: OnceCell<Calibration>,
    skeletons: OnceCell<CoverCounts>,
    thin_vessels: OnceCell<CoverCounts>,
    prediction_skeleton: OnceCell<Vec<bool>>,
    target_skeleton: OnceCell<Vec<bool>>,
    prediction_thin: OnceCell<Vec<bool>>,
    target_thin: OnceCell<Vec<bool>>,
    prediction_components: OnceCell<u64>,
    target_components: OnceCell<u64>,
    target_width: OnceCell<Vec<f32>>,
}

impl<'a> Comparison<'a> {
    /// Of an image at a threshold: a pixel is predicted vessel when `score > threshold`.
    ///
    /// # Errors
    /// [`NanThreshold`](crate::Error::NanThreshold) if the threshold is NaN.
    pub fn new(image: &ScoredImage<'a>, threshold: f32) -> Result<Self> {
        check_threshold(threshold)?;
        Ok(Self {
            image: *image,
            threshold,
            prediction: image.prediction(threshold),
            target: image.valid_targets(),
            confusion: OnceCell::new(),
            calibration: OnceCell::new(),
            skeletons: OnceCell::new(),
            thin_vessels: OnceCell::new(),
            prediction_skeleton: OnceCell::new(),
            target_skeleton: OnceCell::new(),
            prediction_thin: OnceCell::new(),
            target_thin: OnceCell::new(),
            prediction_components: OnceCell::new(),
            target_components: OnceCell::new(),
            target_width: OnceCell::new(),
        })
    }

    /// The scores, targets and valid pixels compared.
    pub fn image(&self) -> &ScoredImage<'a> {
        &self.image
    }

    /// The threshold.
    pub fn threshold(&self) -> f32 {
        self.threshold
    }

    /// The predicted mask, false outside the valid pixels.
    pub fn prediction(&self) -> &[bool] {
        &self.prediction
    }

    /// The target, false outside the valid pixels.
    pub fn target(&self) -> &[bool] {
        &self.target
    }

    /// The counts over the valid pixels.
    pub fn confusion(&self) -> Confusion {
        *self.confusion.get_or_init(|| {
            let mut counts = Confusion::default();
            counts.count(&self.prediction, &self.target, self.image.valid(), |p| p);
            counts
        })
    }

    /// The sums of calibration in [`Calibration::BINS`] bins.
    ///
    /// # Errors
    /// [`NotAProbability`](crate::Error::NotAProbability) if a valid score lies outside [0, 1].
    pub fn calibration(&self) -> Result<&Calibration> {
        once(&self.calibration, || {
            let mut sums = Calibration::new(Calibration::BINS)?;
            sums.update(&self.image)?;
            Ok(sums)
        })
    }

    /// How much of each map's skeleton the other map covers; their [`f1`](CoverCounts::f1) is centre-line Dice (Shit et al. 2021,
    /// "clDice – a novel topology-preserving loss function") with hard skeletons.
    ///
    /// # Errors
    /// As [`skeletonize`].
    pub fn skeletons(&self) -> Result<CoverCounts> {
        once(&self.skeletons, || {
            Ok(CoverCounts::of(
                (self.target(), self.target_skeleton()?),
                (self.prediction(), self.prediction_skeleton()?),
            ))
        })
        .copied()
    }

    /// How much of each map's thin vessels the other map covers.
    ///
    /// Thin is the mask minus its opening by a 3×3 square ([`thin_map`]), at the image's native size. Recall looks at the target's
    /// thin vessels, precision at the prediction's. Each is a hit where the other map has a vessel of any width, so a vessel drawn
    /// one pixel too wide is not held against recall.
    ///
    /// Outside the valid pixels both maps are background before they are opened. At the rim of the valid pixels a pixel of a wide
    /// vessel is therefore thin if no 3×3 square of valid vessel pixels holds it. The thin-vessel loss of `venule-loss` shares this
    /// definition.
    ///
    /// ```
    /// use venule_metrics::{Comparison, ScoredImage};
    /// // Target: a line of 4 px. Prediction: its first 2 px and 1 px too far.
    /// let target = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0].map(|v| v == 1);
    /// let scores = [0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0].map(|v| v as f32);
    /// let image = ScoredImage::new(5, 3, &scores, &target, None)?;
    /// let thin = Comparison::new(&image, 0.5)?.thin_vessels()?;
    /// assert_eq!(thin.recall(), Some(2.0 / 4.0));
    /// assert_eq!(thin.precision(), Some(2.0 / 3.0));
    /// # Ok::<(), venule_metrics::Error>(())
    /// ```
    ///
    /// # Errors
    /// None for a [`ScoredImage`].
    pub fn thin_vessels(&self) -> Result<CoverCounts> {
        once(&self.thin_vessels, || {
            Ok(CoverCounts::of(
                (self.target(), self.target_thin()?),
                (self.prediction(), self.prediction_thin()?),
            ))
        })
        .copied()
    }

    /// |β0(prediction) − β0(target)|: by how many the numbers of 8-connected components differ.
    ///
    /// # Errors
    /// As [`betti0`].
    pub fn component_error(&self) -> Result<u64> {
        Ok(self
            .prediction_components()?
            .abs_diff(self.target_components()?))
    }

    /// Recall by the width of the target's vessels ([`vessel_width`](crate::vessel_width)) in the classes
    /// `[0, b₀), [b₀, b₁), … [bₙ, ∞)`, for example of [`WidthClass::BOUNDS`]. Their counts add up to those of the overall recall.
    ///
    /// # Errors
    /// If the bounds are not finite, positive and strictly rising, or as [`vessel_width`](crate::vessel_width).
    pub fn width_recall(&self, bounds: &[f32]) -> Result<Vec<WidthClass>> {
        let mut classes = width_classes(bounds)?;
        count_widths(
            &mut classes,
            self.target_width()?,
            &self.prediction,
            &self.target,
        );
        Ok(classes)
    }

    /// The [skeleton](skeletonize) of the prediction.
    ///
    /// # Errors
    /// As [`skeletonize`].
    pub fn prediction_skeleton(&self) -> Result<&[bool]> {
        let (width, height) = self.size();
        once(&self.prediction_skeleton, || {
            skeletonize(&self.prediction, width, height)
        })
        .map(Vec::as_slice)
    }

    /// The [skeleton](skeletonize) of the target.
    ///
    /// # Errors
    /// As [`skeletonize`].
    pub fn target_skeleton(&self) -> Result<&[bool]> {
        let (width, height) = self.size();
        once(&self.target_skeleton, || {
            skeletonize(&self.target, width, height)
        })
        .map(Vec::as_slice)
    }

    /// The [thin vessels](thin_map) of the prediction.
    ///
    /// # Errors
    /// None for a [`ScoredImage`].
    pub fn prediction_thin(&self) -> Result<&[bool]> {
        let (width, height) = self.size();
        once(&self.prediction_thin, || {
            thin_map(&self.prediction, width, height)
        })
        .map(Vec::as_slice)
    }

    /// The [thin vessels](thin_map) of the target.
    ///
    /// # Errors
    /// None for a [`ScoredImage`].
    pub fn target_thin(&self) -> Result<&[bool]> {
        let (width, height) = self.size();
        once(&self.target_thin, || thin_map(&self.target, width, height)).map(Vec::as_slice)
    }

    /// The number of 8-connected components of the prediction.
    ///
    /// # Errors
    /// As [`betti0`].
    pub fn prediction_components(&self) -> Result<u64> {
        let (width, height) = self.size();
        once(&self.prediction_components, || {
            betti0(&self.prediction, width, height)
        })
        .copied()
    }

    /// The number of 8-connected components of the target.
    ///
    /// # Errors
    /// As [`betti0`].
    pub fn target_components(&self) -> Result<u64> {
        let (width, height) = self.size();
        once(&self.target_components, || {
            betti0(&self.target, width, height)
        })
        .copied()
    }

    /// The [width](crate::vessel_width) of the target's vessels in px at each of their pixels, 0 elsewhere.
    ///
    /// # Errors
    /// As [`vessel_width`](crate::vessel_width).
    pub fn target_width(&self) -> Result<&[f32]> {
        let (width, height) = self.size();
        once(&self.target_width, || {
            width_along(&self.target, self.target_skeleton()?, width, height)
        })
        .map(Vec::as_slice)
    }

    fn size(&self) -> (usize, usize) {
        (self.image.width(), self.image.height())
    }
}

/// The value in the cell, made now if there is none. An error is not kept.
fn once<T>(cell: &OnceCell<T>, make: impl FnOnce() -> Result<T>) -> Result<&T> {
    if let Some(value) = cell.get() {
        return Ok(value);
    }
    let value = make()?;
    Ok(cell.get_or_init(|| value))
}
