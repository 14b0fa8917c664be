use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::left_out::{LeftOut, LeftOutReason};
use super::notes::{FolderNote, Notes, Understood};
use super::reading::Reading;
use super::sample_files::{SampleFiles, SampleMaps};
use crate::{Checksum, Dataset, Error, Note, Result, Sample, Split, read_mask_with};

/// A data set of files in folders; files are looked for when it is made and read on [`load`](Dataset::load).
///
/// There is a constructor for each layout: [`FolderSet::new`] for plain folders, [`FolderSet::unlabelled`] for photographs alone,
/// and [`drive`](FolderSet::drive), [`chase_db1`](FolderSet::chase_db1), [`stare`](FolderSet::stare), [`hrf`](FolderSet::hrf),
/// [`fives`](FolderSet::fives), [`retina_blood_vessel`](FolderSet::retina_blood_vessel) and [`folder`](FolderSet::folder), which
/// take a [`Split`]. Photographs and maps are paired by id, never by sort order; samples are in natural order of their ids, and
/// where a set has `train` and `test` folders those of `train` come first.
///
/// Whatever lies in the folders and is not taken is [kept](Self::left_out) with its reason. A program that prints the set says so in one line:
/// `3 photographs; 4 left out: photo3.webp (WebP), …`; in the alternate form (`{:#}`) all are named, and litter of the system is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderSet {
    samples: Vec<SampleFiles>,
    left_out: Vec<LeftOut>,
    notes: Notes,
}

/// Left-out files named in one line.
const NAMED: usize = 4;

impl fmt::Display for FolderSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.samples.len() == 1 { "" } else { "s" };
        write!(formatter, "{} photograph{plural}", self.samples.len())?;
        if !formatter.alternate() {
            return formatter.write_str(&LeftOut::list(&self.left_out, NAMED));
        }
        formatter.write_str(&LeftOut::list(&self.left_out, usize::MAX))?;
        let litter = |left: &&LeftOut| left.reason == LeftOutReason::System;
        match self.left_out.iter().filter(litter).count() {
            0 => Ok(()),
            count => write!(formatter, "; {count} files of the system passed over"),
        }
    }
}

impl FolderSet {
    /// A data set of files that the caller has found, in the caller's order.
    pub fn from_files(samples: Vec<SampleFiles>) -> Self {
        Self {
            samples,
            left_out: Vec::new(),
            notes: Notes::default(),
        }
    }

    /// What lies in the folders of this data set and is not taken, whatever the split.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// The same samples, and more that is left out.
    pub(super) fn with_left_out(mut self, left_out: Vec<LeftOut>) -> Self {
        let seen: BTreeSet<&Path> = self
            .left_out
            .iter()
            .map(|left| left.path.as_path())
            .collect();
        let new: Vec<LeftOut> = left_out
            .into_iter()
            .filter(|left| !seen.contains(left.path.as_path()))
            .collect();
        self.left_out.extend(new);
        self
    }

    /// What was understood of the files that have been read so far, once per folder: values of labels that are not black and white,
    /// pages of photographs that were passed over, and so on. Copies of this set share it.
    pub fn notes(&self) -> Vec<FolderNote> {
        self.notes.list()
    }

    /// Adds what was understood of files that were read elsewhere, such as prediction images.
    pub fn add_notes<'a>(&self, notes: impl IntoIterator<Item = &'a (PathBuf, Note)>) {
        for (path, note) in notes {
            self.notes.add(path, Understood::Photograph(note.clone()));
        }
    }

    /// The same samples, to be read in this way.
    #[must_use]
    pub fn with_reading(mut self, reading: &Reading) -> Self {
        for files in &mut self.samples {
            files.reading = reading.clone();
        }
        self
    }

    /// Reads the maps of sample `index` alone, which belong to a prediction of this size instead of a photograph.
    ///
    /// # Errors
    /// Those of [`SampleFiles::load`] that speak of maps; [`Error::IndexOutOfRange`].
    pub fn load_maps(&self, index: usize, size: (usize, usize)) -> Result<SampleMaps> {
        match self.samples.get(index) {
            Some(files) => files.maps("prediction", size, &self.notes, |path, rule| {
                read_mask_with(path, rule)
            }),
            None => Err(Error::IndexOutOfRange {
                index,
                len: self.len(),
            }),
        }
    }

    /// The same set of other samples of it.
    fn part(&self, samples: Vec<SampleFiles>) -> Self {
        Self {
            samples,
            left_out: self.left_out.clone(),
            notes: self.notes.clone(),
        }
    }

    /// The photographs alone, with their fields of view: without labels.
    #[must_use]
    pub fn without_labels(mut self) -> Self {
        for files in &mut self.samples {
            files.label = None;
            files.second_label = None;
        }
        self
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
        let last = self.part(last);
        (self, last)
    }

    /// Of all samples of a data set those of [`Split::Fold`] or [`Split::WithoutFold`]; all of them for another split.
    ///
    /// # Errors
    /// [`Error::NoFold`] if there are fewer samples than the fold's number.
    pub fn fold(self, split: Split) -> Result<Self> {
        let (Split::Fold(fold) | Split::WithoutFold(fold)) = split else {
            return Ok(self);
        };
        let index = fold.wrapping_sub(1);
        if index >= self.len() {
            return Err(Error::NoFold {
                fold: split.to_string(),
                images: Some(self.len()),
            });
        }
        let mut rest = self.samples.clone();
        let held_out = vec![rest.remove(index)];
        Ok(match split {
            Split::Fold(_) => self.part(held_out),
            _ => self.part(rest),
        })
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
            .map(|files| {
                let sample = files.load_noting(&self.notes);
                sample.and_then(|sample| check(&sample)).err()
            })
            .collect();
        let (mut samples, mut reports) = (Vec::new(), Vec::new());
        for (files, error) in self.samples.iter().zip(errors) {
            match error {
                Some(error) => reports.push(error),
                None => samples.push(files.clone()),
            }
        }
        (self.part(samples), reports)
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
        self.notes.extend(&other.notes);
        self.with_left_out(other.left_out)
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
            Some(files) => files.load_noting(&self.notes),
            None => Err(Error::IndexOutOfRange {
                index,
                len: self.len(),
            }),
        }
    }

    /// Of the bytes of the photograph's file.
    fn checksum(&self, index: usize) -> Result<Checksum> {
        match self.samples.get(index) {
            Some(files) => Checksum::of_file(&files.image),
            None => Err(Error::IndexOutOfRange {
                index,
                len: self.len(),
            }),
        }
    }
}
