//! The photographs of a call, and what their results are called.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use venule_lab::report::distinct_names;

use super::lines::{Line, next_line};
use crate::output::AnyResult;

/// A photograph, and the name that its results begin with.
pub struct Item {
    pub path: PathBuf,
    pub name: String,
}

/// Every photograph of a call once, in its order, under names of their own. The names depend on the photographs before alone: they are
/// the same in every shard of a list, and stay when photographs are added at its end.
pub struct Photographs {
    pub items: Vec<Item>,
    /// How many came again, and count once.
    pub repeated: usize,
}

impl Photographs {
    /// Those of the command line, and behind them those of a list.
    ///
    /// # Errors
    /// If a folder is named, the list cannot be read or is none, or if there is no photograph at all.
    pub fn gather(images: &[PathBuf], list: Option<&Path>) -> AnyResult<Self> {
        if let Some(folder) = images.iter().find(|path| path.is_dir()) {
            return Err(format!(
                "{folder} is a folder; name the photographs in it, as {folder}/*.jpg, or give a list of them with --list",
                folder = folder.display()
            )
            .into());
        }
        let mut paths = images.to_vec();
        if let Some(list) = list {
            paths.extend(read_list(list)?);
            if paths.is_empty() {
                return Err(format!("{} names no photograph", list.display()).into());
            }
        }
        let given = paths.len();
        let mut seen = HashSet::with_capacity(given);
        let first: Vec<bool> = paths.iter().map(|path| seen.insert(path)).collect();
        let mut first = first.into_iter();
        paths.retain(|_| first.next().unwrap_or(true));
        let names = distinct_names(paths.iter().map(|path| stem(path)));
        let repeated = given - paths.len();
        let items = paths.into_iter().zip(names);
        let items = items.map(|(path, name)| Item { path, name }).collect();
        Ok(Self { items, repeated })
    }
}

fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or(path.as_os_str());
    stem.to_string_lossy().into_owned()
}

fn read_list(path: &Path) -> AnyResult<Vec<PathBuf>> {
    if path == Path::new("-") {
        return parse(io::stdin().lock(), "standard input");
    }
    let file = File::open(path).map_err(venule::file::Error::reading("open", path))?;
    parse(BufReader::new(file), &path.display().to_string())
}

/// Most bytes of the paths of a list: ten million of a hundred bytes each.
const LARGEST: usize = 1 << 30;

/// One path a line, whatever ends it.
fn parse(mut from: impl BufRead, name: &str) -> AnyResult<Vec<PathBuf>> {
    let (mut paths, mut size, mut number) = (Vec::new(), 0, 0usize);
    loop {
        let line = next_line(&mut from).map_err(|error| format!("cannot read {name}: {error}"))?;
        number += 1;
        let refuse = |what: &str| format!("{name}, line {number}: {what}");
        let mut line = match line {
            None => return Ok(paths),
            Some(Line::Whole(line) | Line::Open(line)) => line,
            Some(Line::TooLong) => {
                return Err(
                    refuse("it is far too long for a path; a list has one path a line").into(),
                );
            }
        };
        if number == 1 && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if line.contains(&0) {
            return Err(
                refuse("it holds a NUL byte; a list is a text with one path a line").into(),
            );
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        size += line.len();
        if size > LARGEST {
            return Err(refuse("a list holds at most 1 GiB of paths; make several of it").into());
        }
        let path = PathBuf::from(file_name(line).map_err(|what| refuse(&what))?);
        paths.push(unquoted(&path).unwrap_or(path));
    }
}

/// The path that stands in double quotes, as file managers copy it, where that is a file and the whole is none.
fn unquoted(path: &Path) -> Option<PathBuf> {
    let inner = path.to_str()?.strip_prefix('"')?.strip_suffix('"')?;
    let inner = Path::new(inner);
    (inner.is_file() && !path.exists()).then(|| inner.to_owned())
}

/// As the system has it: on Unix any bytes are one.
#[cfg(unix)]
fn file_name(line: Vec<u8>) -> Result<OsString, String> {
    use std::os::unix::ffi::OsStringExt;
    Ok(OsString::from_vec(line))
}

#[cfg(not(unix))]
fn file_name(line: Vec<u8>) -> Result<OsString, String> {
    let text = String::from_utf8(line);
    text.map(OsString::from)
        .map_err(|_| "it is not UTF-8; save the list as UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &[u8]) -> Result<Vec<PathBuf>, String> {
        parse(text, "photos.txt").map_err(|error| error.to_string())
    }

    #[test]
    fn a_path_in_quotes_is_the_file_that_it_names() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("an eye.png");
        std::fs::write(&file, "").unwrap();
        let quoted = format!("\"{}\"", file.display());
        assert_eq!(list(quoted.as_bytes()).unwrap(), [file]);
        // A file that is called so is meant, and what names none stays as it was written.
        let odd = folder.path().join("\"b\"");
        let name = format!("\"{}\"", odd.display());
        assert_eq!(list(name.as_bytes()).unwrap(), [PathBuf::from(name)]);
    }

    #[test]
    fn a_list_has_one_path_a_line_whatever_ends_it() {
        let text = b"\xef\xbb\xbfa.png\r\n\n  \r\n b c.png\nlast.png";
        let expected = ["a.png", " b c.png", "last.png"].map(PathBuf::from);
        assert_eq!(list(text).unwrap(), expected);
        assert_eq!(list(b"").unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn what_is_no_list_is_refused_with_its_line() {
        let error = list(b"a.png\nb\0c.png\n").unwrap_err();
        assert!(
            error.starts_with("photos.txt, line 2: it holds a NUL byte"),
            "{error}"
        );
        let error = list(&[b'x'; (1 << 20) + 1]).unwrap_err();
        assert!(error.contains("line 1: it is far too long"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_not_utf_8_stay_what_they_are() {
        use std::os::unix::ffi::OsStrExt;
        let paths = list(b"p\xe8.png\n").unwrap();
        assert_eq!(paths[0].as_os_str().as_bytes(), b"p\xe8.png");
    }

    #[test]
    fn photographs_count_once_and_names_do_not_depend_on_what_comes_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        let gather = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Photographs::gather(&["x/eye.png".into()], Some(&path)).unwrap()
        };
        let names = |photographs: &Photographs| -> Vec<String> {
            photographs
                .items
                .iter()
                .map(|item| item.name.clone())
                .collect()
        };
        let few = gather("y/eye.png\nx/eye.png\nz/Eye.jpg\n");
        assert_eq!(
            (names(&few), few.repeated),
            (["eye", "eye_2", "Eye_3"].map(str::to_owned).to_vec(), 1)
        );
        let more = gather("y/eye.png\nz/Eye.jpg\nw/eye.png\n");
        assert_eq!(names(&more)[..3], names(&few));
        assert_eq!(names(&more)[3], "eye_4");
    }
}
