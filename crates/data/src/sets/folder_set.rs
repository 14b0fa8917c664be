use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::listing::natural_order;
use crate::{Dataset, Error, Mask, Result, Sample, Split, read_image, read_mask};

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
    /// Those of [`read_image`] and [`read_mask`]; [`Error::SizeMismatch`], naming the file, if a map's size is not the photograph's.
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

/// A data set of files in folders; files are looked for when it is made and read on [`load`](Dataset::load).
///
/// There is a constructor for each layout: [`FolderSet::new`] for plain folders, [`FolderSet::unlabelled`] for photographs alone,
/// and [`drive`](FolderSet::drive), [`chase_db1`](FolderSet::chase_db1), [`stare`](FolderSet::stare), [`hrf`](FolderSet::hrf),
/// [`fives`](FolderSet::fives), [`retina_blood_vessel`](FolderSet::retina_blood_vessel) and [`folder`](FolderSet::folder), which
/// take a [`Split`]. Photographs and maps are paired by id, never by sort order; samples are in natural order of their ids, and
/// where a set has `train` and `test` folders those of `train` come first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderSet {
    samples: Vec<SampleFiles>,
}

impl FolderSet {
    /// A data set of files that the caller has found, in the caller's order.
    pub fn from_files(samples: Vec<SampleFiles>) -> Self {
        Self { samples }
    }

    /// The files of all samples.
    pub fn files(&self) -> &[SampleFiles] {
        &self.samples
    }

    /// The first samples and the last `count` of them as two data sets.
    ///
    /// ```
    /// use venule_data::{Dataset, FolderSet, SampleFiles};
    /// let files = ["a", "b", "c"].map(|id| SampleFiles::unlabelled(id, format!("{id}.png")));
    /// let (first, last) = FolderSet::from_files(files.to_vec()).split_last(1);
    /// assert_eq!((first.len(), last.id(0)), (2, "c"));
    /// ```
    pub fn split_last(mut self, count: usize) -> (Self, Self) {
        let last = self
            .samples
            .split_off(self.samples.len().saturating_sub(count));
        (self, Self { samples: last })
    }

    /// All samples but one, and that one: a fold of leave-one-out evaluation, as usual on STARE.
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`] if there is no sample `index`.
    pub fn leave_one_out(&self, index: usize) -> Result<(Self, Self)> {
        if index >= self.len() {
            return Err(Error::IndexOutOfRange {
                index,
                len: self.len(),
            });
        }
        let mut rest = self.samples.clone();
        let held_out = rest.remove(index);
        Ok((
            Self { samples: rest },
            Self {
                samples: vec![held_out],
            },
        ))
    }

    /// Of all samples of a data set those of [`Split::Fold`] or [`Split::WithoutFold`]; all of them for another split.
    ///
    /// # Errors
    /// [`Error::NoFold`] if there are fewer samples than the fold's number.
    pub fn fold(self, split: Split) -> Result<Self> {
        let (Split::Fold(fold) | Split::WithoutFold(fold)) = split else {
            return Ok(self);
        };
        match (self.leave_one_out(fold.wrapping_sub(1)), split) {
            (Ok((_, held_out)), Split::Fold(_)) => Ok(held_out),
            (Ok((rest, _)), _) => Ok(rest),
            (Err(_), _) => Err(Error::NoFold {
                fold: split.to_string(),
                images: Some(self.len()),
            }),
        }
    }

    /// Reads every file, and parts the samples that can be read from the errors of those that cannot.
    ///
    /// Without this call a damaged file is an error when it is loaded.
    pub fn without_unreadable(self) -> (Self, Vec<Error>) {
        self.without_unusable(|_| Ok(()))
    }

    /// As [`without_unreadable`](Self::without_unreadable), and parts those that fail a check from the rest as well, such as
    /// those whose field of view is not found.
    ///
    /// ```
    /// # fn main() -> venule_data::Result<()> {
    /// use venule_data::{FolderSet, FovPolicy, SampleFiles};
    /// let set = FolderSet::from_files(vec![SampleFiles::unlabelled("a", "missing.png")]);
    /// let found = |sample: &_| FovPolicy::default().resolve(sample).map(drop);
    /// let (rest, errors) = set.without_unusable(found);
    /// assert_eq!((rest.files().len(), errors.len()), (0, 1));
    /// # Ok(()) }
    /// ```
    pub fn without_unusable(
        self,
        check: impl Fn(&Sample) -> Result<()> + Sync,
    ) -> (Self, Vec<Error>) {
        let errors: Vec<Option<Error>> = self
            .samples
            .par_iter()
            .map(|files| files.load().and_then(|sample| check(&sample)).err())
            .collect();
        let (mut samples, mut reports) = (Vec::new(), Vec::new());
        for (files, error) in self.samples.into_iter().zip(errors) {
            match error {
                Some(error) => reports.push(error),
                None => samples.push(files),
            }
        }
        (Self { samples }, reports)
    }

    /// The same samples with `prefix` before their ids.
    pub fn with_id_prefix(mut self, prefix: &str) -> Self {
        for files in &mut self.samples {
            files.id.insert_str(0, prefix);
        }
        self
    }

    /// The same samples, to be brought to this [`Sample::fov_diameter`].
    pub fn with_fov_diameter(mut self, diameter: Option<u32>) -> Self {
        for files in &mut self.samples {
            files.fov_diameter = diameter;
        }
        self
    }

    /// Samples of this set, then those of `other`.
    pub fn join(mut self, other: Self) -> Self {
        self.samples.extend(other.samples);
        self
    }

    /// Several data sets, each with its name, as one. Where there are more than one, the names stand before the ids: `drive_21`, `hrf_01_dr`.
    ///
    /// ```
    /// use venule_data::{Dataset, FolderSet, SampleFiles};
    /// let set = |path: &str| FolderSet::from_files(vec![SampleFiles::unlabelled("1", path)]);
    /// let joined = FolderSet::join_named(vec![
    ///     ("clinic".to_owned(), set("clinic/1.png")),
    ///     ("fives".to_owned(), set("fives/1.png")),
    /// ])?;
    /// assert_eq!((joined.id(0), joined.id(1)), ("clinic_1", "fives_1"));
    /// # Ok::<(), venule_data::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::AmbiguousId`] if two samples have one id or one file comes twice.
    pub fn join_named(sets: Vec<(String, Self)>) -> Result<Self> {
        let several = sets.iter().any(|(name, _)| *name != sets[0].0);
        let mut joined = Self::from_files(Vec::new());
        for (name, samples) in sets {
            joined = joined.join(match several {
                true => samples.with_id_prefix(&format!("{name}_")),
                false => samples,
            });
        }
        joined.without_repetition()?.unambiguous()
    }

    /// Photographs by id with their maps by id. A required map without its photograph is an error like a photograph without
    /// its required map: a set that lacks photographs must not pass for the whole.
    /// Samples whose id is not wanted are left alone.
    pub(super) fn assemble(
        mut images: BTreeMap<String, PathBuf>,
        maps: Maps,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Self> {
        images.retain(|id, _| wanted(id));
        let folder = images.values().next().and_then(|image| image.parent());
        for files in [&maps.label, &maps.second_label, &maps.fov] {
            let lonely = |id: &str| wanted(id) && !images.contains_key(id);
            if let (MapFiles::Required(_, files), Some(folder)) = (files, folder)
                && let Some((id, file)) = files.iter().find(|(id, _)| lonely(id))
            {
                return Err(Error::MissingPartner {
                    file: file.clone(),
                    id: id.clone(),
                    folder: folder.to_owned(),
                });
            }
        }
        let mut samples = Vec::with_capacity(images.len());
        for (id, image) in images {
            samples.push(SampleFiles {
                label: maps.label.find(&id, &image)?,
                second_label: maps.second_label.find(&id, &image)?,
                fov: maps.fov.find(&id, &image)?,
                fov_diameter: None,
                id,
                image,
            });
        }
        samples.sort_by(|a, b| natural_order(&a.id, &b.id));
        Ok(Self { samples })
    }

    /// This set, or an error if a photograph comes twice.
    ///
    /// # Errors
    /// [`Error::AmbiguousId`].
    fn without_repetition(self) -> Result<Self> {
        let mut seen = BTreeMap::new();
        for files in &self.samples {
            if let Some(first) = seen.insert(&files.image, files) {
                return Err(ambiguous(first, files));
            }
        }
        Ok(self)
    }

    /// This set, or an error if two of its samples have one id.
    pub(super) fn unambiguous(self) -> Result<Self> {
        let mut seen = BTreeMap::new();
        for files in &self.samples {
            if let Some(first) = seen.insert(&files.id, files) {
                return Err(ambiguous(first, files));
            }
        }
        Ok(self)
    }

    /// The samples whose id passes.
    pub(super) fn retain(mut self, keep: impl Fn(&str) -> bool) -> Self {
        self.samples.retain(|files| keep(&files.id));
        self
    }

    /// The part that `split` names of samples that are to be trained on: the last fifth, of two samples at least, is
    /// [`Split::Validation`], the rest [`Split::Train`], and every other split is all of them.
    pub fn train_part(self, split: Split) -> Self {
        let held_out = match self.len() {
            0 | 1 => 0,
            len => (len / 5).max(1),
        };
        match split {
            Split::Train => self.split_last(held_out).0,
            Split::Validation => self.split_last(held_out).1,
            Split::Test | Split::All | Split::Fold(_) | Split::WithoutFold(_) => self,
        }
    }

    /// Of all samples those of a fold, if `split` is one; an error that explains why, if there is nothing in the split.
    pub(super) fn not_empty(
        self,
        dataset: &'static str,
        path: &Path,
        split: Split,
        reason: &str,
    ) -> Result<Self> {
        let part = match self.is_empty() {
            true => self,
            false => self.fold(split)?,
        };
        if part.is_empty() {
            return Err(Error::EmptySplit {
                dataset,
                path: path.to_owned(),
                split: split.name(),
                reason: reason.to_owned(),
            });
        }
        Ok(part)
    }
}

fn ambiguous(first: &SampleFiles, second: &SampleFiles) -> Error {
    Error::AmbiguousId {
        id: second.id.clone(),
        first: first.image.clone(),
        second: second.image.clone(),
    }
}

impl Dataset for FolderSet {
    fn len(&self) -> usize {
        self.samples.len()
    }

    fn id(&self, index: usize) -> &str {
        self.samples.get(index).map_or("", |files| &files.id)
    }

    fn load(&self, index: usize) -> Result<Sample> {
        match self.samples.get(index) {
            Some(files) => files.load(),
            None => Err(Error::IndexOutOfRange {
                index,
                len: self.len(),
            }),
        }
    }
}

/// The maps of one kind that a layout has.
#[derive(Default)]
pub(super) enum MapFiles {
    /// None at all.
    #[default]
    Absent,
    /// Some photographs may lack one.
    Optional(BTreeMap<String, PathBuf>),
    /// Each photograph must have one in this folder.
    Required(PathBuf, BTreeMap<String, PathBuf>),
}

impl MapFiles {
    fn find(&self, id: &str, image: &Path) -> Result<Option<PathBuf>> {
        match self {
            MapFiles::Absent => Ok(None),
            MapFiles::Optional(files) => Ok(files.get(id).cloned()),
            MapFiles::Required(folder, files) => match files.get(id) {
                Some(path) => Ok(Some(path.clone())),
                None => Err(Error::MissingPartner {
                    file: image.to_owned(),
                    id: id.to_owned(),
                    folder: folder.clone(),
                }),
            },
        }
    }
}

/// The maps of a layout.
#[derive(Default)]
pub(super) struct Maps {
    pub(super) label: MapFiles,
    pub(super) second_label: MapFiles,
    pub(super) fov: MapFiles,
}
