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
    /// An encoder has fewer stages than are to stay trainable, or does not say its stages.
    #[error(
        "the last {asked} of the encoder's stages are to stay trainable, but it {}",
        match found {
            0 => "does not say its stages; give it `Encoder::stages` and `Encoder::stage_of`, or freeze all of it or nothing".to_owned(),
            found => format!("has {found}; ask for at most {found}"),
        }
    )]
    Freeze {
        /// Stages asked for.
        asked: usize,
        /// Stages there are.
        found: usize,
    },
    /// None of a store's variables under a prefix lies in a stage of the encoder.
    #[error(
        "no variable under `{prefix}` lies in a stage of the encoder; name the prefix under which it took its variables, and see that its `Encoder::stage_of` knows names below it"
    )]
    FreezePrefix {
        /// The prefix.
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
