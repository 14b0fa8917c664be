//! What the subcommands that train share: their flags, and what they say at the end.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;

use clap::Args;
use venule::train::{Communicator, Outcome, Report};
use venule::{Registry, parse_device};
use venule_lab::{Place, RunFile};

use crate::output::{AnyResult, INTERRUPTED, say};
use crate::ranks::together;
use crate::support::stop_flag;

/// Flags of every training. Those with a setting of their own change it after the file or preset has been read.
#[derive(Args)]
pub struct RunArgs {
    /// TOML file that says everything of a run, such as the run.toml of another one; flags go before it
    #[arg(long, conflicts_with = "preset")]
    pub config: Option<PathBuf>,
    /// seed, compact, tiny or another preset, which everything starts from [default: compact]
    #[arg(long)]
    pub preset: Option<String>,
    /// Change any setting of the run file by its dotted path, e.g. recipe.train.clip_norm=none; may be repeated, and goes before
    /// all other flags
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_setting)]
    pub set: Vec<(String, String)>,
    /// Crops in a batch [default: the preset's]
    #[arg(long)]
    pub batch_size: Option<usize>,
    /// Batches whose gradients make up one optimizer step; several processes share them [default: the preset's]
    #[arg(long)]
    pub accumulation: Option<usize>,
    /// Crops taken from each image in an epoch [default: the preset's]
    #[arg(long)]
    pub crops_per_image: Option<usize>,
    /// Passes over the data [default: the preset's]
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Learning rate after warm-up [default: the preset's]
    #[arg(long)]
    pub learning_rate: Option<f64>,
    /// Learning rate for 256 crops a step, scaled to those of one, instead of --learning-rate
    #[arg(long, conflicts_with = "learning_rate")]
    pub base_learning_rate: Option<f64>,
    /// Go on with the run in the folder
    #[arg(long)]
    pub resume: bool,
    /// Save and stop after this many minutes
    #[arg(long)]
    pub max_minutes: Option<f64>,
    /// End after this many steps, if that is sooner; the schedule spans them
    #[arg(long)]
    pub max_steps: Option<usize>,
    /// Seed of weights, order, crops and masks [default: 0]
    #[arg(long)]
    pub seed: Option<u64>,
    /// CPU threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
    /// Threads that load and augment [default: 1]
    #[arg(long)]
    pub workers: Option<usize>,
    /// cpu, cuda, cuda:N or metal
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Write TensorBoard event files into the folder `tensorboard` of the run
    #[arg(long)]
    pub tensorboard: bool,
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("write KEY=VALUE, e.g. recipe.train.epochs=50".to_owned()),
    }
}

impl RunArgs {
    /// The file or preset, with the flags that have a setting of their own.
    pub fn configuration<R: RunFile>(&self) -> venule_lab::Result<R> {
        let run = match &self.config {
            Some(path) => R::load(path)?,
            None => R::preset(self.preset.as_deref().unwrap_or(R::DEFAULT_PRESET))?,
        };
        self.over(run)
    }

    /// The flags that have a setting of their own, over a run.
    pub fn over<R: RunFile>(&self, mut run: R) -> venule_lab::Result<R> {
        fn text<T: ToString>(flag: &Option<T>) -> Option<String> {
            flag.as_ref().map(ToString::to_string)
        }
        if self.learning_rate.is_some() {
            run.train_mut().base_learning_rate = None;
        }
        for (key, value) in [
            ("workers", text(&self.workers)),
            ("recipe.batch_size", text(&self.batch_size)),
            ("recipe.train.accumulation", text(&self.accumulation)),
            ("recipe.crops_per_image", text(&self.crops_per_image)),
            ("recipe.train.epochs", text(&self.epochs)),
            ("recipe.train.learning_rate", text(&self.learning_rate)),
            (
                "recipe.train.base_learning_rate",
                text(&self.base_learning_rate),
            ),
            ("run.max_minutes", text(&self.max_minutes)),
            ("recipe.train.max_steps", text(&self.max_steps)),
            ("recipe.train.seed", text(&self.seed)),
        ] {
            if let Some(value) = value {
                run = run.with(key, &value)?;
            }
        }
        Ok(run)
    }

    /// Trains in a folder, together with the others that `mpirun` has started, if it has, and says how a run goes on that has not come to
    /// its end.
    pub fn train(
        &self,
        folder: &Path,
        registry: &Registry,
        verbose: bool,
        train: impl FnOnce(&Place) -> venule_lab::Result<Report>,
    ) -> AnyResult<ExitCode> {
        together(|others| {
            let place = self.place(folder, registry, verbose, others)?;
            let report = train(&place)?;
            Ok(conclude(&report, &place))
        })
    }

    /// Where a training runs that these flags are of, with which others, and who hears of it.
    fn place<'a>(
        &self,
        folder: &'a Path,
        registry: &'a Registry,
        verbose: bool,
        communicator: Option<Rc<dyn Communicator>>,
    ) -> AnyResult<Place<'a>> {
        Ok(Place {
            communicator,
            device: parse_device(&self.device)?,
            tensorboard: self.tensorboard,
            stop: stop_flag("step")?,
            verbose,
            say: &|line| say!("{line}"),
            ..Place::new(folder, registry)
        })
    }

    /// The run with what `--set` says, after all other flags. Its folder is that of `--save-dir`.
    pub fn finish<R: RunFile>(&self, mut run: R) -> venule_lab::Result<R> {
        run = run.with_all(
            self.set
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str())),
        )?;
        let options = run.options_mut();
        if let Some(directory) = &options.directory {
            return Err(venule_lab::Error::Venule(venule::Error::Config {
                field: "run.directory",
                value: directory.display().to_string(),
                expected: "the folder of a run is given by --save-dir",
            }));
        }
        options.resume |= self.resume;
        Ok(run)
    }
}

/// Says how a run that has not come to its end goes on; its exit code.
fn conclude(report: &Report, place: &Place) -> ExitCode {
    let (why, status) = match report.outcome {
        Outcome::Interrupted => ("interrupted", INTERRUPTED),
        Outcome::TimeUp => ("out of time", 0),
        Outcome::Completed | Outcome::EarlyStopped => return ExitCode::SUCCESS,
    };
    if place.is_first() {
        say!(
            "{why}; everything up to step {} is saved in {}. Go on with the same command and --resume",
            report.steps,
            place.folder.display()
        );
    }
    ExitCode::from(status)
}
