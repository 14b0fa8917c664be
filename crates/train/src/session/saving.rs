//! What a run writes: checkpoints, and weights to be used.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use venule_file::save_weights;

use super::Session;
use crate::callback::{CheckpointInfo, CheckpointKind, tell};
use crate::state::RunState;
use crate::{Ema, Error, Result};

/// The key of the run's own document in weights files.
const TRAINING_KEY: &str = "training";

impl Session<'_> {
    /// Saves a resumable checkpoint, unless the newest one is of this very moment.
    pub(super) fn save(&mut self) -> Result<()> {
        let here = Some((self.state.epoch, self.state.batch, self.state.step));
        let Some(folder) = self.folder.as_ref().filter(|_| self.saved != here) else {
            return Ok(());
        };
        // What a checkpoint counts on must outlast a power loss as it does itself.
        tell(&mut self.callbacks, |callback| callback.before_checkpoint())?;
        let path = folder.save(
            &self.own_weights(),
            &self.metadata("checkpoint")?,
            &self.optimizer,
            self.average.as_ref(),
            self.present_state(),
            self.options.keep,
        )?;
        self.saved = here;
        self.announce(&path, CheckpointKind::Resumable)
    }

    /// The state of all parts that are no tensors.
    pub(super) fn present_state(&self) -> RunState {
        let callbacks = self.callbacks.iter();
        RunState {
            schedule: self.schedule.state(),
            task: self.task.state(),
            average_updates: self.average.as_ref().map_or(0, Ema::updates),
            callbacks: callbacks
                .map(|callback| (callback.name().to_string(), callback.state()))
                .collect(),
            ..self.state.clone()
        }
    }

    /// Saves the weights to be used, averaged if there is an average.
    pub(super) fn save_weights(
        &mut self,
        file: &str,
        kind: CheckpointKind,
    ) -> Result<Option<PathBuf>> {
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        let path = folder.path().join(file);
        let weights = match &self.average {
            Some(average) => average.tensors()?,
            None => self.own_weights(),
        };
        let name = file.split('.').next().unwrap_or(file);
        save_weights(&path, &weights, &self.metadata(name)?)?;
        self.announce(&path, kind)?;
        Ok(Some(path))
    }

    pub(super) fn own_weights(&self) -> Vec<(String, Tensor)> {
        let params = self.params.iter();
        params
            .map(|(name, var)| (name.clone(), var.as_detached_tensor()))
            .collect()
    }

    /// The task's documents and the run's own; no times, so that equal runs give equal bytes.
    fn metadata(&self, kind: &str) -> Result<BTreeMap<String, String>> {
        let mut metadata = self.task.metadata();
        let document = serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "task": self.task.name(),
            "kind": kind,
            "averaged": self.average.is_some() && kind != "checkpoint",
            "epochs": self.state.epoch,
            "step": self.state.step,
            "seed": self.config.seed,
            "best": self.state.best,
        });
        match metadata.insert(TRAINING_KEY.into(), document.to_string()) {
            None => Ok(metadata),
            Some(_) => Err(Error::ReservedMetadata {
                key: TRAINING_KEY.into(),
            }),
        }
    }

    fn announce(&mut self, path: &Path, kind: CheckpointKind) -> Result<()> {
        let info = CheckpointInfo {
            path,
            kind,
            step: self.state.step,
        };
        tell(&mut self.callbacks, |callback| {
            callback.on_checkpoint(&info)
        })
    }
}
