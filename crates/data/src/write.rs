use std::fs::{self, File, OpenOptions};
use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use image::{DynamicImage, ImageFormat};

use crate::{Error, Result};

/// Writes an image as PNG, whole or not at all (see [`write_atomic`]).
///
/// ```
/// use venule_data::{mask_image, write_png, Mask};
/// # let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("mask.png");
/// write_png(&path, mask_image(&Mask::filled(4, 3, true))?)?;
/// assert!(path.exists());
/// # Ok::<(), venule_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::Encode`] if the image cannot be encoded (a side of 0, say), [`Error::Io`] if the file cannot be written.
pub fn write_png(path: impl AsRef<Path>, image: impl Into<DynamicImage>) -> Result<()> {
    let path = path.as_ref();
    let mut bytes = Vec::new();
    image
        .into()
        .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
        .map_err(|source| Error::Encode {
            path: path.to_owned(),
            source,
        })?;
    write_atomic(path, &bytes)
}

/// Writes a file to a temporary beside the target, syncs it and renames it, so that the target is never half
/// written: after a failure it is as before, and no temporary is left.
///
/// # Errors
/// [`Error::Io`], naming the target.
pub fn write_atomic(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    let failed = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let (temporary, file) = temporary_beside(path).map_err(failed)?;
    let written = write_synced(file, bytes).and_then(|()| fs::rename(&temporary, path));
    if let Err(source) = written {
        // The first failure is the one to report.
        let _ = fs::remove_file(&temporary);
        return Err(failed(source));
    }
    sync_folder(path).map_err(failed)
}

/// A new hidden file. Another process of this number, in a container or before a crash, may have left one of the name behind.
fn temporary_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    const ATTEMPTS: usize = 1000;
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
    let mut taken = None;
    for _ in 0..ATTEMPTS {
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        hidden.push(format!(".{}-{count}.tmp", std::process::id()));
        let temporary = path.with_file_name(hidden);
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)
        {
            Ok(file) => return Ok((temporary, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(taken.unwrap_or_else(|| io::ErrorKind::AlreadyExists.into()))
}

fn write_synced(mut file: File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes the rename itself durable, where folders can be synced.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_file_is_whole_and_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_another_process_left_is_stepped_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        let (left, file) = temporary_beside(&path).unwrap();
        drop(file);
        let text = left.to_str().unwrap();
        let (start, count) = text.trim_end_matches(".tmp").rsplit_once('-').unwrap();
        let count: u64 = count.parse().unwrap();
        // Whatever number is next: other tests of this process draw from the same.
        let names = (count + 1..count + 60).map(|next| format!("{start}-{next}.tmp"));
        let names: Vec<String> = names.collect();
        names.iter().for_each(|name| fs::write(name, b"x").unwrap());
        write_atomic(&path, b"one").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert!(names.iter().all(|name| fs::read(name).unwrap() == b"x"));
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("folder");
        fs::create_dir(&taken).unwrap();
        fs::write(taken.join("inner"), b"x").unwrap();
        let error = write_atomic(&taken, b"bytes").unwrap_err();
        assert!(error.to_string().contains("folder"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write_atomic(folder.path().join("missing/file"), b"x").is_err());
        assert!(write_atomic("/", b"x").is_err());
        let empty = image::RgbImage::new(0, 0);
        let path = folder.path().join("empty.png");
        assert!(write_png(&path, empty).is_err());
        assert!(!path.exists());
    }

    #[test]
    fn png_reads_back_equal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let image = image::RgbImage::from_fn(9, 5, |x, y| image::Rgb([x as u8, y as u8, 200]));
        write_png(&path, image.clone()).unwrap();
        assert_eq!(image::open(&path).unwrap().to_rgb8(), image);
    }
}
