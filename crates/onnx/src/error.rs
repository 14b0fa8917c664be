use std::path::PathBuf;

/// Everything that can go wrong between a model and its ONNX file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A size of the input that cannot be written.
    #[error("the size {found} cannot be written: {expected}")]
    Size {
        /// Height and width asked for.
        found: String,
        /// What is allowed.
        expected: String,
    },
    /// A variable that the model's settings promise is not among its parameters, or has another shape.
    #[error("the parameters do not fit the model's settings: '{name}' {reason}")]
    Variable {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The progressive decoder takes one map of an encoder.
    #[error("the progressive decoder takes one map of the encoder, not {maps}")]
    Parts {
        /// Maps that the encoder gives.
        maps: usize,
    },
    /// Parameters that no layer of the written graph uses: the graph would not be the model.
    #[error(
        "the ONNX graph has no place for {} of the model's variables ('{}' is the first): nothing was written",
        names.len(),
        names.first().map_or("", String::as_str)
    )]
    Unused {
        /// Their names.
        names: Vec<String>,
    },
    /// Protobuf, in which ONNX files are written, ends at two gigabytes.
    #[error(
        "the file would have {bytes} bytes, but an ONNX file has less than {limit}; take a smaller model"
    )]
    TooLarge {
        /// Bytes of the file.
        bytes: usize,
        /// What a reader takes.
        limit: usize,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is no ONNX file of a network of vessels.
    #[error("{} cannot be used as a network of vessels: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file uses operators that the runtime does not have.
    #[error("{} uses operators that are not known: {operators}; export the model with standard operators, up to version 18 of the set", path.display())]
    Operators {
        /// The file.
        path: PathBuf,
        /// Each with its first node.
        operators: String,
    },
    /// A file's network cannot be run on an image.
    #[error("{} cannot be run on an image of {channels} channel(s), {height}x{width} pixels: {reason}", path.display())]
    Run {
        /// The file.
        path: PathBuf,
        /// Channels of the image.
        channels: usize,
        /// Its rows.
        height: usize,
        /// Its columns.
        width: usize,
        /// What is wrong.
        reason: String,
    },
    /// A network's output is no probability.
    #[error("{} gave {value} for a pixel, which is no probability; its output may be another than meant, or its input be prepared in another way", path.display())]
    Probability {
        /// The file.
        path: PathBuf,
        /// What it gave.
        value: f32,
    },
    /// A tensor operation failed.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
