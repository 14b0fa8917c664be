//! Settings as JSON values: the word `none` switches an optional one off, and an error names the setting.

use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Map, Value};
use serde_path_to_error::Track;

/// What an optional setting that is off is called in files and on command lines; TOML has no null.
pub const NONE: &str = "none";

/// The settings in `value` as a type, where [`NONE`] stands for an optional setting that is off. One that the type does not have is an
/// error, whether the type refuses it or not.
///
/// ```
/// use venule::{mae::VitConfig, read_settings};
/// let vit: VitConfig = read_settings(serde_json::json!({ "depth": 3, "window": "none" }))?;
/// assert_eq!((vit.depth, vit.window), (3, None));
/// let error = read_settings::<VitConfig>(serde_json::json!({ "depth": "three" })).unwrap_err();
/// assert!(error.starts_with("depth: invalid type"), "{error}");
/// # Ok::<(), String>(())
/// ```
///
/// # Errors
/// What is wrong, behind the path of the setting.
pub fn read_settings<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    let (mut track, mut unknown) = (Track::new(), Vec::new());
    let tracked = serde_path_to_error::Deserializer::new(Setting(value), &mut track);
    let read = serde_ignored::deserialize(tracked, |path| unknown.push(path.to_string()));
    let value = read.map_err(|error| match track.path().to_string().as_str() {
        "." => error.to_string(),
        path => format!("{path}: {error}"),
    })?;
    match unknown.first() {
        None => Ok(value),
        Some(name) => Err(format!("unknown field `{name}`")),
    }
}

struct Setting(Value);

impl IntoDeserializer<'_, Error> for Setting {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

fn entries(map: Map<String, Value>) -> impl Iterator<Item = (String, Setting)> {
    map.into_iter().map(|(key, value)| (key, Setting(value)))
}

impl<'de> Deserializer<'de> for Setting {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Object(map) => visitor.visit_map(MapDeserializer::new(entries(map))),
            Value::Array(items) => {
                let mut items = SeqDeserializer::new(items.into_iter().map(Setting));
                let value = visitor.visit_seq(&mut items)?;
                items.end()?;
                Ok(value)
            }
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0 {
            Value::Null => visitor.visit_none(),
            Value::String(word) if word == NONE => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::String(name) => visitor.visit_enum(name.into_deserializer()),
            Value::Object(map) if map.len() == 1 => visitor.visit_enum(MapAccessDeserializer::new(
                MapDeserializer::new(entries(map)),
            )),
            other => Err(Error::custom(format!(
                "{other} is no choice; give its name, or a table of its name and settings"
            ))),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Choice {
        None,
        Size(u32),
        Named { word: Option<String> },
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Part {
        rate: Option<f64>,
        choice: Choice,
        #[serde(default)]
        pair: (u8, u8),
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Whole {
        part: Part,
    }

    fn parsed(part: Value) -> Result<Part, String> {
        read_settings::<Whole>(json!({ "part": part })).map(|whole| whole.part)
    }

    #[test]
    fn none_is_nothing_where_a_setting_is_optional_and_a_word_elsewhere() {
        let part = |rate, choice| Part {
            rate,
            choice,
            pair: (1, 2),
        };
        let given = |rate: Value, choice: Value| {
            parsed(json!({ "rate": rate, "choice": choice, "pair": [1, 2] })).unwrap()
        };
        assert_eq!(
            given("none".into(), "none".into()),
            part(None, Choice::None)
        );
        assert_eq!(
            given(2.into(), json!({ "size": 3 })),
            part(Some(2.0), Choice::Size(3))
        );
        let inner = given(Value::Null, json!({ "named": { "word": "none" } }));
        assert_eq!(inner, part(None, Choice::Named { word: None }));
    }

    #[test]
    fn errors_name_the_setting() {
        for (part, said) in [
            (
                json!({ "rate": "x", "choice": "none" }),
                "part.rate: invalid type",
            ),
            (
                json!({ "choice": { "size": -1 } }),
                "part.choice.size: invalid value",
            ),
            (json!({ "choice": 3 }), "part.choice: 3 is no choice"),
            (
                json!({ "choice": "sized" }),
                "part.choice: unknown variant `sized`",
            ),
            (
                json!({ "choice": "none", "pair": [1, 2, 3] }),
                "part.pair: ",
            ),
        ] {
            let error = parsed(part).unwrap_err();
            assert!(error.starts_with(said), "{error}");
        }
        // `Whole` itself lets unknown fields pass.
        let error = read_settings::<Whole>(json!({ "part": { "choice": "none" }, "pat": 1 }));
        assert_eq!(error.unwrap_err(), "unknown field `pat`");
        let error = parsed(json!({ "choise": "none" })).unwrap_err();
        assert!(
            error.contains("unknown field `choise`, expected one of"),
            "{error}"
        );
    }
}
