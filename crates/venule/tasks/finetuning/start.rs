//! Starting from a whole segmentation model, and learning from others.

use serde::{Deserialize, Serialize};
use venule_data::Preprocess;
use venule_nn::Param;

use super::Finetuning;
use crate::{Error, ImageRecord, Provenance, Result, Segmenter};

/// Which variables of a segmentation model a fine-tuning starts from; the others stay fresh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartParts {
    /// All of them, and the stored threshold until a validation chooses another.
    #[default]
    All,
    /// All but the last layer of the decoder, `decoder.head`.
    AllButHead,
    /// Those of the encoder.
    Encoder,
    /// Those of the decoder.
    Decoder,
}

impl StartParts {
    fn holds(self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::AllButHead => !name.starts_with("decoder.head."),
            Self::Encoder => name.starts_with("encoder."),
            Self::Decoder => name.starts_with("decoder."),
        }
    }
}

impl Finetuning {
    /// Starts from a trained segmentation model, such as the bundled weights, which the weights then name as `name`. The images of
    /// both trainings are in what the weights say of themselves.
    ///
    /// ```
    /// use venule::candle_core::Device;
    /// use venule::data::{FovPolicy, InMemory};
    /// use venule::synthetic::{SyntheticFundus, SyntheticSet};
    /// use venule::tasks::{Finetuning, FinetuningData, StartParts};
    /// use venule::{Recipe, Segmenter};
    /// # fn main() -> venule::Result<()> {
    /// # #[cfg(feature = "bundled")] {
    /// let bundled = Segmenter::bundled_fast()?;
    /// let photographs = InMemory::read(&SyntheticSet::new(SyntheticFundus::square(96), 1, 2)?)?;
    /// let data = FinetuningData {
    ///     train: Box::new(photographs),
    ///     unlabelled: None,
    ///     validation: Box::new(InMemory::new(Vec::new())),
    ///     fov: FovPolicy::GivenOrDetect,
    ///     workers: 1,
    ///     cache_bytes: 1 << 28,
    /// };
    /// let recipe = Recipe { model: bundled.checkpoint().model.clone(), crop: 64, ..Recipe::preset("unet")? };
    /// let mut task = Finetuning::new(&recipe, data, &Device::Cpu)?;
    /// task.start_from(&bundled, "bundled-fast", StartParts::All)?;
    /// assert_eq!(task.checkpoint().threshold, bundled.checkpoint().threshold);
    /// # } Ok(()) }
    /// ```
    ///
    /// # Errors
    /// If a variable of these parts is missing in the other model or has another shape there; the error says which part fits and which
    /// does not, and nothing is changed.
    pub fn start_from(&mut self, start: &Segmenter, name: &str, parts: StartParts) -> Result<()> {
        let own = self.model.store().params();
        let wanted: Vec<&Param> = own.iter().filter(|p| parts.holds(p.name())).collect();
        let other = start.model().store();
        let fits = |param: &Param| {
            let found = other.get(param.name());
            found.filter(|found| found.var().shape() == param.var().shape())
        };
        let misfit = wanted.iter().find(|param| fits(param).is_none());
        if let Some(misfit) = misfit
            .map(|param| param.name())
            .or(match wanted.is_empty() {
                true => Some("there is no such part"),
                false => None,
            })
        {
            let part = |prefix: &str| {
                let mut all = own.iter().filter(|p| p.name().starts_with(prefix));
                match all.all(|param| fits(param).is_some()) {
                    true => "fits",
                    false => "does not fit",
                }
            };
            return Err(Error::Start {
                name: name.to_owned(),
                misfit: misfit.to_owned(),
                encoder: part("encoder."),
                decoder: part("decoder."),
            });
        }
        for param in wanted {
            if let Some(found) = fits(param) {
                let value = found.var().as_detached_tensor();
                param.var().set(&value.to_device(self.model.device())?)?;
            }
        }
        let earlier = &start.checkpoint().provenance;
        self.add_images_of(earlier);
        let provenance = &mut self.checkpoint.provenance;
        provenance.pretrained = Some(name.to_owned());
        if parts == StartParts::All && !self.fixed_threshold {
            self.threshold = start.checkpoint().threshold;
            self.checkpoint.calibration = start.checkpoint().calibration;
            provenance.threshold_images = earlier.threshold_images.clone();
        }
        Ok(())
    }

    /// Learns from the photographs without labels what these trained models find there, in the mean, instead of what the average of its
    /// own weights does: self-training of a fresh model (Xie et al. 2020), or several models distilled into one (Hinton et al. 2015).
    ///
    /// Their probabilities count as they are, without the calibration. The weights name the teachers, and the images that these were
    /// trained on.
    ///
    /// ```
    /// use venule::candle_core::Device;
    /// use venule::data::{FovPolicy, InMemory};
    /// use venule::synthetic::{SyntheticFundus, SyntheticSet};
    /// use venule::tasks::{Finetuning, FinetuningData};
    /// use venule::{Recipe, Segmenter};
    /// # fn main() -> venule::Result<()> {
    /// # #[cfg(feature = "bundled")] {
    /// let photographs = InMemory::read(&SyntheticSet::new(SyntheticFundus::square(96), 1, 2)?)?;
    /// let data = FinetuningData {
    ///     train: Box::new(InMemory::new(Vec::new())),
    ///     unlabelled: Some(Box::new(photographs)),
    ///     validation: Box::new(InMemory::new(Vec::new())),
    ///     fov: FovPolicy::GivenOrDetect,
    ///     workers: 1,
    ///     cache_bytes: 1 << 28,
    /// };
    /// let teacher = Segmenter::bundled_fast()?;
    /// let mut recipe = Recipe { crop: 64, ..Recipe::preset("tiny")? };
    /// recipe.preprocess = teacher.checkpoint().preprocess.clone();
    /// let student = Finetuning::new(&recipe, data, &Device::Cpu)?
    ///     .with_teachers(vec![("bundled-fast".to_owned(), teacher)])?;
    /// assert_eq!(student.checkpoint().provenance.teachers, ["bundled-fast"]);
    /// # } Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] if there are no photographs to learn from without labels, or a teacher sees photographs in another way: its
    /// preprocessing differs, but for a lower [`dark_rim`](Preprocess::dark_rim).
    pub fn with_teachers(mut self, teachers: Vec<(String, Segmenter)>) -> Result<Self> {
        let refused = |value: String, expected| Error::Config {
            field: "teachers",
            value,
            expected,
        };
        for (name, teacher) in teachers {
            let Some(own) = &mut self.teacher else {
                return Err(refused(
                    name,
                    "teachers teach on photographs without labels; name some, as `unlabelled`",
                ));
            };
            let here = &self.checkpoint.preprocess;
            // A teacher may be kept from a rim that it would see, and not the other way round.
            let its = &teacher.checkpoint().preprocess;
            let its = &Preprocess {
                dark_rim: its.dark_rim.max(here.dark_rim),
                ..its.clone()
            };
            if its != here {
                let sizes = match its.resize == here.resize {
                    true if its.dark_rim > here.dark_rim => format!(
                        ", whose dark_rim is {} and not {}",
                        its.dark_rim, here.dark_rim
                    ),
                    true => String::new(),
                    false => format!(
                        ", whose photographs have the size {:?} and not {:?}",
                        its.resize, here.resize
                    ),
                };
                return Err(refused(
                    name + &sizes,
                    "a teacher sees photographs as the model does; set `recipe.preprocess` as the teacher has it, or `dark_rim` higher",
                ));
            }
            let provenance = teacher.checkpoint().provenance.clone();
            own.trained.push(teacher);
            self.add_images_of(&provenance);
            self.checkpoint.provenance.teachers.push(name);
        }
        Ok(self)
    }

    /// Adds what earlier weights were trained on.
    fn add_images_of(&mut self, earlier: &Provenance) {
        let provenance = &mut self.checkpoint.provenance;
        provenance.images = joined(&earlier.images, &provenance.images);
        provenance.unlabelled = joined(&earlier.unlabelled, &provenance.unlabelled);
        let mut drawn = earlier.drawn.clone();
        drawn.retain(|name| !provenance.drawn.contains(name));
        provenance.drawn.append(&mut drawn);
    }
}

/// The images of both trainings, each once: of two records of one image the later stays. Records of version 0.1 have no checksum, and
/// go by the name, which begins with that of the data set.
fn joined(earlier: &[ImageRecord], later: &[ImageRecord]) -> Vec<ImageRecord> {
    let again = |image: &&ImageRecord| {
        later.iter().any(|other| match &image.checksum {
            Some(_) => other.checksum == image.checksum,
            None => other.name == image.name,
        })
    };
    let once = earlier.iter().filter(|image| !again(image));
    once.chain(later).cloned().collect()
}
