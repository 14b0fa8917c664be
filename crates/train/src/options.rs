//! Where a run takes place, and for how long.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Where a run takes place, for how long, and what is kept of it. Nothing here changes a number: that is what
/// [`TrainConfig`](crate::TrainConfig) is for.
///
/// Unknown keys are errors when read from a file.
///
/// ```
/// use venule_train::RunOptions;
/// let options = RunOptions { max_minutes: Some(30.0), ..RunOptions::in_folder("runs/first") };
/// options.validate()?;
/// # Ok::<(), venule_train::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunOptions {
    /// The run folder; `None` writes nothing. Default: none.
    pub directory: Option<PathBuf>,
    /// Go on from the newest intact checkpoint of the folder; where there is none, start. Without
    /// it a folder that holds a run is refused. Default false.
    pub resume: bool,
    /// Save and stop once this many minutes have passed, counted from the start of the process's
    /// run. Schedules do not look at the clock, so that the run can be resumed exactly. Default: none.
    pub max_minutes: Option<f64>,
    /// Save a checkpoint within epochs too, after every this many steps. Default: none.
    pub checkpoint_every_steps: Option<usize>,
    /// How many of the latest checkpoints are kept, at least 1, besides the best weights. Default 2.
    pub keep: usize,
    /// Let trainable parameters rest that get no gradient, instead of taking them for the sign of a graph that is cut
    /// ([`Error::NoGradient`]). Default false.
    pub allow_unused: bool,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            directory: None,
            resume: false,
            max_minutes: None,
            checkpoint_every_steps: None,
            keep: 2,
            allow_unused: false,
        }
    }
}

impl RunOptions {
    /// The settings that version 0.1 kept in [`TrainConfig`](crate::TrainConfig): files of that version hold them there.
    pub const OF_TRAIN_CONFIG_0_1: [&'static str; 5] = [
        "directory",
        "resume",
        "max_minutes",
        "checkpoint_every_steps",
        "keep",
    ];

    /// The defaults, in this run folder.
    pub fn in_folder(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: Some(directory.into()),
            ..Self::default()
        }
    }

    /// Checks every number.
    ///
    /// # Errors
    /// [`Error::Config`] that names the setting and its range.
    pub fn validate(&self) -> Result<()> {
        let minutes = self.max_minutes.unwrap_or(1.0);
        let every = self.checkpoint_every_steps.unwrap_or(1);
        for (ok, field, value, expected) in [
            (
                minutes > 0.0 && minutes.is_finite(),
                "max_minutes",
                minutes.to_string(),
                "a number above 0",
            ),
            (
                every > 0,
                "checkpoint_every_steps",
                every.to_string(),
                "at least 1",
            ),
            (self.keep > 0, "keep", self.keep.to_string(), "at least 1"),
        ] {
            if !ok {
                return Err(Error::Config {
                    field,
                    value,
                    expected,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bad_number_is_named() {
        let base = RunOptions::default;
        base().validate().unwrap();
        for (name, options) in [
            ("keep", RunOptions { keep: 0, ..base() }),
            (
                "checkpoint_every_steps",
                RunOptions {
                    checkpoint_every_steps: Some(0),
                    ..base()
                },
            ),
            (
                "max_minutes",
                RunOptions {
                    max_minutes: Some(f64::NAN),
                    ..base()
                },
            ),
        ] {
            match options.validate() {
                Err(Error::Config { field, .. }) => assert_eq!(field, name),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}
