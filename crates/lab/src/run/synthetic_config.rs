use serde::{Deserialize, Deserializer, Serialize, Serializer};
use venule::data::{Dataset, Error as DataError, InMemory, JoinedSet};
use venule::nn::mix;
use venule::synthetic::{SyntheticRange, SyntheticStream};

use super::run_file::unread;
use crate::Result;

/// Synthetic photographs that a fine-tuning draws as it goes on, beside its data sets or in their place: no file, no label by a human.
///
/// ```
/// use venule_lab::{FinetuneConfig, RunFile};
/// let run: FinetuneConfig = "preset = 'unet'\n[synthetic]\nrange = 'any-camera'\nphotographs = 40".parse()?;
/// let synthetic = run.synthetic.clone().unwrap();
/// assert_eq!((synthetic.photographs, synthetic.validation), (40, 8));
/// assert_eq!(run.to_toml()?.parse::<FinetuneConfig>()?, run);
/// // One's own range says what differs from any-camera.
/// let own: FinetuneConfig = "[synthetic.range]\nfield_angle = [45, 45]".parse()?;
/// assert_eq!(own.synthetic.unwrap().range.field_angle, [45.0, 45.0]);
/// # Ok::<(), venule_lab::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyntheticConfig {
    /// What they look like: `any-camera`, `drive-like`, or a table of what differs from `any-camera`; see [`SyntheticRange`].
    #[serde(
        default,
        serialize_with = "write_range",
        deserialize_with = "read_range"
    )]
    pub range: SyntheticRange,
    /// New photographs in every epoch, 1 to 2²⁰. Default: 32.
    #[serde(default = "photographs")]
    pub photographs: usize,
    /// Photographs to choose the epoch and the threshold on, drawn once; only where no data set has validation images. Default: 8.
    #[serde(default = "validation")]
    pub validation: usize,
}

fn photographs() -> usize {
    32
}

fn validation() -> usize {
    8
}

fn read_range<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SyntheticRange, D::Error> {
    use serde::de::Error;
    match toml::Value::deserialize(deserializer)? {
        toml::Value::String(name) => name.parse().map_err(D::Error::custom),
        table => table.try_into().map_err(D::Error::custom),
    }
}

fn write_range<S: Serializer>(range: &SyntheticRange, serializer: S) -> Result<S::Ok, S::Error> {
    let name = range.name();
    match SyntheticRange::NAMES.contains(&name) {
        true => serializer.serialize_str(name),
        false => range.serialize(serializer),
    }
}

impl Default for SyntheticConfig {
    fn default() -> Self {
        Self {
            range: SyntheticRange::default(),
            photographs: photographs(),
            validation: validation(),
        }
    }
}

/// What a run file calls a field of a synthetic photograph or of their range.
fn setting(field: &str) -> String {
    match field.strip_prefix("SyntheticFundus::").unwrap_or(field) {
        "height" => "the height that synthetic.range.width and aspect come to".to_owned(),
        "base_color[0]" => "synthetic.range.red".to_owned(),
        "base_color[1]" => "the green that synthetic.range.red and green_share come to".to_owned(),
        "base_color[2]" => {
            "the blue that synthetic.range.green_share and blue_share come to".to_owned()
        }
        field if field.contains(' ') => field.to_owned(),
        field => format!("synthetic.range.{field}"),
    }
}

/// Keeps the photographs to choose on apart from those to train on.
const HELD_OUT: u64 = 0x0068_656c_6430_7574;

impl SyntheticConfig {
    /// Of a range, with the defaults.
    pub fn of(range: SyntheticRange) -> Self {
        Self {
            range,
            ..Self::default()
        }
    }

    /// Of a range, to learn from beside photographs without labels: none to choose an epoch or a threshold on.
    pub fn beside(range: SyntheticRange) -> Self {
        Self {
            validation: 0,
            ..Self::of(range)
        }
    }

    /// Checks the range and the numbers of photographs, which the errors call as the file does.
    pub(super) fn validate(&self) -> Result<()> {
        let stream = SyntheticStream::new(self.range.clone(), 0, self.photographs);
        stream.map_err(|error| match error {
            DataError::InvalidConfig {
                field,
                found,
                expected,
            } => unread(format!(
                "{} is {found}; expected {expected}",
                setting(field)
            )),
            other => other.into(),
        })?;
        // They are in memory.
        if self.validation > 1000 {
            return Err(venule::Error::Config {
                field: "synthetic.validation",
                value: self.validation.to_string(),
                expected: "at most 1000 photographs are drawn to choose on",
            }
            .into());
        }
        Ok(())
    }

    /// Joins the photographs of a run with this seed to those of its data sets.
    pub(super) fn join(
        &self,
        seed: u64,
        train: Box<dyn Dataset>,
        validation: Box<dyn Dataset>,
    ) -> Result<[Box<dyn Dataset>; 2]> {
        let stream = SyntheticStream::new(self.range.clone(), seed, self.photographs)?;
        let train = JoinedSet::new(vec![train, Box::new(stream)]);
        let validation = match (validation.is_empty(), self.validation) {
            (true, 1..) => {
                let seed = mix(&[seed, HELD_OUT]);
                let held = SyntheticStream::new(self.range.clone(), seed, self.validation)?;
                Box::new(InMemory::read(&held)?)
            }
            _ => validation,
        };
        Ok([Box::new(train), validation])
    }
}
