use image::RgbImage;
use venule_data::{
    FundusWarning, Mask, Plane, Preprocess, Sample, examine, examine_vessels, overlay, resize_plane,
};

use crate::Result;

/// The vessels of one photograph, all maps at its size.
#[derive(Clone, Debug)]
pub struct Segmentation {
    /// Probability of a vessel in [0, 1]; 0 outside the field of view.
    pub probability: Plane,
    /// Pixels whose probability is above the threshold.
    pub mask: Mask,
    /// Where the retina is.
    pub fov: Mask,
    /// The threshold used.
    pub threshold: f32,
    /// What is odd about the photograph, as a [`Segmenter`](crate::Segmenter) sees it; other systems may leave it empty.
    pub warnings: Vec<FundusWarning>,
}

impl Segmentation {
    /// The photograph with its vessels marked; with a label in the three colours of [`venule_data::overlay`].
    ///
    /// # Errors
    /// If photograph or label are of another size.
    pub fn overlay(&self, photo: &RgbImage, label: Option<&Mask>) -> Result<RgbImage> {
        Ok(overlay(photo, &self.mask, label, Some(&self.fov))?)
    }

    /// With what is odd about the photograph and about what was found in it.
    pub(crate) fn examined(mut self, photo: &RgbImage) -> Result<Self> {
        self.warnings = examine(photo, &self.fov)?;
        self.warnings.extend(examine_vessels(&self.mask, &self.fov));
        Ok(self)
    }
}

/// What a system says of a photograph, before a threshold.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// Probability of a vessel, at any size: that at which the system sees the photograph, or that of the photograph, such as where a
    /// [`Calibration`](crate::Calibration) has corrected it.
    pub probability: Plane,
    /// Where the retina is, at the photograph's size.
    pub fov: Mask,
}

impl Prediction {
    /// At the photograph's size: bilinearly resampled, 0 outside the field of view, marked above the threshold.
    ///
    /// # Errors
    /// If a map is empty.
    pub fn segmentation(self, threshold: f32) -> Result<Segmentation> {
        let probability = within(self.probability, &self.fov)?;
        let mask = probability.map(|&p| p > threshold);
        Ok(Segmentation {
            probability,
            mask,
            fov: self.fov,
            threshold,
            warnings: Vec::new(),
        })
    }
}

/// Anything that finds vessels in a photograph: a [`Segmenter`](crate::Segmenter), an ensemble, a program of other makers.
/// [`evaluate`](crate::evaluate()) takes any.
///
/// ```
/// use venule::data::{FovPolicy, Plane, Sample};
/// use venule::synthetic::{SyntheticFundus, SyntheticSet};
/// use venule::{Predict, Prediction, Result, evaluate};
///
/// /// Calls the darkest pixels vessels.
/// struct Darkness;
///
/// impl Predict for Darkness {
///     fn predict(&self, sample: &Sample) -> Result<Prediction> {
///         let (width, height) = sample.size();
///         let dark = sample.image.pixels().map(|pixel| 1.0 - f32::from(pixel[1]) / 255.0);
///         Ok(Prediction {
///             probability: Plane::new(width, height, dark.collect())?,
///             fov: FovPolicy::GivenOrDetect.resolve(sample)?,
///         })
///     }
///     fn threshold(&self) -> f32 {
///         0.7
///     }
/// }
///
/// let set = SyntheticSet::new(SyntheticFundus::square(96), 1, 1)?;
/// let evaluated = evaluate(&Darkness, &set, |_, _| Ok(()))?;
/// assert_eq!(evaluated.rows.len(), 1);
/// # Ok::<(), venule::Error>(())
/// ```
pub trait Predict {
    /// The probabilities of a sample's pixels, and its field of view; the sample's own is used where it has one and the system allows.
    ///
    /// # Errors
    /// Whatever hinders the system: no field of view is found, the image is empty.
    fn predict(&self, sample: &Sample) -> Result<Prediction>;

    /// Pixels with a larger probability are vessels.
    fn threshold(&self) -> f32;

    /// The vessels of a sample: [`predict`](Self::predict) at its size and [`threshold`](Self::threshold).
    ///
    /// # Errors
    /// As [`predict`](Self::predict).
    fn segment_sample(&self, sample: &Sample) -> Result<Segmentation> {
        self.predict(sample)?.segmentation(self.threshold())
    }
}

/// What a network says of the pixels that it has `seen`; 0 elsewhere, if a dark rim may be kept from it. Both are of its size.
pub(crate) fn seen_only(map: Plane, preprocess: &Preprocess, seen: &Mask) -> Result<Plane> {
    match preprocess.dark_rim > 0.0 {
        true => within(map, seen),
        // Outside the field of view the map is cut off at the photograph's own size.
        false => Ok(map),
    }
}

/// Probabilities at the size of a field of view, 0 outside it.
pub(crate) fn within(mut map: Plane, fov: &Mask) -> Result<Plane> {
    if map.size() != fov.size() {
        map = resize_plane(&map, fov.size())?;
    }
    for (value, &inside) in map.data_mut().iter_mut().zip(fov.data()) {
        *value = if inside { value.clamp(0.0, 1.0) } else { 0.0 };
    }
    Ok(map)
}
