//! Files that are either complete or absent.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use crate::{Error, Result};

/// What unfinished files are called: recognisable, so that the next run can clear them.
const TEMPORARY_PREFIX: &str = ".venule-";
const TEMPORARY_SUFFIX: &str = ".tmp";

/// A file that is written and synced beside its place, where it does not stand yet. Dropped, it leaves nothing.
///
/// Several files that belong together are staged first and placed one after the other.
#[derive(Debug)]
#[must_use = "dropped, it leaves nothing"]
pub struct Staged {
    temporary: NamedTempFile,
    path: PathBuf,
}

impl Staged {
    /// Writes what is to stand at `path` into a temporary in the same folder.
    ///
    /// # Errors
    /// [`Error::Write`] that names `path`; what stands there is untouched, and no temporary is left.
    pub fn write(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<Self> {
        if path.file_name().is_none() {
            let error = io::Error::new(ErrorKind::InvalidInput, "the path names no file");
            return Err(Error::writing("write", path)(error));
        }
        // Behind a link lies the file that is meant; a rename would put another in the link's place.
        let path = match path.is_symlink() {
            true => path.canonicalize().map_err(Error::writing("write", path))?,
            false => path.to_path_buf(),
        };
        let mut temporary =
            temporary_in(folder_of(&path)).map_err(Error::writing("create", &path))?;
        write(temporary.as_file_mut())
            .and_then(|()| temporary.as_file().sync_all())
            .map_err(Error::writing("write", &path))?;
        Ok(Self { temporary, path })
    }

    /// Renames it into its place; that is durable once the folder is synced ([`sync_folder`]).
    ///
    /// # Errors
    /// [`Error::Write`]; what stands at the place is untouched.
    pub fn place(self) -> Result<()> {
        let Self { temporary, path } = self;
        let placed = temporary.persist(&path);
        placed.map_err(|error| Error::writing("write", &path)(error.error))?;
        Ok(())
    }
}

/// Writes a file through a temporary in the same folder: content, then sync, then rename, then sync of the folder.
///
/// After a power loss the old or the new file is there, whole. After a failure the old one is there, and no temporary. What is no
/// regular file, as `/dev/stdout` or a pipe, is written to as it stands.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("numbers.json");
/// venule_file::write_atomic(&path, b"[1, 2]")?;
/// assert_eq!(std::fs::read(&path)?, b"[1, 2]");
/// let error = venule_file::write_atomic(path.join("below"), b"").unwrap_err();
/// assert!(error.to_string().starts_with("cannot create "), "{error}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Write`] that names `path`.
pub fn write_atomic(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    let special = |metadata: std::fs::Metadata| !metadata.is_file() && !metadata.is_dir();
    if std::fs::metadata(path).is_ok_and(special) {
        let written = OpenOptions::new().write(true).open(path);
        let written = written.and_then(|mut file| file.write_all(bytes));
        return written.map_err(Error::writing("write", path));
    }
    Staged::write(path, |file| file.write_all(bytes))?.place()?;
    sync_folder_of(path)
}

/// Creates a folder and those above it; one that is there already is left as it is.
///
/// # Errors
/// [`Error::Write`] that names `folder`.
pub fn create_folder(folder: impl AsRef<Path>) -> Result<()> {
    let folder = folder.as_ref();
    std::fs::create_dir_all(folder).map_err(Error::writing("create", folder))
}

/// Whether files can be written into `folder`, by trying it: to be called before a long computation whose results go there.
///
/// It creates the folder and a file in it, and removes what it has created.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// venule_file::check_writable(folder.path().join("new/results"))?;
/// assert!(!folder.path().join("new").exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Write`] that names `folder`.
pub fn check_writable(folder: impl AsRef<Path>) -> Result<()> {
    let folder = folder.as_ref();
    let is_missing = |path: &&Path| {
        let found = std::fs::symlink_metadata(path);
        !path.as_os_str().is_empty()
            && found.is_err_and(|error| error.kind() == ErrorKind::NotFound)
    };
    let made: Vec<&Path> = folder.ancestors().take_while(is_missing).collect();
    let tried = create_folder(folder).and_then(|()| {
        let temporary = temporary_in(folder).map_err(Error::writing("create a file in", folder));
        temporary.map(drop)
    });
    // From the innermost out; one that somebody else has put something into stays.
    let _ = made.into_iter().try_for_each(std::fs::remove_dir);
    tried
}

/// With the permissions of any other new file: by default temporaries are for their owner alone.
fn temporary_in(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    builder.prefix(TEMPORARY_PREFIX).suffix(TEMPORARY_SUFFIX);
    builder.make_in(folder, |path| {
        OpenOptions::new().write(true).create_new(true).open(path)
    })
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// [`sync_folder`] of the folder that a file stands in.
pub(crate) fn sync_folder_of(path: &Path) -> Result<()> {
    sync_folder(folder_of(path))
}

/// Makes renames in `folder` durable. Elsewhere than on Unix it does nothing, since folders cannot be synced there.
///
/// # Errors
/// [`Error::Write`].
pub fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(Error::writing("sync", folder))?;
    }
    Ok(())
}

/// Removes the temporaries that a killed process left in `folder`. The caller makes sure that no other one writes there.
///
/// # Errors
/// [`Error::Read`] if the folder cannot be listed, [`Error::Write`] if a temporary cannot be removed.
pub fn clear_temporaries(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(Error::reading("list", folder))? {
        let entry = entry.map_err(Error::reading("list", folder))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(TEMPORARY_PREFIX) && name.ends_with(TEMPORARY_SUFFIX) {
            std::fs::remove_file(entry.path()).map_err(Error::writing("remove", &entry.path()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write_atomic(&path, b"old").unwrap();
        let full = |file: &mut File| {
            file.write_all(b"ne")?;
            Err(io::Error::from(ErrorKind::StorageFull))
        };
        let error = Staged::write(&path, full).unwrap_err().to_string();
        assert!(
            error.starts_with("cannot write ")
                && error.ends_with("make room, or choose another disk"),
            "{error}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(names(dir.path()), ["file"]);
    }

    #[test]
    fn a_written_file_is_whole_and_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.bin");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"second").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        assert_eq!(names(dir.path()), ["a.bin"]);
    }

    #[test]
    fn errors_of_writing_name_path_and_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("folder")).unwrap();
        std::fs::write(at("folder/inner"), b"x").unwrap();
        std::fs::write(at("file"), b"x").unwrap();
        let long = "a".repeat(300);
        for (path, action, remedy) in [
            (at("folder"), "write", "a folder stands where the file"),
            (at("missing/file"), "create", "create its folder first"),
            (at("file/below"), "create", "a file stands where a folder"),
            (at(&long), "write", "choose a shorter name"),
            (PathBuf::from("/"), "write", "choose another path"),
        ] {
            let text = write_atomic(&path, b"bytes").unwrap_err().to_string();
            let start = format!("cannot {action} {}: ", path.display());
            assert!(text.starts_with(&start) && text.contains(remedy), "{text}");
            assert!(!text.contains(TEMPORARY_PREFIX), "{text}");
        }
        let mut left = names(dir.path());
        left.sort();
        assert_eq!(left, ["file", "folder"]);
    }

    #[test]
    fn a_folder_is_tried_and_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        check_writable(dir.path()).unwrap();
        check_writable(dir.path().join("a/b/c")).unwrap();
        assert!(names(dir.path()).is_empty());
        let file = dir.path().join("file");
        std::fs::write(&file, b"x").unwrap();
        for folder in [file.clone(), file.join("below")] {
            let text = check_writable(&folder).unwrap_err().to_string();
            let start = format!("cannot create {}: ", folder.display());
            assert!(text.starts_with(&start), "{text}");
            assert!(text.contains("a file stands where a folder"), "{text}");
        }
        assert_eq!(names(dir.path()), ["file"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_and_devices_stay_what_they_are() {
        use std::os::unix::fs::{FileTypeExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        write_atomic(at("target"), b"old").unwrap();
        symlink("target", at("link")).unwrap();
        write_atomic(at("link"), b"new").unwrap();
        assert!(at("link").is_symlink());
        assert_eq!(std::fs::read(at("target")).unwrap(), b"new");
        symlink("nowhere", at("dangling")).unwrap();
        let error = write_atomic(at("dangling"), b"x").unwrap_err().to_string();
        assert!(error.contains("dangling"), "{error}");
        write_atomic("/dev/null", b"x").unwrap();
        let null = std::fs::metadata("/dev/null").unwrap();
        assert!(null.file_type().is_char_device());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_is_as_readable_as_any() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let mode = |name: &str| {
            let metadata = std::fs::metadata(dir.path().join(name)).unwrap();
            metadata.permissions().mode() & 0o777
        };
        std::fs::write(dir.path().join("plain"), "").unwrap();
        write_atomic(dir.path().join("ours"), b"").unwrap();
        assert_eq!(mode("ours"), mode("plain"));
    }

    #[test]
    fn leftovers_are_cleared() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(".venule-abc.tmp"), "half").unwrap();
        std::fs::write(dir.path().join("keep.tmp"), "mine").unwrap();
        clear_temporaries(dir.path()).unwrap();
        assert_eq!(names(dir.path()), ["keep.tmp"]);
    }
}
