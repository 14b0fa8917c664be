use std::path::{Path, PathBuf};

use super::notes::{Notes, Understood};
use super::reading::Reading;
use crate::{
    LabelReading, Mask, MaskRule, ReadMask, Result, Sample, check_fov, check_label, read_photograph,
};

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
    /// How the files are read.
    pub reading: Reading,
}

/// The maps of a sample, all of one size.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SampleMaps {
    /// Vessels by the first annotator.
    pub label: Option<Mask>,
    /// Vessels by the second annotator.
    pub second_label: Option<Mask>,
    /// The field of view.
    pub fov: Option<Mask>,
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
            reading: Reading::default(),
        }
    }

    /// Reads the files, as [`reading`](Self::reading) says.
    ///
    /// # Errors
    /// Those of [`read_photograph`], [`Photograph::read_mask`](crate::Photograph::read_mask), [`check_fov`], and [`check_label`] in the
    /// field of view that came with the photograph, or the frame; [`Error::SizeMismatch`](crate::Error::SizeMismatch) if a map's size is
    /// not the photograph's. All name the file.
    pub fn load(&self) -> Result<Sample> {
        self.load_noting(&Notes::default())
    }

    /// As [`load`](Self::load); what was understood goes to `notes`.
    pub(super) fn load_noting(&self, notes: &Notes) -> Result<Sample> {
        let photograph = read_photograph(&self.image, &self.reading.photographs)?;
        for note in &photograph.notes {
            notes.add(&self.image, Understood::Photograph(note.clone()));
        }
        let size = (
            photograph.image.width() as usize,
            photograph.image.height() as usize,
        );
        let beside = |path: &Path, rule: &MaskRule| photograph.read_mask(&self.image, path, rule);
        let maps = self.maps("photograph", size, notes, beside)?;
        Ok(Sample {
            id: self.id.clone(),
            label: maps.label,
            second_label: maps.second_label,
            fov: maps.fov,
            fov_diameter: self.fov_diameter,
            allowed: self.reading.allowed,
            image: photograph.image,
        })
    }

    /// Reads by `read_mask` and checks the maps that belong to an image, called `owner`, of this size.
    pub(super) fn maps(
        &self,
        owner: &str,
        size: (usize, usize),
        notes: &Notes,
        read_mask: impl Fn(&Path, &MaskRule) -> Result<ReadMask>,
    ) -> Result<SampleMaps> {
        let read = |what: &str,
                    path: &Option<PathBuf>,
                    rule: &MaskRule,
                    understood: fn(LabelReading) -> Understood|
         -> Result<Option<Mask>> {
            let Some(path) = path else {
                return Ok(None);
            };
            let read = read_mask(path, rule)?;
            let what = format!(
                "{what} {} of {owner} {}",
                path.display(),
                self.image.display()
            );
            read.mask.expect_size(&what, size)?;
            for note in read.notes {
                notes.add(path, Understood::Photograph(note));
            }
            if let Some(reading) = read.reading {
                notes.add(path, understood(reading));
            }
            Ok(Some(read.mask))
        };
        let fov = read(
            "the field of view",
            &self.fov,
            &MaskRule::AsMeant,
            Understood::FieldOfView,
        )?;
        if let (Some(fov), Some(path)) = (&fov, &self.fov) {
            check_fov(fov, path)?;
        }
        let drawn = |what: &str, path: &Option<PathBuf>| -> Result<Option<Mask>> {
            let label = read(what, path, &self.reading.labels, Understood::Label)?;
            if let (Some(label), Some(path)) = (&label, path) {
                check_label(label, fov.as_ref(), path, self.reading.allowed)?;
            }
            Ok(label)
        };
        Ok(SampleMaps {
            label: drawn("the label", &self.label)?,
            second_label: drawn("the second label", &self.second_label)?,
            fov,
        })
    }
}
