use std::path::PathBuf;

use crate::{Mask, Result, Sample, read_image, read_mask};

/// Where the parts of one sample lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleFiles {
    /// The sample's name within its data set.
    pub id: String,
    /// The photograph.
    pub image: PathBuf,
    /// Vessels by the first annotator.
    pub label: Option<PathBuf>,
    /// Vessels by the second annotator.
    pub second_label: Option<PathBuf>,
    /// The field of view.
    pub fov: Option<PathBuf>,
    /// [`Sample::fov_diameter`].
    pub fov_diameter: Option<u32>,
}

impl SampleFiles {
    /// A photograph alone.
    pub fn unlabelled(id: impl Into<String>, image: impl Into<PathBuf>) -> Self {
        Self {
            id: id.into(),
            image: image.into(),
            label: None,
            second_label: None,
            fov: None,
            fov_diameter: None,
        }
    }

    /// Reads the files.
    ///
    /// # Errors
    /// Those of [`read_image`] and [`read_mask`]; [`Error::SizeMismatch`](crate::Error::SizeMismatch), naming the file, if a map's size is not the photograph's.
    pub fn load(&self) -> Result<Sample> {
        let image = read_image(&self.image)?;
        let size = (image.width() as usize, image.height() as usize);
        let map = |what: &str, path: &Option<PathBuf>| -> Result<Option<Mask>> {
            let Some(path) = path else {
                return Ok(None);
            };
            let mask = read_mask(path)?;
            let what = format!(
                "{what} {} of photograph {}",
                path.display(),
                self.image.display()
            );
            mask.expect_size(&what, size)?;
            Ok(Some(mask))
        };
        Ok(Sample {
            id: self.id.clone(),
            label: map("the label", &self.label)?,
            second_label: map("the second label", &self.second_label)?,
            fov: map("the field of view", &self.fov)?,
            fov_diameter: self.fov_diameter,
            image,
        })
    }
}
