use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use venule::candle_core::Device;
use venule::data::{Channel, Dataset, FolderSet, FovPolicy, Preprocess};
use venule::mae::{ImportOptions, ImportReport, MissingNorm, Normalisation, PretrainedWeights};
use venule::seg::Freeze;
use venule::tasks::{Finetuning, FinetuningData, StartParts};
use venule::train::{RunOptions, TrainConfig};
use venule::{PartConfig, Recipe, Registry, Segmenter, check_threshold};

use super::data_config::{self, DataConfig, Purpose, unlabelled};
use super::run_file::RunFile;
use super::start::weights;
use super::synthetic_config::SyntheticConfig;
use crate::{Error, Result};

/// All that determines a fine-tuning, as one TOML file: the same file on the same machine gives the same weights.
///
/// A file starts from a preset and says what differs; see [`RunFile`].
///
/// ```
/// use venule_lab::{FinetuneConfig, RunFile};
/// let run: FinetuneConfig = r#"
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
/// assert_eq!(run.to_toml()?.parse::<FinetuneConfig>()?, run);
///
/// let error = "[recipe.train]\nlearning_rat = 1e-4".parse::<FinetuneConfig>().unwrap_err();
/// assert!(error.to_string().contains("did you mean 'learning_rate'?"), "{error}");
/// # Ok::<(), venule_lab::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinetuneConfig {
    /// The preset that the file started from.
    pub preset: String,
    /// Where the field of view comes from. Default: the given one, else detection.
    #[serde(default)]
    pub fov: FovPolicy,
    /// A trained segmentation model to start from: `bundled`, `bundled-fast`, `label-free`, or a file of `finetune`. Default: none.
    pub from: Option<String>,
    /// Which of its variables are taken: `all`, `all-but-head`, `encoder` or `decoder`. Default: all.
    #[serde(default)]
    pub from_parts: StartParts,
    /// Trained segmentation models that say what there is in the photographs without labels, in the mean, each named as in `from`.
    /// Default: none, which leaves that to the average of the model's own weights.
    #[serde(default)]
    pub teachers: Vec<String>,
    /// Weights for the encoder to start from. Default: none.
    pub pretrained: Option<PathBuf>,
    /// What is read of these weights. Default: all that is an encoder's, or an error.
    #[serde(default)]
    pub import: ImportSettings,
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
    /// Synthetic photographs to train on, beside the data sets or alone. Default: none.
    pub synthetic: Option<SyntheticConfig>,
    /// Folders of photographs to learn from without labels, each searched through all its subfolders; `recipe.self_training` says how.
    /// Default: none.
    #[serde(default)]
    pub unlabelled: Vec<PathBuf>,
    /// Whether such photographs that cannot be read, or in which no field of view is found, are left out instead of ending the run.
    /// Default: false.
    #[serde(default)]
    pub skip_unreadable: bool,
    /// The data sets, joined.
    #[serde(default)]
    pub data: Vec<DataConfig>,
}

/// The files that a fine-tuning learns from.
#[derive(Clone, Debug)]
pub struct TrainingFiles {
    /// To fit weights on.
    pub train: FolderSet,
    /// To choose the epoch and the threshold on.
    pub validation: FolderSet,
    /// To learn from without labels.
    pub unlabelled: Option<FolderSet>,
    /// Why others without labels are left out.
    pub left_out: Vec<String>,
}

/// What is read of public weights.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImportSettings {
    /// The top-level key under which the weights lie, such as `teacher`. Default: the one there is.
    pub key: Option<String>,
    /// Attention heads, which a file does not say. Default: those of the public model of this width.
    pub heads: Option<usize>,
    /// Whether tensors of an encoder that find no place are listed instead of refused. Default: false.
    pub allow_unused: bool,
    /// What takes the place of a final norm that the file lacks. Default: nothing, the file is refused.
    pub missing_norm: MissingNormSetting,
}

/// What takes the place of a final norm that a file of weights lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingNormSetting {
    /// Nothing: the file is refused.
    #[default]
    Refuse,
    /// The classifier's `fc_norm`.
    FcNorm,
    /// A fresh norm.
    Fresh,
}

impl ImportSettings {
    /// As the reader takes them.
    pub fn options(&self) -> ImportOptions {
        let mut options = ImportOptions::default();
        options.key = self.key.clone();
        options.heads = self.heads;
        options.allow_unused = self.allow_unused;
        options.missing_norm = match self.missing_norm {
            MissingNormSetting::Refuse => MissingNorm::Refuse,
            MissingNormSetting::FcNorm => MissingNorm::FcNorm,
            MissingNormSetting::Fresh => MissingNorm::Fresh,
        };
        options
    }
}

fn normalized(Normalisation { mean, deviation }: Normalisation) -> Channel {
    Channel::NormalizedRgb { mean, deviation }
}

fn one() -> usize {
    1
}

fn cache_mib() -> usize {
    2048
}

impl RunFile for FinetuneConfig {
    fn preset(name: &str) -> Result<Self> {
        Ok(Self {
            preset: name.to_owned(),
            fov: FovPolicy::default(),
            from: None,
            from_parts: StartParts::default(),
            teachers: Vec::new(),
            pretrained: None,
            import: ImportSettings::default(),
            freeze: Freeze::default(),
            unfreeze_every: None,
            threshold: None,
            workers: one(),
            cache_mib: cache_mib(),
            recipe: Recipe::preset(name)?,
            run: RunOptions::default(),
            synthetic: None,
            unlabelled: Vec::new(),
            skip_unreadable: false,
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
        self.recipe.self_training.validate()?;
        let mean_teacher = !self.unlabelled.is_empty() && self.teachers.is_empty();
        if mean_teacher && self.recipe.train.ema.is_none() {
            return Err(venule::Error::Config {
                field: "recipe.train.ema",
                value: "none".to_owned(),
                expected: "photographs without labels are taught by the average of the weights: set a decay, such as { decay = 0.995 }, or name trained teachers",
            }
            .into());
        }
        check_threshold(self.threshold.unwrap_or(0.5))?;
        if self.unfreeze_every.is_some() && self.freeze != Freeze::None {
            return Err(venule::Error::Config {
                field: "freeze",
                value: format!("{:?}", self.freeze),
                expected: "gradual unfreezing decides what is frozen; set either freeze or unfreeze_every",
            }
            .into());
        }
        if let (Some(from), Some(pretrained)) = (&self.from, &self.pretrained) {
            return Err(venule::Error::Config {
                field: "from",
                value: format!("{from} beside pretrained, {}", pretrained.display()),
                expected: "a training starts from a whole model or from a pretrained encoder; set one of them",
            }
            .into());
        }
        let mut teachers = self.teachers.iter().enumerate();
        if let Some((_, twin)) = teachers.find(|(at, name)| self.teachers[..*at].contains(name)) {
            return Err(venule::Error::Config {
                field: "teachers",
                value: format!("{twin}, more than once"),
                expected: "each teacher is asked once, and counts as the others do",
            }
            .into());
        }
        data_config::cache_bytes(self.cache_mib)?;
        self.synthetic
            .iter()
            .try_for_each(SyntheticConfig::validate)?;
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

impl FromStr for FinetuneConfig {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse_toml(text)
    }
}

impl FinetuneConfig {
    /// Takes the encoder's architecture from the weights that it is to start from, and the channels of a photograph: RGB weights see
    /// RGB, normalised as they were trained. Beside it what was taken, in words.
    ///
    /// The decoder `multi_scale` is told the channels too. One channel remains a matter of three settings behind it:
    /// `recipe.preprocess.channel = "green"`, and `in_channels = 1` in `recipe.model.encoder` and `recipe.model.decoder`; the import
    /// then sums the weights of the colours.
    ///
    /// # Errors
    /// If the file is unreadable, or does not tell its architecture.
    pub fn with_encoder_of(mut self, path: &Path) -> Result<(Self, String)> {
        let weights = PretrainedWeights::read_with(path, &self.import.options());
        let weights = weights.map_err(venule::Error::from)?;
        let description = weights.describe().map_err(venule::Error::from)?;
        let channels = description.config.in_channels;
        let model = &mut self.recipe.model;
        model.encoder = PartConfig::new("vit", &description.config)?;
        if model.decoder.kind == "multi_scale" {
            let settings = &mut model.decoder.config;
            settings.insert("in_channels".to_owned(), channels.into());
        }
        let own = weights.metadata().get("preprocess");
        let own = own.and_then(|text| serde_json::from_str::<Preprocess>(text).ok());
        let imagenet = description.normalisation.unwrap_or(Normalisation::IMAGENET);
        let (channel, why) = match (own, description.normalisation) {
            (Some(own), _) if own.channel.count() == channels => (own.channel, "as the file says"),
            _ if channels == 1 => match self.recipe.preprocess.channel {
                channel if channel.count() == 1 => (channel, "as in the recipe"),
                _ => (Channel::Green, "as the weights take one channel"),
            },
            (_, Some(_)) => (normalized(imagenet), "as that family was trained"),
            (_, None) => (
                normalized(imagenet),
                "of ImageNet, which is assumed: neither file nor family says its own",
            ),
        };
        self.recipe.preprocess.channel = channel;
        self.pretrained = Some(path.to_owned());
        let said = match channel {
            Channel::NormalizedRgb { mean, deviation } => {
                format!("channel=normalized_rgb, mean={mean:?}, deviation={deviation:?} ({why})")
            }
            channel => format!("channel={} ({why})", channel.name()),
        };
        Ok((self, format!("{description}\npreprocessing: {said}")))
    }

    /// The files of the data sets' splits that serve a purpose.
    ///
    /// # Errors
    /// If a name or split is unknown, or a set has no such image.
    pub fn files(&self, purpose: Purpose) -> Result<FolderSet> {
        data_config::files(&self.data, purpose)
    }

    /// The fine-tuning itself, on the files of [`files`](Self::files), with the parts and losses of a registry; beside it what of
    /// the pretrained weights was taken.
    ///
    /// # Errors
    /// What [`Finetuning`] gives for these settings and images; `freeze` and `unfreeze_every` may not both be set.
    pub fn task(
        &self,
        registry: &Registry,
        device: &Device,
    ) -> Result<(Finetuning, Option<ImportReport>)> {
        let start = self.start(registry, device)?;
        self.task_of(self.training_files()?, start, registry, device)
    }

    /// The files to learn from, and what of the photographs without labels is left out.
    ///
    /// # Errors
    /// As [`files`](Self::files).
    pub fn training_files(&self) -> Result<TrainingFiles> {
        let sets = self.unlabelled.iter().cloned();
        let sets: Vec<_> = sets.map(DataConfig::unlabelled).collect();
        let (unlabelled, left_out) = match sets.is_empty() {
            true => (None, Vec::new()),
            false => {
                let found = unlabelled(&sets, self.skip_unreadable, self.fov)?;
                (Some(found.0), found.1)
            }
        };
        Ok(TrainingFiles {
            train: self.files(Purpose::Train)?,
            validation: self.files(Purpose::Validation)?,
            unlabelled,
            left_out: left_out.iter().map(ToString::to_string).collect(),
        })
    }

    /// As [`task`](Self::task), on files that have been found, from the model that it is to start from.
    pub(super) fn task_of(
        &self,
        files: TrainingFiles,
        start: Option<Segmenter>,
        registry: &Registry,
        device: &Device,
    ) -> Result<(Finetuning, Option<ImportReport>)> {
        let mut task = self.fresh(files, registry, device)?;
        if let (Some(start), Some(from)) = (start, &self.from) {
            task.start_from(&start, from, self.from_parts)?;
        }
        let import = self.pretrained.as_ref();
        let options = self.import.options();
        let import = import.map(|path| task.load_encoder_with(path, &options));
        let import = import.transpose()?;
        Ok((self.frozen(task)?, import))
    }

    /// As [`task_of`](Self::task_of), to go on from a checkpoint, which holds the model: the weights that it started from are not
    /// read, and need not be there any more.
    pub(super) fn task_to_resume_of(
        &self,
        files: TrainingFiles,
        registry: &Registry,
        device: &Device,
    ) -> Result<Finetuning> {
        let mut task = self.fresh(files, registry, device)?;
        if let Some(path) = &self.pretrained {
            task.name_encoder(path);
        }
        self.frozen(task)
    }

    fn fresh(
        &self,
        files: TrainingFiles,
        registry: &Registry,
        device: &Device,
    ) -> Result<Finetuning> {
        self.validate()?;
        self.expect_a_teacher()?;
        let labelled: [Box<dyn Dataset>; 2] = [Box::new(files.train), Box::new(files.validation)];
        let [train, validation] = match &self.synthetic {
            Some(synthetic) => {
                let [train, validation] = labelled;
                synthetic.join(self.recipe.train.seed, train, validation)?
            }
            None => labelled,
        };
        let unlabelled = files.unlabelled;
        let data = FinetuningData {
            train,
            unlabelled: unlabelled.map(|files| Box::new(files) as Box<dyn Dataset>),
            validation,
            fov: self.fov,
            workers: self.workers,
            cache_bytes: data_config::cache_bytes(self.cache_mib)?,
        };
        let task = Finetuning::from_registry(registry, &self.recipe, data, device)?;
        let teachers = self.teachers.iter().map(|name| {
            let teacher = weights(Path::new(name), registry, device)?;
            Ok((name.clone(), teacher))
        });
        let task = task.with_teachers(teachers.collect::<Result<_>>()?)?;
        Ok(match self.threshold {
            Some(threshold) => task.with_threshold(threshold)?,
            None => task,
        })
    }

    /// Refuses random weights that would learn from themselves alone.
    fn expect_a_teacher(&self) -> Result<()> {
        let labelled = !self.data.is_empty() || self.synthetic.is_some();
        let taught = !self.teachers.is_empty() || self.from.is_some();
        if !self.unlabelled.is_empty() && !labelled && !taught {
            return Err(venule::Error::Config {
                field: "from",
                value: "none".to_owned(),
                expected: "random weights cannot teach: start from trained ones, name trained `teachers`, or put labelled photographs or [synthetic] beside those without labels",
            }
            .into());
        }
        Ok(())
    }

    fn frozen(&self, mut task: Finetuning) -> Result<Finetuning> {
        match self.unfreeze_every {
            Some(epochs) => Ok(task.with_gradual_unfreezing(epochs)?),
            None => {
                task.freeze(self.freeze)?;
                Ok(task)
            }
        }
    }
}
