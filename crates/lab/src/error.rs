//! What can go wrong, one variant per cause.

use std::path::PathBuf;

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every failure of this crate; each message says what was expected, what came and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// From the parts below, files and training among them.
    #[error(transparent)]
    Venule(#[from] venule::Error),
    /// A run file, or another file of a run, is not understood.
    #[error("{}: {reason}", path.display())]
    RunFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There are no weights of this name.
    #[error("there is no weights file {}: {hint}", name.display())]
    WeightsName {
        /// The name.
        name: PathBuf,
        /// What may be meant.
        hint: String,
    },
    /// A complete line of a log is no log line.
    #[error("{} line {line} is no line of a log: {source}; remove it, or restore the file from a copy", path.display())]
    Log {
        /// The log.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser met.
        source: serde_json::Error,
    },
    /// The folder of a run of a sweep holds another run.
    #[error("{}: {difference}; restore what it was made of, choose another folder for the sweep, or remove this one", path.display())]
    OtherRun {
        /// The run's folder or file.
        path: PathBuf,
        /// What differs.
        difference: String,
    },
    /// Two runs of a sweep have one folder.
    #[error(
        "two runs would share the folder {}; give the variants names that differ in letters or digits, and each seed once", path.display()
    )]
    SharedFolder {
        /// The folder.
        path: PathBuf,
    },
}

macro_rules! from_below {
    ($($error:ty),*) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::Venule(error.into())
            }
        }
    )*};
}

from_below!(
    venule::data::Error,
    venule::file::Error,
    venule::metrics::Error,
    venule::train::Error
);
