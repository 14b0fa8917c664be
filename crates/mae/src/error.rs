use std::path::PathBuf;

/// Everything that can go wrong when a model is configured, built or imported.
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
    /// A preset of that name does not exist.
    #[error("there is no preset `{name}`; take one of {}", known.join(", "))]
    Preset {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: &'static [&'static str],
    },
    /// A mask ratio that leaves nothing to see or nothing to predict.
    #[error(
        "a mask ratio of {ratio} keeps {kept} of {patches} patches, but at least one must be kept and at least one masked; choose a ratio inside (0, 1) that fits the number of patches, e.g. 0.75"
    )]
    MaskRatio {
        /// The ratio asked for.
        ratio: f64,
        /// Patches of one image.
        patches: usize,
        /// Patches it would keep.
        kept: usize,
    },
    /// The noise for a masking has another length than there are patches.
    #[error("masking {batch} images of {patches} patches needs as many noise values, not {found}")]
    NoiseLength {
        /// Images.
        batch: usize,
        /// Patches of one image.
        patches: usize,
        /// Values that came.
        found: usize,
    },
    /// A noise value has no place in an order.
    #[error("noise value {index} is not a number; give finite noise")]
    NoiseNan {
        /// Its place.
        index: usize,
    },
    /// A weight file could not be opened or read.
    #[error("cannot read {}: {source}; check that the path exists and may be read", path.display())]
    Io {
        /// The file at fault.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A weight file is damaged or in a format that is not supported.
    #[error("{} is not a readable weight file (.pth or .safetensors): {reason}", path.display())]
    Format {
        /// The file at fault.
        path: PathBuf,
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// Weights that are no Vision Transformer's, or from which a size cannot be read.
    #[error("these weights are no Vision Transformer's in the MAE / timm layout: {reason}")]
    Architecture {
        /// What is missing or contradictory.
        reason: String,
    },
    /// Safetensors files.
    #[error(transparent)]
    File(#[from] venule_file::Error),
    /// Parameters or layers.
    #[error(transparent)]
    Nn(#[from] venule_nn::Error),
    /// A tensor operation failed.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
