use std::path::{Path, PathBuf};
use std::str::FromStr;

use candle_core::Device;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};
use venule_data::{DatasetKind, DatasetSpec, FolderSet, FovPolicy, Split, write_atomic};
use venule_seg::Freeze;

use crate::tasks::{Finetuning, FinetuningData};
use crate::{Error, Recipe, Result};

/// A data set of a run, and what each of its splits is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Its layout: `drive`, `chase_db1`, `stare`, `hrf`, `fives`, `retina_blood_vessel` or `folder`.
    pub name: String,
    /// Its folder; a relative one is looked for from the working directory.
    pub path: PathBuf,
    /// Splits to fit weights on. Default: `["train"]`. `["train", "test"]` is for weights that are given away.
    #[serde(default = "train")]
    pub train: Vec<String>,
    /// Splits to choose the epoch and the threshold on. Default: `["validation"]`.
    #[serde(default = "validation")]
    pub validation: Vec<String>,
    /// Splits to test on at the end. Default: `["test"]`.
    #[serde(default = "test")]
    pub test: Vec<String>,
}

fn train() -> Vec<String> {
    vec![Split::Train.name().to_owned()]
}

fn validation() -> Vec<String> {
    vec![Split::Validation.name().to_owned()]
}

fn test() -> Vec<String> {
    vec![Split::Test.name().to_owned()]
}

/// Which use of a data set is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To fit weights on.
    Train,
    /// To choose the epoch and the threshold on.
    Validation,
    /// To test on.
    Test,
}

impl From<&DatasetSpec> for DataConfig {
    fn from(spec: &DatasetSpec) -> Self {
        Self {
            name: spec.kind.name().to_owned(),
            path: spec.path.clone(),
            train: train(),
            validation: validation(),
            test: test(),
        }
    }
}

/// All that determines a fine-tuning, as one TOML file: the same file on the same machine gives the same weights.
///
/// A file starts from a preset and says what differs. Unknown keys are errors.
///
/// ```
/// use venule::RunConfig;
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
    /// Model, input, loss, optimiser and schedule, after the preset's.
    pub recipe: Recipe,
    /// The data sets, joined.
    #[serde(default)]
    pub data: Vec<DataConfig>,
}

fn one() -> usize {
    1
}

impl RunConfig {
    /// A preset's run, without data.
    ///
    /// # Errors
    /// [`Error::Preset`] that lists the names.
    pub fn preset(name: &str) -> Result<Self> {
        Ok(Self {
            preset: name.to_owned(),
            fov: FovPolicy::default(),
            pretrained: None,
            freeze: Freeze::default(),
            unfreeze_every: None,
            threshold: None,
            workers: one(),
            recipe: Recipe::preset(name)?,
            data: Vec::new(),
        })
    }

    /// Reads a TOML file.
    ///
    /// # Errors
    /// [`Error::RunFile`] that names the file, the place and, for an unknown key, the most similar known one.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let failed = |reason: String| Error::RunFile {
            path: path.to_owned(),
            reason,
        };
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        text.parse().map_err(|error| match error {
            Error::RunFile { reason, .. } => failed(reason),
            other => failed(other.to_string()),
        })
    }

    /// This run as TOML, every setting written out.
    ///
    /// # Errors
    /// [`Error::RunFile`] if a number does not fit TOML's 64-bit integers.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|error| unread(error.to_string()))
    }

    /// Writes [`to_toml`](Self::to_toml) to a file, whole or not at all.
    ///
    /// # Errors
    /// As `to_toml`, and if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        Ok(write_atomic(path, self.to_toml()?.as_bytes())?)
    }

    /// The same run with one setting changed, named by its dotted path, e.g. `recipe.train.learning_rate`; `value` is TOML.
    ///
    /// # Errors
    /// As for a file that says so.
    pub fn with(&self, key: &str, value: &str) -> Result<Self> {
        let parsed: Table = format!("value = {value}")
            .parse()
            .map_err(|error| unread(format!("{key} = {value}: {error}")))?;
        let mut change = parsed["value"].clone();
        for part in key.rsplit('.') {
            change = Value::Table(Table::from_iter([(part.to_owned(), change)]));
        }
        let mut whole: Value = Value::try_from(self).map_err(|error| unread(error.to_string()))?;
        merge(&mut whole, change);
        read(whole)
    }

    /// The files of the data sets' splits that serve a purpose.
    ///
    /// # Errors
    /// If a name or split is unknown, or a set has no such image.
    pub fn files(&self, purpose: Purpose) -> Result<FolderSet> {
        let mut joined = FolderSet::from_files(Vec::new());
        for data in &self.data {
            let kind: DatasetKind = data.name.parse()?;
            let spec = DatasetSpec {
                kind,
                path: data.path.clone(),
            };
            let splits = match purpose {
                Purpose::Train => &data.train,
                Purpose::Validation => &data.validation,
                Purpose::Test => &data.test,
            };
            for split in splits {
                let files = spec.files(split.parse()?)?;
                // Ids of several data sets are told apart by their names.
                joined = joined.join(match self.data.len() {
                    1 => files,
                    _ => files.with_id_prefix(&format!("{kind}_")),
                });
            }
        }
        Ok(joined)
    }

    /// Checks that no split of a data set serves two purposes: what was trained on proves nothing in a test.
    ///
    /// # Errors
    /// [`Error::RunFile`] that names the data set and the split; an unknown name.
    pub fn validate(&self) -> Result<()> {
        let mut uses: Vec<(&DataConfig, Split, &str)> = Vec::new();
        for data in &self.data {
            let _: DatasetKind = data.name.parse()?;
            let lists = [
                ("training", &data.train),
                ("validation", &data.validation),
                ("test", &data.test),
            ];
            for (purpose, splits) in lists {
                for split in splits {
                    uses.push((data, split.parse()?, purpose));
                }
            }
        }
        for (index, (data, split, purpose)) in uses.iter().enumerate() {
            for (other, other_split, other_purpose) in &uses[..index] {
                let overlap = split == other_split || [split, other_split].contains(&&Split::All);
                if data.path == other.path && overlap {
                    return Err(unread(format!(
                        "{} of {} serves {purpose}, and {} of it serves {other_purpose}; each image may serve once",
                        split.name(),
                        data.path.display(),
                        other_split.name()
                    )));
                }
            }
        }
        Ok(())
    }

    /// The fine-tuning itself, on the files of [`files`](Self::files).
    ///
    /// # Errors
    /// What [`Finetuning`] gives for these settings and images.
    pub fn task(&self, device: &Device) -> Result<Finetuning> {
        let train = self.files(Purpose::Train)?;
        let validation = self.files(Purpose::Validation)?;
        self.task_on(train, validation, device)
    }

    /// The fine-tuning on images found elsewhere.
    ///
    /// # Errors
    /// As [`task`](Self::task).
    pub fn task_on(
        &self,
        train: FolderSet,
        validation: FolderSet,
        device: &Device,
    ) -> Result<Finetuning> {
        let data = FinetuningData {
            train: Box::new(train),
            validation: Box::new(validation),
            fov: self.fov,
            workers: self.workers,
        };
        let mut task = Finetuning::new(&self.recipe, data, self.recipe.train.seed, device)?;
        if let Some(threshold) = self.threshold {
            task = task.with_threshold(threshold)?;
        }
        if let Some(path) = &self.pretrained {
            task.load_encoder(path)?;
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

impl FromStr for RunConfig {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let given: Table = text
            .parse()
            .map_err(|e: toml::de::Error| unread(e.to_string()))?;
        let preset = match given.get("preset") {
            None => "compact",
            Some(Value::String(name)) => name,
            Some(other) => return Err(unread(format!("preset is {other}, but must be a name"))),
        };
        let mut whole =
            Value::try_from(Self::preset(preset)?).map_err(|error| unread(error.to_string()))?;
        merge(&mut whole, Value::Table(given));
        read(whole)
    }
}

fn read(whole: Value) -> Result<RunConfig> {
    let run: RunConfig = whole
        .try_into()
        .map_err(|error: toml::de::Error| unread(with_suggestion(&error.to_string())))?;
    run.validate()?;
    Ok(run)
}

fn unread(reason: String) -> Error {
    Error::RunFile {
        path: PathBuf::from("run configuration"),
        reason: reason.trim_end().to_owned(),
    }
}

/// Lays `change` over `whole`: tables key by key, everything else as a whole.
fn merge(whole: &mut Value, change: Value) {
    match (whole, change) {
        (Value::Table(whole), Value::Table(change)) => {
            // A table of one key that is not there stands for another variant of a choice.
            let other_variant = whole.len() == 1
                && change.len() == 1
                && change.keys().all(|key| !whole.contains_key(key));
            if other_variant {
                *whole = change;
                return;
            }
            for (key, value) in change {
                match whole.get_mut(&key) {
                    Some(old) => merge(old, value),
                    None => {
                        whole.insert(key, value);
                    }
                }
            }
        }
        (whole, change) => *whole = change,
    }
}

/// Adds the most similar known key to serde's message about an unknown one.
fn with_suggestion(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match quoted.as_slice() {
        [found, known @ ..] if message.contains("unknown") && !known.is_empty() => {
            let closest = known.iter().min_by_key(|name| edits(found, name));
            match closest.filter(|name| 2 * edits(found, name) <= name.len()) {
                Some(name) => format!("{}; did you mean '{name}'?", message.trim_end()),
                None => message.to_owned(),
            }
        }
        _ => message.to_owned(),
    }
}

/// Levenshtein distance in characters, of at most the first 64.
fn edits(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
