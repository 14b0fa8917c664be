//! What can go wrong, one variant per cause.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every failure of this crate; each message says what was expected, what came and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read a file or folder.
    #[error("cannot {action} {}: {source}; {}", path.display(), remedy_of_reading(source))]
    Read {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The operating system refused to create, write or remove a file or folder.
    #[error("cannot {action} {}: {source}; {}", path.display(), remedy_of_writing(source))]
    Write {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file ends before its header says so.
    #[error(
        "{} is truncated ({length} bytes: {reason}); copy it again, or use an older one",
        path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        length: u64,
        /// What the parser missed.
        reason: String,
    },
    /// A file is no safetensors file.
    #[error(
        "{} is not a safetensors file ({reason}); give a file that this program saved, or convert it first",
        path.display()
    )]
    NotSafetensors {
        /// The file.
        path: PathBuf,
        /// What the parser met.
        reason: String,
    },
    /// The content of a file differs from its checksum.
    #[error(
        "{} is damaged: its checksum is {found}, {expected} was written; copy it again, or use an older one",
        path.display()
    )]
    Checksum {
        /// The file.
        path: PathBuf,
        /// The checksum in the file.
        expected: String,
        /// The checksum of the content.
        found: String,
    },
    /// A tensor of a file, or meant for one, is of a type that candle cannot hold.
    #[error(
        "{}: tensor `{name}` is of type {dtype}, which candle cannot hold; convert it to F32, or leave it out",
        path.display()
    )]
    DType {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        name: String,
        /// Its type, as safetensors spells it.
        dtype: String,
    },
    /// The names or shapes in a file are those of another model.
    #[error(
        "{} holds another architecture: {}; build the model with the configuration stored in the file",
        path.display(),
        describe_names(missing, unexpected, reshaped)
    )]
    Architecture {
        /// The file.
        path: PathBuf,
        /// Names the model has and the file lacks.
        missing: Vec<String>,
        /// Names the file has and the model lacks.
        unexpected: Vec<String>,
        /// Names both have, with the model's shape and the file's shape.
        reshaped: Vec<(String, Vec<usize>, Vec<usize>)>,
    },
    /// Two tensors meant for one file carry one name.
    #[error("the tensor name `{name}` occurs twice; give every tensor its own name")]
    DuplicateName {
        /// The repeated name.
        name: String,
    },
    /// A metadata key collides with one that this crate writes itself.
    #[error("the metadata key `{key}` is reserved for the file itself; rename it")]
    ReservedMetadata {
        /// The key.
        key: String,
    },
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    /// Makes a [`Error::Read`] of an error of the system: `map_err(Error::reading("open", path))`.
    pub fn reading(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Read {
            action,
            path: path.to_path_buf(),
            source,
        }
    }

    /// Makes a [`Error::Write`] of an error of the system: `map_err(Error::writing("create", path))`.
    pub fn writing(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Write {
            action,
            path: path.to_path_buf(),
            source,
        }
    }
}

fn remedy_of_reading(source: &io::Error) -> &'static str {
    match source.kind() {
        ErrorKind::NotFound => "check the path",
        ErrorKind::PermissionDenied => "its owner must let you read it",
        ErrorKind::IsADirectory => "it is a folder: name a file",
        ErrorKind::NotADirectory => "a part of the path is a file, not a folder: check the path",
        _ => "check that it can be read, or copy it again",
    }
}

fn remedy_of_writing(source: &io::Error) -> &'static str {
    match source.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "choose a place where you may write"
        }
        ErrorKind::NotFound => "create its folder first, or choose another one",
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
            "a file stands where a folder is needed: choose another path"
        }
        ErrorKind::IsADirectory | ErrorKind::DirectoryNotEmpty => {
            "a folder stands where the file is to go: choose another name"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "make room, or choose another disk"
        }
        ErrorKind::InvalidFilename => "choose a shorter name",
        _ => "choose another path, or check the disk",
    }
}

/// Shortens name lists: a wrong architecture differs in hundreds of names.
fn describe_names(
    missing: &[String],
    unexpected: &[String],
    reshaped: &[(String, Vec<usize>, Vec<usize>)],
) -> String {
    let list = |names: Vec<String>| {
        let shown = names.iter().take(4).cloned().collect::<Vec<_>>().join(", ");
        match names.len().saturating_sub(4) {
            0 => shown,
            more => format!("{shown} and {more} more"),
        }
    };
    let mut parts = Vec::new();
    if !missing.is_empty() {
        parts.push(format!("missing {}", list(missing.to_vec())));
    }
    if !unexpected.is_empty() {
        parts.push(format!("unexpected {}", list(unexpected.to_vec())));
    }
    if !reshaped.is_empty() {
        let shapes = reshaped.iter().map(|(name, expected, found)| {
            format!("{name} is {found:?} in the file, {expected:?} in the model")
        });
        parts.push(list(shapes.collect()));
    }
    parts.join("; ")
}
