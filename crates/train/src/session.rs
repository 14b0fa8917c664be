//! A run in progress: the state of the training loop and its steps.

mod ranks;
mod saving;
mod start;
mod step;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use candle_core::Var;

use self::ranks::Ranks;
use crate::callback::{CheckpointKind, EndInfo, EpochInfo, PicturesInfo, ValidationInfo, tell};
use crate::checkpoint::{BEST_FILE, FINAL_FILE, RunFolder};
use crate::state::{RunState, Sums};
use crate::{
    AdamW, Best, BoxError, Callback, Communicator, Ema, Error, LrSchedule, Outcome, Position,
    Report, Result, RunOptions, Task, TrainConfig, Validation,
};

/// What a run is made of, its task apart.
pub(crate) struct Setup {
    pub(crate) config: TrainConfig,
    pub(crate) options: RunOptions,
    pub(crate) callbacks: Vec<Box<dyn Callback>>,
    /// In place of the settings' own.
    pub(crate) schedule: Option<Box<dyn LrSchedule>>,
    pub(crate) stop: Option<Arc<AtomicBool>>,
    pub(crate) communicator: Option<Rc<dyn Communicator>>,
}

/// A run in progress.
pub(crate) struct Session<'a> {
    config: TrainConfig,
    options: RunOptions,
    task: &'a mut dyn Task,
    callbacks: Vec<Box<dyn Callback>>,
    schedule: Box<dyn LrSchedule>,
    stop: Option<Arc<AtomicBool>>,
    /// None if this process trains alone.
    ranks: Option<Ranks>,
    folder: Option<RunFolder>,
    params: Vec<(String, Var)>,
    /// Which of them are trainable in this epoch.
    trainable: Vec<bool>,
    /// Whether the next step must reach all of them.
    expects_gradients: bool,
    optimizer: AdamW,
    average: Option<Ema>,
    state: RunState,
    steps_per_epoch: usize,
    total_steps: usize,
    resumed: bool,
    /// The epoch, batch and step of the newest checkpoint: another one there would say the same.
    saved: Option<(usize, usize, usize)>,
    last_loss: Option<f64>,
    best_path: Option<PathBuf>,
    started: Instant,
}

impl<'a> Session<'a> {
    pub(crate) fn new(setup: Setup, task: &'a mut dyn Task) -> Result<Self> {
        let (config, mut options) = (setup.config, setup.options);
        let ranks = Ranks::new(setup.communicator);
        if let Some(ranks) = &ranks {
            let (ranks, accumulation) = (ranks.size(), config.accumulation);
            if !accumulation.is_multiple_of(ranks) {
                return Err(Error::Ranks {
                    ranks,
                    accumulation,
                });
            }
        }
        // One process writes; it tells the others from where it goes on.
        if ranks.as_ref().is_some_and(|ranks| !ranks.is_first()) {
            (options.directory, options.resume) = (None, false);
        }
        let params = task.parameters().into_iter();
        let params: Vec<_> = params.map(|param| (param.name, param.var)).collect();
        if params.is_empty() {
            return Err(Error::NoParameters {
                task: task.name().to_string(),
            });
        }
        let mut names = BTreeSet::new();
        if let Some((name, _)) = params.iter().find(|(name, _)| !names.insert(name)) {
            return Err(Error::DuplicateParameter { name: name.clone() });
        }
        let batches = task.batches_per_epoch();
        if batches == 0 {
            return Err(Error::NoBatches {
                task: task.name().to_string(),
            });
        }
        let schedule = match setup.schedule {
            Some(schedule) => schedule,
            None => config.build_schedule(config.rate_for(task.samples_per_batch())?)?,
        };
        let average = match config.ema {
            Some(ema) => Some(Ema::new(&params, ema)?),
            None => None,
        };
        if task.has_teacher() && average.is_none() {
            return Err(Error::Config {
                field: "ema",
                value: "none".to_owned(),
                expected: "a mean teacher is the average of the weights: set a decay, such as 0.995",
            });
        }
        let steps_per_epoch = batches.div_ceil(config.accumulation);
        let planned = config.epochs.saturating_mul(steps_per_epoch);
        // Opened last: a mistake in the arguments leaves no folder behind.
        let optimizer = AdamW::new(task.groups(&config), config.adamw)?;
        let folder = match &options.directory {
            Some(directory) => Some(RunFolder::open(directory)?),
            None => None,
        };
        Ok(Self {
            optimizer,
            state: RunState::new(&config, batches),
            total_steps: planned.min(config.max_steps.unwrap_or(usize::MAX)),
            steps_per_epoch,
            schedule,
            average,
            params,
            trainable: Vec::new(),
            expects_gradients: false,
            folder,
            task,
            callbacks: setup.callbacks,
            stop: setup.stop,
            ranks,
            config,
            options,
            resumed: false,
            saved: None,
            last_loss: None,
            best_path: None,
            started: Instant::now(),
        })
    }

    pub(crate) fn run(&mut self) -> Result<Report> {
        let outcome = loop {
            let steps_done = self.state.step >= self.total_steps && self.state.batch == 0;
            if self.state.epoch >= self.config.epochs || steps_done {
                break Outcome::Completed;
            }
            let patience = self.config.early_stopping.unwrap_or(usize::MAX);
            if self.state.since_best >= patience && self.state.batch == 0 {
                break Outcome::EarlyStopped;
            }
            if let Some(outcome) = self.run_epoch()? {
                break outcome;
            }
        };
        let final_path = match outcome {
            Outcome::Completed | Outcome::EarlyStopped => {
                self.save_weights(FINAL_FILE, CheckpointKind::Final)?
            }
            Outcome::TimeUp | Outcome::Interrupted => None,
        };
        // None leaves before all is written.
        if let Some(ranks) = &mut self.ranks {
            ranks.barrier()?;
        }
        let info = EndInfo {
            outcome,
            step: self.state.step,
            best: self.state.best,
            skipped: self.state.skipped,
            elapsed: self.elapsed(),
        };
        tell(&mut self.callbacks, |callback| callback.on_end(&info))?;
        Ok(Report {
            outcome,
            steps: self.state.step,
            epochs: self.state.epoch,
            best: self.state.best,
            loss: self.last_loss,
            skipped: self.state.skipped,
            best_path: self.best_path.clone(),
            final_path,
            communication: self.ranks.as_ref().map(|ranks| ranks.spent),
        })
    }

    /// The rest of the present epoch; gives an outcome if the run was stopped within it.
    fn run_epoch(&mut self) -> Result<Option<Outcome>> {
        let batches = self.state.batches_per_epoch;
        if self.state.batch < batches && self.state.step < self.total_steps {
            let position = self.position(self.state.batch);
            let started = self.task.start_epoch(position);
            started.map_err(|source| self.task_error(source))?;
            self.ask_what_is_trainable();
        }
        while self.state.batch < batches && self.state.step < self.total_steps {
            if let Some(outcome) = self.stopped()? {
                self.save()?;
                return Ok(Some(outcome));
            }
            self.optimizer_step()?;
            let due = self
                .options
                .checkpoint_every_steps
                .is_some_and(|every| self.state.step.is_multiple_of(every));
            // At the end of an epoch a checkpoint is saved anyway, after validation.
            if due && self.state.batch < batches && self.state.step < self.total_steps {
                self.save()?;
            }
        }
        // Before validation, which may take minutes; it is made up for on resuming.
        if let Some(outcome) = self.stopped()? {
            self.save()?;
            return Ok(Some(outcome));
        }
        self.end_epoch()?;
        Ok(None)
    }

    /// A set of trainable parameters that is new is watched in its first step.
    fn ask_what_is_trainable(&mut self) {
        let params = self.task.parameters().into_iter();
        let trainable: Vec<bool> = params.map(|param| param.trainable).collect();
        if trainable != self.trainable {
            self.trainable = trainable;
            self.expects_gradients = !self.options.allow_unused;
        }
    }

    /// Means, validation, schedule, best weights, checkpoint.
    fn end_epoch(&mut self) -> Result<()> {
        let epoch = self.state.epoch;
        let loss = self.state.sums.loss();
        let terms = self.state.sums.terms();
        self.last_loss = loss;
        let info = EpochInfo {
            epoch,
            epochs: self.config.epochs,
            step: self.state.step,
            lr: self.state.lr,
            loss,
            terms: &terms,
            samples: self.state.sums.samples(),
            elapsed: self.elapsed(),
        };
        tell(&mut self.callbacks, |callback| callback.on_epoch(&info))?;
        let every = self.config.validate_every;
        let last = epoch + 1 >= self.config.epochs || self.state.step >= self.total_steps;
        let due = every > 0 && ((epoch + 1).is_multiple_of(every) || last);
        self.expect_equal_weights()?;
        let validation = if due { self.validate()? } else { None };
        let mut is_best = false;
        match &validation {
            Some(validation) => is_best = self.judge(validation)?,
            // A task that is never scored still lets its schedule watch the loss.
            None if due || every == 0 => self.schedule.observe(-loss.unwrap_or(f64::NAN)),
            None => {}
        }
        self.state.epoch += 1;
        self.state.batch = 0;
        self.state.sums = Sums::default();
        if is_best {
            // Before the checkpoint that remembers its score: a kill in between loses nothing.
            self.best_path = self.save_weights(BEST_FILE, CheckpointKind::Best)?;
        }
        self.save()
    }

    /// Validates, and has pictures made where a callback wants them, with the averaged weights if there are any.
    fn validate(&mut self) -> Result<Option<Validation>> {
        let epoch = self.state.epoch;
        // One process validates: on machines that differ others might judge differently.
        if self.ranks.as_ref().is_some_and(|ranks| !ranks.is_first()) {
            return self.share_validation(None);
        }
        let wanted = self
            .callbacks
            .iter()
            .any(|callback| callback.wants_pictures());
        let (validation, pictures) = self.averaged(|task| {
            let validation = task.validate(epoch)?;
            let pictures = match wanted {
                true => task.pictures(epoch)?,
                false => Vec::new(),
            };
            Ok((validation, pictures))
        })?;
        if !pictures.is_empty() {
            let info = PicturesInfo {
                epoch,
                step: self.state.step,
                pictures: &pictures,
            };
            tell(&mut self.callbacks, |callback| callback.on_pictures(&info))?;
        }
        self.share_validation(validation)
    }

    /// What the task does with the averaged weights in place, if there are any.
    fn averaged<T>(
        &mut self,
        call: impl FnOnce(&mut dyn Task) -> std::result::Result<T, BoxError>,
    ) -> Result<T> {
        if let Some(average) = &mut self.average {
            average.swap()?;
        }
        let result = call(self.task);
        if let Some(average) = &mut self.average {
            average.swap()?;
        }
        result.map_err(|source| self.task_error(source))
    }

    /// Whether the validation is the best so far; tells schedule and callbacks.
    fn judge(&mut self, validation: &Validation) -> Result<bool> {
        let score = validation.score;
        self.schedule.observe(score);
        let is_best = score.is_finite() && self.state.best.is_none_or(|best| score > best.score);
        if is_best {
            self.state.best = Some(Best {
                score,
                epoch: self.state.epoch,
                step: self.state.step,
            });
            self.state.since_best = 0;
        } else {
            self.state.since_best += 1;
        }
        let info = ValidationInfo {
            epoch: self.state.epoch,
            step: self.state.step,
            score: score.is_finite().then_some(score),
            metrics: &validation.metrics,
            is_best,
            elapsed: self.elapsed(),
        };
        tell(&mut self.callbacks, |callback| {
            callback.on_validation(&info)
        })?;
        if !score.is_finite() {
            self.notice("the validation score is not finite and counts as no improvement")?;
        }
        Ok(is_best)
    }

    fn notice(&mut self, message: &str) -> Result<()> {
        tracing::warn!(task = self.task.name(), "{message}");
        tell(&mut self.callbacks, |callback| callback.on_notice(message))
    }

    /// Why the run stops now, if it does.
    fn stopped(&mut self) -> Result<Option<Outcome>> {
        let flag = self.stop.as_ref();
        let minutes = self.elapsed().as_secs_f64() / 60.0;
        let own = match self.options.max_minutes {
            _ if flag.is_some_and(|flag| flag.load(Ordering::SeqCst)) => Some(Outcome::Interrupted),
            Some(limit) if minutes >= limit => Some(Outcome::TimeUp),
            _ => None,
        };
        match &mut self.ranks {
            Some(ranks) => ranks.agree_to_stop(own),
            None => Ok(own),
        }
    }

    fn position(&self, batch: usize) -> Position {
        Position {
            epoch: self.state.epoch,
            batch,
            step: self.state.step,
            seed: self.config.seed,
        }
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn task_error(&self, source: BoxError) -> Error {
        Error::Task {
            task: self.task.name().to_string(),
            epoch: self.state.epoch,
            source,
        }
    }
}
