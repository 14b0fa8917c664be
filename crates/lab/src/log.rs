//! Logs of runs, read back.

use std::path::Path;

use venule::train::LogLine;

use crate::{Error, Result};

/// Reads a log as [`venule::train::JsonLines`] writes it; a last line that a killed process left unfinished is passed over.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("log.jsonl");
/// let epoch = r#"{"event":"epoch","epoch":0,"step":5,"lr":0.1,"loss":0.5,"samples":20,"terms":{},"clock":{"elapsed_s":1.0}}"#;
/// std::fs::write(&path, format!("{epoch}\n{{\"event\":\"ste"))?;
/// assert_eq!(venule_lab::read_log(&path)?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Venule`] if the file cannot be read; [`Error::Log`] if a complete line is no log line.
pub fn read_log(path: &Path) -> Result<Vec<LogLine>> {
    let text = std::fs::read_to_string(path).map_err(venule::file::Error::reading("read", path))?;
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    let parse = |(index, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|source| Error::Log {
            path: path.to_path_buf(),
            line: index + 1,
            source,
        })
    };
    let lines = complete.lines().enumerate();
    lines
        .filter(|(_, line)| !line.is_empty())
        .map(parse)
        .collect()
}
