//! What is trained: the loop's only knowledge of model, loss and data.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;
use serde_json::Value;

use crate::{BoxError, ParamGroup, Parameter, TrainConfig};

/// The place of a batch in a run. All randomness of a task is to be keyed by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Epoch, from 0.
    pub epoch: usize,
    /// Batch within the epoch, from 0.
    pub batch: usize,
    /// Optimizer step of the run, from 0; accumulated batches share one.
    pub step: usize,
    /// The seed of the run.
    pub seed: u64,
}

/// What a batch gave.
#[derive(Debug)]
pub struct StepOutput {
    /// The scalar loss, a mean over the batch, with its graph.
    pub loss: Tensor,
    /// The parts of the loss or other numbers to log, by name.
    pub terms: Vec<(String, f64)>,
    /// How many samples the batch held.
    pub samples: usize,
}

/// What a validation gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Validation {
    /// The score by which the best weights are chosen: larger is better.
    pub score: f64,
    /// Further numbers to log, by name.
    pub metrics: Vec<(String, f64)>,
}

/// A picture of what a model does, for people who watch the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Its name, the same from epoch to epoch.
    pub name: String,
    /// Its width in pixels.
    pub width: u32,
    /// Its height in pixels.
    pub height: u32,
    /// The bytes of a PNG file.
    pub png: Vec<u8>,
}

/// A model, a loss and data, as the training loop sees them.
///
/// # Exact resuming
/// A run can be resumed bit for bit if [`Task::step`] depends on nothing but the variables and its
/// `position`: batches are asked for in order within an epoch, but the first one asked for after a
/// start may be any, and the rest of a step's batches are left out once one has a loss that is not finite. Whatever else a task remembers (a threshold found in validation, say) belongs
/// in [`Task::state`].
pub trait Task {
    /// A short name for logs and error messages.
    fn name(&self) -> &str;

    /// All variables of the model, frozen ones too, in a fixed order. They are what a checkpoint
    /// holds; frozen ones and those without a gradient are left alone by the optimizer. Asked for again at the start of every epoch, for what
    /// is trainable then.
    fn parameters(&self) -> Vec<Parameter>;

    /// The number of batches in an epoch, the same for every epoch.
    fn batches_per_epoch(&self) -> usize;

    /// The number of samples of a full batch, by which [`TrainConfig::base_learning_rate`] is scaled;
    /// `None`, the default, if the task cannot say.
    fn samples_per_batch(&self) -> Option<usize> {
        None
    }

    /// The loss of the batch at `position`.
    ///
    /// # Errors
    /// Whatever fails in the task; training stops with it.
    fn step(&mut self, position: Position) -> Result<StepOutput, BoxError>;

    /// Called once before the first epoch of a run that several ranks share, with their number: of an epoch's batches this process is
    /// asked for every so manieth alone, and in rare cases for any other. The default does nothing.
    fn share(&mut self, ranks: usize) {
        let _ = ranks;
    }

    /// Whether [`teach`](Self::teach) is called before every step; the run must then average its weights ([`TrainConfig::ema`]).
    fn has_teacher(&self) -> bool {
        false
    }

    /// Called before [`step`](Self::step) at the same position, with the averaged weights in place of the model's own: the moment to ask
    /// a mean teacher (Tarvainen & Valpola 2017) what the step is to learn. The next step depends on it and on nothing earlier.
    ///
    /// # Errors
    /// Whatever fails in the task; training stops with it.
    fn teach(&mut self, position: Position) -> Result<(), BoxError> {
        let _ = position;
        Ok(())
    }

    /// Called before the first batch of an epoch that is run, with that batch's position: the place
    /// to start loader threads or to unfreeze layers.
    ///
    /// # Errors
    /// Whatever fails in the task; training stops with it.
    fn start_epoch(&mut self, position: Position) -> Result<(), BoxError> {
        let _ = position;
        Ok(())
    }

    /// Scores the model after `epoch` (from 0); `None` if there is nothing to validate on.
    ///
    /// # Errors
    /// Whatever fails in the task; training stops with it.
    fn validate(&mut self, epoch: usize) -> Result<Option<Validation>, BoxError> {
        let _ = epoch;
        Ok(None)
    }

    /// Pictures of what the model does after `epoch`, made in epochs that are validated and only if a callback wants
    /// them. They must leave no trace in what follows: a run with pictures equals one without.
    ///
    /// # Errors
    /// Whatever fails in the task; training stops with it.
    fn pictures(&mut self, epoch: usize) -> Result<Vec<Picture>, BoxError> {
        let _ = epoch;
        Ok(Vec::new())
    }

    /// The parameter groups; by default those of [`TrainConfig::groups`].
    fn groups(&self, config: &TrainConfig) -> Vec<ParamGroup> {
        config.groups(&self.parameters())
    }

    /// JSON documents for the metadata of the weights files: model configuration, preprocessing,
    /// threshold, provenance. The keys `checksum` and `training` are taken.
    fn metadata(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// What the task must remember to go on as if never interrupted.
    fn state(&self) -> Value {
        Value::Null
    }

    /// Restores [`Task::state`].
    ///
    /// # Errors
    /// If `state` is not one of this task.
    fn load_state(&mut self, state: &Value) -> Result<(), BoxError> {
        let _ = state;
        Ok(())
    }

    /// Called for the batch at `position` when its loss is not finite, and for each of a step's batches when the
    /// gradient is not: the place to save it into the run folder for inspection.
    ///
    /// # Errors
    /// Whatever fails in the task; training stops with it.
    fn on_non_finite(
        &mut self,
        position: Position,
        directory: Option<&Path>,
    ) -> Result<(), BoxError> {
        let _ = (position, directory);
        Ok(())
    }
}
