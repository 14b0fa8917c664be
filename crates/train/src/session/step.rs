//! One optimizer step.

use std::ops::Range;

use candle_core::backprop::GradStore;

use super::Session;
use super::ranks::{Done, Part};
use crate::callback::{StepInfo, tell};
use crate::checkpoint::RunFolder;
use crate::gradient::{GradientAccumulator, clip_factor, gradient_norm, scalar};
use crate::state::Sums;
use crate::{Error, Position, Progress, Result};

/// The gradients of the batches of a step.
enum Gradients {
    /// Of the only one.
    Single(GradStore),
    Several(GradientAccumulator),
}

impl Session<'_> {
    /// One optimizer step over the next batch or accumulated batches.
    pub(super) fn optimizer_step(&mut self) -> Result<()> {
        let first = self.state.batch;
        let end = (first + self.config.accumulation).min(self.state.batches_per_epoch);
        let lr = self.schedule.lr(&Progress {
            step: self.state.step,
            total_steps: self.total_steps,
            steps_per_epoch: self.steps_per_epoch,
        });
        let (mut done, gradients) = self.gradients_of(first..end)?;
        if let Some(ranks) = &mut self.ranks {
            done = ranks.join(&done)?;
        }
        let mut bad = done.bad.map(|batch| ("loss", batch..batch + 1));
        let loss_is_finite = bad.is_none();
        let mut norm = None;
        if loss_is_finite {
            let grads = self.whole_gradient(gradients, &done)?;
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
        for part in &done.parts {
            let (loss, terms) = (part.loss(), part.terms());
            // What the batches before a bad one gave is not the step's.
            if loss_is_finite {
                sums.add(loss, &terms, part.samples);
            }
            if norm.is_some() {
                self.state.sums.add(loss, &terms, part.samples);
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

    /// Those of this process's batches; the rest is left out once one has a loss that is not finite.
    fn gradients_of(&mut self, batches: Range<usize>) -> Result<(Done, Gradients)> {
        let own: Vec<usize> = match &self.ranks {
            Some(ranks) => ranks.share(batches.clone()).collect(),
            None => batches.clone().collect(),
        };
        let is_single = batches.len() == 1 && self.ranks.is_none();
        let mut gradients = Gradients::Several(GradientAccumulator::new(&self.params));
        let mut done = Done {
            parts: Vec::new(),
            bad: None,
            reached: Vec::new(),
        };
        for batch in own {
            let position = self.position(batch);
            if self.task.has_teacher() {
                self.averaged(|task| task.teach(position))?;
            }
            let output = self.task.step(position);
            let output = output.map_err(|source| self.task_error(source))?;
            // The scalar alone is kept: the tensor would hold its graph, and every activation.
            let loss = scalar(&output.loss)?;
            if !loss.is_finite() {
                done.bad = Some(batch);
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
            done.parts
                .push(Part::new(batch, loss, output.terms, samples));
            match &mut gradients {
                Gradients::Several(several) if !is_single => several.add(grads, samples)?,
                _ => gradients = Gradients::Single(grads),
            }
        }
        if let Gradients::Several(several) = &gradients {
            done.reached = several.reached();
        }
        Ok((done, gradients))
    }

    /// The gradient of the step, over all ranks.
    fn whole_gradient(&mut self, gradients: Gradients, done: &Done) -> Result<GradStore> {
        match (gradients, &mut self.ranks) {
            (Gradients::Single(grads), _) => Ok(grads),
            (Gradients::Several(mut several), ranks) => {
                if let Some(ranks) = ranks {
                    let samples = done.parts.iter().map(|part| part.samples).sum();
                    ranks.reduce(|communicator| {
                        several.reduce(communicator, &done.reached, samples)
                    })?;
                }
                Ok(several.finish()?)
            }
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
        // Of several ranks the first has the folder, and draws them anew.
        let saves = self.ranks.as_ref().is_none_or(|ranks| ranks.is_first());
        for batch in batches.clone().filter(|_| saves) {
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
}
