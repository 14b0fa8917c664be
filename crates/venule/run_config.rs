use std::path::{Path, PathBuf};
use std::str::FromStr;

use candle_core::Device;
use serde::{Deserialize, Serialize};
use venule_data::{FolderSet, FovPolicy};
use venule_seg::Freeze;
use venule_train::{RunOptions, TrainConfig};

use crate::data_config::{self, DataConfig, Purpose};
use crate::segmenter::check_threshold;
use crate::tasks::{Finetuning, FinetuningData};
use crate::{Error, Recipe, Result, RunFile};

/// All that determines a fine-tuning, as one TOML file: the same file on the same machine gives the same weights.
///
/// A file starts from a preset and says what differs; see [`RunFile`].
///
/// ```
/// use venule::{RunConfig, RunFile};
/// let run: RunConfig = r#"
///     preset = "compact"
///     freeze = { all_but = 2 }
///
///     [[data]]
///     name = "drive"
///     path = "data/DRIVE"
///
///     [recipe]
///     loss = "reference"
///     [recipe.train]
///     learning_rate = 5e-4
/// "#
/// .parse()?;
/// assert_eq!(run.recipe.train.learning_rate, 5e-4);
/// assert_eq!(run.recipe.crop, 256);
/// // What it writes says everything, and reads back as the same.
/// assert_eq!(run.to_toml()?.parse::<RunConfig>()?, run);
///
/// let error = "[recipe.train]\nlearning_rat = 1e-4".parse::<RunConfig>().unwrap_err();
/// assert!(error.to_string().contains("did you mean 'learning_rate'?"), "{error}");
/// # Ok::<(), venule::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// The preset that the file started from.
    pub preset: String,
    /// Where the field of view comes from. Default: the given one, else detection.
    #[serde(default)]
    pub fov: FovPolicy,
    /// Weights for the encoder to start from. Default: none.
    pub pretrained: Option<PathBuf>,
    /// The part of the encoder that is kept as it is. Default: none.
    #[serde(default)]
    pub freeze: Freeze,
    /// Epochs from one thawed block to the next, instead of `freeze`. Default: none.
    pub unfreeze_every: Option<usize>,
    /// A fixed threshold. Default: the one that maximises F1 on the validation images.
    pub threshold: Option<f32>,
    /// Threads that load and augment; the batches are the same for any number. Default: 1.
    #[serde(default = "one")]
    pub workers: usize,
    /// MiB of training photographs kept in memory at most, 0 to 1,048,576; what is not kept is read anew in each epoch. It changes
    /// no result. Default: 2048.
    #[serde(default = "cache_mib")]
    pub cache_mib: usize,
    /// Model, input, loss, optimiser and schedule, after the preset's.
    pub recipe: Recipe,
    /// Where and how long the run runs.
    #[serde(default)]
    pub run: RunOptions,
    /// The data sets, joined.
    #[serde(default)]
    pub data: Vec<DataConfig>,
}

fn one() -> usize {
    1
}

fn cache_mib() -> usize {
    2048
}

impl RunFile for RunConfig {
    fn preset(name: &str) -> Result<Self> {
        Ok(Self {
            preset: name.to_owned(),
            fov: FovPolicy::default(),
            pretrained: None,
            freeze: Freeze::default(),
            unfreeze_every: None,
            threshold: None,
            workers: one(),
            cache_mib: cache_mib(),
            recipe: Recipe::preset(name)?,
            run: RunOptions::default(),
            data: Vec::new(),
        })
    }

    /// Optimiser, schedule, preprocessing, augmentation, threshold, freezing, the size of the cache, the data sets, and that no split
    /// of a data set serves two purposes: what was trained on proves nothing in a test. The model is checked when it is built.
    fn validate(&self) -> Result<()> {
        self.recipe.train.validate()?;
        self.run.validate()?;
        self.recipe.preprocess.validate()?;
        self.recipe.augment.validate()?;
        self.recipe.color.validate()?;
        check_threshold(self.threshold.unwrap_or(0.5))?;
        if self.unfreeze_every.is_some() && self.freeze != Freeze::None {
            return Err(Error::Config {
                field: "freeze",
                value: format!("{:?}", self.freeze),
                expected: "gradual unfreezing decides what is frozen; set either freeze or unfreeze_every",
            });
        }
        data_config::cache_bytes(self.cache_mib)?;
        data_config::validate(&self.data)?;
        data_config::validate_purposes(&self.data)
    }

    fn options_mut(&mut self) -> &mut RunOptions {
        &mut self.run
    }

    fn train_mut(&mut self) -> &mut TrainConfig {
        &mut self.recipe.train
    }
}

impl FromStr for RunConfig {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse_toml(text)
    }
}

impl RunConfig {
    /// The files of the data sets' splits that serve a purpose.
    ///
    /// # Errors
    /// If a name or split is unknown, or a set has no such image.
    pub fn files(&self, purpose: Purpose) -> Result<FolderSet> {
        data_config::files(&self.data, purpose)
    }

    /// The fine-tuning itself, on the files of [`files`](Self::files).
    ///
    /// # Errors
    /// What [`Finetuning`] gives for these settings and images; [`Error::Config`] if `freeze` and `unfreeze_every` are
    /// both set.
    pub fn task(&self, device: &Device) -> Result<Finetuning> {
        self.build(device, |task, path| task.load_encoder(path).map(drop))
    }

    /// As [`task`](Self::task), to go on from a checkpoint, which holds the encoder too: `pretrained` is not read, and need not be
    /// there any more.
    ///
    /// # Errors
    /// As `task`.
    pub fn task_to_resume(&self, device: &Device) -> Result<Finetuning> {
        self.build(device, |task, path| {
            task.name_encoder(path);
            Ok(())
        })
    }

    fn build(
        &self,
        device: &Device,
        start_from: impl FnOnce(&mut Finetuning, &Path) -> Result<()>,
    ) -> Result<Finetuning> {
        self.validate()?;
        let data = FinetuningData {
            train: Box::new(self.files(Purpose::Train)?),
            validation: Box::new(self.files(Purpose::Validation)?),
            fov: self.fov,
            workers: self.workers,
            cache_bytes: data_config::cache_bytes(self.cache_mib)?,
        };
        let mut task = Finetuning::new(&self.recipe, data, self.recipe.train.seed, device)?;
        let prefix = |purpose| data_config::prefix_of_one(&self.data, purpose);
        task.prefix_names(&prefix(Purpose::Train)?, &prefix(Purpose::Validation)?);
        if let Some(threshold) = self.threshold {
            task = task.with_threshold(threshold)?;
        }
        if let Some(path) = &self.pretrained {
            start_from(&mut task, path)?;
        }
        match self.unfreeze_every {
            Some(epochs) => task.with_gradual_unfreezing(epochs),
            None => {
                task.freeze(self.freeze)?;
                Ok(task)
            }
        }
    }
}
