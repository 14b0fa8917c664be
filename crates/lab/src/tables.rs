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

mod error;
mod markdown;

pub use error::TableError;

use error::{Result, field, names, object};
use markdown::{Groups, markdown};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file of a folder that says what the tables show.
const TABLES: &str = "tables.json";
const START: &str = "<!-- table ";
const END: &str = "<!-- end -->";

/// All tables of a folder of results as Markdown, by name. The same files give the same text.
///
/// # Errors
/// [`TableError`], if a file cannot be read, is of another form than the folder's `README.md` says, or names a measurement that is
/// not there.
pub fn render(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut groups = Groups::new();
    let mut tables = None;
    for path in json_files(folder)? {
        let value = read(&path)?;
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.ends_with(TABLES) {
            tables = Some(object(&value, TABLES, "an object of tables by name")?.clone());
        } else {
            let place = format!("{name}.json");
            let measurements = field(
                object(&value, &place, "an object")?,
                "measurements",
                &place,
                "an object of measurements by id",
            )?;
            groups.insert(
                name,
                object(measurements, &place, "an object of measurements by id")?.clone(),
            );
        }
    }
    let tables = tables.ok_or_else(|| TableError::Read {
        path: folder.join(TABLES),
        source: std::io::ErrorKind::NotFound.into(),
    })?;
    tables
        .into_iter()
        .map(|(name, table)| Ok((name.clone(), markdown(&name, &table, &groups)?)))
        .collect()
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
        if let Some(name) = text
            .strip_prefix(START)
            .and_then(|rest| rest.strip_suffix(" -->"))
        {
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
    let failed = |source| TableError::Read {
        path: folder.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).map_err(|source| TableError::Read {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_str(&text).map_err(|source| TableError::Json {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_keeps_all_but_its_tables() {
        let tables = BTreeMap::from([("a".to_owned(), "| new |\n".to_owned())]);
        let document = "before\r\n<!-- table a -->\nold\nold\n<!-- end -->\nafter";
        let filled = fill(document, &tables).unwrap();
        assert_eq!(
            filled,
            "before\r\n<!-- table a -->\n| new |\n<!-- end -->\nafter"
        );
        assert_eq!(fill(&filled, &tables).unwrap(), filled);

        let error = fill("\n<!-- table b -->\n<!-- end -->\n", &tables)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("line 2") && error.contains("'b'") && error.ends_with("a"),
            "{error}"
        );
        for open in [
            "<!-- table a -->\n",
            "<!-- table a -->\n<!-- table a -->\n<!-- end -->\n",
        ] {
            assert!(matches!(
                fill(open, &tables),
                Err(TableError::Open { line: 1 })
            ));
        }
    }
}
