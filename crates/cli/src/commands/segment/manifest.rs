//! What has become of every photograph, in a file of JSON lines from which a run goes on.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufReader, Seek, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use venule::file::Error;

use super::lines::{Line, next_line};
use super::list::Item;
use super::photograph::{BYTES, NAME, PHOTOGRAPH};
use crate::output::AnyResult;

/// The key and value by which a manifest's first line is known.
const MANIFEST: &str = "manifest";
const KIND: &str = "venule segment";
const SETTINGS: &str = "settings";
/// The setting that says in which folder relative paths are meant.
pub const WORKING_DIRECTORY: &str = "working_directory";
const PROGRAM: &str = "program";

/// The first line: what all results have in common. Photographs that are done are done only with the same `settings`.
pub fn header(weights: &str, settings: Value) -> Value {
    json!({
        MANIFEST: KIND,
        PROGRAM: env!("CARGO_PKG_VERSION"),
        "weights": weights,
        SETTINGS: settings,
    })
}

/// A manifest to which no other process adds lines.
pub struct Manifest {
    file: File,
    path: PathBuf,
}

impl Manifest {
    /// Begins a manifest, or goes on with one; which photographs it says are done.
    ///
    /// # Errors
    /// If there is one and `resume` is not given, or it is none, is of other settings or of a list that has changed, or another process
    /// writes to it.
    pub fn open(
        path: &Path,
        header: &Value,
        resume: bool,
        items: &[Item],
    ) -> AnyResult<(Self, Vec<bool>)> {
        if path.exists() && !path.is_file() {
            return Err(format!(
                "{} is no regular file; a manifest needs one",
                path.display()
            )
            .into());
        }
        let mut options = OpenOptions::new();
        // Lines are added, whatever else stands there.
        let file = options.read(true).append(true).create(true).open(path);
        let file = file.map_err(Error::writing("open", path))?;
        // A file system without locks has none to heed.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(format!(
                "{} is written to by another process; give every shard a manifest of its own",
                path.display()
            )
            .into());
        }
        let length = file.metadata().map_err(Error::reading("read", path))?.len();
        let path = path.to_owned();
        let manifest = Self { file, path };
        if length == 0 {
            manifest.append(header)?;
            return Ok((manifest, vec![false; items.len()]));
        }
        if !resume {
            return Err(format!(
                "{} exists already; go on with it by --resume, or choose another name",
                manifest.path.display()
            )
            .into());
        }
        let done = manifest.read(header, items)?;
        Ok((manifest, done))
    }

    /// Adds a line, which outlives this process.
    pub fn append(&self, row: &Value) -> AnyResult<()> {
        let mut line = serde_json::to_vec(row)?;
        line.push(b'\n');
        Ok(self.write(&line)?)
    }

    fn write(&self, bytes: &[u8]) -> venule::file::Result<()> {
        let written = (&self.file).write_all(bytes);
        written.map_err(Error::writing("write", &self.path))
    }

    /// Makes all lines outlive a loss of power too. Pictures always do: lines that are lost are done again.
    pub fn sync(&self) -> AnyResult<()> {
        let synced = self.file.sync_data();
        Ok(synced.map_err(Error::writing("write", &self.path))?)
    }

    /// Which photographs are done. Damaged lines count for nothing, and one that was cut at the end is removed.
    fn read(&self, header: &Value, items: &[Item]) -> AnyResult<Vec<bool>> {
        let file = self
            .file
            .try_clone()
            .map_err(Error::reading("read", &self.path))?;
        let mut from = BufReader::new(file);
        from.rewind().map_err(Error::reading("read", &self.path))?;
        let mut records = Records::new(&self.path, items);
        let (mut number, mut damaged) = (0usize, 0usize);
        let mut end = None;
        while let Some(line) = next_line(&mut from).map_err(Error::reading("read", &self.path))? {
            number += 1;
            end = None;
            let text = match &line {
                Line::Whole(text) | Line::Open(text) => text.as_slice(),
                Line::TooLong => &[],
            };
            let row: Option<Map<String, Value>> = serde_json::from_slice(text).ok();
            if row.is_none()
                && let Some(row) = header_inside(text)
            {
                // Behind a line that was cut stands what joined manifests have in common.
                expect_settings(&self.path, &row, header)?;
            }
            if number == 1
                && row.is_none()
                && matches!(&line, Line::Open(text) if is_begun_header(text))
            {
                // Cut within its very first line: nothing was done yet.
                let emptied = self.file.set_len(0);
                emptied.map_err(Error::writing("write", &self.path))?;
                self.append(header)?;
                return Ok(records.done);
            }
            let known = row.as_ref().and_then(|row| row.get(MANIFEST));
            let is_header = known.is_some_and(|kind| kind == KIND);
            if number == 1 && !is_header {
                return Err(format!(
                    "{} is no manifest of `venule segment`, and stays as it is; choose another name",
                    self.path.display()
                )
                .into());
            }
            match &row {
                // Those of several shards may stand in one file.
                Some(row) if is_header => expect_settings(&self.path, row, header)?,
                Some(row) => records.take(row)?,
                None if text.is_empty() && line != Line::TooLong => {}
                None => damaged += 1,
            }
            match line {
                Line::Whole(_) => {}
                Line::Open(text) if row.is_none() => end = Some(text.len() as u64),
                Line::Open(_) | Line::TooLong => end = Some(0),
            }
        }
        match end {
            None => {}
            Some(0) => self.write(b"\n")?,
            Some(cut) => {
                damaged -= 1;
                let length = self.file.metadata().map(|metadata| metadata.len());
                let whole = length.and_then(|length| self.file.set_len(length - cut));
                whole.map_err(Error::writing("write", &self.path))?;
            }
        }
        if damaged > 0 {
            eprintln!(
                "warning: {}: {damaged} damaged lines; their photographs are done again",
                self.path.display()
            );
        }
        Ok(records.done)
    }
}

/// How every first line begins.
fn beginning() -> String {
    format!("{{\"{MANIFEST}\":\"{KIND}\"")
}

/// The first line of a manifest that stands behind the cut end of another.
fn header_inside(text: &[u8]) -> Option<Map<String, Value>> {
    let beginning = beginning();
    let at = text
        .windows(beginning.len())
        .position(|found| found == beginning.as_bytes())?;
    serde_json::from_slice(&text[at..]).ok()
}

/// Whether a text is a first line that was cut; what is shorter than its first key may be anything.
fn is_begun_header(text: &[u8]) -> bool {
    let beginning = beginning();
    let length = text.len().min(beginning.len());
    length > MANIFEST.len() + 3 && text[..length] == beginning.as_bytes()[..length]
}

/// The photographs of a list as a manifest's lines name them.
struct Records<'a> {
    manifest: &'a Path,
    items: &'a [Item],
    places: HashMap<&'a [u8], usize>,
    /// What results are called, whatever the case; made when it is asked for.
    names: Option<HashSet<String>>,
    done: Vec<bool>,
}

impl<'a> Records<'a> {
    fn new(manifest: &'a Path, items: &'a [Item]) -> Self {
        let bytes = |item: &'a Item| item.path.as_os_str().as_encoded_bytes();
        let places = items.iter().enumerate();
        Self {
            manifest,
            items,
            places: places.map(|(place, item)| (bytes(item), place)).collect(),
            names: None,
            done: vec![false; items.len()],
        }
    }

    /// Of several lines of one photograph the last counts.
    fn take(&mut self, row: &Map<String, Value>) -> AnyResult<()> {
        let text = |key: &str| row.get(key).and_then(Value::as_str);
        let Some(photograph) = text(PHOTOGRAPH) else {
            return Ok(());
        };
        let bytes = text(BYTES).and_then(from_hex);
        let bytes = bytes.as_deref().unwrap_or(photograph.as_bytes());
        // Whoever failed wrote nothing.
        let name = text(NAME).filter(|_| !row.contains_key("error"));
        let place = self.places.get(bytes).copied();
        if let Some(place) = place {
            self.done[place] = name.is_some();
        }
        let Some(name) = name else {
            return Ok(());
        };
        let moved = match place {
            Some(place) => self.items[place].name != name,
            None => {
                let items = self.items.iter();
                let names = || items.map(|item| item.name.to_lowercase()).collect();
                self.names
                    .get_or_insert_with(names)
                    .contains(&name.to_lowercase())
            }
        };
        match moved {
            false => Ok(()),
            true => Err(format!(
                "{}: the list has changed: the results of {photograph} are called '{name}', as those of another photograph would be now; \
                 add photographs at the end of a list, or begin anew with another --manifest and --out",
                self.manifest.display()
            )
            .into()),
        }
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let pair = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(16 * digit(high)? + digit(low)?).ok(),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

/// Refuses a manifest of other settings, and says which they are.
fn expect_settings(path: &Path, found: &Map<String, Value>, header: &Value) -> AnyResult<()> {
    let empty = Map::new();
    let there = found
        .get(SETTINGS)
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    let here = header[SETTINGS].as_object().unwrap_or(&empty);
    let of = |map: &Map<String, Value>, key: &str| map.get(key).cloned().unwrap_or(Value::Null);
    let other = |key: &&String| {
        let (there, here) = (of(there, key), of(here, key));
        // Where no path is relative, none is told.
        let untold = *key == WORKING_DIRECTORY && (there.is_null() || here.is_null());
        there != here && !untold
    };
    let unknown = there.keys().filter(|key| !here.contains_key(*key));
    let differing = here.keys().filter(other).chain(unknown).map(|key| {
        format!(
            "{key} is {} there and {} now",
            of(there, key),
            of(here, key)
        )
    });
    let differing: Vec<String> = differing.collect();
    if !differing.is_empty() {
        return Err(format!(
            "{} is of other settings: {}; give the same ones, or another --manifest and --out",
            path.display(),
            differing.join(", ")
        )
        .into());
    }
    if found.get(PROGRAM) != header.get(PROGRAM) {
        eprintln!(
            "warning: {} was begun by another version of the program: {}",
            path.display(),
            found.get(PROGRAM).unwrap_or(&Value::Null)
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(names: &[(&str, &str)]) -> Vec<Item> {
        let item = |&(path, name): &(&str, &str)| Item {
            path: path.into(),
            name: name.to_owned(),
        };
        names.iter().map(item).collect()
    }

    fn row(path: &str, name: &str) -> Value {
        json!({PHOTOGRAPH: path, NAME: name})
    }

    /// What is done by a manifest of these bytes, and the bytes behind it; or the error.
    fn resumed(bytes: &[u8], items: &[Item]) -> Result<(Vec<bool>, Vec<u8>), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.jsonl");
        std::fs::write(&path, bytes).unwrap();
        let opened = Manifest::open(&path, &header("w", json!({"threshold": 0.5})), true, items);
        let (_, done) = opened.map_err(|error| error.to_string())?;
        Ok((done, std::fs::read(&path).unwrap()))
    }

    fn first_line() -> String {
        format!("{}\n", header("w", json!({"threshold": 0.5})))
    }

    #[test]
    fn a_cut_line_is_removed_and_damaged_ones_count_for_nothing() {
        let items = items(&[("a", "a"), ("b", "b"), ("c", "c")]);
        let whole = format!("{}{}\n", first_line(), row("a", "a"));
        let cut = format!("{whole}{{\"photograph\":\"b\",\"na");
        let expected = (vec![true, false, false], whole.clone().into_bytes());
        assert_eq!(resumed(cut.as_bytes(), &items).unwrap(), expected);
        // A whole record before the end of its line was written is one.
        let open = format!("{whole}{}", row("b", "b"));
        let expected = (vec![true, true, false], format!("{open}\n").into_bytes());
        assert_eq!(resumed(open.as_bytes(), &items).unwrap(), expected);
        // Two shards in one file, the first of which was cut.
        let joined = format!("{whole}{{\"phot{}{}\n", first_line(), row("c", "c"));
        let expected = (vec![true, false, true], joined.clone().into_bytes());
        assert_eq!(resumed(joined.as_bytes(), &items).unwrap(), expected);
    }

    #[test]
    fn other_settings_are_found_behind_a_cut_line_too() {
        let items = items(&[("a", "a"), ("c", "c")]);
        let other = header("w", json!({"threshold": 0.25}));
        let joined = format!("{}{{\"phot{other}\n{}\n", first_line(), row("c", "c"));
        let error = resumed(joined.as_bytes(), &items).unwrap_err();
        assert!(error.contains("threshold is 0.25 there"), "{error}");
    }

    #[test]
    fn a_manifest_that_was_cut_in_its_first_line_begins_anew() {
        let items = items(&[("a", "a")]);
        let whole = first_line();
        for length in MANIFEST.len() + 4..whole.len() - 1 {
            let (done, bytes) = resumed(&whole.as_bytes()[..length], &items).unwrap();
            assert_eq!(
                (done, bytes),
                (vec![false], whole.clone().into_bytes()),
                "{length}"
            );
        }
    }

    #[test]
    fn the_last_line_of_a_photograph_counts() {
        let items = items(&[("a", "a")]);
        let failed = json!({PHOTOGRAPH: "a", NAME: "a", "error": "damaged"});
        let begun = format!("{}{failed}\n", first_line());
        assert_eq!(resumed(begun.as_bytes(), &items).unwrap().0, [false]);
        let done = format!("{begun}{}\n", row("a", "a"));
        assert_eq!(resumed(done.as_bytes(), &items).unwrap().0, [true]);
        let again = format!("{done}{failed}\n");
        assert_eq!(resumed(again.as_bytes(), &items).unwrap().0, [false]);
    }

    #[test]
    fn a_list_that_gives_results_other_names_is_refused() {
        let manifest = format!("{}{}\n", first_line(), row("x/eye", "eye"));
        for changed in [
            &[("y/eye", "eye"), ("x/eye", "eye_2")][..],
            &[("y/Eye", "Eye")],
        ] {
            let error = resumed(manifest.as_bytes(), &items(changed)).unwrap_err();
            assert!(
                error.contains("the list has changed") && error.contains("x/eye"),
                "{error}"
            );
        }
        let added = items(&[("x/eye", "eye"), ("y/eye", "eye_2")]);
        assert_eq!(
            resumed(manifest.as_bytes(), &added).unwrap().0,
            [true, false]
        );
        // Another photograph of another name is nobody's business.
        assert_eq!(
            resumed(manifest.as_bytes(), &items(&[("z", "z")]))
                .unwrap()
                .0,
            [false]
        );
    }

    #[test]
    fn what_is_no_manifest_or_of_other_settings_is_refused_and_stays() {
        let items = items(&[("a", "a")]);
        for bytes in ["a.png\nb.png\n", "{\"photograph\": \"a\"}\n", "[]", "\n"] {
            let error = resumed(bytes.as_bytes(), &items).unwrap_err();
            assert!(error.contains("is no manifest"), "{error}");
        }
        let other = header("w", json!({"threshold": 0.25, "flips": true}));
        let error = resumed(format!("{other}\n").as_bytes(), &items).unwrap_err();
        assert!(
            error.contains("threshold is 0.25 there and 0.5 now"),
            "{error}"
        );
        assert!(
            error.contains("flips is true there and null now"),
            "{error}"
        );
    }

    #[test]
    fn relative_paths_are_meant_in_one_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.jsonl");
        let open = |folder: Value| {
            let header = header("w", json!({ WORKING_DIRECTORY: folder }));
            Manifest::open(&path, &header, true, &[]).map(drop)
        };
        open(json!("/x")).unwrap();
        let error = open(json!("/y")).unwrap_err().to_string();
        assert!(error.contains("\"/x\" there and \"/y\" now"), "{error}");
        assert!(open(Value::Null).is_ok() && open(json!("/x")).is_ok());
    }

    #[test]
    fn a_manifest_has_one_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.jsonl");
        let open = || Manifest::open(&path, &header("w", json!({})), true, &[]);
        let held = open().unwrap();
        let error = open().err().unwrap().to_string();
        assert!(error.contains("another process"), "{error}");
        drop(held);
        assert!(open().is_ok());
    }

    #[test]
    fn paths_that_are_not_utf_8_are_known_by_their_bytes() {
        assert_eq!(from_hex("70e85f31"), Some(b"p\xe8_1".to_vec()));
        assert_eq!(from_hex("70e"), None);
        assert_eq!(from_hex("zz"), None);
    }
}
