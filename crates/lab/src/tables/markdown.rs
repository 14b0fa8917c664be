//! A table as Markdown, of what its columns show of its rows' measurements.

use super::error::{Result, TableError, array, field, form, names, object, text};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write;

/// What a table shows where a value is undefined.
const UNDEFINED: &str = "–";
/// More digits than an `f64` holds are no figures.
const MOST_DECIMALS: u64 = 15;

/// Measurements by group and id.
pub(super) type Groups = BTreeMap<String, Map<String, Value>>;

/// What a column shows of its row's measurement.
struct Column<'a> {
    title: &'a str,
    /// Where the value lies in the measurement; none: the row's label.
    show: Option<&'a str>,
    /// Another value, in parentheses behind it, with its decimals.
    beside: Option<(&'a str, usize)>,
    /// Which of the row's measurements it is of.
    from: Option<&'a str>,
    decimals: usize,
    /// Decimals of an interval's ends and of a standard deviation.
    spread: usize,
    unit: &'a str,
}

impl<'a> Column<'a> {
    fn new(value: &'a Value, place: &str) -> Result<Self> {
        const KEYS: &[&str] = &[
            "title",
            "show",
            "beside",
            "from",
            "decimals",
            "spread",
            "unit",
            "beside_decimals",
        ];
        let column = object(
            value,
            place,
            "an object with title, show, beside, from, decimals, spread, unit, beside_decimals",
        )?;
        if let Some(key) = column.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(form(
                place,
                "title, show, beside, from, decimals, spread, unit or beside_decimals",
                key,
            ));
        }
        let string = |key: &str| column.get(key).map(|value| text(value, place)).transpose();
        let number = |key: &str, default: usize| match column.get(key) {
            None => Ok(default),
            Some(value) => value
                .as_u64()
                .filter(|&n| n <= MOST_DECIMALS)
                .and_then(|n| usize::try_from(n).ok())
                .ok_or_else(|| form(place, "a number of decimals from 0 to 15", value)),
        };
        let decimals = number("decimals", 4)?;
        let beside_decimals = number("beside_decimals", decimals)?;
        Ok(Self {
            title: text(field(column, "title", place, "a title")?, place)?,
            show: string("show")?,
            beside: string("beside")?.map(|path| (path, beside_decimals)),
            from: string("from")?,
            decimals,
            spread: number("spread", decimals)?,
            unit: string("unit")?.unwrap_or(""),
        })
    }

    /// The text of the column in a row.
    fn cell(&self, row: &Map<String, Value>, groups: &Groups, place: &str) -> Result<String> {
        let Some(show) = self.show else {
            return text(field(row, "label", place, "a label")?, place).map(str::to_owned);
        };
        let mut of = field(
            row,
            "of",
            place,
            "the name of a measurement, or several by key",
        )?;
        if let Some(key) = self.from {
            of = field(
                object(of, place, "measurements by key")?,
                key,
                place,
                "a measurement for each column's `from`",
            )?;
        }
        if of.is_null() {
            return Ok(UNDEFINED.to_owned());
        }
        if let Some(words) = of.get("text") {
            return text(words, place).map(str::to_owned);
        }
        let name = text(of, place)?;
        let measurement = find(name, groups, place)?;
        let mut cell = shown(
            at(measurement, show, name)?,
            self.decimals,
            self.spread,
            name,
        )?;
        if cell != UNDEFINED {
            cell.push_str(self.unit);
            if let Some((path, decimals)) = self.beside {
                let beside = shown(at(measurement, path, name)?, decimals, decimals, name)?;
                if beside != UNDEFINED {
                    let _ = write!(cell, " ({beside})");
                }
            }
        }
        Ok(cell)
    }
}

/// A table of `tables.json`.
pub(super) fn markdown(name: &str, table: &Value, groups: &Groups) -> Result<String> {
    let place = format!("table '{name}'");
    let table = object(table, &place, "an object with columns and rows")?;
    let columns = array(
        field(table, "columns", &place, "a list of columns")?,
        &place,
    )?
    .iter()
    .map(|column| Column::new(column, &place))
    .collect::<Result<Vec<_>>>()?;
    let mut lines = line(columns.iter().map(|column| column.title));
    lines.push_str(&line(columns.iter().map(|_| "---")));
    for (index, row) in array(field(table, "rows", &place, "a list of rows")?, &place)?
        .iter()
        .enumerate()
    {
        let place = format!("{place}, row {}", index + 1);
        let row = object(row, &place, "an object with label and of")?;
        let cells = columns
            .iter()
            .map(|column| column.cell(row, groups, &place))
            .collect::<Result<Vec<_>>>()?;
        lines.push_str(&line(cells.iter().map(String::as_str)));
    }
    Ok(lines)
}

fn line<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let mut line = String::from("|");
    for cell in cells {
        let _ = write!(line, " {cell} |");
    }
    line.push('\n');
    line
}

fn find<'a>(name: &str, groups: &'a Groups, place: &str) -> Result<&'a Value> {
    let (group, id) = name
        .split_once('/')
        .ok_or_else(|| form(place, "a measurement as group/id", &name))?;
    let measurements = groups.get(group).ok_or_else(|| TableError::Measurement {
        place: place.to_owned(),
        name: name.to_owned(),
        known: format!("nothing: there is no {group}.json"),
    })?;
    measurements.get(id).ok_or_else(|| TableError::Measurement {
        place: place.to_owned(),
        name: name.to_owned(),
        known: names(measurements.keys()),
    })
}

/// The value at a path such as `figures/f1`.
fn at<'a>(measurement: &'a Value, path: &str, name: &str) -> Result<&'a Value> {
    measurement.pointer(&format!("/{path}")).ok_or_else(|| {
        form(
            &format!("measurement '{name}'"),
            "every value that a table shows; null where it is undefined",
            &format!("no {path}"),
        )
    })
}

/// A value as tables show it: `0.8266`, `0.8266 (0.820–0.834)`, `0.8262 ± 0.0165`, `0.76 to 0.82`, `0, 1, 2`.
fn shown(value: &Value, decimals: usize, spread: usize, name: &str) -> Result<String> {
    let wrong = || {
        form(
            &format!("measurement '{name}'"),
            "a number, {value, low, high}, {value, std}, {from, to}, a list, a text or null",
            value,
        )
    };
    let number = |value: &Value, decimals: usize| {
        value
            .as_f64()
            .map(|number| format!("{number:.decimals$}").replace('-', "−"))
            .ok_or_else(wrong)
    };
    match value {
        Value::Null => Ok(UNDEFINED.to_owned()),
        Value::Number(_) => number(value, decimals),
        Value::String(_) => text(value, name).map(str::to_owned),
        Value::Array(list) if !list.is_empty() => Ok(list
            .iter()
            .map(|value| number(value, decimals))
            .collect::<Result<Vec<_>>>()?
            .join(", ")),
        Value::Object(parts) => {
            let part = |key: &str, decimals: usize| {
                parts
                    .get(key)
                    .ok_or_else(wrong)
                    .and_then(|value| number(value, decimals))
            };
            let mut keys: Vec<_> = parts.keys().map(String::as_str).collect();
            keys.sort_unstable(); // Whatever order serde_json is built to keep.
            match keys[..] {
                ["high", "low", "value"] => Ok(format!(
                    "{} ({}–{})",
                    part("value", decimals)?,
                    part("low", spread)?,
                    part("high", spread)?
                )),
                ["std", "value"] => Ok(format!(
                    "{} ± {}",
                    part("value", decimals)?,
                    part("std", spread)?
                )),
                ["from", "to"] => Ok(format!(
                    "{} to {}",
                    part("from", decimals)?,
                    part("to", decimals)?
                )),
                _ => Err(wrong()),
            }
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn groups() -> Groups {
        let measurements = json!({
            "run": {"threshold": {"value": 0.5}, "seeds": [0, 1, 2], "figures": {
                "f1": {"value": 0.8266, "low": 0.82, "high": 0.834},
                "mean": {"value": 0.804, "std": 0.0017},
                "range": {"from": 0.76, "to": 0.9},
                "gain": [0.0004, -0.0003], "auc": 0.9806, "ap": null, "odd": true,
            }},
        });
        BTreeMap::from([("own".to_owned(), measurements.as_object().unwrap().clone())])
    }

    fn table(columns: Value, of: Value) -> Result<String> {
        let mut all = vec![json!({"title": "system"})];
        all.extend(columns.as_array().unwrap().iter().cloned());
        markdown(
            "t",
            &json!({"columns": all, "rows": [{"label": "mine", "of": of}]}),
            &groups(),
        )
    }

    fn cell(column: Value) -> Result<String> {
        let text = table(json!([column]), json!("own/run"))?;
        Ok(text
            .lines()
            .last()
            .unwrap()
            .trim_start_matches("| mine | ")
            .trim_end_matches(" |")
            .to_owned())
    }

    #[test]
    fn every_kind_of_value() {
        let column = |show: &str, decimals: u64| json!({"title": "x", "show": show, "decimals": decimals, "spread": 3});
        for (show, decimals, expected) in [
            ("figures/f1", 4, "0.8266 (0.820–0.834)"),
            ("figures/mean", 4, "0.8040 ± 0.002"),
            ("figures/range", 2, "0.76 to 0.90"),
            ("figures/auc", 3, "0.981"),
            ("figures/gain", 4, "0.0004, −0.0003"),
            ("figures/ap", 4, "–"),
            ("seeds", 0, "0, 1, 2"),
            ("threshold/value", 2, "0.50"),
        ] {
            assert_eq!(cell(column(show, decimals)).unwrap(), expected, "{show}");
        }
        let beside = json!({"title": "x", "show": "threshold/value", "decimals": 1, "beside": "figures/auc", "beside_decimals": 3, "unit": " s"});
        assert_eq!(cell(beside).unwrap(), "0.5 s (0.981)");
    }

    #[test]
    fn measurements_by_key() {
        let columns = json!([{"title": "a", "show": "figures/auc", "from": "a"}, {"title": "b", "show": "figures/auc", "from": "b"}]);
        let row = table(
            columns.clone(),
            json!({"a": "own/run", "b": {"text": "trained on"}}),
        )
        .unwrap();
        assert!(row.ends_with("| mine | 0.9806 | trained on |\n"), "{row}");
        let row = table(columns.clone(), json!({"a": null, "b": "own/run"})).unwrap();
        assert!(row.ends_with("| mine | – | 0.9806 |\n"), "{row}");
        let error = table(columns, json!({"a": "own/run"}))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("row 1") && error.contains("no 'b'"),
            "{error}"
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (column, of, words) in [
            (
                json!({"title": "x", "show": "figures/none"}),
                json!("own/run"),
                &["own/run", "no figures/none"][..],
            ),
            (
                json!({"title": "x", "show": "figures/odd"}),
                json!("own/run"),
                &["own/run", "true"],
            ),
            (
                json!({"title": "x", "show": "seeds"}),
                json!("own/other"),
                &["row 1", "own/other", "run"],
            ),
            (
                json!({"title": "x", "show": "seeds"}),
                json!("none/run"),
                &["none/run", "no none.json"],
            ),
            (
                json!({"title": "x", "show": "seeds"}),
                json!("run"),
                &["group/id", "run"],
            ),
            (
                json!({"title": "x", "decimals": 99}),
                json!("own/run"),
                &["0 to 15", "99"],
            ),
            (
                json!({"title": "x", "decimal": 1}),
                json!("own/run"),
                &["decimals", "decimal"],
            ),
            (
                json!({"title": "a|b"}),
                json!("own/run"),
                &["without '|'", "a|b"],
            ),
        ] {
            let error = table(json!([column]), of).unwrap_err().to_string();
            assert!(
                words.iter().all(|word| error.contains(word)),
                "{error} should hold {words:?}"
            );
        }
    }
}
