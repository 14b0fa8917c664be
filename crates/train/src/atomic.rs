//! Files that are either complete or absent.

use std::fs::File;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use crate::Result;
use crate::error::io_error;

/// What unfinished files are called: recognisable, so that the next run can clear them.
pub(crate) const TEMPORARY_PREFIX: &str = ".venule-";
pub(crate) const TEMPORARY_SUFFIX: &str = ".tmp";

/// A file that is written and synced beside its place, where it does not stand yet. Dropped, it leaves nothing.
#[must_use]
pub(crate) struct Staged {
    temporary: NamedTempFile,
    path: PathBuf,
}

impl Staged {
    /// Writes what is to stand at `path` into a temporary in the same folder.
    pub(crate) fn write(
        path: &Path,
        write: impl FnOnce(&mut File) -> std::io::Result<()>,
    ) -> Result<Self> {
        let folder = folder_of(path);
        let mut builder = Builder::new();
        builder.prefix(TEMPORARY_PREFIX).suffix(TEMPORARY_SUFFIX);
        let mut temporary = readable(&mut builder)
            .tempfile_in(folder)
            .map_err(io_error("create a file in", folder))?;
        write(temporary.as_file_mut()).map_err(io_error("write", path))?;
        temporary
            .as_file()
            .sync_all()
            .map_err(io_error("write", path))?;
        Ok(Self {
            temporary,
            path: path.to_path_buf(),
        })
    }

    /// Renames it into its place; that is durable once the folder is synced.
    pub(crate) fn place(self) -> Result<()> {
        let Self { temporary, path } = self;
        let placed = temporary.persist(&path);
        placed.map_err(|error| io_error("write", &path)(error.error))?;
        Ok(())
    }
}

/// Writes `path` through a temporary in the same folder: content, then fsync, then rename, then
/// fsync of the folder. After a power loss the old or the new file is there, whole.
pub(crate) fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut File) -> std::io::Result<()>,
) -> Result<()> {
    Staged::write(path, write)?.place()?;
    sync_folder(folder_of(path))
}

pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Temporaries are for their owner alone by default; results are to be as readable as any file.
#[cfg(unix)]
fn readable<'a, 'b>(builder: &'a mut Builder<'b, 'b>) -> &'a mut Builder<'b, 'b> {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(std::fs::Permissions::from_mode(0o666))
}

#[cfg(not(unix))]
fn readable<'a, 'b>(builder: &'a mut Builder<'b, 'b>) -> &'a mut Builder<'b, 'b> {
    builder
}

/// A rename is durable once the folder is synced; elsewhere than on Unix folders cannot be.
#[cfg(unix)]
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(io_error("sync", folder))
}

#[cfg(not(unix))]
pub(crate) fn sync_folder(_: &Path) -> Result<()> {
    Ok(())
}

/// Removes temporaries that a killed run left in `folder`.
pub(crate) fn clear_temporaries(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(io_error("list", folder))? {
        let entry = entry.map_err(io_error("list", folder))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(TEMPORARY_PREFIX) && name.ends_with(TEMPORARY_SUFFIX) {
            std::fs::remove_file(entry.path()).map_err(io_error("remove", &entry.path()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write_atomically(&path, |file| file.write_all(b"old")).unwrap();
        let full = |file: &mut File| {
            file.write_all(b"ne")?;
            Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
        };
        assert!(write_atomically(&path, full).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn leftovers_are_cleared() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(".venule-abc.tmp"), "half").unwrap();
        std::fs::write(dir.path().join("keep.tmp"), "mine").unwrap();
        clear_temporaries(dir.path()).unwrap();
        let names: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names, ["keep.tmp"]);
    }
}
