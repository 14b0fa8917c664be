//! What the program says, and its exit code.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;

use serde_json::Value;
use venule::file::{self, check_writable, create_folder};

/// `println!` whose reader may have gone, as behind `| head`: the program goes on, and what it writes is not lost.
macro_rules! say {
    ($($part:tt)*) => {{
        use std::io::Write;
        $crate::output::note_failure(writeln!(std::io::stdout(), $($part)*));
    }};
}
pub(crate) use say;

/// What stopped standard output from being written, but for a reader that has gone.
static FAILURE: OnceLock<io::Error> = OnceLock::new();

/// Keeps the first failure for the exit code: the work goes on.
pub fn note_failure(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        let _ = FAILURE.set(error);
    }
}

pub type AnyResult<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Exit code of a run stopped by Ctrl-C or a termination signal, as shells use it.
pub const INTERRUPTED: u8 = 130;

/// Prints an error with its causes; the exit code of the program.
pub fn exit(result: AnyResult<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => match FAILURE.get() {
            None => code,
            Some(error) => {
                eprintln!("error: cannot write to standard output: {error}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            let mut said = error.to_string();
            while let Some(inner) = cause {
                // Most messages tell their cause themselves.
                let told = inner.to_string();
                if !said.contains(&told) {
                    eprintln!("  caused by: {told}");
                }
                said = told;
                cause = inner.source();
            }
            ExitCode::FAILURE
        }
    }
}

/// Longest name of a file, in bytes, on all common file systems.
const LONGEST_NAME: usize = 255;

/// Folders that were made for results. Those in which nothing came to lie go again with it: a refused run leaves nothing behind.
#[must_use]
pub struct Places(Vec<PathBuf>);

impl Drop for Places {
    fn drop(&mut self) {
        for folder in self.0.iter().rev() {
            // One that is not empty stays.
            let _ = std::fs::remove_dir(folder);
        }
    }
}

/// Creates the folders of results, and tries them and the places of files, before any work begins.
///
/// # Errors
/// If something cannot be written there; the error names it and says what to do.
pub fn check_places<'a>(
    folders: impl IntoIterator<Item = &'a Path>,
    files: impl IntoIterator<Item = &'a Path>,
) -> file::Result<Places> {
    let mut made = Places(Vec::new());
    let mut prepare = |folder: &Path| {
        let missing = folder.ancestors().take_while(|part| !part.exists());
        let missing: Vec<_> = missing
            .filter(|part| !part.as_os_str().is_empty())
            .collect();
        made.0.extend(missing.into_iter().rev().map(Path::to_owned));
        create_folder(folder)?;
        check_writable(folder)
    };
    for folder in folders {
        prepare(folder)?;
    }
    for path in files {
        check_name(path)?;
        match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => prepare(folder)?,
            _ => check_writable(Path::new("."))?,
        }
    }
    Ok(made)
}

/// As [`check_places`], for files of tables: none is written over a file that holds no table.
///
/// # Errors
/// As [`check_places`], and if something else stands where a table is to go.
pub fn check_tables<'a>(
    folders: impl IntoIterator<Item = &'a Path>,
    tables: impl IntoIterator<Item = &'a Path>,
) -> AnyResult<Places> {
    let tables: Vec<&Path> = tables.into_iter().collect();
    let places = check_places(folders, tables.iter().copied())?;
    tables.into_iter().try_for_each(expect_replaceable)?;
    Ok(places)
}

/// Most bytes of a file that are looked into before it is written over.
const LOOKED_INTO: u64 = 64 << 20;

/// Refuses to write a table over a file that is none: a photograph, a label or a run file given by mistake.
fn expect_replaceable(path: &Path) -> AnyResult<()> {
    let is_table = |path: &Path| -> io::Result<bool> {
        let metadata = path.metadata()?;
        if !metadata.is_file() || metadata.len() == 0 {
            return Ok(true);
        }
        let mut bytes = Vec::new();
        File::open(path)?
            .take(LOOKED_INTO)
            .read_to_end(&mut bytes)?;
        let named = path.extension().and_then(|ending| ending.to_str());
        let named = named.is_some_and(|ending| ["csv", "md", "txt"].contains(&ending));
        let text = || std::str::from_utf8(&bytes).is_ok_and(|text| !text.contains('\0'));
        Ok((named && text()) || serde_json::from_slice::<Value>(&bytes).is_ok())
    };
    match is_table(path) {
        Ok(false) => Err(format!(
            "{} is no table and no JSON, and would be written over; choose another name",
            path.display()
        )
        .into()),
        // What cannot be read is told by what tries to write it.
        _ => Ok(()),
    }
}

/// Refuses a file whose name is too long, or where a folder stands.
pub fn check_name(path: &Path) -> file::Result<()> {
    let length = path.file_name().map_or(0, |name| name.len());
    let kind = match () {
        () if length == 0 => io::ErrorKind::InvalidInput,
        () if length > LONGEST_NAME => io::ErrorKind::InvalidFilename,
        () if path.is_dir() => io::ErrorKind::IsADirectory,
        () => return Ok(()),
    };
    Err(file::Error::writing("write", path)(kind.into()))
}

/// Refuses a file to be written that is one of those to be read.
pub fn expect_no_input<'a>(
    written: &Path,
    inputs: impl IntoIterator<Item = &'a Path>,
) -> AnyResult<()> {
    // What is not there yet is no input.
    let Ok(place) = written.canonicalize() else {
        return Ok(());
    };
    let is_it = |input: &Path| input.canonicalize().is_ok_and(|input| input == place);
    match inputs.into_iter().any(is_it) {
        true => Err(format!(
            "{} is read from, and would be overwritten; give another place",
            written.display()
        )
        .into()),
        false => Ok(()),
    }
}

/// A number of a table with four decimals; a dash where it is undefined.
pub fn number(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.4}"))
}
