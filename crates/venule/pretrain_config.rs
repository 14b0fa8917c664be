use std::str::FromStr;

use candle_core::Device;
use serde::{Deserialize, Serialize};
use venule_data::{Augment, FolderSet, FovPolicy, Jitter, Preprocess};
use venule_mae::MaeConfig;
use venule_train::{AdamWConfig, RunOptions, Schedule, Span, TrainConfig, Warmup};

use crate::data_config::{self, DataConfig, Purpose};
use crate::tasks::{Pretraining, PretrainingData};
use crate::{Error, Recipe, Result, RunFile};

/// How a masked autoencoder is pretrained: model, input, masking and schedule together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainRecipe {
    /// The masked autoencoder.
    pub model: MaeConfig,
    /// How a photograph becomes the network's input: as in the fine-tuning that follows.
    pub preprocess: Preprocess,
    /// What happens to each crop.
    pub augment: Augment,
    /// Side of the square crops, a multiple of the patch size.
    pub crop: usize,
    /// Crops taken from each photograph in an epoch.
    pub crops_per_image: usize,
    /// Crops in a batch.
    pub batch_size: usize,
    /// Share of patches that is masked, above 0 and below 1.
    pub mask_ratio: f64,
    /// Strength w of the vessel-weighted loss, which multiplies the error by 1 + w·vesselness; 0 is the plain loss.
    pub vessel_weight: f64,
    /// Optimiser, schedule and checkpoints.
    pub train: TrainConfig,
}

impl PretrainRecipe {
    /// The recipe of a preset: photographs and crops as in its [`Recipe`], so that the encoder meets vessels of one width
    /// in both trainings; any rotation, scale 0.75 to 1.3 and flips, but no change of intensity, which the target would
    /// share; three quarters masked; batches of 16; AdamW 1e-4 with β₂ 0.95 and weight decay 0.05, 100 steps of warm-up,
    /// cosine (He et al. 2022).
    ///
    /// # Errors
    /// An unknown name; the error lists the known ones.
    pub fn preset(name: &str) -> Result<Self> {
        let model = MaeConfig::preset(name)?;
        let finetuning = Recipe::preset(name)?;
        Ok(Self {
            model,
            preprocess: finetuning.preprocess,
            augment: Augment {
                contrast: Jitter::NEVER,
                brightness: Jitter::NEVER,
                noise: Jitter::NEVER,
                ..Augment::standard()
            },
            crop: finetuning.crop,
            crops_per_image: 1,
            batch_size: 16,
            mask_ratio: 0.75,
            vessel_weight: 0.0,
            train: TrainConfig {
                epochs: 200,
                weight_decay: 0.05,
                adamw: AdamWConfig {
                    beta2: 0.95,
                    ..AdamWConfig::default()
                },
                schedule: Schedule::Cosine { min_lr: 0.0 },
                warmup: Warmup {
                    length: Span::Steps(100),
                    ..Warmup::default()
                },
                ..TrainConfig::default()
            },
        })
    }
}

/// All that determines a pretraining, as one TOML file; see [`RunFile`].
///
/// ```
/// use venule::{PretrainConfig, RunFile};
/// let run: PretrainConfig = r#"
///     preset = "compact"
///     [recipe]
///     mask_ratio = 0.6
///     [recipe.model.encoder]
///     depth = 8
///     [recipe.train]
///     base_learning_rate = 1.5e-3
///     [[data]]
///     name = "unlabelled"
///     path = "photographs"
/// "#
/// .parse()?;
/// assert_eq!((run.recipe.model.encoder.depth, run.recipe.crop), (8, 256));
/// assert_eq!(run.to_toml()?.parse::<PretrainConfig>()?, run);
/// # Ok::<(), venule::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainConfig {
    /// The preset that the file started from.
    pub preset: String,
    /// Where the field of view comes from. Default: the given one, else detection.
    #[serde(default)]
    pub fov: FovPolicy,
    /// Whether photographs that cannot be read, or in which no field of view is found, are left out instead of ending the run.
    /// Default: false.
    #[serde(default)]
    pub skip_unreadable: bool,
    /// Threads that load and augment; the batches are the same for any number. Default: 1.
    #[serde(default = "one")]
    pub workers: usize,
    /// MiB of prepared photographs kept in memory at most, 0 to 1,048,576; what is not kept is read anew in each epoch. It changes
    /// no result. Default: 3072.
    #[serde(default = "cache_mib")]
    pub cache_mib: usize,
    /// Model, input, masking, optimiser and schedule, after the preset's.
    pub recipe: PretrainRecipe,
    /// Where and how long the run runs.
    #[serde(default)]
    pub run: RunOptions,
    /// The data sets, joined; of each only the splits of its `train` are taken, without their labels.
    #[serde(default)]
    pub data: Vec<DataConfig>,
}

fn one() -> usize {
    1
}

fn cache_mib() -> usize {
    3072
}

impl RunFile for PretrainConfig {
    fn preset(name: &str) -> Result<Self> {
        Ok(Self {
            preset: name.to_owned(),
            fov: FovPolicy::default(),
            skip_unreadable: false,
            workers: one(),
            cache_mib: cache_mib(),
            recipe: PretrainRecipe::preset(name)?,
            run: RunOptions::default(),
            data: Vec::new(),
        })
    }

    /// Optimiser, schedule, preprocessing, augmentation, the size of the cache and the data sets. The model and its mask ratio are
    /// checked when it is built.
    fn validate(&self) -> Result<()> {
        self.recipe.train.validate()?;
        self.run.validate()?;
        self.recipe.preprocess.validate()?;
        self.recipe.augment.validate()?;
        data_config::cache_bytes(self.cache_mib)?;
        data_config::validate(&self.data)
    }

    fn options_mut(&mut self) -> &mut RunOptions {
        &mut self.run
    }

    fn train_mut(&mut self) -> &mut TrainConfig {
        &mut self.recipe.train
    }
}

impl FromStr for PretrainConfig {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse_toml(text)
    }
}

impl PretrainConfig {
    /// The photographs; with `skip_unreadable` the errors of those left out beside them.
    ///
    /// # Errors
    /// If a name or split is unknown, or a set has no such image.
    pub fn files(&self) -> Result<(FolderSet, Vec<venule_data::Error>)> {
        let found = data_config::files(&self.data, Purpose::Train)?;
        let photographs = found.without_labels();
        Ok(match self.skip_unreadable {
            true => photographs.without_unusable(|sample| self.fov.resolve(sample).map(drop)),
            false => (photographs, Vec::new()),
        })
    }

    /// The pretraining itself, on the photographs of [`files`](Self::files).
    ///
    /// # Errors
    /// What [`Pretraining`] gives for these settings and photographs.
    pub fn task_on(&self, photographs: FolderSet, device: &Device) -> Result<Pretraining> {
        let recipe = &self.recipe;
        let data = PretrainingData {
            photographs: Box::new(photographs),
            preprocess: recipe.preprocess.clone(),
            fov: self.fov,
            augment: recipe.augment.clone(),
            crop: recipe.crop,
            batch_size: recipe.batch_size,
            crops_per_image: recipe.crops_per_image,
            workers: self.workers,
            cache_bytes: data_config::cache_bytes(self.cache_mib)?,
            vessel_weight: recipe.vessel_weight,
        };
        let seed = recipe.train.seed;
        let mut task = Pretraining::new(&recipe.model, data, recipe.mask_ratio, seed, device)?;
        task.prefix_names(&data_config::prefix_of_one(&self.data, Purpose::Train)?);
        Ok(task)
    }
}
