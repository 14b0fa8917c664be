//! The training loop, as it is called.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::session::{Session, Setup};
use crate::{Callback, Communicator, LrSchedule, Report, Result, RunOptions, Task, TrainConfig};

/// The training loop, with its callbacks, schedule and stop flag.
///
/// ```
/// use candle_core::{Device, Tensor, Var};
/// use venule_train::{BoxError, Parameter, Position, StepOutput, Task, TrainConfig, Trainer};
///
/// /// Finds the number whose square is nearest to 2.
/// struct Root(Var);
///
/// impl Task for Root {
///     fn name(&self) -> &str { "root" }
///     fn parameters(&self) -> Vec<Parameter> { vec![Parameter::new("x", self.0.clone())] }
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
/// With [`RunOptions::directory`] set, the folder is locked against other processes and receives
/// `checkpoint-STEP.safetensors` (the weights) with `checkpoint-STEP.state.safetensors` (moments,
/// averages, schedule, position) after each epoch, `best.safetensors` after the best validation and
/// `final.safetensors` at the end. All are written to temporaries, synced and renamed. On the CPU a
/// resumed run equals an uninterrupted one bit for bit.
///
/// # Graphs that are cut
/// In the first step, and in the first step of an epoch in which other parameters are trainable than before, every trainable
/// parameter must get a gradient from one of the step's batches. Those that get none are listed by
/// [`Error::NoGradient`](crate::Error::NoGradient): several operations of candle have no backward pass and cut the graph in
/// silence. [`RunOptions::allow_unused`] switches this off.
pub struct Trainer {
    setup: Setup,
}

impl Trainer {
    /// A loop with the settings of `config`, which writes nothing (see [`Trainer::with_options`]).
    ///
    /// # Errors
    /// [`crate::Error::Config`] if a setting is out of range.
    pub fn new(config: TrainConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self {
            setup: Setup {
                config,
                options: RunOptions::default(),
                callbacks: Vec::new(),
                schedule: None,
                stop: None,
                communicator: None,
            },
        })
    }

    /// Runs where and for how long `options` say.
    ///
    /// # Errors
    /// [`crate::Error::Config`] if an option is out of range.
    pub fn with_options(mut self, options: RunOptions) -> Result<Self> {
        options.validate()?;
        self.setup.options = options;
        Ok(self)
    }

    /// Adds an observer; they are called in the order they were added.
    #[must_use]
    pub fn with_callback(mut self, callback: impl Callback + 'static) -> Self {
        self.setup.callbacks.push(Box::new(callback));
        self
    }

    /// Uses `schedule` instead of the one in the settings.
    #[must_use]
    pub fn with_schedule(mut self, schedule: impl LrSchedule + 'static) -> Self {
        self.setup.schedule = Some(Box::new(schedule));
        self
    }

    /// Watches `flag`: once it is set, the step in progress is finished, the run is saved and
    /// [`Outcome::Interrupted`](crate::Outcome::Interrupted) returned. Set it from a signal handler.
    #[must_use]
    pub fn with_stop_flag(mut self, flag: Arc<AtomicBool>) -> Self {
        self.setup.stop = Some(flag);
        self
    }

    /// Trains together with other processes, each with a copy of the task: of the [`accumulation`](TrainConfig::accumulation) batches of
    /// an optimizer step each takes as many, and the gradients are summed over all. The numbers are those of one process that accumulates
    /// these batches, but for the order of additions, and do not depend on the number of ranks; a run may go on with another number.
    ///
    /// All ranks are given the same task and settings. Rank 0 alone has a run folder, validates, and should have callbacks; the others get
    /// weights and state from it. A stop flag or time limit of one stops all after the same step.
    #[must_use]
    pub fn with_communicator(mut self, communicator: Rc<dyn Communicator>) -> Self {
        self.setup.communicator = Some(communicator);
        self
    }

    /// Runs the task to its end, or until something stops it.
    ///
    /// # Errors
    /// [`crate::Error::RunExists`] and [`crate::Error::Locked`] before anything is touched;
    /// [`crate::Error::NoIntactCheckpoint`], [`venule_file::Error::Architecture`] and [`crate::Error::RunMismatch`] on resuming;
    /// [`crate::Error::NoGradient`]; [`crate::Error::NonFinite`]; [`crate::Error::Task`] and [`crate::Error::Callback`] around
    /// errors of others; [`crate::Error::File`]; with several ranks [`crate::Error::Ranks`], [`crate::Error::RanksDiffer`],
    /// [`crate::Error::RanksDiverge`] and [`crate::Error::Communication`]. What was saved before stays intact.
    pub fn fit(self, task: &mut dyn Task) -> Result<Report> {
        let mut session = Session::new(self.setup, task)?;
        session.start()?;
        session.run()
    }
}

impl std::fmt::Debug for Trainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let callbacks = self.setup.callbacks.iter();
        let names: Vec<_> = callbacks.map(|callback| callback.name()).collect();
        f.debug_struct("Trainer")
            .field("config", &self.setup.config)
            .field("options", &self.setup.options)
            .field("callbacks", &names)
            .finish_non_exhaustive()
    }
}
