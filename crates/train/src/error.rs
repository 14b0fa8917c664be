//! What can go wrong, one variant per cause.

use std::path::PathBuf;

/// An error of code that this crate calls but does not own: tasks and callbacks.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every failure of this crate; each message says what was expected, what came and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is outside its range.
    #[error("training setting `{field}`: expected {expected}, got {value}")]
    Config {
        /// The name of the setting.
        field: &'static str,
        /// What was given.
        value: String,
        /// The range that is accepted.
        expected: &'static str,
    },
    /// The task has nothing to train.
    #[error("the task `{task}` has no trainable parameter; unfreeze a part of the model")]
    NoParameters {
        /// The name of the task.
        task: String,
    },
    /// Two parameters carry one name, so that a checkpoint could not tell them apart.
    #[error("the parameter name `{name}` occurs twice; give every variable its own name")]
    DuplicateParameter {
        /// The repeated name.
        name: String,
    },
    /// The task yields no batch.
    #[error("the task `{task}` has no batch in an epoch; give it data, or a smaller batch size")]
    NoBatches {
        /// The name of the task.
        task: String,
    },
    /// The run folder already holds a run, and resuming was not asked for or is not possible.
    #[error(
        "{} already holds a run ({found}); {}choose another folder: a run is never overwritten",
        directory.display(),
        if *resumable { "resume it, which starts afresh where nothing was saved, or " } else { "" }
    )]
    RunExists {
        /// Whether resuming would go on from it, or start it afresh.
        resumable: bool,
        /// The run folder.
        directory: PathBuf,
        /// The first file that was found there.
        found: String,
    },
    /// Another process writes to the run folder.
    #[error(
        "{} is in use by another training process ({holder}); wait for it to end, or choose another folder",
        directory.display()
    )]
    Locked {
        /// The run folder.
        directory: PathBuf,
        /// Who holds the lock, as far as known.
        holder: String,
    },
    /// The operating system refused a file operation.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file ends before its header says so.
    #[error(
        "{} is truncated ({length} bytes: {reason}); copy it again, or use an older checkpoint",
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
        "{} is damaged: its checksum is {found}, {expected} was written; copy it again, or use an older checkpoint",
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
    /// The training state beside the weights cannot be used.
    #[error("{} is no usable training state: {reason}; use an older checkpoint", path.display())]
    State {
        /// The state file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The run folder has checkpoints and none of them is intact.
    #[error(
        "{} has no intact checkpoint: {}; restore one from a copy, or train anew in another folder",
        directory.display(),
        tried.join("; ")
    )]
    NoIntactCheckpoint {
        /// The run folder.
        directory: PathBuf,
        /// One message for each file tried, the newest first.
        tried: Vec<String>,
    },
    /// The run to be resumed was made under other conditions.
    #[error(
        "{} cannot be resumed: its {what} was {saved}, now it is {now}; resume with the same data and settings, or train anew in another folder",
        path.display()
    )]
    RunMismatch {
        /// The state file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// The value in the file.
        saved: String,
        /// The value now.
        now: String,
    },
    /// A metadata key collides with one that this crate writes itself.
    #[error("the metadata key `{key}` is reserved for the checkpoint itself; rename it")]
    ReservedMetadata {
        /// The key.
        key: String,
    },
    /// Loss or gradient was not finite more often than allowed.
    #[error(
        "the {what} is not finite in epoch {}, batch {} (step {}; {count} such steps, {limit} allowed); \
         lower the learning rate, clip gradients, or look at this batch's images",
        epoch + 1,
        batch + 1,
        step + 1
    )]
    NonFinite {
        /// `loss` or `gradient`.
        what: &'static str,
        /// Epoch, from 0.
        epoch: usize,
        /// Batch in the epoch, from 0; the last one of a step that accumulates.
        batch: usize,
        /// Optimizer step, from 0.
        step: usize,
        /// How many steps were skipped so far, this one included.
        count: usize,
        /// How many were allowed.
        limit: usize,
    },
    /// A saved optimizer, average or schedule does not fit.
    #[error("the saved {what} does not fit: {reason}")]
    Restore {
        /// What was to be restored.
        what: &'static str,
        /// Why it cannot be.
        reason: String,
    },
    /// The task failed.
    #[error("the task `{task}` failed in epoch {}: {source}", epoch + 1)]
    Task {
        /// The name of the task.
        task: String,
        /// Epoch, from 0.
        epoch: usize,
        /// The task's own error.
        source: BoxError,
    },
    /// A callback failed.
    #[error("the callback `{callback}` failed: {source}")]
    Callback {
        /// The name of the callback.
        callback: String,
        /// The callback's own error.
        source: BoxError,
    },
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
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

pub(crate) fn io_error(
    action: &'static str,
    path: &std::path::Path,
) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Io {
        action,
        path: path.to_path_buf(),
        source,
    }
}
