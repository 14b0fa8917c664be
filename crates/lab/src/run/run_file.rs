use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use strsim::levenshtein;
use toml::{Table, Value};
use venule::file::write_atomic;
use venule::train::{RunOptions, TrainConfig};

use venule::{NONE, read_settings};

use super::hints::{expect_no_escapes, read_text, with_hint};
use crate::{Error, Result};

/// A training's whole configuration as a TOML file that starts from a preset and says what differs.
///
/// Tables are laid over the preset's key by key. A choice with settings of its own, such as a schedule of another `kind`,
/// takes the place of the preset's as a whole. An optional setting is switched off by the word `none`. Unknown keys are
/// errors.
///
/// ```
/// use venule_lab::{PretrainConfig, RunFile};
/// let run: PretrainConfig = "preset = 'tiny'\n[recipe]\nmask_ratio = 0.6".parse()?;
/// let run = run.with("recipe.train.clip_norm", "none")?;
/// assert_eq!((run.recipe.mask_ratio, run.recipe.train.clip_norm), (0.6, None));
/// // What it writes says everything, and reads back as the same.
/// assert_eq!(run.to_toml()?.parse::<PretrainConfig>()?, run);
/// # Ok::<(), venule_lab::Error>(())
/// ```
pub trait RunFile: Clone + Serialize + DeserializeOwned {
    /// What a file, or a command line, starts from that names no preset.
    const DEFAULT_PRESET: &'static str = "compact";

    /// A preset's run, without data.
    ///
    /// # Errors
    /// An unknown name; the error lists the known ones.
    fn preset(name: &str) -> Result<Self>;

    /// Checks what can be checked without opening a file.
    ///
    /// # Errors
    /// Anything that contradicts itself or is out of range.
    fn validate(&self) -> Result<()>;

    /// Optimiser and schedule.
    fn train_mut(&mut self) -> &mut TrainConfig;

    /// Where and how long the run runs.
    fn options_mut(&mut self) -> &mut RunOptions;

    /// Reads TOML text; a file that names no preset starts from [`DEFAULT_PRESET`](Self::DEFAULT_PRESET).
    ///
    /// # Errors
    /// [`Error::RunFile`] that names the setting and, for an unknown key, the most similar known one.
    fn parse_toml(text: &str) -> Result<Self> {
        let given: Table = text
            .parse()
            .map_err(|e: toml::de::Error| unread(with_hint(text, &e)))?;
        expect_no_escapes(text, &given).map_err(unread)?;
        let preset = match given.get("preset") {
            None => Self::DEFAULT_PRESET,
            Some(Value::String(name)) => name,
            Some(other) => return Err(unread(format!("preset is {other}, but must be a name"))),
        };
        let mut whole = Value::Table(to_table(&Self::preset(preset)?)?);
        merge(&mut whole, Value::Table(given));
        read(whole)
    }

    /// Reads a TOML file.
    ///
    /// # Errors
    /// As [`parse_toml`](Self::parse_toml), and for text that is not UTF-8; the error names the file.
    fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let failed = |reason: String| Error::RunFile {
            path: path.to_owned(),
            reason,
        };
        let text = read_text(path).map_err(failed)?;
        Self::parse_toml(&text).map_err(|error| match error {
            Error::RunFile { reason, .. } => failed(reason),
            other => failed(other.to_string()),
        })
    }

    /// This run as TOML, every setting written out.
    ///
    /// # Errors
    /// [`Error::RunFile`] if a number does not fit TOML's 64-bit integers, or a path is no Unicode text.
    fn to_toml(&self) -> Result<String> {
        toml::to_string(&to_table(self)?).map_err(|error| unread(error.to_string()))
    }

    /// Writes [`to_toml`](Self::to_toml) to a file, whole or not at all.
    ///
    /// # Errors
    /// As `to_toml`, and if the file cannot be written.
    fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        Ok(write_atomic(path, self.to_toml()?.as_bytes())?)
    }

    /// The same run with one setting changed, named by its dotted path, e.g. `recipe.train.learning_rate`. `value` is TOML;
    /// the quotes of a plain word may be left out.
    ///
    /// # Errors
    /// As for a file that says so; for the key `preset`, since all other settings have come from the present one.
    fn with(&self, key: &str, value: &str) -> Result<Self> {
        self.with_all([(key, value)])
    }

    /// As [`with`](Self::with) for several settings, one after the other; what they come to together is checked at the end.
    ///
    /// # Errors
    /// As `with`.
    fn with_all<'a>(&self, settings: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let mut whole = Value::Table(to_table(self)?);
        for (key, value) in settings {
            if key == "preset" {
                return Err(unread(
                    "preset is where a run starts from and cannot be changed in it; choose another one in its file or by --preset"
                        .to_owned(),
                ));
            }
            let mut change =
                value_of(value).map_err(|e| unread(format!("{key} = {value}: {e}")))?;
            let given = Table::from_iter([(key.to_owned(), change.clone())]);
            expect_no_escapes(value, &given).map_err(unread)?;
            for part in key.rsplit('.') {
                change = Value::Table(Table::from_iter([(part.to_owned(), change)]));
            }
            merge(&mut whole, change);
        }
        read(whole)
    }

    /// What repeats this run: without its folder, and without whether it goes on with an earlier one.
    fn repeatable(&self) -> Self {
        let mut run = self.clone();
        let options = run.options_mut();
        options.directory = None;
        options.resume = false;
        run
    }
}

/// A TOML value; text that is none and has no TOML punctuation is a word.
fn value_of(text: &str) -> std::result::Result<Value, String> {
    match format!("value = {text}").parse::<Table>() {
        Ok(mut parsed) if parsed.len() == 1 => parsed
            .remove("value")
            .ok_or_else(|| "expected one value".to_owned()),
        Ok(_) => Err("expected one value".to_owned()),
        Err(_)
            if !text.is_empty() && !text.contains(['"', '\'', '[', ']', '{', '}', '=', '\n']) =>
        {
            Ok(Value::String(text.to_owned()))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Every setting of a run; one that is off is [`NONE`].
fn to_table(run: &impl Serialize) -> Result<Table> {
    // Through text, in which 32-bit numbers are as short as they were given.
    let all = serde_json::to_string(run).and_then(|text| serde_json::from_str::<Json>(&text));
    let all = all.map_err(|error| error.to_string()).and_then(to_toml);
    match all {
        Ok(Value::Table(table)) => Ok(table),
        Ok(other) => Err(unread(format!(
            "the configuration is {other}, but must be a table"
        ))),
        Err(reason) => Err(unread(format!(
            "the configuration cannot be written: {reason}"
        ))),
    }
}

fn to_toml(value: Json) -> std::result::Result<Value, String> {
    Ok(match value {
        Json::Null => Value::String(NONE.to_owned()),
        Json::Bool(truth) => Value::Boolean(truth),
        Json::String(text) => Value::String(text),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Value::Integer(number),
            (None, Some(float)) if number.is_f64() => Value::Float(float),
            _ => return Err(format!("{number} does not fit TOML's 64-bit integers")),
        },
        Json::Array(items) => Value::Array(
            items
                .into_iter()
                .map(to_toml)
                .collect::<std::result::Result<_, _>>()?,
        ),
        Json::Object(entries) => {
            let entries = entries.into_iter();
            let entries = entries.map(|(key, value)| Ok((key, to_toml(value)?)));
            Value::Table(entries.collect::<std::result::Result<_, String>>()?)
        }
    })
}

/// Files of version 0.1 say among the settings of the training where and how long it runs.
fn move_options(whole: &mut Value) {
    let Some(whole) = whole.as_table_mut() else {
        return;
    };
    let train = whole
        .get_mut("recipe")
        .and_then(|recipe| recipe.get_mut("train"))
        .and_then(Value::as_table_mut);
    let Some(train) = train else {
        return;
    };
    let moved = RunOptions::OF_TRAIN_CONFIG_0_1.into_iter();
    let moved: Vec<_> = moved.filter_map(|key| train.remove_entry(key)).collect();
    if let Some(run) = whole.get_mut("run").and_then(Value::as_table_mut) {
        run.extend(moved);
    }
}

fn read<T: RunFile>(mut whole: Value) -> Result<T> {
    move_options(&mut whole);
    let whole = serde_json::to_value(whole).map_err(|error| unread(error.to_string()))?;
    let run: T = read_settings(whole).map_err(|error| unread(with_suggestion(&error)))?;
    run.validate()?;
    Ok(run)
}

pub(crate) fn unread(reason: String) -> Error {
    Error::RunFile {
        path: PathBuf::from("run configuration"),
        reason: reason.trim_end().to_owned(),
    }
}

/// Lays `change` over `whole`: tables key by key, everything else as a whole.
fn merge(whole: &mut Value, change: Value) {
    match (whole, change) {
        (Value::Table(whole), Value::Table(change)) => {
            if is_other_choice(whole, &change) {
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

/// Whether `change` stands for another variant of a choice, whose settings have nothing to do with those of `whole`: it has
/// another `kind`, or both are tables of one key and the keys differ.
fn is_other_choice(whole: &Table, change: &Table) -> bool {
    if let (Some(old), Some(new)) = (whole.get("kind"), change.get("kind")) {
        return old != new;
    }
    whole.len() == 1 && change.len() == 1 && change.keys().all(|key| !whole.contains_key(key))
}

/// Adds to serde's message what is to be written: the most similar known key for an unknown one, a list for a single text.
fn with_suggestion(message: &str) -> String {
    if let Some((_, found)) = message.split_once("invalid type: string \"")
        && let Some((text, "expected a sequence")) = found.trim_end().split_once("\", ")
    {
        return format!("{}; write it as a list, [\"{text}\"]", message.trim_end());
    }
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match quoted.as_slice() {
        [found, known @ ..] if message.contains("unknown") && !known.is_empty() => {
            let closest = known.iter().min_by_key(|name| levenshtein(found, name));
            match closest.filter(|name| 2 * levenshtein(found, name) <= name.len()) {
                Some(name) => format!("{}; did you mean '{name}'?", message.trim_end()),
                None => message.to_owned(),
            }
        }
        _ => message.to_owned(),
    }
}
