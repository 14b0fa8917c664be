//! The two trainings as library calls: train, test the best weights, write the numbers.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use venule::candle_core::Device;
use venule::data::{Dataset, Error as DataError, FolderSet, Preprocess, write_png};
use venule::file::{Error as FileError, check_writable, write_atomic};
use venule::tasks::Finetuning;
use venule::train::{
    Communicator, Error as TrainError, JsonLines, LOG_FILE, Outcome, Report, RunOptions, Task,
    TrainConfig, Trainer, latest_checkpoint,
};
use venule::{ImageRecord, Protocol, Provenance, Registry, Segmenter};

use super::record::{RECORD, UNLABELLED};
use super::{FinetuneConfig, PretrainConfig, Purpose, RunRecord, TEST_FILE, TrainingFiles};
use crate::report::{json, summary};
use crate::{Error, LearningCurve, ProgressBar, Result, TensorBoard, known_images};

/// Where a training runs and how it is watched.
///
/// ```no_run
/// use std::path::Path;
/// use venule::Registry;
/// use venule_lab::{FinetuneConfig, Place, RunFile};
/// let run: FinetuneConfig = "preset = 'tiny'\n[[data]]\nname = 'drive'\npath = 'data/DRIVE'".parse()?;
/// let registry = Registry::built_in();
/// let place = Place::new(Path::new("runs/drive"), &registry);
/// let report = place.finetune(&run)?;
/// println!("{} steps", report.steps);
/// # Ok::<(), venule_lab::Error>(())
/// ```
pub struct Place<'a> {
    /// The run folder.
    pub folder: &'a Path,
    /// The kinds of parts and losses that the run may name.
    pub registry: &'a Registry,
    /// The device that computes. Default: the CPU.
    pub device: Device,
    /// Whether TensorBoard event files are written into the folder `tensorboard` of the run. Default: no.
    pub tensorboard: bool,
    /// What joins this process to others that train the same run; the first of them alone writes and says something. Default: none.
    pub communicator: Option<Rc<dyn Communicator>>,
    /// Set by whoever wants the run to stop after its step.
    pub stop: Arc<AtomicBool>,
    /// Whether everything that is left out of the photographs' folders is named. Default: the first four.
    pub verbose: bool,
    /// Takes what is said of the run, a line at a time. Default: nobody.
    pub say: &'a dyn Fn(&str),
}

impl<'a> Place<'a> {
    /// A folder, with the defaults.
    pub fn new(folder: &'a Path, registry: &'a Registry) -> Self {
        Self {
            folder,
            registry,
            device: Device::Cpu,
            tensorboard: false,
            communicator: None,
            stop: Arc::default(),
            verbose: false,
            say: &|_| {},
        }
    }

    /// Whether this process writes the run folder: the first of several, or the only one.
    pub fn is_first(&self) -> bool {
        let rank = self.communicator.as_ref().map(|joined| joined.rank());
        rank.unwrap_or(0) == 0
    }

    fn say(&self, line: impl AsRef<str>) {
        if self.is_first() {
            (self.say)(line.as_ref());
        }
    }

    /// What the first of several processes finds of the run folder, which others need not see.
    fn as_the_first(&self, find: impl FnOnce() -> Result<bool>) -> Result<bool> {
        let Some(joined) = &self.communicator else {
            return find();
        };
        let found = match self.is_first() {
            true => vec![u8::from(find()?)],
            false => Vec::new(),
        };
        let rank = joined.rank();
        let lost = |source| TrainError::Communication { rank, source };
        Ok(joined.broadcast(found).map_err(lost)? == [1])
    }

    /// Refuses processes that were started with other run files or images than the first.
    fn expect_alike(&self, record: &RunRecord) -> Result<()> {
        let Some(joined) = &self.communicator else {
            return Ok(());
        };
        let rank = joined.rank();
        let all = joined.all_gather(&record.checksum().to_le_bytes());
        let all = all.map_err(|source| TrainError::Communication { rank, source })?;
        match all.iter().position(|one| *one != all[0]) {
            None => Ok(()),
            Some(rank) => Err(TrainError::RanksDiffer {
                rank,
                what: "run file or images",
            }
            .into()),
        }
    }

    fn expect_writable(&self) -> Result<()> {
        match self.is_first() {
            true => Ok(check_writable(self.folder)?),
            false => Ok(()),
        }
    }

    /// Says how many files there are and what is left out of their folders.
    fn say_files(&self, files: &FolderSet) {
        match self.verbose {
            true => self.say(format!("{files:#}")),
            false => self.say(files.to_string()),
        }
    }

    /// Says what was understood of the files read so far.
    fn say_notes(&self, files: &FolderSet) {
        let notes = files.notes().into_iter();
        notes.for_each(|note| self.say(note.to_string()));
    }

    fn train(
        &self,
        task: &mut dyn Task,
        config: &TrainConfig,
        options: &RunOptions,
        record: RunRecord,
    ) -> Result<Report> {
        venule::nn::keep_freed_memory();
        let options = RunOptions {
            directory: Some(self.folder.to_owned()),
            ..options.clone()
        };
        let mut trainer = Trainer::new(config.clone())?
            .with_options(options)?
            .with_stop_flag(self.stop.clone());
        if let Some(joined) = &self.communicator {
            self.expect_alike(&record)?;
            trainer = trainer.with_communicator(joined.clone());
        }
        if self.is_first() {
            // The record first: it refuses a run on other images before anything is written.
            trainer = trainer
                .with_callback(record)
                .with_callback(ProgressBar::new())
                .with_callback(JsonLines::in_folder(self.folder))
                .with_callback(LearningCurve::new(self.folder.join("curve.svg")));
            if self.tensorboard {
                trainer = trainer.with_callback(TensorBoard::new(self.folder.join("tensorboard")));
            }
        }
        let started = Instant::now();
        let report = trainer.fit(task).map_err(|error| self.explained(error))?;
        let log = self.folder.join(LOG_FILE);
        self.say(format!("{} steps; log: {}", report.steps, log.display()));
        if let (Some(spent), Some(joined)) = (report.communication, &self.communicator) {
            let all = started.elapsed().as_secs_f64();
            self.say(format!(
                "{} processes; {:.1} % of {all:.0} s went into messages and waiting for each other",
                joined.size(),
                100.0 * spent.as_secs_f64() / all.max(f64::MIN_POSITIVE)
            ));
        }
        Ok(report)
    }

    /// The error of a training; what the record says of the folder is said of the folder, and not of a part of the program.
    fn explained(&self, error: TrainError) -> Error {
        match error {
            TrainError::Callback { callback, source } if callback == RECORD => {
                match source.downcast::<FileError>() {
                    Ok(error) => (*error).into(),
                    Err(source) => Error::RunFile {
                        path: self.folder.to_owned(),
                        reason: source.to_string(),
                    },
                }
            }
            other => other.into(),
        }
    }

    /// Pretrains, and writes a picture of reconstructions.
    ///
    /// # Errors
    /// If the folder cannot be written, the photographs cannot be read, or training fails.
    pub fn pretrain(&self, run: &PretrainConfig) -> Result<Report> {
        self.expect_writable()?;
        let (photographs, left_out) = run.files()?;
        for error in &left_out {
            self.say(format!("left out: {error}"));
        }
        self.say_files(&photographs);
        let record = pretraining_record(run, &photographs, &self.device)?;
        let mut task = run.task_on(self.registry, photographs.clone(), &self.device)?;
        self.say(format!("{} parameters", task.store().element_count()));
        let report = self.train(&mut task, &run.recipe.train, &run.run, record)?;
        // They are read as the epochs come.
        self.say_notes(&photographs);
        if report.outcome != Outcome::Interrupted && self.is_first() {
            let path = self.folder.join("reconstructions.png");
            write_png(&path, task.reconstruction_picture()?)?;
            self.say(format!(
                "original, masked, reconstructed: {}",
                path.display()
            ));
            // A run that ran out of time has checkpoints alone.
            let weights = match report.final_path.clone() {
                Some(path) => Some(path),
                None => latest_checkpoint(self.folder)?,
            };
            if let Some(weights) = weights {
                self.say(format!("weights: {}", weights.display()));
            }
        }
        Ok(report)
    }

    /// Fine-tunes, then tests the best weights, or the last ones of a run without validation. The numbers of a run that came
    /// to its end go to test.json.
    ///
    /// # Errors
    /// If the folder cannot be written, the photographs cannot be read, or training or test fails.
    pub fn finetune(&self, run: &FinetuneConfig) -> Result<Report> {
        self.expect_writable()?;
        let files = run.training_files()?;
        let labelled = (files.train.len(), files.validation.len());
        if labelled != (0, 0) {
            let (train, validation) = labelled;
            self.say(format!(
                "{train} training and {validation} validation images"
            ));
        }
        for error in &files.left_out {
            self.say(format!("left out: {error}"));
        }
        if let Some(unlabelled) = &files.unlabelled {
            let taught = match run.teachers.is_empty() {
                true => String::new(),
                false => format!(", taught by {}", run.teachers.join(" and ")),
            };
            self.say(format!(
                "{} photographs to learn from without labels{taught}",
                unlabelled.len()
            ));
        }
        if let Some(synthetic) = &run.synthetic {
            self.say(format!(
                "{} new synthetic photographs ({}) in every epoch",
                synthetic.photographs,
                synthetic.range.name()
            ));
        }
        let mut all = files.train.clone().join(files.validation.clone());
        if let Some(unlabelled) = &files.unlabelled {
            all = all.join(unlabelled.clone());
        }
        if !all.left_out().is_empty() {
            self.say_files(&all);
        }
        let test = self.test_images(run)?;
        let mut record = finetuning_record(run, &files, test.as_ref(), &self.device)?;
        // A checkpoint holds the encoder too: the file it came from may have changed, or be gone.
        let resumes = self.as_the_first(|| {
            let begun = run.run.resume && self.folder.is_dir();
            Ok(begun && latest_checkpoint(self.folder)?.is_some())
        })?;
        let mut task = match resumes {
            true => run.task_to_resume_of(files.clone(), self.registry, &self.device)?,
            false => {
                if let Some(path) = run.weights_file() {
                    record = record.with_weights(path)?;
                }
                let start = run.start(self.registry, &self.device)?;
                if let (Some(start), Some(from)) = (&start, &run.from) {
                    self.say_of_start(from, start, run);
                }
                let found = run.task_of(files.clone(), start, self.registry, &self.device)?;
                let (task, import) = found;
                if let (Some(path), Some(import)) = (&run.pretrained, import) {
                    self.say(format!("encoder from {}: {import}", path.display()));
                }
                task
            }
        };
        // One folder may serve several purposes: it is spoken of once.
        self.say_notes(&all);
        let parameters = task.model().store().element_count();
        self.say(format!("{parameters} parameters"));
        let test = match test {
            Some(images) => {
                let records = ImageRecord::of(&images, "")?;
                // Those of a start or a teacher; the run's own were told apart above.
                let provenance = &task.checkpoint().provenance;
                let chosen = !task.validates();
                self.warn_of_known_images("the start or a teacher", provenance, &records, chosen);
                Some((images, records))
            }
            None => None,
        };
        let report = self.train(&mut task, &run.recipe.train, &run.run, record)?;
        if report.outcome != Outcome::Interrupted && self.is_first() {
            self.test(run, test, &task, &report)?;
        }
        Ok(report)
    }

    /// Says that a run sees photographs in another way than the model that it starts from did.
    fn say_of_start(&self, from: &str, start: &Segmenter, run: &FinetuneConfig) {
        let [its, here] = [&start.checkpoint().preprocess, &run.recipe.preprocess];
        if its != here {
            self.say(format!(
                "note: {from} sees photographs by {}, this run by {}; [recipe.preprocess] says how",
                seen_by(its),
                seen_by(here)
            ));
        }
    }

    /// Tests the weights of a fine-tuning that has ended.
    fn test(
        &self,
        run: &FinetuneConfig,
        test: Option<(FolderSet, Vec<ImageRecord>)>,
        task: &Finetuning,
        report: &Report,
    ) -> Result<()> {
        let validated = task.validates();
        match &report.best {
            Some(best) => self.say(format!(
                "best {} {:.4} after epoch {}",
                match validated {
                    true => "validation F1",
                    false => "agreement of the teacher's probabilities in two intensities",
                },
                best.score,
                best.epoch + 1
            )),
            None if run.threshold.is_some() || report.final_path.is_none() => {
                self.say("no validation took place");
            }
            None => self.say(format!(
                "no validation took place: the threshold is {}; `export --threshold-on` chooses another",
                task.checkpoint().threshold
            )),
        }
        let (best, last) = (report.best_path.as_ref(), report.final_path.as_ref());
        // Agreement with itself tells a teacher's health, not which weights find more.
        let weights = match validated {
            true => best.or(last),
            false => last.or(best),
        };
        let Some(weights) = weights else {
            self.say(
                "nothing to test yet: best weights come with a validation, last ones with the end",
            );
            return Ok(());
        };
        self.say(format!("weights: {}", weights.display()));
        let Some((test, records)) = test else {
            return Ok(());
        };
        let mut segmenter = Segmenter::from_file_with(self.registry, weights, &self.device)?;
        if let Some(threshold) = run.threshold {
            // The best weights may be of before it was given, on resuming.
            segmenter = segmenter.with_threshold(threshold)?;
        }
        let protocol = Protocol {
            fov: run.fov,
            ..Protocol::default()
        };
        let provenance = &segmenter.checkpoint().provenance;
        self.warn_of_known_images(
            "what is tested",
            provenance,
            &records,
            run.threshold.is_none(),
        );
        let evaluated = protocol.evaluate(&segmenter, &test, |_, _| Ok(()))?;
        let numbers = summary(&evaluated.report);
        self.say_notes(&test);
        for warning in &evaluated.warnings {
            self.say(format!("warning: {warning}"));
        }
        self.say(format!("{} test images: {numbers}", test.len()));
        if report.final_path.is_some() {
            let path = self.folder.join(TEST_FILE);
            let numbers = json(&evaluated, run.recipe.train.seed)?;
            write_atomic(&path, format!("{numbers:#}").as_bytes())?;
            self.say(format!("all numbers: {}", path.display()));
        }
        Ok(())
    }

    /// Says which test images prove nothing, since the weights know them: from those that they started from, or from a teacher. `chosen`:
    /// those that the threshold was chosen on, too.
    fn warn_of_known_images(
        &self,
        what: &str,
        provenance: &Provenance,
        test: &[ImageRecord],
        chosen: bool,
    ) {
        for note in known_images(provenance, test, "the test", chosen) {
            self.say(format!("warning: {what} {note}"));
        }
    }

    /// The images to test on. A data set that has none to offer, or none with a label, is no reason not to train; a wrong path is.
    ///
    /// # Errors
    /// If a folder is missing or files do not pair.
    pub fn test_images(&self, run: &FinetuneConfig) -> Result<Option<FolderSet>> {
        let test = match run.files(Purpose::Test) {
            Ok(test) => test,
            Err(error) if lacks_test_part(run, &error) => {
                self.say(format!("no test: {error}"));
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if let Some(files) = test.files().iter().find(|files| files.label.is_none()) {
            self.say(format!(
                "no test: {} has no label to compare with",
                files.image.display()
            ));
            return Ok(None);
        }
        Ok(Some(test).filter(|test| !test.is_empty()))
    }
}

/// Settings of the preprocessing, as JSON.
fn seen_by(preprocess: &Preprocess) -> String {
    serde_json::to_string(preprocess).unwrap_or_default()
}

/// What a pretraining on these photographs is made of.
///
/// # Errors
/// If a file cannot be read.
pub fn pretraining_record(
    run: &PretrainConfig,
    photographs: &FolderSet,
    device: &Device,
) -> Result<RunRecord> {
    RunRecord::new(run, device)?.with_images(Purpose::Train.name(), photographs)
}

/// What a fine-tuning on these files is made of that is tested on these images, but for the weights it starts from.
///
/// # Errors
/// If a file cannot be read, or an image serves two purposes.
pub fn finetuning_record(
    run: &FinetuneConfig,
    files: &TrainingFiles,
    test: Option<&FolderSet>,
    device: &Device,
) -> Result<RunRecord> {
    let mut record = RunRecord::new(run, device)?
        .with_images(Purpose::Train.name(), &files.train)?
        .with_images(Purpose::Validation.name(), &files.validation)?;
    if let Some(unlabelled) = &files.unlabelled {
        record = record.with_images(UNLABELLED, unlabelled)?;
    }
    for teacher in &run.teachers {
        record = record.with_teacher(Path::new(teacher))?;
    }
    match test {
        Some(test) => record.with_images(Purpose::Test.name(), test),
        None => Ok(record),
    }
}

/// Whether the data sets are there, but not the part to test on.
fn lacks_test_part(run: &FinetuneConfig, error: &crate::Error) -> bool {
    let crate::Error::Venule(venule::Error::Data(error)) = error else {
        return false;
    };
    match error {
        DataError::EmptySplit { .. } => true,
        DataError::MissingFolder { path, .. } => {
            let roots = run.data.iter().filter_map(|data| data.path.as_deref());
            roots
                .into_iter()
                .any(|root| root.is_dir() && path.starts_with(root) && path != root)
        }
        _ => false,
    }
}
