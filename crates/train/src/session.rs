//! A run in progress: the state of the training loop and its steps.

mod saving;
mod start;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use candle_core::Var;
use candle_core::backprop::GradStore;

use crate::callback::{
    CheckpointKind, EndInfo, EpochInfo, PicturesInfo, StepInfo, ValidationInfo, tell,
};
use crate::checkpoint::{BEST_FILE, FINAL_FILE, RunFolder};
use crate::gradient::{GradientAccumulator, clip_factor, gradient_norm, scalar};
use crate::state::{RunState, Sums};
use crate::{
    AdamW, Best, BoxError, Callback, Ema, Error, LrSchedule, Outcome, Position, Progress, Report,
    Result, RunOptions, Task, TrainConfig, Validation,
};

/// What a run is made of, its task apart.
pub(crate) struct Setup {
    pub(crate) config: TrainConfig,
    pub(crate) options: RunOptions,
    pub(crate) callbacks: Vec<Box<dyn Callback>>,
    /// In place of the settings' own.
    pub(crate) schedule: Option<Box<dyn LrSchedule>>,
    pub(crate) stop: Option<Arc<AtomicBool>>,
}

/// A run in progress.
pub(crate) struct Session<'a> {
    config: TrainConfig,
    options: RunOptions,
    task: &'a mut dyn Task,
    callbacks: Vec<Box<dyn Callback>>,
    schedule: Box<dyn LrSchedule>,
    stop: Option<Arc<AtomicBool>>,
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
        let (config, options) = (setup.config, setup.options);
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
            if let Some(outcome) = self.stopped() {
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
        if let Some(outcome) = self.stopped() {
            self.save()?;
            return Ok(Some(outcome));
        }
        self.end_epoch()?;
        Ok(None)
    }

    /// One optimizer step over the next batch or accumulated batches.
    fn optimizer_step(&mut self) -> Result<()> {
        let first = self.state.batch;
        let end = (first + self.config.accumulation).min(self.state.batches_per_epoch);
        let lr = self.schedule.lr(&Progress {
            step: self.state.step,
            total_steps: self.total_steps,
            steps_per_epoch: self.steps_per_epoch,
        });
        let mut parts = Vec::new();
        let mut single: Option<GradStore> = None;
        let mut several = GradientAccumulator::new(&self.params);
        let mut bad: Option<(&'static str, Range<usize>)> = None;
        for batch in first..end {
            let position = self.position(batch);
            if self.task.has_teacher() {
                self.averaged(|task| task.teach(position))?;
            }
            let output = self.task.step(position);
            let output = output.map_err(|source| self.task_error(source))?;
            // The scalar alone is kept: the tensor would hold its graph, and every activation.
            let loss = scalar(&output.loss)?;
            if !loss.is_finite() {
                bad = Some(("loss", batch..batch + 1));
                break;
            }
            let mut grads = output.loss.backward()?;
            // Layers that hold their variable itself, as candle's do, build its graph though it is frozen.
            for ((_, var), _) in self
                .params
                .iter()
                .zip(&self.trainable)
                .filter(|(_, t)| !**t)
            {
                grads.remove(var.as_tensor());
            }
            let samples = output.samples.max(1);
            parts.push((loss, output.terms, samples));
            if end - first == 1 {
                single = Some(grads);
            } else {
                several.add(grads, samples)?;
            }
        }
        let loss_is_finite = bad.is_none();
        let mut norm = None;
        if loss_is_finite {
            let grads = match single {
                Some(grads) => grads,
                None => several.finish()?,
            };
            self.expect_gradients(&grads)?;
            let value = gradient_norm(&grads, &self.params)?;
            if value.is_finite() {
                norm = Some(value);
                let clip = self.config.clip_norm;
                let factor = clip.map_or(1.0, |max| clip_factor(value, max));
                self.optimizer.step_scaled(&grads, lr, factor)?;
                if let Some(average) = &mut self.average {
                    average.update()?;
                }
            } else {
                // Any of the batches may be the cause.
                bad = Some(("gradient", first..end));
            }
        }
        if let Some((what, batches)) = bad {
            self.skip(what, batches)?;
        }
        self.state.step += 1;
        self.state.batch = end;
        self.state.lr = lr;
        let mut sums = Sums::default();
        for (loss, terms, samples) in &parts {
            // What the batches before a bad one gave is not the step's.
            if loss_is_finite {
                sums.add(*loss, terms, *samples);
            }
            if norm.is_some() {
                self.state.sums.add(*loss, terms, *samples);
            }
        }
        let terms = sums.terms();
        let info = StepInfo {
            epoch: self.state.epoch,
            batch: end - 1,
            step: self.state.step,
            total_steps: self.total_steps,
            lr,
            loss: sums.loss(),
            terms: &terms,
            samples: sums.samples(),
            grad_norm: norm,
            skipped: norm.is_none(),
            elapsed: self.elapsed(),
        };
        tell(&mut self.callbacks, |callback| callback.on_step(&info))
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

    /// Fails if a trainable parameter is not reached by the first step that has gradients at all.
    fn expect_gradients(&mut self, grads: &GradStore) -> Result<()> {
        if !std::mem::take(&mut self.expects_gradients) {
            return Ok(());
        }
        let params = self.params.iter().zip(&self.trainable);
        let unreached = params
            .filter(|((_, var), trainable)| **trainable && grads.get(var.as_tensor()).is_none());
        let names: Vec<_> = unreached.map(|((name, _), _)| name.clone()).collect();
        if names.is_empty() {
            return Ok(());
        }
        Err(Error::NoGradient {
            task: self.task.name().to_string(),
            epoch: self.state.epoch,
            names,
        })
    }

    /// Counts a step that is not taken, and lets the task save the batches that may have caused it.
    fn skip(&mut self, what: &'static str, batches: Range<usize>) -> Result<()> {
        self.state.skipped += 1;
        for batch in batches.clone() {
            let position = self.position(batch);
            let directory = self.folder.as_ref().map(RunFolder::path);
            let inspected = self.task.on_non_finite(position, directory);
            inspected.map_err(|source| self.task_error(source))?;
        }
        let Position { epoch, step, .. } = self.position(batches.start);
        let (first, batch) = (batches.start, batches.end - 1);
        let (count, limit) = (self.state.skipped, self.config.max_non_finite);
        if count > limit {
            return Err(Error::NonFinite {
                what,
                epoch,
                batch,
                step,
                count,
                limit,
            });
        }
        // People count from 1, as progress lines do.
        let which = match first == batch {
            true => format!("batch {}", batch + 1),
            false => format!("one of the batches {} to {}", first + 1, batch + 1),
        };
        let (epoch, step) = (epoch + 1, step + 1);
        self.notice(&format!(
            "the {what} is not finite in epoch {epoch}, {which}: step {step} is skipped ({count} of {limit} allowed)"
        ))
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
        Ok(validation)
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

    fn stopped(&self) -> Option<Outcome> {
        let flag = self.stop.as_ref();
        if flag.is_some_and(|flag| flag.load(Ordering::SeqCst)) {
            return Some(Outcome::Interrupted);
        }
        let limit = self.options.max_minutes?;
        (self.elapsed().as_secs_f64() >= limit * 60.0).then_some(Outcome::TimeUp)
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
