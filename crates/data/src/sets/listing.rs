//! What lies in folders, with the reason for everything that is not taken.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::left_out::{LeftOut, LeftOutReason};
use super::litter::is_litter;
use super::order::{first_part, natural_paths};
use super::stem::stem;
use crate::read::{NOT_PICTURE, looks_like_image};
use crate::{Error, FileKind, Result, file_kind};

/// Folders nested deeper than this are not searched.
const MAX_DEPTH: usize = 32;

/// Checks that a folder of a layout exists; `expected` says what the layout is.
pub(super) fn folder(path: PathBuf, expected: &str) -> Result<PathBuf> {
    if path.is_dir() {
        Ok(path)
    } else {
        Err(Error::MissingFolder {
            path,
            expected: expected.to_owned(),
        })
    }
}

/// The first of several names of a subfolder that exists, whatever its case.
pub(super) fn subfolder(root: &Path, names: &[&str]) -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(root)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect();
    // Of `Masks` and `masks` the same one on every disk.
    found.sort();
    names.iter().find_map(|name| {
        let called = |path: &&PathBuf| {
            let file_name = path.file_name().unwrap_or_default().to_string_lossy();
            file_name.eq_ignore_ascii_case(name)
        };
        found.iter().find(called).cloned()
    })
}

/// The image files of a folder in natural order of their names, and what else lies there.
#[derive(Clone, Default)]
pub(super) struct Listing {
    /// The folder.
    pub(super) path: PathBuf,
    /// Its image files.
    pub(super) images: Vec<PathBuf>,
    /// All others.
    pub(super) left_out: Vec<LeftOut>,
}

/// Lists a folder that must hold an image.
pub(super) fn images_in(folder: &Path) -> Result<Listing> {
    let (mut listing, folders) = scan(folder)?;
    for path in folders {
        let files = count_below(&path);
        listing.left_out.push(LeftOut {
            path,
            reason: LeftOutReason::Subfolder,
            files,
        });
    }
    listing.not_empty()
}

impl Listing {
    /// This listing, or an error that says what is there instead of images.
    pub(super) fn not_empty(self) -> Result<Self> {
        match self.images.is_empty() {
            false => Ok(self),
            true => Err(Error::NoImages {
                path: self.path,
                left_out: self.left_out,
            }),
        }
    }
}

/// Lists a folder and all folders below it; links in a circle are followed once. `masks` takes the masks out of a folder's images;
/// folders that hold images and are called as masks are, by `is_mask_folder`, are left out.
pub(super) fn images_below(
    root: &Path,
    mut masks: impl FnMut(&mut Listing),
    is_mask_folder: impl Fn(&Path) -> bool,
) -> Result<Listing> {
    let mut all = Listing {
        path: root.to_owned(),
        ..Listing::default()
    };
    let mut seen = BTreeSet::new();
    let mut folders = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let mut leave_out = |reason, files| {
            all.left_out.push(LeftOut {
                path: folder.clone(),
                reason,
                files,
            });
        };
        if depth > MAX_DEPTH {
            leave_out(LeftOutReason::TooDeep, count_below(&folder));
            continue;
        }
        let real = folder.canonicalize().map_err(|source| Error::Io {
            path: folder.clone(),
            source,
        })?;
        if !seen.insert(real) {
            leave_out(LeftOutReason::Repeated, 0);
            continue;
        }
        let (mut found, below) = scan(&folder)?;
        if depth > 0 && !found.images.is_empty() && is_mask_folder(&folder) {
            leave_out(LeftOutReason::MaskFolder, count_below(&folder));
            continue;
        }
        masks(&mut found);
        all.images.extend(found.images);
        all.left_out.extend(found.left_out);
        folders.extend(below.into_iter().map(|path| (path, depth + 1)));
    }
    all.images.sort_by(|a, b| natural_paths(a, b));
    all.left_out.sort_by(|a, b| natural_paths(&a.path, &b.path));
    all.not_empty()
}

/// The images of a folder with what else lies there, and its folders.
fn scan(folder: &Path) -> Result<(Listing, Vec<PathBuf>)> {
    let failed = |source| Error::Io {
        path: folder.to_owned(),
        source,
    };
    let mut listing = Listing {
        path: folder.to_owned(),
        ..Listing::default()
    };
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        let kind = entry.file_type().map_err(failed)?;
        let (is_dir, is_file) = match kind.is_symlink() {
            true => (path.is_dir(), path.is_file()),
            false => (kind.is_dir(), kind.is_file()),
        };
        let reason = match () {
            () if is_litter(&path) => LeftOutReason::System,
            () if is_dir => {
                folders.push(path);
                continue;
            }
            () if is_file && looks_like_image(&path) => {
                listing.images.push(path);
                continue;
            }
            () => match file_kind(&path) {
                Ok(FileKind::Unread { name, remedy, .. }) if remedy != NOT_PICTURE => {
                    LeftOutReason::UnreadFormat(name)
                }
                _ => LeftOutReason::NotAnImage,
            },
        };
        listing.left_out.push(LeftOut::file(path, reason));
    }
    listing.images.sort_by(|a, b| natural_paths(a, b));
    listing
        .left_out
        .sort_by(|a, b| natural_paths(&a.path, &b.path));
    folders.sort();
    Ok((listing, folders))
}

/// Number of files in a folder and below it that are no litter; links are not followed.
fn count_below(folder: &Path) -> usize {
    let mut count = 0;
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type() {
                _ if is_litter(&path) => {}
                Ok(kind) if kind.is_dir() => {
                    if depth < MAX_DEPTH {
                        folders.push((path, depth + 1));
                    }
                }
                _ => count += 1,
            }
        }
    }
    count
}

/// The images of a folder by id; `id` makes an id of a stem, or `None` for a file that is no part of the data set.
pub(super) fn by_id(
    listing: &Listing,
    id: impl Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, PathBuf>> {
    let mut map = BTreeMap::new();
    for path in &listing.images {
        let Some(id) = id(&stem(path)) else {
            continue;
        };
        if let Some(first) = map.insert(id.clone(), path.clone()) {
            return Err(Error::AmbiguousId {
                id,
                first,
                second: path.clone(),
            });
        }
    }
    Ok(map)
}

/// The first run of digits in a text as a number.
pub(super) fn first_number(text: &str) -> Option<u32> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    first_part(&text[start..]).0.parse().ok()
}
