//! Observers of a run.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{BoxError, Error, Picture, Result};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All epochs or steps were run.
    Completed,
    /// The score stopped rising.
    EarlyStopped,
    /// `max_minutes` passed; the run is saved and can be resumed.
    TimeUp,
    /// The stop flag was set; the run is saved and can be resumed.
    Interrupted,
}

/// The best validation so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Its score.
    pub score: f64,
    /// The epoch it followed, from 0.
    pub epoch: usize,
    /// The steps taken until then.
    pub step: usize,
}

/// A run about to begin or to go on.
#[derive(Debug, Clone, Copy)]
pub struct StartInfo<'a> {
    /// The task's name.
    pub task: &'a str,
    /// The run folder.
    pub directory: Option<&'a Path>,
    /// The number of scalar parameters.
    pub parameters: usize,
    /// The number of epochs.
    pub epochs: usize,
    /// The number of optimizer steps of the whole run.
    pub total_steps: usize,
    /// The number of optimizer steps of an epoch.
    pub steps_per_epoch: usize,
    /// Whether the run goes on from a checkpoint.
    pub resumed: bool,
    /// The steps taken so far.
    pub step: usize,
    /// The epoch of the next batch, from 0.
    pub epoch: usize,
}

/// An optimizer step that has been taken or skipped.
#[derive(Debug, Clone, Copy)]
pub struct StepInfo<'a> {
    /// Epoch, from 0.
    pub epoch: usize,
    /// The last batch of the step, from 0.
    pub batch: usize,
    /// Steps taken, this one included.
    pub step: usize,
    /// The number of optimizer steps of the whole run.
    pub total_steps: usize,
    /// The learning rate.
    pub lr: f64,
    /// The loss, a mean over samples; `None` if it was not finite.
    pub loss: Option<f64>,
    /// The task's terms, means over samples; none where the loss was not finite.
    pub terms: &'a [(String, f64)],
    /// The number of samples behind them.
    pub samples: usize,
    /// The global gradient norm before clipping; `None` if it was not finite.
    pub grad_norm: Option<f64>,
    /// Whether the step was skipped because something was not finite.
    pub skipped: bool,
    /// Time since the start of this process's run.
    pub elapsed: Duration,
}

/// An epoch that has been run.
#[derive(Debug, Clone, Copy)]
pub struct EpochInfo<'a> {
    /// Epoch, from 0.
    pub epoch: usize,
    /// The number of epochs.
    pub epochs: usize,
    /// Steps taken so far.
    pub step: usize,
    /// The learning rate of its last step.
    pub lr: f64,
    /// The mean training loss; `None` if every step was skipped.
    pub loss: Option<f64>,
    /// The means of the task's terms.
    pub terms: &'a [(String, f64)],
    /// The number of samples.
    pub samples: usize,
    /// Time since the start of this process's run.
    pub elapsed: Duration,
}

/// A validation that has been run.
#[derive(Debug, Clone, Copy)]
pub struct ValidationInfo<'a> {
    /// The epoch it followed, from 0.
    pub epoch: usize,
    /// Steps taken so far.
    pub step: usize,
    /// The score; `None` if it was not finite.
    pub score: Option<f64>,
    /// The task's other numbers.
    pub metrics: &'a [(String, f64)],
    /// Whether the score is the best so far.
    pub is_best: bool,
    /// Time since the start of this process's run.
    pub elapsed: Duration,
}

/// Pictures that the task made after an epoch.
#[derive(Debug, Clone, Copy)]
pub struct PicturesInfo<'a> {
    /// The epoch they followed, from 0.
    pub epoch: usize,
    /// Steps taken so far.
    pub step: usize,
    /// The pictures.
    pub pictures: &'a [Picture],
}

/// What a saved file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointKind {
    /// Weights and training state, from which the run can be resumed.
    Resumable,
    /// The weights of the best validation.
    Best,
    /// The weights at the end of the run.
    Final,
}

/// A file that has been saved.
#[derive(Debug, Clone, Copy)]
pub struct CheckpointInfo<'a> {
    /// The weights file.
    pub path: &'a Path,
    /// What it is.
    pub kind: CheckpointKind,
    /// Steps taken so far.
    pub step: usize,
}

/// A run that has ended.
#[derive(Debug, Clone, Copy)]
pub struct EndInfo {
    /// How it ended.
    pub outcome: Outcome,
    /// Steps taken, over all sessions.
    pub step: usize,
    /// The best validation.
    pub best: Option<Best>,
    /// Steps skipped because something was not finite.
    pub skipped: usize,
    /// Time since the start of this process's run.
    pub elapsed: Duration,
}

/// An observer of a run: logs, bars, plots. It cannot change the run, except by failing.
///
/// Every method does nothing by default. `state` and `load_state` let an observer that counts
/// (lines of a log, points of a curve) go on exactly where a resumed run does.
pub trait Callback {
    /// A name unique among the callbacks of a run; its state is saved under it.
    fn name(&self) -> &str;

    /// Before the first batch; on resuming, after [`Callback::load_state`].
    ///
    /// # Errors
    /// Whatever fails in the callback; training stops with it. This holds for every method.
    fn on_start(&mut self, info: &StartInfo<'_>) -> Result<(), BoxError> {
        let _ = info;
        Ok(())
    }

    /// After every optimizer step.
    ///
    /// # Errors
    /// See [`Callback::on_start`].
    fn on_step(&mut self, info: &StepInfo<'_>) -> Result<(), BoxError> {
        let _ = info;
        Ok(())
    }

    /// After the last step of an epoch, before its validation.
    ///
    /// # Errors
    /// See [`Callback::on_start`].
    fn on_epoch(&mut self, info: &EpochInfo<'_>) -> Result<(), BoxError> {
        let _ = info;
        Ok(())
    }

    /// After every validation.
    ///
    /// # Errors
    /// See [`Callback::on_start`].
    fn on_validation(&mut self, info: &ValidationInfo<'_>) -> Result<(), BoxError> {
        let _ = info;
        Ok(())
    }

    /// Whether the task is to make pictures for [`Callback::on_pictures`], which takes time. Default: no.
    fn wants_pictures(&self) -> bool {
        false
    }

    /// After the task has made pictures.
    ///
    /// # Errors
    /// See [`Callback::on_start`].
    fn on_pictures(&mut self, info: &PicturesInfo<'_>) -> Result<(), BoxError> {
        let _ = info;
        Ok(())
    }

    /// Before a checkpoint is saved: the place to sync files whose content [`Callback::state`] counts on.
    ///
    /// # Errors
    /// See [`Callback::on_start`].
    fn before_checkpoint(&mut self) -> Result<(), BoxError> {
        Ok(())
    }

    /// After a file has been saved.
    ///
    /// # Errors
    /// See [`Callback::on_start`].
    fn on_checkpoint(&mut self, info: &CheckpointInfo<'_>) -> Result<(), BoxError> {
        let _ = info;
        Ok(())
    }

    /// Something a person should know: a damaged checkpoint passed over, a step skipped.
    ///
    /// # Errors
    /// See [`Callback::on_start`].
    fn on_notice(&mut self, message: &str) -> Result<(), BoxError> {
        let _ = message;
        Ok(())
    }

    /// At the end, however it came, unless by an error.
    ///
    /// # Errors
    /// See [`Callback::on_start`].
    fn on_end(&mut self, info: &EndInfo) -> Result<(), BoxError> {
        let _ = info;
        Ok(())
    }

    /// What must be saved with a checkpoint to go on as if never interrupted. It must not depend
    /// on the clock, or equal runs would give unequal files.
    fn state(&self) -> Value {
        Value::Null
    }

    /// Restores [`Callback::state`]; called on resuming, with `Null` where nothing was saved.
    ///
    /// # Errors
    /// If `state` is not one of this callback.
    fn load_state(&mut self, state: &Value) -> Result<(), BoxError> {
        let _ = state;
        Ok(())
    }
}

/// Calls every observer in turn; the first error ends it and names the observer.
pub(crate) fn tell(
    callbacks: &mut [Box<dyn Callback>],
    mut f: impl FnMut(&mut dyn Callback) -> Result<(), BoxError>,
) -> Result<()> {
    for callback in callbacks {
        f(callback.as_mut()).map_err(|source| callback_error(callback.as_ref(), source))?;
    }
    Ok(())
}

pub(crate) fn callback_error(callback: &dyn Callback, source: BoxError) -> Error {
    Error::Callback {
        callback: callback.name().to_string(),
        source,
    }
}
