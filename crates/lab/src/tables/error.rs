//! What can be wrong with measurements, tables and documents.

use super::{END, TABLES};
use serde_json::{Map, Value};
use std::path::PathBuf;

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
    #[error(
        "line {line}: the table that begins here has no '{END}' before the next one, or before the end of the document"
    )]
    Open {
        /// The marker's line in the document, from 1.
        line: usize,
    },
}

pub(super) type Result<T> = std::result::Result<T, TableError>;

pub(super) fn object<'a>(
    value: &'a Value,
    place: &str,
    expected: &'static str,
) -> Result<&'a Map<String, Value>> {
    value
        .as_object()
        .ok_or_else(|| form(place, expected, value))
}

pub(super) fn array<'a>(value: &'a Value, place: &str) -> Result<&'a Vec<Value>> {
    value.as_array().ok_or_else(|| form(place, "a list", value))
}

pub(super) fn field<'a>(
    object: &'a Map<String, Value>,
    key: &str,
    place: &str,
    expected: &'static str,
) -> Result<&'a Value> {
    object
        .get(key)
        .ok_or_else(|| form(place, expected, &format!("no '{key}'")))
}

/// A text that fits into a cell.
pub(super) fn text<'a>(value: &'a Value, place: &str) -> Result<&'a str> {
    value
        .as_str()
        .filter(|text| !text.contains(['|', '\n', '\r']))
        .ok_or_else(|| form(place, "a text of one line without '|'", value))
}

pub(super) fn form(place: &str, expected: &'static str, found: &impl ToString) -> TableError {
    const MOST: usize = 80;
    let found = found.to_string();
    let found = match found.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &found[..end]),
        None => found,
    };
    TableError::Form {
        place: place.to_owned(),
        expected,
        found,
    }
}

pub(super) fn names<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<_> = names.map(String::as_str).collect();
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    }
}
