use std::str::FromStr;

use serde::{Deserialize, Serialize};
use venule::candle_core::Device;
use venule::data::{FolderSet, FovPolicy};
use venule::tasks::{Pretraining, PretrainingData};
use venule::train::{RunOptions, TrainConfig};
use venule::{PretrainRecipe, Registry};

use super::data_config::{self, DataConfig};
use super::run_file::RunFile;
use crate::{Error, Result};

/// All that determines a pretraining, as one TOML file; see [`RunFile`].
///
/// ```
/// use venule_lab::{PretrainConfig, RunFile};
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
/// assert_eq!((&run.recipe.model.encoder.config["depth"], run.recipe.crop), (&8.into(), 256));
/// assert_eq!(run.to_toml()?.parse::<PretrainConfig>()?, run);
/// # Ok::<(), venule_lab::Error>(())
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
    pub fn files(&self) -> Result<(FolderSet, Vec<venule::data::Error>)> {
        data_config::unlabelled(&self.data, self.skip_unreadable, self.fov)
    }

    /// The pretraining itself, on the photographs of [`files`](Self::files), with an encoder of a registry.
    ///
    /// # Errors
    /// What [`Pretraining`] gives for these settings and photographs.
    pub fn task_on(
        &self,
        registry: &Registry,
        photographs: FolderSet,
        device: &Device,
    ) -> Result<Pretraining> {
        let data = PretrainingData {
            photographs: Box::new(photographs),
            fov: self.fov,
            workers: self.workers,
            cache_bytes: data_config::cache_bytes(self.cache_mib)?,
        };
        Ok(Pretraining::from_registry(
            registry,
            &self.recipe,
            data,
            device,
        )?)
    }
}
