use std::path::PathBuf;

use crate::Difference;
use crate::report::lines;

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
    /// A download or a copy that ended early.
    #[error("{}: the file is cut off: its end is missing; fetch it again", path.display())]
    CutOff {
        /// The file at fault.
        path: PathBuf,
    },
    /// A value of an encoder that is NaN or infinite.
    #[error(
        "{}: value {place} of tensor `{tensor}` is {value}; the weights are damaged, take an earlier checkpoint or fetch the file again",
        path.display()
    )]
    NotFinite {
        /// The file at fault.
        path: PathBuf,
        /// The tensor's name in the file.
        tensor: String,
        /// Place of the value, row by row.
        place: usize,
        /// The value.
        value: f32,
    },
    /// A file of several dictionaries, of which none or several hold a Vision Transformer.
    #[error("{}: {}", path.display(), key_reason(wanted.as_deref(), keys, transformers))]
    Key {
        /// The file at fault.
        path: PathBuf,
        /// The key that was asked for.
        wanted: Option<String>,
        /// The file's keys at its top, or what its names begin with.
        keys: Vec<String>,
        /// The keys that hold a Vision Transformer.
        transformers: Vec<String>,
    },
    /// Weights of another architecture than the model's.
    #[error(
        "{} does not fit the encoder, which is left as it was:{}",
        path.display(),
        lines(differences)
    )]
    Misfit {
        /// The file.
        path: PathBuf,
        /// All differences, and what takes the file in spite of each.
        differences: Vec<Difference>,
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

fn key_reason(wanted: Option<&str>, keys: &[String], transformers: &[String]) -> String {
    let keys = keys.join(", ");
    match (wanted, transformers) {
        (_, []) if keys.is_empty() => {
            "it holds an empty dictionary, or one without names, and no tensor; write it with torch.save(model.state_dict(), path)".to_owned()
        }
        (Some(wanted), []) => {
            format!("it has no key `{wanted}`, but {keys}, and none holds a Vision Transformer")
        }
        (None, []) => format!(
            "none of its keys {keys} holds a Vision Transformer (no `patch_embed.proj.weight` or Hugging Face's name of it)"
        ),
        (Some(wanted), some) => format!(
            "its key `{wanted}` names no single Vision Transformer; choose one of {}",
            some.join(", ")
        ),
        (None, several) => format!(
            "it holds several Vision Transformers; choose one (`--pretrained-key`): {}",
            several.join(", ")
        ),
    }
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
