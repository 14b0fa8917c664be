use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Mask, Plane, Planes, Preprocess, Result, Sample, detect_fov, full_frame, resize_plane,
    vesselness,
};

/// Where the field of view of a sample comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FovPolicy {
    /// The mask that came with the image, otherwise [detection](detect_fov). The default.
    #[default]
    GivenOrDetect,
    /// Only the mask that came with the image.
    Given,
    /// Always [detection](detect_fov), even beside a mask.
    Detect,
    /// Every pixel of the frame.
    FullFrame,
}

impl FovPolicy {
    /// The field of view of `sample`, at native size.
    ///
    /// # Errors
    /// [`Error::MissingFieldOfView`] if the policy wants a mask and there is none; what [`detect_fov`] gives, as [`Error::Sample`].
    pub fn resolve(self, sample: &Sample) -> Result<Mask> {
        match (self, &sample.fov) {
            (Self::Given | Self::GivenOrDetect, Some(fov)) => Ok(fov.clone()),
            (Self::Given, None) => Err(Error::MissingFieldOfView {
                id: sample.id.clone(),
            }),
            (Self::GivenOrDetect | Self::Detect, _) => {
                detect_fov(&sample.image).map_err(|error| error.of_sample(&sample.id))
            }
            (Self::FullFrame, _) => Ok(full_frame(sample.size())),
        }
    }
}

/// A sample ready for the network: the input and the maps that go with it, all of one size.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The sample's name, for messages.
    pub id: String,
    /// The network's input, of one or three channels; 0 where nothing is seen.
    pub image: Planes,
    /// Vessel pixels, if known.
    pub label: Option<Mask>,
    /// Pixels that are seen and count: the field of view, without its [dark rim](Preprocess::dark_rim) if that is left out.
    pub fov: Mask,
    /// Per-pixel weights for a loss, e.g. [`vesselness`], if wanted.
    pub weights: Option<Plane>,
}

impl Prepared {
    /// Preprocesses a sample: its image, its (first) label and its field of view, at the sample's own
    /// [`fov_diameter`](Sample::fov_diameter) if it has one.
    ///
    /// ```
    /// use venule_data::{FovPolicy, Mask, Prepared, Preprocess, Sample};
    /// let photo = image::RgbImage::from_fn(8, 6, |x, y| image::Rgb([90, (x * 20 + y) as u8, 10]));
    /// let mut sample = Sample::unlabelled("01", photo);
    /// sample.label = Some(Mask::from_fn(8, 6, |x, _| x == 3));
    /// let prepared = Prepared::from_sample(&sample, &Preprocess::default(), FovPolicy::FullFrame)?;
    /// assert_eq!(prepared.size(), (8, 6));
    /// # Ok::<(), venule_data::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] if a map has another size than the photograph; [`Error::EmptyFieldOfView`];
    /// [`Error::UnusableLabel`] if the label marks no pixel in the field of view, or more than half, and the sample does not allow it; what
    /// [`FovPolicy::resolve`] and [`Preprocess::apply`] give. All name the sample.
    pub fn from_sample(sample: &Sample, preprocess: &Preprocess, fov: FovPolicy) -> Result<Self> {
        sample.check_sizes()?;
        let native = fov.resolve(sample)?;
        if native.count() == 0 {
            return Err(Error::EmptyFieldOfView {
                id: sample.id.clone(),
            });
        }
        sample.check_label(&native)?;
        let preprocess = preprocess.for_sample(sample);
        let (image, seen) = preprocess
            .apply_seen(&sample.image, &native)
            .map_err(|error| error.of_sample(&sample.id))?;
        let fit = |label: &Mask| preprocess.fit_label(label, &native);
        Ok(Self {
            id: sample.id.clone(),
            image,
            label: sample.label.as_ref().map(fit).transpose()?,
            fov: seen,
            weights: None,
        })
    }

    /// Adds the [`vesselness`] of the photograph this came from as weights, at this sample's size.
    ///
    /// # Errors
    /// What [`vesselness`] gives; the field of view is resampled to the photograph's size first.
    pub fn with_vesselness(mut self, photo: &RgbImage) -> Result<Self> {
        let native = (photo.width() as usize, photo.height() as usize);
        let map = if self.fov.size() == native {
            vesselness(photo, &self.fov)?
        } else {
            let mut map = vesselness(photo, &crate::resize_mask(&self.fov, native)?)?;
            map = resize_plane(&map, self.size())?;
            for (value, &inside) in map.data_mut().iter_mut().zip(self.fov.data()) {
                *value = if inside { value.clamp(0.0, 1.0) } else { 0.0 };
            }
            map
        };
        self.weights = Some(map);
        Ok(self)
    }

    /// (width, height) in pixels.
    pub fn size(&self) -> (usize, usize) {
        self.image.size()
    }

    /// Bytes its pixels take, for cache limits.
    pub fn bytes(&self) -> usize {
        let (width, height) = self.size();
        let pixels = width * height;
        let floats = self.image.channels() + usize::from(self.weights.is_some());
        let masks = 1 + usize::from(self.label.is_some());
        pixels * (floats * size_of::<f32>() + masks)
    }

    /// Checks that all maps have one size.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`], naming sample and map.
    pub fn check_sizes(&self) -> Result<()> {
        let size = self.size();
        let name = |map: &str| format!("the {map} of sample '{}'", self.id);
        self.fov.expect_size(&name("field of view"), size)?;
        if let Some(label) = &self.label {
            label.expect_size(&name("label"), size)?;
        }
        if let Some(weights) = &self.weights {
            weights.expect_size(&name("weight map"), size)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Resize;
    use image::Rgb;

    fn sample() -> Sample {
        let mut sample = Sample::unlabelled(
            "a",
            RgbImage::from_fn(40, 30, |x, y| Rgb([0, (x * 3 + y) as u8, 0])),
        );
        sample.fov = Some(Mask::from_fn(40, 30, |x, _| x >= 4));
        sample.label = Some(Mask::from_fn(40, 30, |x, _| x % 10 == 5));
        sample
    }

    #[test]
    fn every_map_has_the_prepared_size() {
        for resize in [
            None,
            Some(Resize::Square(16)),
            Some(Resize::FovDiameter(20.0)),
        ] {
            let preprocess = Preprocess {
                resize,
                ..Preprocess::default()
            };
            let sample = sample();
            let prepared = Prepared::from_sample(&sample, &preprocess, FovPolicy::Given).unwrap();
            let prepared = prepared.with_vesselness(&sample.image).unwrap();
            assert_eq!(
                prepared.size(),
                preprocess.output_size(sample.fov.as_ref().unwrap())
            );
            prepared.check_sizes().unwrap();
            let outside = |values: &[f32]| {
                values
                    .iter()
                    .zip(prepared.fov.data())
                    .all(|(&v, &f)| f || v == 0.0)
            };
            let weights = prepared.weights.as_ref().unwrap();
            assert!(outside(prepared.image.data()) && outside(weights.data()));
        }
    }

    #[test]
    fn a_sample_of_its_own_diameter_is_brought_to_it() {
        let prepared = |own, resize| {
            let preprocess = Preprocess {
                resize,
                ..Preprocess::default()
            };
            let sample = Sample {
                fov_diameter: own,
                ..sample()
            };
            Prepared::from_sample(&sample, &preprocess, FovPolicy::Given).unwrap()
        };
        let expected = prepared(None, Some(Resize::FovDiameter(20.0)));
        assert_ne!(expected, prepared(None, None));
        for resize in [None, Some(Resize::Square(16))] {
            assert_eq!(prepared(Some(20), resize), expected);
        }
    }

    #[test]
    fn unusable_labels_and_missing_fields_are_named() {
        let prepare =
            |sample: &Sample, fov| Prepared::from_sample(sample, &Preprocess::default(), fov);
        for marked in [false, true] {
            let mut wrong = sample();
            wrong.label = Some(Mask::filled(40, 30, marked));
            let error = prepare(&wrong, FovPolicy::Given).unwrap_err();
            assert!(
                matches!(&error, Error::UnusableLabel { id, .. } if id == "a"),
                "{error}"
            );
        }
        let mut bare = sample();
        bare.fov = None;
        let error = prepare(&bare, FovPolicy::Given).unwrap_err();
        assert!(matches!(error, Error::MissingFieldOfView { .. }));
        assert_eq!(
            prepare(&bare, FovPolicy::FullFrame).unwrap().fov.count(),
            1200
        );
        let black = Sample::unlabelled("a", RgbImage::new(40, 30));
        let error = prepare(&black, FovPolicy::Detect).map(drop).unwrap_err();
        assert!(
            matches!(&error, Error::Sample { id, .. } if id == "a")
                && error.to_string().starts_with("a: no field of view found"),
            "{error}"
        );
        bare.fov = Some(Mask::filled(40, 30, false));
        let error = prepare(&bare, FovPolicy::Given).unwrap_err();
        assert!(matches!(error, Error::EmptyFieldOfView { id } if id == "a"));
        bare.fov = Some(Mask::filled(4, 30, true));
        assert!(matches!(
            prepare(&bare, FovPolicy::Given),
            Err(Error::SizeMismatch { .. })
        ));
    }
}
