/// Everything that can go wrong when a segmentation model is configured or built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration value is out of range.
    #[error("{field} is {value}, but must be {expected}")]
    Config {
        /// The field at fault.
        field: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        expected: String,
    },
    /// An encoder's maps do not suit a decoder.
    #[error("the encoder gives {maps}, but {expected}")]
    Encoder {
        /// Its maps, as channels and strides.
        maps: String,
        /// What the decoder takes.
        expected: String,
    },
    /// There are not that many blocks, or none, under a prefix.
    #[error(
        "{blocks} blocks are to stay trainable, but the store has {found} under `{prefix}`; name the encoder's prefix and at most its depth"
    )]
    Freeze {
        /// Blocks asked for.
        blocks: usize,
        /// Blocks there are.
        found: usize,
        /// The prefix asked for.
        prefix: String,
    },
    /// Parameters or layers.
    #[error(transparent)]
    Nn(#[from] venule_nn::Error),
    /// A tensor operation failed.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

pub(crate) fn config_error<T>(
    field: &'static str,
    value: impl std::fmt::Debug,
    expected: impl Into<String>,
) -> Result<T> {
    Err(Error::Config {
        field,
        value: format!("{value:?}"),
        expected: expected.into(),
    })
}
