//! A term of a loss in a run file.

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};
use std::fmt;

/// A term of a loss as data: `{ kind = "tversky", weight = 2.5, alpha = 0.2, beta = 0.8 }`.
///
/// `weight` is 1 if left out, and so is each parameter its loss's default.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TermConfig {
    /// The loss's name in the [`LossTable`](crate::LossTable).
    pub kind: String,
    /// What its value is multiplied by.
    pub weight: f64,
    /// The parameters that differ from the defaults.
    pub parameters: Map<String, Value>,
}

impl TermConfig {
    /// A loss with its defaults, of weight 1.
    pub fn new(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            weight: 1.0,
            parameters: Map::new(),
        }
    }

    /// The same with another weight.
    pub fn with_weight(mut self, weight: f64) -> Self {
        self.weight = weight;
        self
    }

    /// The same with a parameter set.
    pub fn with(mut self, parameter: &str, value: impl Into<Value>) -> Self {
        self.parameters.insert(parameter.to_owned(), value.into());
        self
    }
}

impl Serialize for TermConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2 + self.parameters.len()))?;
        map.serialize_entry("kind", &self.kind)?;
        map.serialize_entry("weight", &self.weight)?;
        for (parameter, value) in &self.parameters {
            map.serialize_entry(parameter, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for TermConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Term;
        impl<'de> Visitor<'de> for Term {
            type Value = TermConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a term such as { kind = \"bce\", weight = 1.0 }")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TermConfig, A::Error> {
                let (mut kind, mut weight, mut parameters) = (None, None, Map::new());
                while let Some(key) = map.next_key::<String>()? {
                    let again = match key.as_str() {
                        "kind" => kind.replace(map.next_value::<String>()?).is_some(),
                        "weight" => weight.replace(map.next_value::<f64>()?).is_some(),
                        _ => parameters.insert(key.clone(), map.next_value()?).is_some(),
                    };
                    if again {
                        return Err(de::Error::custom(format_args!("`{key}` is given twice")));
                    }
                }
                Ok(TermConfig {
                    kind: kind.ok_or_else(|| de::Error::missing_field("kind"))?,
                    weight: weight.unwrap_or(1.0),
                    parameters,
                })
            }
        }
        deserializer.deserialize_map(Term)
    }
}
