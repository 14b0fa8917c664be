//! A loss in a run file, in the record of a run and on a command line.

use crate::error::Error;
use crate::presets;
use crate::term::TermConfig;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::fmt;
use std::str::FromStr;

/// Which loss a model is trained with, as data: a name or a weighted sum of terms.
///
/// [`LossTable::build`](crate::LossTable::build) makes the loss of it and checks names and parameters.
/// Any self-describing serde format holds it: TOML (`loss = "reference"`,
/// `loss = { terms = [{ kind = "bce", weight = 0.5 }] }`), JSON, and as text a name or a JSON object.
/// The table of weights of version 0.1, `{ terms = { bce = 0.5, thin = 2.5 } }`, is read too.
///
/// ```
/// use venule_loss::{LossConfig, LossTable, TermConfig};
///
/// let text = r#"{"terms": [
///     {"kind": "tversky", "weight": 2.5, "alpha": 0.2, "beta": 0.8},
///     {"kind": "bce", "weight": 0.5, "positive_weight": 2}
/// ]}"#;
/// let config: LossConfig = text.parse()?;
/// let terms = vec![
///     TermConfig::new("tversky").with_weight(2.5).with("alpha", 0.2).with("beta", 0.8),
///     TermConfig::new("bce").with_weight(0.5).with("positive_weight", 2),
/// ];
/// assert_eq!(config, LossConfig::Terms(terms));
/// assert_eq!(LossTable::built_in().build(&config)?.terms().count(), 2);
/// # Ok::<(), venule_loss::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum LossConfig {
    /// A preset ([`presets`](Self::presets)), or a single loss with its default parameters.
    Named(String),
    /// A weighted sum.
    Terms(Vec<TermConfig>),
}

impl LossConfig {
    /// The names of the presets; [`Composite::preset`](crate::Composite::preset) says what they are.
    pub fn presets() -> impl Iterator<Item = &'static str> {
        presets::names()
    }

    fn named(name: &str) -> Self {
        Self::Named(presets::spelled(name).unwrap_or(name).to_owned())
    }
}

impl Serialize for LossConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Named(name) => serializer.serialize_str(name),
            Self::Terms(terms) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("terms", terms)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for LossConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = LossConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a loss or { terms = [{ kind = \"bce\", weight = 1.0 }] }")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<LossConfig, E> {
                Ok(LossConfig::named(name))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LossConfig, A::Error> {
                let mut terms = None;
                while let Some(key) = map.next_key::<String>()? {
                    if key != "terms" {
                        map.next_value::<IgnoredAny>()?;
                        return Err(de::Error::unknown_field(&key, &["terms"]));
                    }
                    if terms.replace(map.next_value::<Terms>()?).is_some() {
                        return Err(de::Error::duplicate_field("terms"));
                    }
                }
                let terms = terms.ok_or_else(|| de::Error::missing_field("terms"))?;
                Ok(LossConfig::Terms(terms.0))
            }
        }
        deserializer.deserialize_any(Form)
    }
}

/// The list of terms, or the table of weights of version 0.1.
struct Terms(Vec<TermConfig>);

impl<'de> Deserialize<'de> for Terms {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = Terms;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of terms such as { kind = \"bce\", weight = 1.0 }")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Terms, A::Error> {
                let mut terms = Vec::new();
                while let Some(term) = list.next_element()? {
                    terms.push(term);
                }
                Ok(Terms(terms))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Terms, A::Error> {
                let weights = Weights::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let terms = [
                    ("bce", weights.bce),
                    ("dice", weights.dice),
                    ("tversky", weights.tversky),
                    ("thin_bce", weights.thin),
                    ("focal", weights.focal),
                ];
                let given = terms.into_iter().filter(|(_, weight)| *weight != 0.0);
                let term = |(kind, weight)| TermConfig::new(kind).with_weight(weight);
                Ok(Terms(given.map(term).collect()))
            }
        }
        deserializer.deserialize_any(Form)
    }
}

/// Weights of losses with their defaults; a weight of 0 leaves its loss out.
#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Weights {
    bce: f64,
    dice: f64,
    tversky: f64,
    thin: f64,
    focal: f64,
}

/// The name, or the terms as JSON, which [`FromStr`] reads.
impl fmt::Display for LossConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            terms => f.write_str(&serde_json::to_string(terms).map_err(|_| fmt::Error)?),
        }
    }
}

impl FromStr for LossConfig {
    type Err = Error;

    /// A name, or a JSON object.
    fn from_str(text: &str) -> Result<Self, Error> {
        let error = |reason: String| Error::Syntax {
            text: text.to_owned(),
            reason,
        };
        match text.trim() {
            "" => Err(error("it is empty".to_owned())),
            json if json.starts_with('{') => {
                serde_json::from_str(json).map_err(|cause| error(cause.to_string()))
            }
            name => Ok(Self::named(name)),
        }
    }
}
