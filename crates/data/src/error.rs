use std::path::PathBuf;

/// Everything that can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Pixel data does not fill its width and height.
    #[error("a raster of {width}x{height} pixels needs {width}*{height} values, but {length} came")]
    RasterLength {
        /// Pixels per row.
        width: usize,
        /// Number of rows.
        height: usize,
        /// Number of values given.
        length: usize,
    },
    /// Two maps that belong together differ in size.
    #[error("{what} has size {}x{}, but {}x{} (width x height) was expected; image, label and field of view must have one size", found.0, found.1, expected.0, expected.1)]
    SizeMismatch {
        /// The map at fault.
        what: String,
        /// Expected (width, height).
        expected: (usize, usize),
        /// Found (width, height).
        found: (usize, usize),
    },
    /// A file or folder could not be opened, read or written.
    #[error("cannot access {}: {source}; check that the path exists and is readable", path.display())]
    Io {
        /// The path at fault.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A data set was asked for a sample that it does not have.
    #[error("sample {index} was asked for, but the data set has {len}; count from 0")]
    IndexOutOfRange {
        /// The index asked for.
        index: usize,
        /// Number of samples there are.
        len: usize,
    },
    /// A tensor could not be made.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
