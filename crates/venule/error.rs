use std::path::PathBuf;

/// Everything that can go wrong above the single crates.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A preset of this name does not exist.
    #[error(
        "there is no preset '{name}'{}; choose one of {known}",
        meant(name, known)
    )]
    Preset {
        /// The name that came.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A kind of part that no one has registered.
    #[error(
        "there is no {what} of the kind '{kind}'{}; known kinds: {known}. A kind of one's own is added to a `Registry` before a file that names it is read",
        meant(kind, known)
    )]
    UnknownKind {
        /// What was looked for: an encoder, a decoder.
        what: &'static str,
        /// The name that came.
        kind: String,
        /// The names there are.
        known: String,
    },
    /// A part of a model that cannot be written as ONNX.
    #[error("a model with the {what} '{kind}' cannot be written as ONNX; kinds that can: {known}")]
    OnnxKind {
        /// What it is: an encoder, a decoder.
        what: &'static str,
        /// Its kind.
        kind: String,
        /// The kinds that can.
        known: String,
    },
    /// A kind of part was registered twice.
    #[error(
        "a {what} of the kind '{kind}' is registered already; give the other a name of its own"
    )]
    Registered {
        /// What was to be registered.
        what: &'static str,
        /// The name.
        kind: String,
    },
    /// A part of a model refuses its settings.
    #[error("the part '{part}' cannot be made: {reason}")]
    Part {
        /// Its kind.
        part: String,
        /// What is wrong.
        reason: String,
    },
    /// An encoder and a decoder that do not fit together.
    #[error("the decoder '{decoder}' does not fit the encoder '{encoder}': {reason}")]
    Parts {
        /// The encoder's kind.
        encoder: String,
        /// The decoder's kind.
        decoder: String,
        /// What is wrong.
        reason: String,
    },
    /// A trained model to start from has other variables.
    #[error(
        "a fine-tuning of this model cannot start from {name}: {misfit} is missing there or has another shape (its encoder {encoder}, its decoder {decoder}); take its architecture, or the part that fits"
    )]
    Start {
        /// The model to start from.
        name: String,
        /// The first variable that does not fit.
        misfit: String,
        /// Whether the encoder fits.
        encoder: &'static str,
        /// Whether the decoder fits.
        decoder: &'static str,
    },
    /// A teacher that learns without labels finds hardly any vessel, or vessels nearly everywhere.
    #[error(
        "self-training has collapsed: the teacher takes {:.1} % of the field of view for vessels{}; {}",
        100.0 * vessels,
        at_start.map_or(String::new(), |share| format!(", and took {:.1} % at the start", 100.0 * share)),
        match at_start {
            Some(_) => "checkpoints saved before are kept; lower the learning rate, raise the teacher's decay (`train.ema.decay`), or train on labelled or synthetic photographs beside",
            None => "such a start can teach nothing: take weights that find vessels in these photographs",
        }
    )]
    Collapse {
        /// The share of the field of view that it marks now.
        vessels: f64,
        /// The share that it marked when teaching began; none if that is the one.
        at_start: Option<f64>,
    },
    /// Preprocessing gives images of other channels than the network takes.
    #[error(
        "`preprocess.channel` is '{channel}', which gives images of {given} channel(s), but the network takes {taken} (`in_channels` of the model's encoder and decoder): set `preprocess.channel` to {}, or `in_channels` of both to {given}",
        channel_of(*taken)
    )]
    Channels {
        /// The channels of the preprocessing, by name.
        channel: &'static str,
        /// How many it gives.
        given: usize,
        /// How many the network takes.
        taken: usize,
    },
    /// A device name that is not understood, or not part of this build.
    #[error("device '{name}' cannot be used: {reason}")]
    Device {
        /// The name that came.
        name: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A weights file without the metadata that this use needs.
    #[error("{} cannot be used as {wanted}: {reason}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What it was to be used as.
        wanted: &'static str,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// A run's configuration is not understood.
    #[error("{}: {reason}", path.display())]
    RunFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A setting is out of range.
    #[error("{field} is {value}, but {expected}")]
    Config {
        /// The setting.
        field: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// A weight that cannot be saved.
    #[error("'{name}' holds a value that is not finite as {dtype}; nothing was written")]
    NotFinite {
        /// The variable.
        name: String,
        /// The type it was to be saved in.
        dtype: &'static str,
    },
    /// A network's output is no probability.
    #[error(
        "the network gave {value} for a pixel, which is no probability: its weights are damaged, or hold values that are not finite or far too large"
    )]
    Output {
        /// What it gave.
        value: f32,
    },
    /// A [`Cancel`](crate::Cancel) said so.
    #[error("the segmentation was cancelled; nothing of it is kept")]
    Cancelled,
    /// A data set has no image where some are needed.
    #[error("there are no {what}; {remedy}")]
    NoData {
        /// Which images.
        what: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A photograph in an evaluation has no label.
    #[error("image '{id}' has no label; evaluation needs one for every image")]
    Unlabelled {
        /// The image.
        id: String,
    },
    /// From the layers and the parameter store.
    #[error(transparent)]
    Nn(#[from] venule_nn::Error),
    /// From the masked autoencoder.
    #[error(transparent)]
    Mae(#[from] venule_mae::Error),
    /// From the segmentation model.
    #[error(transparent)]
    Seg(#[from] venule_seg::Error),
    /// From writing and reading ONNX files.
    #[error(transparent)]
    Onnx(#[from] venule_onnx::Error),
    /// From the losses.
    #[error(transparent)]
    Loss(#[from] venule_loss::Error),
    /// From the metrics.
    #[error(transparent)]
    Metrics(#[from] venule_metrics::Error),
    /// From the data.
    #[error(transparent)]
    Data(#[from] venule_data::Error),
    /// From files of weights, and from writing.
    #[error(transparent)]
    File(#[from] venule_file::Error),
    /// A system of an application's own, by [`Predict`](crate::Predict), failed.
    #[error("the system that finds vessels failed: {source}")]
    System {
        /// The system's own error.
        source: BoxError,
    },
    /// From training.
    #[cfg(feature = "train")]
    #[error(transparent)]
    Train(#[from] venule_train::Error),
    /// A tensor operation failed.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// Which of the known names, between commas, is meant by a misspelt one.
fn meant(name: &str, known: &str) -> String {
    let distance = |known: &&str| strsim::levenshtein(&name.to_lowercase(), known);
    let nearest = known.split(", ").min_by_key(distance);
    match nearest.filter(|known| distance(known) <= 1 + name.len() / 4) {
        Some(known) => format!(" (did you mean '{known}'?)"),
        None => String::new(),
    }
}

/// What to set for a network of this many channels.
fn channel_of(channels: usize) -> &'static str {
    match channels {
        1 => "'green' or 'gray'",
        3 => "'rgb' or a table `normalized_rgb` of `mean` and `deviation`",
        _ => "'rgb' with `in_channels` 3, as no setting gives so many",
    }
}

/// An error of an application's own parts.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use crate::ModelConfig;

    #[test]
    fn misspelt_names_are_told_what_is_meant() {
        let said = |name: &str| ModelConfig::preset(name).unwrap_err().to_string();
        assert!(said("compct").contains("(did you mean 'compact'?); choose one of"));
        assert!(said("vit-tny").contains("(did you mean 'vit-tiny'?)"));
        assert!(!said("something else").contains("mean"));
    }
}
