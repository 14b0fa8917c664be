//! What is understood of the files of a data set while they are read.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::{LabelReading, Note};

/// What was understood of files of one folder, to be said once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FolderNote {
    /// The first of the files, in order of their names.
    pub first: PathBuf,
    /// What was understood of it.
    pub understood: Understood,
    /// Number of files in its folder of which the same holds.
    pub files: usize,
}

/// What is worth saying of a file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Understood {
    /// The values of a label that is not black and white.
    Label(LabelReading),
    /// The values of a field of view that is not black and white.
    FieldOfView(LabelReading),
    /// What of a photograph, a label or a prediction was passed over, stretched or turned.
    Photograph(Note),
}

impl Understood {
    /// What two files share of which the same holds.
    fn key(&self) -> (u8, String) {
        match self {
            Self::Label(reading) => (0, reading.to_string()),
            Self::FieldOfView(reading) => (1, reading.to_string()),
            Self::Photograph(note) => match note {
                Note::PagesPassedOver { .. } => (2, String::new()),
                Note::PageChosen { .. } => (3, String::new()),
                Note::ChannelsJoined { .. } => (4, String::new()),
                Note::Stretched { bits, .. } => (5, bits.to_string()),
                Note::Turned { orientation } => (6, orientation.to_string()),
                Note::FirstFrame { .. } => (7, String::new()),
                Note::FirstPicture { .. } => (8, String::new()),
            },
        }
    }
}

impl fmt::Display for FolderNote {
    /// `labels hold 0 and 128; 128 counts as vessel (20 files in set/masks)`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.first.parent().unwrap_or(Path::new(""));
        let plural = if self.files == 1 { "" } else { "s" };
        match &self.understood {
            Understood::Label(reading) => write!(formatter, "{reading}")?,
            Understood::FieldOfView(LabelReading { background, vessel }) => write!(
                formatter,
                "fields of view hold {background} and {vessel}; {vessel} counts as retina"
            )?,
            Understood::Photograph(note) => {
                write!(formatter, "{}: {note}", self.first.display())?;
                return match self.files {
                    1 => Ok(()),
                    files => write!(formatter, "; {} more beside it alike", files - 1),
                };
            }
        }
        write!(
            formatter,
            " ({} file{plural} in {})",
            self.files,
            folder.display()
        )
    }
}

/// The notes of a data set and of all its parts, by folder and kind, then by file.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes(Arc<Mutex<ByKind>>);

type ByKind = BTreeMap<(PathBuf, (u8, String)), BTreeMap<PathBuf, Understood>>;

/// What has been read so far is no part of what a data set is.
impl PartialEq for Notes {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Notes {}

impl Notes {
    pub(super) fn add(&self, path: &Path, understood: Understood) {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let files = notes.entry((folder, understood.key())).or_default();
        files.entry(path.to_owned()).or_insert(understood);
    }

    /// Takes over those of another set.
    pub(super) fn extend(&self, other: &Self) {
        for (path, understood) in other.each() {
            self.add(&path, understood);
        }
    }

    fn each(&self) -> Vec<(PathBuf, Understood)> {
        let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let files = notes.values().flatten();
        files
            .map(|(path, what)| (path.clone(), what.clone()))
            .collect()
    }

    pub(super) fn list(&self) -> Vec<FolderNote> {
        let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let note = |files: &BTreeMap<PathBuf, Understood>| {
            let (first, understood) = files.first_key_value()?;
            Some(FolderNote {
                first: first.clone(),
                understood: understood.clone(),
                files: files.len(),
            })
        };
        notes.values().filter_map(note).collect()
    }
}
