//! What must hold for any input at all: the bodies of the fuzz targets for this crate, which take this file by its path, and of
//! the test that replays their seeds and findings.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use venule_data::{
    DatasetSpec, Error, FolderSet, LabelValue, Layout, MaskRule, NamePattern, SampleFiles, Split,
    read_image, read_mask_with, read_probability,
};

thread_local! {
    /// One file for all inputs: making one for each would take longer than reading it.
    static FILE: RefCell<NamedTempFile> = RefCell::new(NamedTempFile::new().unwrap());
}

fn with_file<T>(bytes: &[u8], read: impl FnOnce(&Path) -> T) -> T {
    FILE.with_borrow_mut(|file| {
        file.as_file_mut().set_len(0).unwrap();
        file.as_file_mut().rewind().unwrap();
        file.write_all(bytes).unwrap();
        read(file.path())
    })
}

/// Bytes as a photograph and as a map of probabilities: an error, or pixels in range. Returns whether it is a photograph.
pub fn image(bytes: &[u8]) -> bool {
    with_file(bytes, |path| {
        let Ok(image) = read_image(path) else {
            // Floating-point maps are no photographs.
            let _ = read_probability(path);
            return false;
        };
        match read_probability(path) {
            Ok(map) => {
                assert_eq!(
                    map.size(),
                    (image.width() as usize, image.height() as usize)
                );
                assert!(map.data().iter().all(|value| (0.0..=1.0).contains(value)));
            }
            Err(
                Error::NotGray { .. } | Error::HiddenPrediction { .. } | Error::TurnedMap { .. },
            ) => {}
            Err(error) => panic!("{error}"),
        }
        true
    })
}

/// Bytes as a label: an error, or a mask of the photograph's size, and of its pixels above 127 if it is said to be read in no other
/// way and nothing in it is transparent. Returns whether it is a label.
pub fn mask(bytes: &[u8]) -> bool {
    let rule = MaskRule::default();
    with_file(bytes, |path| {
        match (read_mask_with(path, &rule), read_image(path)) {
            (Ok(read), Ok(image)) => {
                let size = (image.width() as usize, image.height() as usize);
                assert_eq!(read.mask.size(), size);
                if let Some(reading) = read.reading {
                    assert_ne!(reading.background, reading.vessel);
                }
                let values = MaskRule::Values(vec![LabelValue::Gray(255)]);
                if let Ok(white) = read_mask_with(path, &values) {
                    assert_eq!(white.mask.size(), size);
                }
                true
            }
            (Err(Error::AmbiguousMask { .. } | Error::TurnedMap { .. }), Ok(_))
            | (Err(_), Err(_)) => false,
            // Floating-point maps, whose range is known, where photographs have none.
            (Ok(_), Err(Error::Decode { .. })) => true,
            (mask, image) => panic!(
                "the label is {:?}, the photograph {:?}",
                mask.map(|read| read.mask.size()),
                image.map(|image| image.dimensions())
            ),
        }
    })
}

/// File names in a folder of photographs, one of labels and one of fields of view, in turn, under the patterns in the first
/// three lines: each photograph gets its own maps, or an error tells why not. Returns whether they pair.
pub fn pairing(text: &str) -> bool {
    let root = tempfile::tempdir().unwrap();
    let parts = ["images", "labels", "fovs"].map(|part| root.path().join(part));
    for part in &parts {
        fs::create_dir(part).unwrap();
    }
    for (line, part) in text.lines().skip(3).take(18).zip(parts.iter().cycle()) {
        let name = line.replace(['/', '\0'], "");
        // Names the system refuses are no part of the question.
        let _ = fs::write(part.join(format!("{name}.png")), b"");
    }
    let [images, labels, fovs] = &parts;
    let with_fov = FolderSet::new(images, Some(labels.clone()), Some(fovs.clone()));
    let without = FolderSet::new(images, Some(labels.clone()), None);
    if let (Ok(with), Ok(without)) = (&with_fov, &without) {
        let label = |files: &SampleFiles| files.label.clone();
        let both = with.files().iter().zip(without.files());
        assert!(both.into_iter().all(|(a, b)| label(a) == label(b)));
    }
    let paired = with_fov.is_ok() || without.is_ok();
    for set in [with_fov, without].into_iter().flatten() {
        check_set(&set, root.path());
        for files in set.files() {
            for partner in [&files.label, &files.fov].into_iter().flatten() {
                // Whichever rule was taken, the names begin alike; how other alphabets change case depends on what follows.
                let ascii = stem(&files.image).is_ascii() && stem(partner).is_ascii();
                assert!(
                    !ascii || first_word(&files.image) == first_word(partner),
                    "{} belongs to {}",
                    partner.display(),
                    files.id
                );
                let same = partner.with_file_name(files.image.file_name().unwrap());
                assert!(
                    !same.exists() || same == *partner,
                    "{} has a namesake",
                    files.id
                );
            }
        }
    }
    let patterns: Vec<NamePattern> = text
        .lines()
        .take(3)
        .map_while(|line| line.parse().ok())
        .collect();
    if let [image, label, fov] = patterns.as_slice() {
        let set = FolderSet::by_patterns((images, image), (labels, label), Some((fovs, fov)));
        for files in set.iter().flat_map(FolderSet::files) {
            let stem = |path: &Path| stem(path).to_owned();
            let of = |pattern: &NamePattern, path: &Option<PathBuf>| {
                let stem = stem(path.as_deref().unwrap());
                pattern.id(&stem).map(str::to_owned)
            };
            let id = Some(files.id.clone());
            assert_eq!(image.id(&stem(&files.image)).map(str::to_owned), id);
            assert_eq!(
                (of(label, &files.label), of(fov, &files.fov)),
                (id.clone(), id)
            );
        }
        if let Ok(set) = &set {
            check_set(set, root.path());
        }
    }
    paired
}

/// Paths of files below a folder, one a line, opened as every data set in every split. Returns the layouts that open.
pub fn layout(text: &str) -> Vec<Layout> {
    let root = tempfile::tempdir().unwrap();
    for line in text.lines().take(40) {
        let parts = line
            .split('/')
            .filter(|part| !matches!(*part, "" | "." | ".."));
        let path: PathBuf = parts.take(4).collect();
        let path = root.path().join(path);
        if let Some(folder) = path.parent() {
            let _ = fs::create_dir_all(folder).and_then(|()| fs::write(&path, b""));
        }
    }
    let mut opened = Vec::new();
    for layout in Layout::all() {
        let spec = DatasetSpec {
            layout,
            path: root.path().to_owned(),
        };
        let mut seen = BTreeSet::new();
        for split in [Split::Train, Split::Validation, Split::Test] {
            for files in spec.files(split).iter().flat_map(FolderSet::files) {
                assert!(
                    seen.insert(files.image.clone()),
                    "{layout}: {} lies in two splits",
                    files.id
                );
            }
        }
        for split in [Split::Train, Split::Validation, Split::Test, Split::All] {
            let Ok(set) = spec.files(split) else {
                continue;
            };
            assert!(!set.files().is_empty());
            check_set(&set, root.path());
            check_ids(layout, &set);
            if split == Split::All {
                let all: BTreeSet<_> = set.files().iter().map(|f| f.image.clone()).collect();
                assert!(seen.is_subset(&all), "{layout}: 'all' lacks a photograph");
                opened.push(layout);
            }
        }
    }
    opened
}

/// Ids, photographs and maps are all different, and all there.
fn check_set(set: &FolderSet, root: &Path) {
    let mut ids = BTreeSet::new();
    let mut paths = BTreeSet::new();
    for files in set.files() {
        assert!(ids.insert(&files.id), "{} twice", files.id);
        let maps = [&files.label, &files.second_label, &files.fov];
        for path in maps.into_iter().flatten().chain([&files.image]) {
            assert!(paths.insert(path), "{} twice", path.display());
            assert!(path.starts_with(root) && path.is_file());
        }
    }
}

/// Where a layout numbers its files, the maps of a sample carry its number.
fn check_ids(layout: Layout, set: &FolderSet) {
    if !matches!(layout.name, "chase_db1" | "drive" | "hrf" | "stare") {
        return;
    }
    for files in set.files() {
        let maps = [&files.label, &files.second_label, &files.fov];
        for path in maps.into_iter().flatten().chain([&files.image]) {
            let name = path.file_name().unwrap().to_string_lossy().to_lowercase();
            assert!(
                !name.is_ascii() || name.starts_with(&files.id.to_lowercase()),
                "{layout}: {name} belongs to {}",
                files.id
            );
        }
    }
}

/// A name without its `.png`.
fn stem(path: &Path) -> &str {
    let name = path.file_name().unwrap().to_str().unwrap();
    name.strip_suffix(".png").unwrap()
}

fn first_word(path: &Path) -> String {
    let stem = stem(path);
    let word = stem.split(['_', '-', '.', ' ']).next().unwrap_or(stem);
    word.to_lowercase()
}
