use image::RgbImage;

use crate::read::marked;
use crate::{Error, LabelCheck, Mask, Result};

/// One photograph at its native size with what human annotators said of it.
///
/// ```
/// use venule_data::{Mask, Sample};
/// let mut sample = Sample::unlabelled("01", image::RgbImage::new(4, 3));
/// sample.label = Some(Mask::filled(4, 3, false));
/// sample.check_sizes()?;
/// sample.label = Some(Mask::filled(3, 4, false));
/// assert!(sample.check_sizes().is_err());
/// # Ok::<(), venule_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The name within its data set, e.g. `"21"` in DRIVE or `"Image_01L"` in CHASE_DB1.
    pub id: String,
    /// The photograph.
    pub image: RgbImage,
    /// Vessel pixels by the first annotator.
    pub label: Option<Mask>,
    /// Vessel pixels by the second annotator.
    pub second_label: Option<Mask>,
    /// The field of view that came with the image. `None` if the data set has none:
    /// see [`detect_fov`](crate::detect_fov) and [`full_frame`](crate::full_frame).
    pub fov: Option<Mask>,
    /// The diameter in pixels to which its field of view is brought, whatever [`Preprocess`](crate::Preprocess) says: of a camera
    /// whose vessels are wider or narrower for the size of the field of view than others'.
    pub fov_diameter: Option<u32>,
    /// Which oddities of its label are meant.
    pub allowed: LabelCheck,
}

impl Sample {
    /// A photograph alone.
    pub fn unlabelled(id: impl Into<String>, image: RgbImage) -> Self {
        Self {
            id: id.into(),
            image,
            label: None,
            second_label: None,
            fov: None,
            fov_diameter: None,
            allowed: LabelCheck::default(),
        }
    }

    /// (width, height) of the photograph.
    pub fn size(&self) -> (usize, usize) {
        (self.image.width() as usize, self.image.height() as usize)
    }

    /// Checks that labels and field of view have the photograph's size.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`](crate::Error::SizeMismatch), naming the sample and the map, otherwise.
    pub fn check_sizes(&self) -> Result<()> {
        let maps = [
            ("the label", &self.label),
            ("the second label", &self.second_label),
            ("the field of view", &self.fov),
        ];
        for (what, map) in maps {
            if let Some(map) = map {
                map.expect_size(&format!("{what} of sample '{}'", self.id), self.size())?;
            }
        }
        Ok(())
    }

    /// Checks that the label, if there is one, marks some pixels of a field of view and not more than half of them, or that
    /// [`allowed`](Self::allowed) says it is meant.
    ///
    /// ```
    /// use venule_data::{LabelCheck, Mask, Sample};
    /// let mut sample = Sample::unlabelled("01", image::RgbImage::new(4, 3));
    /// let fov = Mask::filled(4, 3, true);
    /// sample.label = Some(Mask::from_fn(4, 3, |x, _| x > 0));
    /// assert!(sample.check_label(&fov).unwrap_err().to_string().contains("marks 9 of 12 pixels"));
    /// sample.allowed = LabelCheck::default().allow_majority();
    /// assert!(sample.check_label(&fov).is_ok());
    /// ```
    ///
    /// # Errors
    /// [`Error::UnusableLabel`], naming the sample. A field of view of another size is none of this check's business.
    pub fn check_label(&self, fov: &Mask) -> Result<()> {
        let Some(label) = self
            .label
            .as_ref()
            .filter(|label| label.size() == fov.size())
        else {
            return Ok(());
        };
        let (vessels, pixels) = (marked(label, fov), fov.count());
        match self.allowed.accepts(vessels, pixels) {
            true => Ok(()),
            false => Err(Error::UnusableLabel {
                id: self.id.clone(),
                vessels,
                pixels,
            }),
        }
    }
}
