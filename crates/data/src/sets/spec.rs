use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::name;
use crate::{Dataset, Error, FolderSet, Result, Split};

/// A data set whose folder layout is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DatasetKind {
    /// [`FolderSet::drive`]
    Drive,
    /// [`FolderSet::chase_db1`]
    ChaseDb1,
    /// [`FolderSet::stare`]
    Stare,
    /// [`FolderSet::hrf`]
    Hrf,
    /// [`FolderSet::fives`]
    Fives,
    /// [`FolderSet::retina_blood_vessel`]
    RetinaBloodVessel,
    /// [`FolderSet::folder`]
    Folder,
    /// [`FolderSet::unlabelled`]
    Unlabelled,
}

const KINDS: [(&str, DatasetKind); 8] = [
    ("drive", DatasetKind::Drive),
    ("chase_db1", DatasetKind::ChaseDb1),
    ("stare", DatasetKind::Stare),
    ("hrf", DatasetKind::Hrf),
    ("fives", DatasetKind::Fives),
    ("retina_blood_vessel", DatasetKind::RetinaBloodVessel),
    ("folder", DatasetKind::Folder),
    ("unlabelled", DatasetKind::Unlabelled),
];

impl DatasetKind {
    /// The name that [`FromStr`] reads.
    pub fn name(self) -> &'static str {
        match self {
            DatasetKind::Drive => "drive",
            DatasetKind::ChaseDb1 => "chase_db1",
            DatasetKind::Stare => "stare",
            DatasetKind::Hrf => "hrf",
            DatasetKind::Fives => "fives",
            DatasetKind::RetinaBloodVessel => "retina_blood_vessel",
            DatasetKind::Folder => "folder",
            DatasetKind::Unlabelled => "unlabelled",
        }
    }

    /// Whether the makers' training and test part lie in folders `train` and `test`, so that an image of the one may have the number of
    /// an image of the other.
    pub fn has_parts(self) -> bool {
        matches!(self, Self::Fives | Self::RetinaBloodVessel | Self::Folder)
    }

    /// All kinds, in the order of their documentation.
    pub fn all() -> impl Iterator<Item = Self> {
        KINDS.into_iter().map(|(_, kind)| kind)
    }
}

impl fmt::Display for DatasetKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for DatasetKind {
    type Err = Error;

    /// Reads a name; case, `-` and blanks in place of `_` do not matter.
    fn from_str(text: &str) -> Result<Self> {
        name::lookup("data set", text, &KINDS)
    }
}

/// A kind of data set and the folder it lies in, as given on a command line: `drive=data/DRIVE`.
///
/// ```
/// use venule_data::{DatasetKind, DatasetSpec};
/// let spec: DatasetSpec = "drive=data/DRIVE".parse()?;
/// assert_eq!(spec.kind, DatasetKind::Drive);
/// assert_eq!(spec.to_string(), "drive=data/DRIVE");
///
/// let error = "drvie=data/DRIVE".parse::<DatasetSpec>().unwrap_err();
/// assert!(error.to_string().ends_with("did you mean 'drive'?"));
/// # Ok::<(), venule_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetSpec {
    /// The layout.
    pub kind: DatasetKind,
    /// The folder.
    pub path: PathBuf,
}

impl DatasetSpec {
    /// Finds the files of one split.
    ///
    /// # Errors
    /// Those of the [`FolderSet`] constructor of this kind; [`Error::EmptySplit`] if there is nothing in the split.
    pub fn files(&self, split: Split) -> Result<FolderSet> {
        match self.kind {
            DatasetKind::Drive => FolderSet::drive(&self.path, split),
            DatasetKind::ChaseDb1 => FolderSet::chase_db1(&self.path, split),
            DatasetKind::Stare => FolderSet::stare(&self.path, split),
            DatasetKind::Hrf => FolderSet::hrf(&self.path, split),
            DatasetKind::Fives => FolderSet::fives(&self.path, split),
            DatasetKind::RetinaBloodVessel => FolderSet::retina_blood_vessel(&self.path, split),
            DatasetKind::Folder => FolderSet::folder(&self.path, split),
            DatasetKind::Unlabelled => match split {
                Split::Train | Split::All => FolderSet::unlabelled(&self.path),
                _ => Err(Error::EmptySplit {
                    dataset: "unlabelled",
                    path: self.path.clone(),
                    split: split.name(),
                    reason: "all its photographs are for training; take 'train' or 'all'"
                        .to_owned(),
                }),
            },
        }
    }

    /// Opens one split.
    ///
    /// # Errors
    /// Those of [`files`](Self::files).
    pub fn open(&self, split: Split) -> Result<Box<dyn Dataset>> {
        Ok(Box::new(self.files(split)?))
    }
}

impl fmt::Display for DatasetSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}={}", self.kind, self.path.display())
    }
}

impl FromStr for DatasetSpec {
    type Err = Error;

    /// Reads `NAME=PATH`; the path may hold further `=`.
    fn from_str(text: &str) -> Result<Self> {
        match text.split_once('=') {
            Some((name, path)) if !path.is_empty() => Ok(Self {
                kind: name.parse()?,
                path: PathBuf::from(path),
            }),
            _ => Err(Error::InvalidSpec {
                found: text.to_owned(),
                names: name::list(&KINDS),
            }),
        }
    }
}
