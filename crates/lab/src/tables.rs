//! The tables of the documents, made of the measurements in a folder of JSON files.
//!
//! The folder holds measurements by group, one file a group, and `tables.json`, which says what each table shows of them. Its
//! `README.md` documents both forms. A document names a table between two markers:
//!
//! ```text
//! <!-- table drive -->
//! <!-- end -->
//! ```
//!
//! [`render`] makes all tables of a folder, [`fill`] puts them between the markers of a document.
//!
//! # Example
//! ```
//! use venule_lab::tables::{fill, render};
//!
//! let folder = std::env::temp_dir().join(format!("venule-tables-{}", std::process::id()));
//! std::fs::create_dir_all(&folder)?;
//! std::fs::write(folder.join("own.json"), r#"{"measurements": {"run": {"figures": {"f1": {"value": 0.82, "std": 0.01}}}}}"#)?;
//! std::fs::write(folder.join("tables.json"), r#"{"summary": {
//!     "columns": [{"title": "system"}, {"title": "F1", "show": "figures/f1", "decimals": 3}],
//!     "rows": [{"label": "mine", "of": "own/run"}]
//! }}"#)?;
//!
//! let tables = render(&folder)?;
//! let document = fill("<!-- table summary -->\n<!-- end -->\n", &tables)?;
//! assert_eq!(document, "<!-- table summary -->\n\
//!     | system | F1 |\n\
//!     | --- | --- |\n\
//!     | mine | 0.820 ± 0.010 |\n\
//!     <!-- end -->\n");
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The file of a folder that says what the tables show.
const TABLES: &str = "tables.json";
/// What a table shows where a value is undefined.
const UNDEFINED: &str = "–";
const START: &str = "<!-- table ";
const END: &str = "<!-- end -->";
/// More digits than an `f64` holds are no figures.
const MOST_DECIMALS: u64 = 15;

/// What can be wrong with a folder of measurements, or with a document that shows them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// A file or folder cannot be read.
    #[error("{}: {source}; a folder of results with a {TABLES} is expected", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is no JSON.
    #[error("{}: {source}; every .json file of a folder of results is read", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// A place of a file holds something else than its form says.
    #[error("{place}: expected {expected}, found {found}")]
    Form {
        /// File or table, and the place in it.
        place: String,
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A table shows a measurement that is not in the folder.
    #[error("{place}: no measurement is called '{name}'; the group holds: {known}")]
    Measurement {
        /// The row.
        place: String,
        /// The name, `group/id`.
        name: String,
        /// The names that are there.
        known: String,
    },
    /// A document shows a table that is not in the folder.
    #[error("line {line}: no table is called '{name}'; {TABLES} has: {known}")]
    Table {
        /// The marker's line in the document, from 1.
        line: usize,
        /// The name.
        name: String,
        /// The names that are there.
        known: String,
    },
    /// A marker of a document has no partner.
    #[error("line {line}: the table that begins here has no '{END}' before the next one, or before the end of the document")]
    Open {
        /// The marker's line in the document, from 1.
        line: usize,
    },
}

type Result<T> = std::result::Result<T, TableError>;

/// All tables of a folder of results as Markdown, by name. The same files give the same text.
///
/// # Errors
/// [`TableError`], if a file cannot be read, is of another form than the folder's `README.md` says, or names a measurement that is
/// not there.
pub fn render(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut groups = BTreeMap::new();
    let mut tables = None;
    for path in json_files(folder)? {
        let value = read(&path)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.ends_with(TABLES) {
            tables = Some(object(&value, TABLES, "an object of tables by name")?.clone());
        } else {
            let place = format!("{name}.json");
            let measurements = field(object(&value, &place, "an object")?, "measurements", &place, "an object of measurements by id")?;
            groups.insert(name, object(measurements, &place, "an object of measurements by id")?.clone());
        }
    }
    let tables = tables.ok_or_else(|| TableError::Read {
        path: folder.join(TABLES),
        source: std::io::ErrorKind::NotFound.into(),
    })?;
    tables.into_iter().map(|(name, table)| Ok((name.clone(), markdown(&name, &table, &groups)?))).collect()
}

/// `document` with what stands between its markers replaced by the tables they name. Everything else stays as it is.
///
/// # Errors
/// [`TableError::Table`] if a marker names no table, [`TableError::Open`] if it has no end.
pub fn fill(document: &str, tables: &BTreeMap<String, String>) -> Result<String> {
    let mut filled = String::with_capacity(document.len());
    let mut open = None;
    for (index, line) in document.split_inclusive('\n').enumerate() {
        let (text, number) = (line.trim(), index + 1);
        if let Some(begun) = open {
            if text.starts_with(START) {
                return Err(TableError::Open { line: begun });
            }
            if text != END {
                continue;
            }
            open = None;
        }
        filled.push_str(line);
        if let Some(name) = text.strip_prefix(START).and_then(|rest| rest.strip_suffix(" -->")) {
            let table = tables.get(name).ok_or_else(|| TableError::Table {
                line: number,
                name: name.to_owned(),
                known: names(tables.keys()),
            })?;
            filled.push_str(table);
            open = Some(number);
        }
    }
    open.map_or(Ok(filled), |line| Err(TableError::Open { line }))
}

/// The JSON files of a folder, by name.
fn json_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |source| TableError::Read { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).map_err(|source| TableError::Read { path: path.to_owned(), source })?;
    serde_json::from_str(&text).map_err(|source| TableError::Json { path: path.to_owned(), source })
}

type Groups = BTreeMap<String, Map<String, Value>>;

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
        const KEYS: &[&str] = &["title", "show", "beside", "from", "decimals", "spread", "unit", "beside_decimals"];
        let column = object(value, place, "an object with title, show, beside, from, decimals, spread, unit, beside_decimals")?;
        if let Some(key) = column.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(form(place, "title, show, beside, from, decimals, spread, unit or beside_decimals", key));
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
        let mut of = field(row, "of", place, "the name of a measurement, or several by key")?;
        if let Some(key) = self.from {
            of = field(object(of, place, "measurements by key")?, key, place, "a measurement for each column's `from`")?;
        }
        if of.is_null() {
            return Ok(UNDEFINED.to_owned());
        }
        if let Some(words) = of.get("text") {
            return text(words, place).map(str::to_owned);
        }
        let name = text(of, place)?;
        let measurement = find(name, groups, place)?;
        let mut cell = shown(at(measurement, show, name)?, self.decimals, self.spread, name)?;
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

fn markdown(name: &str, table: &Value, groups: &Groups) -> Result<String> {
    let place = format!("table '{name}'");
    let table = object(table, &place, "an object with columns and rows")?;
    let columns = array(field(table, "columns", &place, "a list of columns")?, &place)?
        .iter()
        .map(|column| Column::new(column, &place))
        .collect::<Result<Vec<_>>>()?;
    let mut lines = line(columns.iter().map(|column| column.title));
    lines.push_str(&line(columns.iter().map(|_| "---")));
    for (index, row) in array(field(table, "rows", &place, "a list of rows")?, &place)?.iter().enumerate() {
        let place = format!("{place}, row {}", index + 1);
        let row = object(row, &place, "an object with label and of")?;
        let cells = columns.iter().map(|column| column.cell(row, groups, &place)).collect::<Result<Vec<_>>>()?;
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
    let (group, id) = name.split_once('/').ok_or_else(|| form(place, "a measurement as group/id", &name))?;
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
    measurement
        .pointer(&format!("/{path}"))
        .ok_or_else(|| form(&format!("measurement '{name}'"), "every value that a table shows; null where it is undefined", &format!("no {path}")))
}

/// A value as tables show it: `0.8266`, `0.8266 (0.820–0.834)`, `0.8262 ± 0.0165`, `0.76 to 0.82`, `0, 1, 2`.
fn shown(value: &Value, decimals: usize, spread: usize, name: &str) -> Result<String> {
    let wrong = || form(&format!("measurement '{name}'"), "a number, {value, low, high}, {value, std}, {from, to}, a list, a text or null", value);
    let number = |value: &Value, decimals: usize| value.as_f64().map(|number| format!("{number:.decimals$}").replace('-', "−")).ok_or_else(wrong);
    match value {
        Value::Null => Ok(UNDEFINED.to_owned()),
        Value::Number(_) => number(value, decimals),
        Value::String(_) => text(value, name).map(str::to_owned),
        Value::Array(list) if !list.is_empty() => {
            Ok(list.iter().map(|value| number(value, decimals)).collect::<Result<Vec<_>>>()?.join(", "))
        }
        Value::Object(parts) => {
            let part = |key: &str, decimals: usize| parts.get(key).ok_or_else(wrong).and_then(|value| number(value, decimals));
            let mut keys: Vec<_> = parts.keys().map(String::as_str).collect();
            keys.sort_unstable(); // Whatever order serde_json is built to keep.
            match keys[..] {
                ["high", "low", "value"] => {
                    Ok(format!("{} ({}–{})", part("value", decimals)?, part("low", spread)?, part("high", spread)?))
                }
                ["std", "value"] => Ok(format!("{} ± {}", part("value", decimals)?, part("std", spread)?)),
                ["from", "to"] => Ok(format!("{} to {}", part("from", decimals)?, part("to", decimals)?)),
                _ => Err(wrong()),
            }
        }
        _ => Err(wrong()),
    }
}

fn object<'a>(value: &'a Value, place: &str, expected: &'static str) -> Result<&'a Map<String, Value>> {
    value.as_object().ok_or_else(|| form(place, expected, value))
}

fn array<'a>(value: &'a Value, place: &str) -> Result<&'a Vec<Value>> {
    value.as_array().ok_or_else(|| form(place, "a list", value))
}

fn field<'a>(object: &'a Map<String, Value>, key: &str, place: &str, expected: &'static str) -> Result<&'a Value> {
    object.get(key).ok_or_else(|| form(place, expected, &format!("no '{key}'")))
}

/// A text that fits into a cell.
fn text<'a>(value: &'a Value, place: &str) -> Result<&'a str> {
    value
        .as_str()
        .filter(|text| !text.contains(['|', '\n', '\r']))
        .ok_or_else(|| form(place, "a text of one line without '|'", value))
}

fn form(place: &str, expected: &'static str, found: &impl ToString) -> TableError {
    const MOST: usize = 80;
    let found = found.to_string();
    let found = match found.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &found[..end]),
        None => found,
    };
    TableError::Form { place: place.to_owned(), expected, found }
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<_> = names.map(String::as_str).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
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
        markdown("t", &json!({"columns": all, "rows": [{"label": "mine", "of": of}]}), &groups())
    }

    fn cell(column: Value) -> Result<String> {
        let text = table(json!([column]), json!("own/run"))?;
        Ok(text.lines().last().unwrap().trim_start_matches("| mine | ").trim_end_matches(" |").to_owned())
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
        let row = table(columns.clone(), json!({"a": "own/run", "b": {"text": "trained on"}})).unwrap();
        assert!(row.ends_with("| mine | 0.9806 | trained on |\n"), "{row}");
        let row = table(columns.clone(), json!({"a": null, "b": "own/run"})).unwrap();
        assert!(row.ends_with("| mine | – | 0.9806 |\n"), "{row}");
        let error = table(columns, json!({"a": "own/run"})).unwrap_err().to_string();
        assert!(error.contains("row 1") && error.contains("no 'b'"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (column, of, words) in [
            (json!({"title": "x", "show": "figures/none"}), json!("own/run"), &["own/run", "no figures/none"][..]),
            (json!({"title": "x", "show": "figures/odd"}), json!("own/run"), &["own/run", "true"]),
            (json!({"title": "x", "show": "seeds"}), json!("own/other"), &["row 1", "own/other", "run"]),
            (json!({"title": "x", "show": "seeds"}), json!("none/run"), &["none/run", "no none.json"]),
            (json!({"title": "x", "show": "seeds"}), json!("run"), &["group/id", "run"]),
            (json!({"title": "x", "decimals": 99}), json!("own/run"), &["0 to 15", "99"]),
            (json!({"title": "x", "decimal": 1}), json!("own/run"), &["decimals", "decimal"]),
            (json!({"title": "a|b"}), json!("own/run"), &["without '|'", "a|b"]),
        ] {
            let error = table(json!([column]), of).unwrap_err().to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error} should hold {words:?}");
        }
    }

    #[test]
    fn a_document_keeps_all_but_its_tables() {
        let tables = BTreeMap::from([("a".to_owned(), "| new |\n".to_owned())]);
        let document = "before\r\n<!-- table a -->\nold\nold\n<!-- end -->\nafter";
        let filled = fill(document, &tables).unwrap();
        assert_eq!(filled, "before\r\n<!-- table a -->\n| new |\n<!-- end -->\nafter");
        assert_eq!(fill(&filled, &tables).unwrap(), filled);

        let error = fill("\n<!-- table b -->\n<!-- end -->\n", &tables).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("'b'") && error.ends_with("a"), "{error}");
        for open in ["<!-- table a -->\n", "<!-- table a -->\n<!-- table a -->\n<!-- end -->\n"] {
            assert!(matches!(fill(open, &tables), Err(TableError::Open { line: 1 })));
        }
    }
}
