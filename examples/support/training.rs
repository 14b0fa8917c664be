//! What the programs that train share: their flags, the two trainings, and what they say at the end.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;
use venule::candle_core::Device;
use venule::data::{Dataset, Error as DataError, FolderSet, write_png};
use venule::file::write_atomic;
use venule::train::{
    JsonLines, LOG_FILE, Outcome, Report, RunOptions, Task, TrainConfig, Trainer, latest_checkpoint,
};
use venule::{
    PretrainConfig, Protocol, Purpose, RunConfig, RunFile, RunRecord, Segmenter, TEST_FILE,
};
use venule_lab::{LearningCurve, ProgressBar, TensorBoard};

use super::{AnyResult, INTERRUPTED, json, summary};

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
    pub fn configuration<R: RunFile>(&self) -> venule::Result<R> {
        let mut run = match &self.config {
            Some(path) => R::load(path)?,
            None => R::preset(self.preset.as_deref().unwrap_or(R::DEFAULT_PRESET))?,
        };
        fn text<T: ToString>(flag: &Option<T>) -> Option<String> {
            flag.as_ref().map(ToString::to_string)
        }
        if self.learning_rate.is_some() {
            run.train_mut().base_learning_rate = None;
        }
        for (key, value) in [
            ("workers", text(&self.workers)),
            ("recipe.batch_size", text(&self.batch_size)),
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

    /// The run with what `--set` says, after all other flags. Its folder is that of `--save-dir`.
    pub fn finish<R: RunFile>(&self, mut run: R) -> venule::Result<R> {
        run = run.with_all(
            self.set
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str())),
        )?;
        let options = run.options_mut();
        if let Some(directory) = &options.directory {
            return Err(venule::Error::Config {
                field: "run.directory",
                value: directory.display().to_string(),
                expected: "the folder of a run is given by --save-dir",
            });
        }
        options.resume |= self.resume;
        Ok(run)
    }
}

/// Where a training runs and how it is watched.
pub struct Place<'a> {
    pub folder: &'a Path,
    pub device: &'a Device,
    pub tensorboard: bool,
    pub stop: Arc<AtomicBool>,
}

impl Place<'_> {
    fn train(
        &self,
        task: &mut dyn Task,
        config: &TrainConfig,
        options: &RunOptions,
        record: RunRecord,
    ) -> AnyResult<Report> {
        venule::nn::keep_freed_memory();
        let options = RunOptions {
            directory: Some(self.folder.to_owned()),
            ..options.clone()
        };
        // The record first: it refuses a run on other images before anything is written.
        let mut trainer = Trainer::new(config.clone())?
            .with_options(options)?
            .with_callback(record)
            .with_callback(ProgressBar::new())
            .with_callback(JsonLines::in_folder(self.folder))
            .with_callback(LearningCurve::new(self.folder.join("curve.svg")))
            .with_stop_flag(self.stop.clone());
        if self.tensorboard {
            trainer = trainer.with_callback(TensorBoard::new(self.folder.join("tensorboard")));
        }
        let report = trainer.fit(task)?;
        super::say!(
            "{} steps; log: {}",
            report.steps,
            self.folder.join(LOG_FILE).display()
        );
        Ok(report)
    }
}

/// Pretrains, and writes a picture of reconstructions.
pub fn pretrain(run: &PretrainConfig, place: &Place<'_>) -> AnyResult<Report> {
    let (photographs, left_out) = run.files()?;
    left_out
        .iter()
        .for_each(|error| eprintln!("left out: {error}"));
    super::say!("{photographs}");
    let record = pretraining_record(run, &photographs, place.device)?;
    let mut task = run.task_on(photographs, place.device)?;
    super::say!("{} parameters", task.store().element_count());
    let report = place.train(&mut task, &run.recipe.train, &run.run, record)?;
    if report.outcome != Outcome::Interrupted {
        let path = place.folder.join("reconstructions.png");
        write_png(&path, task.reconstruction_picture()?)?;
        super::say!("original, masked, reconstructed: {}", path.display());
        // A run that ran out of time has checkpoints alone.
        let weights = match report.final_path.clone() {
            Some(path) => Some(path),
            None => latest_checkpoint(place.folder)?,
        };
        if let Some(weights) = weights {
            super::say!("weights: {}", weights.display());
        }
    }
    Ok(report)
}

/// What a pretraining on these photographs is made of.
pub fn pretraining_record(
    run: &PretrainConfig,
    photographs: &FolderSet,
    device: &Device,
) -> venule::Result<RunRecord> {
    RunRecord::new(run, device)?.with_images(Purpose::Train.name(), photographs)
}

/// What a fine-tuning is made of that is tested on these images, but for the weights it starts from.
pub fn finetuning_record(
    run: &RunConfig,
    test: Option<&FolderSet>,
    device: &Device,
) -> venule::Result<RunRecord> {
    let record = RunRecord::new(run, device)?
        .with_images(Purpose::Train.name(), &run.files(Purpose::Train)?)?
        .with_images(Purpose::Validation.name(), &run.files(Purpose::Validation)?)?;
    match test {
        Some(test) => record.with_images(Purpose::Test.name(), test),
        None => Ok(record),
    }
}

/// Fine-tunes, then tests the best weights, or the last ones of a run without validation. The numbers of a run that came
/// to its end go to test.json.
pub fn finetune(run: &RunConfig, place: &Place<'_>) -> AnyResult<Report> {
    let (train, validation) = (run.files(Purpose::Train)?, run.files(Purpose::Validation)?);
    super::say!(
        "{} training and {} validation images",
        train.len(),
        validation.len()
    );
    let test = test_images(run)?;
    let mut record = finetuning_record(run, test.as_ref(), place.device)?;
    // A checkpoint holds the encoder too: the file it came from may have changed, or be gone.
    let resumes = run.run.resume && has_checkpoint(place.folder)?;
    let mut task = match resumes {
        true => run.task_to_resume(place.device)?,
        false => {
            if let Some(path) = &run.pretrained {
                record = record.with_weights(path)?;
                super::say!("encoder from {}", path.display());
            }
            run.task(place.device)?
        }
    };
    super::say!("{} parameters", task.model().store().element_count());
    let report = place.train(&mut task, &run.recipe.train, &run.run, record)?;
    if report.outcome == Outcome::Interrupted {
        return Ok(report);
    }
    match &report.best {
        Some(best) => super::say!(
            "best validation F1 {:.4} after epoch {}",
            best.score,
            best.epoch + 1
        ),
        None if run.threshold.is_some() || report.final_path.is_none() => {
            super::say!("no validation took place");
        }
        None => super::say!(
            "no validation took place: the threshold is 0.5; `export --threshold-on` chooses another"
        ),
    }
    let Some(weights) = report.best_path.as_ref().or(report.final_path.as_ref()) else {
        super::say!(
            "nothing to test yet: best weights come with a validation, last ones with the end"
        );
        return Ok(report);
    };
    super::say!("weights: {}", weights.display());
    if let Some(test) = test {
        let mut segmenter = Segmenter::from_file_on(weights, place.device)?;
        if let Some(threshold) = run.threshold {
            // The best weights may be of before it was given, on resuming.
            segmenter = segmenter.with_threshold(threshold)?;
        }
        let protocol = Protocol {
            fov: run.fov,
            ..Protocol::default()
        };
        let evaluated = protocol.evaluate(&segmenter, &test, |_, _| Ok(()))?;
        super::say!("{} test images: {}", test.len(), summary(&evaluated.report));
        if report.final_path.is_some() {
            let path = place.folder.join(TEST_FILE);
            let numbers = json(&evaluated, run.recipe.train.seed)?;
            write_atomic(&path, &serde_json::to_vec_pretty(&numbers)?)?;
            super::say!("all numbers: {}", path.display());
        }
    }
    Ok(report)
}

fn has_checkpoint(folder: &Path) -> venule::train::Result<bool> {
    Ok(folder.is_dir() && latest_checkpoint(folder)?.is_some())
}

/// The images to test on. A data set that has none to offer, or none with a label, is no reason not to train; a wrong path is.
pub fn test_images(run: &RunConfig) -> AnyResult<Option<FolderSet>> {
    let test = match run.files(Purpose::Test) {
        Ok(test) => test,
        Err(error) if lacks_test_part(run, &error) => {
            super::say!("no test: {error}");
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(files) = test.files().iter().find(|files| files.label.is_none()) {
        super::say!(
            "no test: {} has no label to compare with",
            files.image.display()
        );
        return Ok(None);
    }
    Ok(Some(test).filter(|test| !test.is_empty()))
}

/// Whether the data sets are there, but not the part to test on.
fn lacks_test_part(run: &RunConfig, error: &venule::Error) -> bool {
    match error {
        venule::Error::Data(DataError::EmptySplit { .. }) => true,
        venule::Error::Data(DataError::MissingFolder { path, .. }) => {
            let roots = run.data.iter().filter_map(|data| data.path.as_deref());
            roots
                .into_iter()
                .any(|root| root.is_dir() && path.starts_with(root) && path != root)
        }
        _ => false,
    }
}

/// Why a run has not come to its end, and the exit status that says so.
pub fn stopped(outcome: Outcome) -> Option<(&'static str, u8)> {
    match outcome {
        Outcome::Interrupted => Some(("interrupted", INTERRUPTED)),
        Outcome::TimeUp => Some(("out of time", 0)),
        Outcome::Completed | Outcome::EarlyStopped => None,
    }
}

/// Says how a run that has not come to its end goes on, in a program that has the flag; its exit status.
pub fn status(report: &Report, folder: &Path) -> u8 {
    let Some((why, status)) = stopped(report.outcome) else {
        return 0;
    };
    super::say!(
        "{why}; everything up to step {} is saved in {}. Go on with the same command and --resume",
        report.steps,
        folder.display()
    );
    status
}

/// [`status`] as the exit code of the program.
pub fn conclude(report: &Report, folder: &Path) -> ExitCode {
    ExitCode::from(status(report, folder))
}
