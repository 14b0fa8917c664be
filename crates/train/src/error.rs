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
    /// Trainable parameters got no gradient from the batches of a step.
    #[error(
        "in the first step of epoch {} these trainable parameters of the task `{task}` got no gradient: {}; \
         either the graph is cut (candle's LayerNorm, RmsNorm, softmax_last_dim, rope and sdpa have no backward pass and cut it in \
         silence; `detach` does too): take operations that have one, such as venule-nn's; or the parameters are meant to rest: \
         say that they are not trainable, or set the option allow_unused",
        epoch + 1,
        names.join(", ")
    )]
    NoGradient {
        /// The name of the task.
        task: String,
        /// Epoch, from 0.
        epoch: usize,
        /// All of them, in the task's order.
        names: Vec<String>,
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
    /// A file cannot be read or written, is damaged, or holds another architecture.
    #[error(transparent)]
    File(#[from] venule_file::Error),
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
    /// The batches of an optimizer step cannot be shared by the ranks of a [`Communicator`](crate::Communicator).
    #[error(
        "{ranks} processes cannot share the {accumulation} batch{} of an optimizer step, of which each takes whole ones: set \
         `accumulation` to a multiple of {ranks}, with smaller batches for as many samples a step",
        if *accumulation == 1 { "" } else { "es" }
    )]
    Ranks {
        /// How many processes there are.
        ranks: usize,
        /// Batches of a step.
        accumulation: usize,
    },
    /// The ranks were not started alike.
    #[error(
        "the {what} of process {rank} and of process 0 differ; start all with the same program, command and files"
    )]
    RanksDiffer {
        /// The first that differs, from 0.
        rank: usize,
        /// What it has of its own.
        what: &'static str,
    },
    /// The ranks no longer train the same weights.
    #[error(
        "after epoch {} the weights of process {rank} are not those of process 0: the processes compute differently; \
         go on from the checkpoint with machines of one kind",
        epoch + 1
    )]
    RanksDiverge {
        /// The first that differs, from 0.
        rank: usize,
        /// Epoch, from 0.
        epoch: usize,
    },
    /// The ranks cannot speak to each other.
    #[error(
        "process {rank} lost the others: {source}; what was saved is intact, and can be resumed"
    )]
    Communication {
        /// The process that says so, from 0.
        rank: usize,
        /// What the communicator says.
        source: BoxError,
    },
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
