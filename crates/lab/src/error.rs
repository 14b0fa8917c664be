//! What can go wrong, one variant per cause.

use std::path::PathBuf;

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every failure of this crate; each message says what was expected, what came and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] venule_file::Error),
    /// From the run folder.
    #[error(transparent)]
    Train(#[from] venule_train::Error),
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
}
