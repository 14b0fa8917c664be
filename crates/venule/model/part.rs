use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::{Error, NONE, Result, read_settings};

/// A part of a model by name: a kind that a [`Registry`](crate::Registry) knows, and the settings of that kind.
///
/// As JSON and TOML it is `{ kind = "vit", config = { depth = 12 } }`. Settings may also stand beside `kind`, where they go before
/// those in `config`: `{ kind = "vit", depth = 12 }`.
///
/// ```
/// use venule::PartConfig;
/// use venule::mae::VitConfig;
/// let part: PartConfig = serde_json::from_str(r#"{ "kind": "vit", "depth": 12 }"#)?;
/// assert_eq!(part.settings::<VitConfig>()?.depth, 12);
/// assert_eq!(part, PartConfig::new("vit", &serde_json::json!({ "depth": 12 }))?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartConfig {
    /// The name of its kind.
    pub kind: String,
    /// The settings, as that kind reads them; one that is off is the word [`NONE`], as in a run file.
    pub config: Map<String, Value>,
}

impl PartConfig {
    /// A part with these settings.
    ///
    /// # Errors
    /// [`Error::Part`] if `settings` do not become a JSON object, as a number that is not finite does not.
    pub fn new(kind: impl Into<String>, settings: &impl Serialize) -> Result<Self> {
        let kind = kind.into();
        // Through text, in which 32-bit numbers are as short as they were given.
        let object = serde_json::to_string(settings)
            .and_then(|text| serde_json::from_str::<Map<String, Value>>(&text));
        match object {
            Ok(mut config) => {
                config.values_mut().for_each(name_what_is_off);
                Ok(Self { kind, config })
            }
            Err(error) => Err(Error::Part {
                part: kind,
                reason: format!("its settings are no JSON object: {error}"),
            }),
        }
    }

    /// A part without settings.
    pub fn plain(kind: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            config: Map::new(),
        }
    }

    /// The settings as a type, in which the word `none` switches an optional one off.
    ///
    /// # Errors
    /// [`Error::Part`] that names the kind and the setting at fault.
    pub fn settings<T: DeserializeOwned>(&self) -> Result<T> {
        read_settings(Value::Object(self.config.clone())).map_err(|reason| Error::Part {
            part: self.kind.clone(),
            reason,
        })
    }

    /// Takes `kind`, `config` and the settings beside them apart.
    pub(super) fn from_object(mut object: Map<String, Value>) -> std::result::Result<Self, String> {
        let kind = match object.remove("kind") {
            Some(Value::String(kind)) => kind,
            Some(other) => return Err(format!("kind is {other}, but must be a name")),
            None => return Err("a part needs a kind, such as { kind = \"vit\" }".to_owned()),
        };
        let mut config = match object.remove("config") {
            None => Map::new(),
            Some(Value::Object(config)) => config,
            Some(other) => return Err(format!("config is {other}, but must be a table")),
        };
        config.extend(object);
        config.values_mut().for_each(name_what_is_off);
        Ok(Self { kind, config })
    }
}

/// JSON may say null, TOML cannot: equal settings are equal wherever they come from.
fn name_what_is_off(value: &mut Value) {
    match value {
        Value::Null => *value = NONE.into(),
        Value::Array(items) => items.iter_mut().for_each(name_what_is_off),
        Value::Object(settings) => settings.values_mut().for_each(name_what_is_off),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

impl<'de> Deserialize<'de> for PartConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Self::from_object(Map::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
