//! The log: one JSON object a line.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use venule_file::Error as FileError;

use crate::callback::{EpochInfo, StartInfo, StepInfo, ValidationInfo};
use crate::checkpoint::LOG_FILE;
use crate::{BoxError, Callback, peak_memory_mb};

/// Numbers by name; those that are not finite are `null`.
pub type Numbers = BTreeMap<String, Option<f64>>;

/// What depends on the clock and the machine, apart from what does not: all else is equal in equal runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    /// Seconds since the process began or resumed the run.
    pub elapsed_s: f64,
    /// The process's peak memory in MiB, where the system tells it.
    #[serde(default)]
    pub peak_memory_mb: Option<f64>,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum LogLine {
    /// An optimizer step.
    Step {
        /// Epoch, from 0.
        epoch: usize,
        /// The last batch of the step, from 0.
        batch: usize,
        /// Steps taken, this one included.
        step: usize,
        /// The learning rate.
        lr: f64,
        /// The mean loss; `null` if it was not finite.
        loss: Option<f64>,
        /// The gradient norm before clipping; `null` if the step was skipped.
        grad_norm: Option<f64>,
        /// The number of samples.
        samples: usize,
        /// The task's terms.
        terms: Numbers,
        /// The time.
        clock: Clock,
    },
    /// The end of an epoch.
    Epoch {
        /// Epoch, from 0.
        epoch: usize,
        /// Steps taken so far.
        step: usize,
        /// The learning rate of its last step.
        lr: f64,
        /// The mean training loss.
        loss: Option<f64>,
        /// The number of samples.
        samples: usize,
        /// The means of the task's terms.
        terms: Numbers,
        /// The time.
        clock: Clock,
    },
    /// A validation.
    Validation {
        /// The epoch it followed, from 0.
        epoch: usize,
        /// Steps taken so far.
        step: usize,
        /// The score.
        score: Option<f64>,
        /// Whether it is the best so far.
        is_best: bool,
        /// The task's other numbers.
        metrics: Numbers,
        /// The time.
        clock: Clock,
    },
}

impl From<&StepInfo<'_>> for LogLine {
    fn from(info: &StepInfo<'_>) -> Self {
        Self::Step {
            epoch: info.epoch,
            batch: info.batch,
            step: info.step,
            lr: info.lr,
            loss: info.loss,
            grad_norm: info.grad_norm,
            samples: info.samples,
            terms: numbers(info.terms),
            clock: clock(info.elapsed),
        }
    }
}

impl From<&EpochInfo<'_>> for LogLine {
    fn from(info: &EpochInfo<'_>) -> Self {
        Self::Epoch {
            epoch: info.epoch,
            step: info.step,
            lr: info.lr,
            loss: info.loss,
            samples: info.samples,
            terms: numbers(info.terms),
            clock: clock(info.elapsed),
        }
    }
}

impl From<&ValidationInfo<'_>> for LogLine {
    fn from(info: &ValidationInfo<'_>) -> Self {
        Self::Validation {
            epoch: info.epoch,
            step: info.step,
            score: info.score,
            is_best: info.is_best,
            metrics: numbers(info.metrics),
            clock: clock(info.elapsed),
        }
    }
}

fn numbers(pairs: &[(String, f64)]) -> Numbers {
    let finite = |value: f64| value.is_finite().then_some(value);
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| (name.clone(), finite(*value)))
        .collect()
}

fn clock(elapsed: Duration) -> Clock {
    // Milliseconds are enough, and shorter.
    let elapsed_s = elapsed.as_millis() as f64 / 1000.0;
    Clock {
        elapsed_s,
        // Tenths are enough too.
        peak_memory_mb: peak_memory_mb().map(|peak| (10.0 * peak).round() / 10.0),
    }
}

/// Writes every step, epoch and validation as a JSON object on a line of its own, at once.
///
/// On resuming the log is cut back to the checkpoint, so that it equals that of an uninterrupted
/// run but for the `clock` fields.
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    file: Option<File>,
    lines: u64,
    /// The lines the log had at the checkpoint that is resumed.
    resume_at: Option<u64>,
}

impl JsonLines {
    /// A log in the run folder, under the name [`LOG_FILE`].
    pub fn in_folder(directory: &Path) -> Self {
        Self::new(directory.join(LOG_FILE))
    }

    /// A log at `path`; a file that exists outside the run folder is never overwritten.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            file: None,
            lines: 0,
            resume_at: None,
        }
    }

    fn write(&mut self, info: impl Into<LogLine>) -> Result<(), BoxError> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let mut text = serde_json::to_string(&info.into())?;
        text.push('\n');
        // One call: a kill leaves at most one unfinished line, at the end.
        file.write_all(text.as_bytes())
            .map_err(FileError::writing("write", &self.path))?;
        self.lines += 1;
        Ok(())
    }

    /// The length in bytes and lines of the first `limit` complete lines.
    fn measure(file: &File, limit: u64) -> std::io::Result<(u64, u64)> {
        let mut reader = BufReader::new(file);
        let (mut bytes, mut lines) = (0, 0);
        let mut line = Vec::new();
        while lines < limit {
            line.clear();
            let read = reader.read_until(b'\n', &mut line)?;
            if !line.ends_with(b"\n") {
                break;
            }
            bytes += read as u64;
            lines += 1;
        }
        Ok((bytes, lines))
    }
}

impl Callback for JsonLines {
    fn name(&self) -> &str {
        "json_lines"
    }

    fn on_start(&mut self, info: &StartInfo<'_>) -> Result<(), BoxError> {
        let path = &self.path;
        let ours = info
            .directory
            .is_some_and(|directory| directory.join(LOG_FILE) == *path);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(FileError::writing("create", path))?;
        let length = file
            .metadata()
            .map_err(FileError::reading("read", path))?
            .len();
        if !info.resumed && !ours && length > 0 {
            return Err(format!(
                "{} exists; remove it or choose another log file: a log is never overwritten",
                path.display()
            )
            .into());
        }
        let keep = match (info.resumed, self.resume_at) {
            (false, _) => 0,
            (true, Some(lines)) => lines,
            // The log is new to this run: whatever is there stays.
            (true, None) => u64::MAX,
        };
        let (bytes, lines) =
            Self::measure(&file, keep).map_err(FileError::reading("read", path))?;
        file.set_len(bytes)
            .and_then(|()| file.seek(SeekFrom::Start(bytes)))
            .map_err(FileError::writing("cut back", path))?;
        if self.resume_at.is_some_and(|expected| expected > lines) {
            tracing::warn!(path = %path.display(), "the log is shorter than when the checkpoint was saved");
        }
        self.lines = lines;
        self.file = Some(file);
        Ok(())
    }

    fn on_step(&mut self, info: &StepInfo<'_>) -> Result<(), BoxError> {
        self.write(info)
    }

    fn on_epoch(&mut self, info: &EpochInfo<'_>) -> Result<(), BoxError> {
        self.write(info)
    }

    fn on_validation(&mut self, info: &ValidationInfo<'_>) -> Result<(), BoxError> {
        self.write(info)
    }

    fn before_checkpoint(&mut self) -> Result<(), BoxError> {
        if let Some(file) = &self.file {
            file.sync_data()
                .map_err(FileError::writing("sync", &self.path))?;
        }
        Ok(())
    }

    fn state(&self) -> Value {
        serde_json::json!({ "lines": self.lines })
    }

    fn load_state(&mut self, state: &Value) -> Result<(), BoxError> {
        self.resume_at = state.get("lines").and_then(Value::as_u64);
        Ok(())
    }
}
