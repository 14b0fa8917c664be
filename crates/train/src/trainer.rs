//! The training loop.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::session::Session;
use crate::{Best, Callback, LrSchedule, Outcome, Result, Task, TrainConfig};

/// What a run came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// Optimizer steps taken, over all sessions.
    pub steps: usize,
    /// Whole epochs run, over all sessions.
    pub epochs: usize,
    /// The best validation.
    pub best: Option<Best>,
    /// The mean training loss of the last epoch that this process finished.
    pub loss: Option<f64>,
    /// Steps skipped because loss or gradient was not finite.
    pub skipped: usize,
    /// The weights of the best validation.
    pub best_path: Option<PathBuf>,
    /// The weights at the end, if the run came to its end.
    pub final_path: Option<PathBuf>,
}

/// Trains `task` as `config` says; see [`Trainer`].
///
/// # Errors
/// See [`Trainer::fit`].
pub fn fit(
    task: &mut dyn Task,
    config: &TrainConfig,
    callbacks: Vec<Box<dyn Callback>>,
) -> Result<Report> {
    let mut trainer = Trainer::new(config.clone())?;
    trainer.callbacks = callbacks;
    trainer.fit(task)
}

/// The training loop, with its callbacks, schedule and stop flag.
///
/// ```
/// use candle_core::{Device, Tensor, Var};
/// use venule_train::{BoxError, Position, StepOutput, Task, TrainConfig, Trainer};
///
/// /// Finds the number whose square is nearest to 2.
/// struct Root(Var);
///
/// impl Task for Root {
///     fn name(&self) -> &str { "root" }
///     fn parameters(&self) -> Vec<(String, Var)> { vec![("x".into(), self.0.clone())] }
///     fn batches_per_epoch(&self) -> usize { 10 }
///     fn step(&mut self, _: Position) -> Result<StepOutput, BoxError> {
///         let loss = ((self.0.sqr()? - 2.0)?).sqr()?;
///         Ok(StepOutput { loss, terms: vec![], samples: 1 })
///     }
/// }
///
/// let mut task = Root(Var::new(1.0f32, &Device::Cpu)?);
/// let config = TrainConfig { epochs: 20, learning_rate: 0.02, ..Default::default() };
/// let report = Trainer::new(config)?.fit(&mut task)?;
/// assert_eq!(report.steps, 200);
/// assert!((task.0.to_scalar::<f32>()? - 2f32.sqrt()).abs() < 1e-2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # The run folder
/// With [`TrainConfig::directory`] set, the folder is locked against other processes and receives
/// `checkpoint-STEP.safetensors` (the weights) with `checkpoint-STEP.state.safetensors` (moments,
/// averages, schedule, position) after each epoch, `best.safetensors` after the best validation and
/// `final.safetensors` at the end. All are written to temporaries, synced and renamed. On the CPU a
/// resumed run equals an uninterrupted one bit for bit.
pub struct Trainer {
    pub(crate) config: TrainConfig,
    pub(crate) callbacks: Vec<Box<dyn Callback>>,
    pub(crate) schedule: Option<Box<dyn LrSchedule>>,
    pub(crate) stop: Option<Arc<AtomicBool>>,
}

impl Trainer {
    /// A loop with the settings of `config`.
    ///
    /// # Errors
    /// [`crate::Error::Config`] if a setting is out of range.
    pub fn new(config: TrainConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self {
            config,
            callbacks: Vec::new(),
            schedule: None,
            stop: None,
        })
    }

    /// Adds an observer; they are called in the order they were added.
    #[must_use]
    pub fn with_callback(mut self, callback: impl Callback + 'static) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// Uses `schedule` instead of the one in the settings.
    #[must_use]
    pub fn with_schedule(mut self, schedule: impl LrSchedule + 'static) -> Self {
        self.schedule = Some(Box::new(schedule));
        self
    }

    /// Watches `flag`: once it is set, the step in progress is finished, the run is saved and
    /// [`Outcome::Interrupted`] returned. Set it from a signal handler.
    #[must_use]
    pub fn with_stop_flag(mut self, flag: Arc<AtomicBool>) -> Self {
        self.stop = Some(flag);
        self
    }

    /// Runs the task to its end, or until something stops it.
    ///
    /// # Errors
    /// [`crate::Error::RunExists`] and [`crate::Error::Locked`] before anything is touched;
    /// [`crate::Error::NoIntactCheckpoint`], [`crate::Error::Architecture`] and [`crate::Error::RunMismatch`] on resuming;
    /// [`crate::Error::NonFinite`]; [`crate::Error::Task`] and [`crate::Error::Callback`] around errors of others;
    /// [`crate::Error::Io`]. What was saved before stays intact.
    pub fn fit(self, task: &mut dyn Task) -> Result<Report> {
        let mut session = Session::new(self, task)?;
        session.start()?;
        session.run()
    }
}

impl std::fmt::Debug for Trainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self
            .callbacks
            .iter()
            .map(|callback| callback.name())
            .collect();
        f.debug_struct("Trainer")
            .field("config", &self.config)
            .field("callbacks", &names)
            .finish_non_exhaustive()
    }
}
