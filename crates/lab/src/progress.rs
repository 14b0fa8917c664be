//! A progress bar, or plain lines where there is no terminal.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressDrawTarget, ProgressStyle};
use venule::train::{
    BoxError, Callback, EndInfo, EpochInfo, StartInfo, StepInfo, ValidationInfo, peak_memory_mb,
};

/// Shows steps, time left, loss with its terms, learning rate, samples per second and peak memory on standard error;
/// plain lines, at most one every few seconds, when that is no terminal.
#[derive(Debug)]
pub struct ProgressBar {
    bar: Option<indicatif::ProgressBar>,
    pace: Pace,
    first_step: usize,
    epochs: usize,
    last_line: Duration,
}

/// How often a plain line is written between epochs.
pub(crate) const LINE_EVERY: Duration = Duration::from_secs(10);

/// Running means of loss, terms and rate, for the eye.
#[derive(Debug, Default)]
struct Pace {
    loss: Option<f64>,
    terms: Vec<(String, f64)>,
    samples: usize,
}

/// The share of a new value in a running mean: over about twenty steps.
const NEW: f64 = 0.05;

impl Pace {
    fn take(&mut self, info: &StepInfo<'_>) {
        self.samples += info.samples;
        if let Some(loss) = info.loss {
            self.loss = Some(self.loss.map_or(loss, |mean| mean + NEW * (loss - mean)));
        }
        for (name, value) in info.terms.iter().filter(|(_, value)| value.is_finite()) {
            match self.terms.iter_mut().find(|(known, _)| known == name) {
                Some((_, mean)) => *mean += NEW * (value - *mean),
                None => self.terms.push((name.clone(), *value)),
            }
        }
    }

    fn describe(&self, info: &StepInfo<'_>) -> String {
        let rate = self.samples as f64 / info.elapsed.as_secs_f64().max(1e-9);
        let loss = self
            .loss
            .map_or_else(|| "–".into(), |loss| format!("{loss:.4}"));
        let memory = peak_memory_mb().map(|peak| format!(" {peak:.0} MiB"));
        format!(
            "epoch {} loss {loss}{} lr {:.2e} {rate:.1} samples/s{}",
            info.epoch + 1,
            listed(&self.terms),
            info.lr,
            memory.unwrap_or_default()
        )
    }
}

/// Names and numbers, each after a blank.
fn listed(numbers: &[(String, f64)]) -> String {
    let numbers = numbers.iter();
    numbers.map(|(n, v)| format!(" {n} {v:.4}")).collect()
}

impl Default for ProgressBar {
    fn default() -> Self {
        Self::new()
    }
}

impl ProgressBar {
    /// A bar that appears when the run starts.
    pub fn new() -> Self {
        Self {
            bar: None,
            pace: Pace::default(),
            first_step: 0,
            epochs: 0,
            last_line: Duration::ZERO,
        }
    }

    fn line(&self, text: &str) -> Result<(), BoxError> {
        match &self.bar {
            Some(bar) => bar.println(text),
            // Losing standard error (a closed pipe) is no reason to lose a run.
            None => drop(writeln!(std::io::stderr(), "{text}")),
        }
        Ok(())
    }
}

impl Callback for ProgressBar {
    fn name(&self) -> &str {
        "progress_bar"
    }

    fn on_start(&mut self, info: &StartInfo<'_>) -> Result<(), BoxError> {
        self.first_step = info.step;
        self.epochs = info.epochs;
        let resumed = if info.resumed { ", resumed" } else { "" };
        self.line(&format!(
            "{}: {} parameters, {} epochs of {} steps, at step {} of {}{resumed}",
            info.task,
            info.parameters,
            info.epochs,
            info.steps_per_epoch,
            info.step,
            info.total_steps,
        ))?;
        if std::io::stderr().is_terminal() {
            let bar = indicatif::ProgressBar::with_draw_target(
                Some(info.total_steps as u64),
                ProgressDrawTarget::stderr(),
            );
            bar.set_style(ProgressStyle::with_template(
                "{bar:30} {pos}/{len} [{elapsed} < {eta}] {msg}",
            )?);
            bar.set_position(info.step as u64);
            // Else the steps of earlier sessions would count as done in no time.
            bar.reset_eta();
            self.bar = Some(bar);
        }
        Ok(())
    }

    fn on_step(&mut self, info: &StepInfo<'_>) -> Result<(), BoxError> {
        self.pace.take(info);
        if let Some(bar) = &self.bar {
            bar.set_position(info.step as u64);
            bar.set_message(self.pace.describe(info));
        } else if info.elapsed.saturating_sub(self.last_line) >= LINE_EVERY {
            self.last_line = info.elapsed;
            let done = info.step.saturating_sub(self.first_step).max(1) as f64;
            let left = info.total_steps.saturating_sub(info.step) as f64;
            let seconds = info.elapsed.as_secs_f64() * left / done;
            self.line(&format!(
                "step {}/{} {} eta {}",
                info.step,
                info.total_steps,
                self.pace.describe(info),
                readable(seconds),
            ))?;
        }
        Ok(())
    }

    fn on_epoch(&mut self, info: &EpochInfo<'_>) -> Result<(), BoxError> {
        let loss = info
            .loss
            .map_or_else(|| "–".into(), |loss| format!("{loss:.5}"));
        let (epoch, epochs) = (info.epoch + 1, self.epochs);
        self.line(&format!(
            "epoch {epoch}/{epochs} loss {loss}{} lr {:.2e}",
            listed(info.terms),
            info.lr
        ))
    }

    fn on_validation(&mut self, info: &ValidationInfo<'_>) -> Result<(), BoxError> {
        let score = info
            .score
            .map_or_else(|| "–".into(), |score| format!("{score:.4}"));
        let metrics = listed(info.metrics);
        let best = if info.is_best { " (best)" } else { "" };
        let epoch = info.epoch + 1;
        self.line(&format!(
            "epoch {epoch}/{} score {score}{best}{metrics}",
            self.epochs
        ))
    }

    fn on_notice(&mut self, message: &str) -> Result<(), BoxError> {
        self.line(&format!("note: {message}"))
    }

    fn on_end(&mut self, info: &EndInfo) -> Result<(), BoxError> {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let best = match info.best {
            Some(best) => format!(", best score {:.4} in epoch {}", best.score, best.epoch + 1),
            None => String::new(),
        };
        let took = readable(info.elapsed.as_secs_f64());
        self.line(&format!(
            "{:?} after {} steps in {took}{best}",
            info.outcome, info.step
        ))
    }
}

/// A time as hours, minutes and seconds.
pub(crate) fn readable(seconds: f64) -> String {
    // The cast saturates, and days are as far as anyone reads.
    let seconds = seconds.max(0.0) as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_described_with_its_terms() {
        let mut pace = Pace::default();
        let terms = [("bce".to_string(), 0.5), ("dice".to_string(), f64::NAN)];
        let info = StepInfo {
            epoch: 1,
            batch: 0,
            step: 3,
            total_steps: 10,
            lr: 1e-3,
            loss: Some(0.75),
            terms: &terms,
            samples: 6,
            grad_norm: Some(1.0),
            skipped: false,
            elapsed: Duration::from_secs(2),
        };
        pace.take(&info);
        // Six samples in two seconds; the term that is not finite is left out.
        let text = pace.describe(&info);
        let expected = "epoch 2 loss 0.7500 bce 0.5000 lr 1.00e-3 3.0 samples/s";
        assert!(text.starts_with(expected), "{text}");
        assert_eq!(text.ends_with(" MiB"), peak_memory_mb().is_some());
        // 0.5 + 0.05 (1.5 − 0.5).
        let terms = [("bce".to_string(), 1.5)];
        pace.take(&StepInfo {
            terms: &terms,
            ..info
        });
        assert!((pace.terms[0].1 - 0.55).abs() < 1e-12);
    }

    #[test]
    fn times_are_readable() {
        assert_eq!(readable(59.9), "0:59");
        // 1 h 1 min 1 s.
        assert_eq!(readable(3661.0), "1:01:01");
    }
}
