use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::GzDecoder;

use super::kind::{FileKind, kind_of};
use crate::{Error, Result};

/// Most bytes read from a file, and most bytes a gzip stream may unpack to: room for [`MAX_PIXELS`](crate::MAX_PIXELS)
/// uncompressed 16-bit RGB pixels.
const MAX_BYTES: u64 = 512 << 20;

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Opens a regular file; its length in bytes.
pub(crate) fn open(path: &Path) -> Result<(File, u64)> {
    let failed = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    // Asked before opening, because opening a pipe that nobody writes to would block.
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(Error::NotAFile {
            path: path.to_owned(),
        });
    }
    Ok((File::open(path).map_err(failed)?, metadata.len()))
}

/// The bytes of a file, unpacked if they are gzip.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let (file, length) = open(path)?;
    let bytes = read_at_most(path, file, length)?.map_err(failed)?;
    unpacked(path, bytes)
}

/// The bytes themselves, or what they hold if they are gzip.
pub(super) fn unpacked(path: &Path, bytes: Vec<u8>) -> Result<Vec<u8>> {
    if !bytes.starts_with(&GZIP) {
        return Ok(bytes);
    }
    read_at_most(path, GzDecoder::new(bytes.as_slice()), 0)?.map_err(|cause| Error::Decode {
        path: path.to_owned(),
        format: "gzip",
        reason: cause.to_string(),
    })
}

fn read_at_most(path: &Path, from: impl Read, expected: u64) -> Result<io::Result<Vec<u8>>> {
    let room = usize::try_from(expected.min(MAX_BYTES)).unwrap_or(0);
    let mut bytes = Vec::with_capacity(room);
    if let Err(cause) = from.take(MAX_BYTES + 1).read_to_end(&mut bytes) {
        return Ok(Err(cause));
    }
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::FileTooLarge {
            path: path.to_owned(),
            limit: MAX_BYTES,
        });
    }
    Ok(Ok(bytes))
}

/// Whether a file in a folder of images is meant to be one: its name has an image's extension, or it begins like one.
///
/// A damaged image must be found (and complained of), a text file beside the images must not.
///
/// ```
/// use std::path::Path;
/// assert!(venule_data::looks_like_image(Path::new("left eye.TIF.gz")));
/// assert!(!venule_data::looks_like_image(Path::new("run.toml")));
/// ```
pub fn looks_like_image(path: &Path) -> bool {
    const EXTENSIONS: [&str; 12] = [
        "png", "jpg", "jpeg", "jpe", "tif", "tiff", "gif", "bmp", "ppm", "pgm", "pbm", "pnm",
    ];
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().to_lowercase());
    let name = name.unwrap_or_default();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    if let Some((_, extension)) = name.rsplit_once('.')
        && EXTENSIONS.contains(&extension)
    {
        return true;
    }
    matches!(file_kind(path), Ok(FileKind::Readable(_)))
}

/// What a file's first bytes, unpacked if they are gzip, say that it is, to tell why it is left out of a folder.
///
/// ```
/// use venule_data::{FileKind, file_kind};
/// let path = std::env::temp_dir().join("venule_doc_file_kind.jpg");
/// std::fs::write(&path, b"\xff\x0a a codestream")?;
/// let FileKind::Unread { name, remedy, .. } = file_kind(&path)? else { panic!() };
/// assert_eq!((name, remedy), ("JPEG XL", "convert it to PNG"));
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::NotAFile`], [`Error::Io`].
pub fn file_kind(path: impl AsRef<Path>) -> Result<FileKind> {
    let path = path.as_ref();
    let failed = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let mut start = Vec::new();
    let (file, _) = open(path)?;
    file.take(512).read_to_end(&mut start).map_err(failed)?;
    if start.starts_with(&GZIP) {
        let mut unpacked = Vec::new();
        // The end of a stream that is cut here is no error.
        let _ = GzDecoder::new(start.as_slice()).read_to_end(&mut unpacked);
        unpacked.truncate(512);
        start = unpacked;
    }
    Ok(kind_of(&start))
}
