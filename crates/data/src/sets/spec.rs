use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::{name, table};
use crate::{Dataset, Error, FolderSet, Layout, Result, Split};

/// A layout and the folder of a data set in it, as given on a command line: `drive=data/DRIVE`.
///
/// ```
/// use venule_data::DatasetSpec;
/// let spec: DatasetSpec = "drive=data/DRIVE".parse()?;
/// assert_eq!(spec.layout.name, "drive");
/// assert_eq!(spec.to_string(), "drive=data/DRIVE");
///
/// let error = "drvie=data/DRIVE".parse::<DatasetSpec>().unwrap_err();
/// assert!(error.to_string().ends_with("did you mean 'drive'?"));
/// # Ok::<(), venule_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetSpec {
    /// The layout.
    pub layout: Layout,
    /// The folder.
    pub path: PathBuf,
}

impl DatasetSpec {
    /// Finds the files of one split.
    ///
    /// # Errors
    /// Those of the layout; [`Error::EmptySplit`] if there is nothing in the split.
    pub fn files(&self, split: Split) -> Result<FolderSet> {
        (self.layout.files)(&self.path, split)
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
        write!(formatter, "{}={}", self.layout, self.path.display())
    }
}

impl FromStr for DatasetSpec {
    type Err = Error;

    /// Reads `NAME=PATH`; the path may hold further `=`.
    fn from_str(text: &str) -> Result<Self> {
        match text.split_once('=') {
            Some((name, path)) if !path.is_empty() => Ok(Self {
                layout: name.parse()?,
                path: PathBuf::from(path),
            }),
            _ => Err(Error::InvalidSpec {
                found: text.to_owned(),
                names: name::list(&table::named()),
            }),
        }
    }
}
