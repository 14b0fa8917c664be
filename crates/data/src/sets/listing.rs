use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::read::looks_like_image;
use crate::{Error, Result};

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

/// The image files of a folder in natural order of their names. Hidden files and files that are no images are left out.
pub(super) fn images_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let (images, _) = scan(folder)?;
    if images.is_empty() {
        return Err(Error::NoImages {
            path: folder.to_owned(),
        });
    }
    Ok(images)
}

/// The image files of a folder and of all folders below it; links in a circle are followed once.
pub(super) fn images_below(root: &Path) -> Result<Vec<PathBuf>> {
    let mut images = Vec::new();
    let mut seen = BTreeSet::new();
    let mut folders = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let real = folder.canonicalize().map_err(|source| Error::Io {
            path: folder.clone(),
            source,
        })?;
        if depth > MAX_DEPTH || !seen.insert(real) {
            continue;
        }
        let (found, below) = scan(&folder)?;
        images.extend(found);
        folders.extend(below.into_iter().map(|path| (path, depth + 1)));
    }
    if images.is_empty() {
        return Err(Error::NoImages {
            path: root.to_owned(),
        });
    }
    images.sort_by(|a, b| natural_order(&a.to_string_lossy(), &b.to_string_lossy()));
    Ok(images)
}

/// The image files and the folders in a folder.
fn scan(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let failed = |source| Error::Io {
        path: folder.to_owned(),
        source,
    };
    let (mut images, mut folders) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            folders.push(path);
        } else if path.is_file() && looks_like_image(&path) {
            images.push(path);
        }
    }
    images.sort_by(|a, b| natural_order(&a.to_string_lossy(), &b.to_string_lossy()));
    folders.sort();
    Ok((images, folders))
}

/// The images of a folder by id; `id` makes an id of a stem, or `None` for a file that is to be left out.
pub(super) fn by_id(
    folder: &Path,
    id: impl Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, PathBuf>> {
    let mut map = BTreeMap::new();
    for path in images_in(folder)? {
        let Some(id) = id(&stem(&path)) else {
            continue;
        };
        if let Some(first) = map.insert(id.clone(), path.clone()) {
            return Err(Error::AmbiguousId {
                id,
                first,
                second: path,
            });
        }
    }
    Ok(map)
}

/// A file's name without its extension, and without `.gz` before that.
pub(super) fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = without_gz(&name);
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem.to_owned(),
        _ => name.to_owned(),
    }
}

/// A file name without `.gz` at its end, in any case.
pub(super) fn without_gz(name: &str) -> &str {
    match name.split_at_checked(name.len().saturating_sub(3)) {
        Some((rest, end)) if end.eq_ignore_ascii_case(".gz") => rest,
        _ => name,
    }
}

/// Compares names with their numbers taken as numbers, so that `2` comes before `10`; ties are broken by bytes.
pub(super) fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut rest_a, mut rest_b) = (a, b);
    loop {
        let (part_a, after_a) = first_part(rest_a);
        let (part_b, after_b) = first_part(rest_b);
        if part_a.is_empty() || part_b.is_empty() {
            // Whichever ends first comes first.
            return part_a.cmp(part_b).then_with(|| a.cmp(b));
        }
        let order = match (number(part_a), number(part_b)) {
            // Without leading zeros the longer number is the greater: no overflow, however long.
            (Some(x), Some(y)) => x.len().cmp(&y.len()).then_with(|| x.cmp(y)),
            _ => part_a.cmp(part_b),
        };
        if order != Ordering::Equal {
            return order;
        }
        (rest_a, rest_b) = (after_a, after_b);
    }
}

/// Splits off the longest beginning that is all digits, or all others.
fn first_part(text: &str) -> (&str, &str) {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text
        .find(|c: char| c.is_ascii_digit() != digits)
        .unwrap_or(text.len());
    text.split_at(end)
}

/// Digits less their leading zeros; `None` if they are no digits.
fn number(part: &str) -> Option<&str> {
    part.starts_with(|c: char| c.is_ascii_digit())
        .then(|| part.trim_start_matches('0'))
}

/// The first run of digits in a text as a number.
pub(super) fn first_number(text: &str) -> Option<u32> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    first_part(&text[start..]).0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_are_ordered_as_numbers() {
        let mut names = ["10", "2", "1", "im2_b", "im2_a", "im10", "im2", "02"];
        names.sort_by(|a, b| natural_order(a, b));
        assert_eq!(
            names,
            ["1", "02", "2", "10", "im2", "im2_a", "im2_b", "im10"]
        );
    }

    #[test]
    fn stems_lose_extension_and_gz() {
        let cases = [
            ("a/21_training.tif", "21_training"),
            ("im0001.ah.ppm.gz", "im0001.ah"),
            ("IM0001.PPM.GZ", "IM0001"),
            ("gz", "gz"),
            ("ö.gz", "ö"),
            ("no_extension", "no_extension"),
            ("two.dots.png", "two.dots"),
        ];
        for (path, expected) in cases {
            assert_eq!(stem(Path::new(path)), expected);
        }
    }
}
