//! How a run begins: anew, or from a checkpoint.

use super::Session;
use crate::callback::{StartInfo, callback_error, tell};
use crate::checkpoint::{BEST_FILE, RunFolder};
use crate::state::RunState;
use crate::{Ema, Error, Result, TrainConfig};

impl Session<'_> {
    /// Protects an existing run, or goes on from it, on all ranks alike.
    pub(crate) fn start(&mut self) -> Result<()> {
        self.expect_alike()?;
        self.begin()?;
        self.follow_the_first()
    }

    fn begin(&mut self) -> Result<()> {
        if let Some(folder) = &self.folder {
            let existing = match self.options.resume {
                true if folder.has_checkpoint()? => return self.resume_and_tell(),
                // An interrupted first epoch leaves a log or best weights; a finished run is more.
                true => folder.finished_run(),
                false => folder.existing_run()?,
            };
            if let Some(found) = existing {
                return Err(Error::RunExists {
                    resumable: !self.options.resume,
                    directory: folder.path().to_path_buf(),
                    found,
                });
            }
        }
        if self.options.resume {
            self.notice("nothing has been saved yet: training starts from the beginning")?;
        }
        self.tell_start()
    }

    fn resume_and_tell(&mut self) -> Result<()> {
        self.resume()?;
        self.tell_start()?;
        match &self.folder {
            // It comes again at the new end; until then this run is not finished.
            Some(folder) if self.state.step < self.total_steps => folder.remove_final(),
            _ => Ok(()),
        }
    }

    fn tell_start(&mut self) -> Result<()> {
        let parameters = self.params.iter().map(|(_, var)| var.elem_count()).sum();
        let info = StartInfo {
            task: self.task.name(),
            directory: self.folder.as_ref().map(RunFolder::path),
            parameters,
            epochs: self.config.epochs,
            total_steps: self.total_steps,
            steps_per_epoch: self.steps_per_epoch,
            resumed: self.resumed,
            step: self.state.step,
            epoch: self.state.epoch,
        };
        tell(&mut self.callbacks, |callback| callback.on_start(&info))
    }

    fn resume(&mut self) -> Result<()> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let mut notices = Vec::new();
        let loaded = folder.load_latest(|error| {
            notices.push(format!(
                "passing over a checkpoint that is not intact: {error}"
            ));
        })?;
        let state = loaded.state.clone();
        let batches = self.state.batches_per_epoch;
        for (what, saved, now) in [
            ("seed", state.seed, self.config.seed),
            (
                "number of batches in an epoch",
                state.batches_per_epoch as u64,
                batches as u64,
            ),
            (
                "accumulation",
                state.config.accumulation as u64,
                self.config.accumulation as u64,
            ),
        ] {
            if saved != now {
                return Err(Error::RunMismatch {
                    path: loaded.state_path.clone(),
                    what,
                    saved: saved.to_string(),
                    now: now.to_string(),
                });
            }
        }
        if state.config != self.config {
            notices.push(
                "the settings differ from those of the saved run: it goes on under the new ones"
                    .into(),
            );
        }
        loaded.restore_weights(&self.params)?;
        self.optimizer.load_state(&loaded.optimizer)?;
        if let Some(average) = &mut self.average {
            if loaded.average.is_empty() {
                notices.push("the saved run averaged no weights: the average starts here".into());
                *average = Ema::new(&self.params, self.config.ema.unwrap_or_default())?;
            } else {
                average.load(&loaded.average, state.average_updates)?;
            }
        }
        // The state of a schedule holds the learning rate: under another rate or schedule it begins anew.
        let schedule = |config: &TrainConfig| {
            let TrainConfig {
                schedule,
                learning_rate,
                base_learning_rate,
                ..
            } = config;
            (schedule.clone(), *learning_rate, *base_learning_rate)
        };
        if schedule(&state.config) == schedule(&self.config) {
            self.schedule.load_state(&state.schedule)?;
        }
        self.task
            .load_state(&state.task)
            .map_err(|source| Error::Task {
                task: self.task.name().to_string(),
                epoch: state.epoch,
                source,
            })?;
        for callback in &mut self.callbacks {
            let saved = state.callbacks.get(callback.name());
            callback
                .load_state(saved.unwrap_or(&serde_json::Value::Null))
                .map_err(|source| callback_error(callback.as_ref(), source))?;
        }
        let best = folder.path().join(BEST_FILE);
        self.best_path = (state.best.is_some() && best.exists()).then_some(best);
        self.state = RunState {
            config: self.config.clone(),
            ..state
        };
        self.resumed = true;
        self.saved = Some((self.state.epoch, self.state.batch, self.state.step));
        notices.iter().try_for_each(|notice| self.notice(notice))
    }
}
