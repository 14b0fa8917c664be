//! TOML values as settings: the word `none` switches an optional one off, and an error names the setting.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use toml::{Table, Value};

/// What an optional setting that is off is called; TOML has no null.
pub(crate) const NONE: &str = "none";

/// The settings in `whole`.
pub(crate) fn read<T: DeserializeOwned>(whole: Value) -> Result<T, String> {
    T::deserialize(Setting(whole)).map_err(|error| error.to_string())
}

/// Writes [`NONE`] for every setting that is null in `all`, which is the same configuration as JSON.
pub(crate) fn name_what_is_off(table: &mut Table, all: &serde_json::Value) {
    for (key, setting) in all.as_object().into_iter().flatten() {
        match table.get_mut(key) {
            None if setting.is_null() => {
                table.insert(key.clone(), Value::String(NONE.to_owned()));
            }
            Some(Value::Table(inner)) => name_what_is_off(inner, setting),
            _ => {}
        }
    }
}

/// Why a value is no setting, and where.
#[derive(Debug)]
struct Unfit {
    /// From the innermost key out.
    keys: Vec<String>,
    reason: String,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path: Vec<&str> = self.keys.iter().rev().map(String::as_str).collect();
        match path.is_empty() {
            true => f.write_str(&self.reason),
            false => write!(f, "{}: {}", path.join("."), self.reason),
        }
    }
}

impl std::error::Error for Unfit {}

impl serde::de::Error for Unfit {
    fn custom<T: fmt::Display>(reason: T) -> Self {
        Self {
            keys: Vec::new(),
            reason: reason.to_string(),
        }
    }
}

struct Setting(Value);

impl<'de> IntoDeserializer<'de, Unfit> for Setting {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Setting {
    type Error = Unfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.0 {
            Value::Table(table) => visitor.visit_map(Entries::of(table)),
            Value::Array(items) => {
                let mut items = SeqDeserializer::new(items.into_iter().map(Setting));
                let value = visitor.visit_seq(&mut items)?;
                items.end()?;
                Ok(value)
            }
            Value::String(text) => visitor.visit_string(text),
            Value::Integer(number) => visitor.visit_i64(number),
            Value::Float(number) => visitor.visit_f64(number),
            Value::Boolean(truth) => visitor.visit_bool(truth),
            Value::Datetime(time) => visitor.visit_string(time.to_string()),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match &self.0 {
            Value::String(word) if word == NONE => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        match self.0 {
            Value::String(name) => visitor.visit_enum(name.into_deserializer()),
            Value::Table(table) if table.len() == 1 => {
                visitor.visit_enum(MapAccessDeserializer::new(Entries::of(table)))
            }
            other => Err(serde::de::Error::custom(format!(
                "{other} is no choice; give its name, or a table of its name and settings"
            ))),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// The entries of a table; an error within one carries its key.
struct Entries {
    rest: toml::map::IntoIter<String, Value>,
    current: Option<(String, Value)>,
}

impl Entries {
    fn of(table: Table) -> Self {
        Self {
            rest: table.into_iter(),
            current: None,
        }
    }
}

impl<'de> MapAccess<'de> for Entries {
    type Error = Unfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Unfit> {
        self.current = self.rest.next();
        match &self.current {
            Some((key, _)) => seed.deserialize(key.clone().into_deserializer()).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unfit> {
        let Some((key, value)) = self.current.take() else {
            return Err(serde::de::Error::custom(
                "a value was asked for before its key",
            ));
        };
        seed.deserialize(Setting(value)).map_err(|mut error| {
            error.keys.push(key);
            error
        })
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

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
        pair: (u8, u8),
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Whole {
        part: Part,
    }

    fn parsed(part: &str) -> Result<Whole, String> {
        let table: Table = format!("[part]\npair = [1, 2]\n{part}").parse().unwrap();
        read(Value::Table(table))
    }

    #[test]
    fn none_is_nothing_where_a_setting_is_optional_and_a_word_elsewhere() {
        let part = |rate, choice| Whole {
            part: Part {
                rate,
                choice,
                pair: (1, 2),
            },
        };
        let none = parsed("rate = 'none'\nchoice = 'none'").unwrap();
        assert_eq!(none, part(None, Choice::None));
        let some = parsed("rate = 2\nchoice = { size = 3 }").unwrap();
        assert_eq!(some, part(Some(2.0), Choice::Size(3)));
        let inner = parsed("choice = { named = { word = 'none' } }").unwrap();
        assert_eq!(inner, part(None, Choice::Named { word: None }));
    }

    #[test]
    fn errors_name_the_setting() {
        for (text, said) in [
            ("rate = 'x'\nchoice = 'none'", "part.rate: invalid type"),
            ("choice = { size = -1 }", "part.choice.size: invalid value"),
            ("choice = 3", "part.choice: 3 is no choice"),
            ("choice = 'sized'", "part.choice: unknown variant `sized`"),
            (
                "choise = 'none'",
                "part: unknown field `choise`, expected one of",
            ),
            (
                "choice = 'none'\nrate = 1979-05-27",
                "part.rate: invalid type",
            ),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.starts_with(said), "{error}");
        }
        let long: Table = "[part]\npair = [1, 2, 3]\nchoice = 'none'".parse().unwrap();
        assert!(
            read::<Whole>(Value::Table(long))
                .unwrap_err()
                .starts_with("part.pair: ")
        );
    }
}
