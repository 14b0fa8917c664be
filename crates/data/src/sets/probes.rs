//! Which files are looked into that may be photographs as well as masks, such as JPEG files: a few of every series of names, and all
//! of those that hold a mask.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::contents::holds_mask;
use super::stem::{stem, text};

/// Photographs of one series that are decoded before it is taken for photographs.
const OF_A_SERIES: usize = 3;

/// Photographs that are decoded in all: thirty thousand of chaotic names take no longer than this many.
const IN_ALL: usize = 128;

/// What was seen of such files below one root.
#[derive(Default)]
pub(super) struct Probes {
    series: BTreeMap<String, Seen>,
    photographs: usize,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    has_mask: bool,
    photographs: usize,
}

/// A file's name and that of its folder without their digits: what numbered files have in common.
fn series(path: &Path) -> String {
    let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
    let mut name = format!("{}/{}", text(folder), stem(path)).to_lowercase();
    name.retain(|c| !c.is_ascii_digit());
    name
}

impl Probes {
    /// The masks among such files. Of a series that is not known to hold one, the first, the middle and the last file tell.
    pub(super) fn masks(&mut self, files: &[&PathBuf]) -> BTreeSet<PathBuf> {
        let mut by_series: BTreeMap<String, Vec<&PathBuf>> = BTreeMap::new();
        for &path in files {
            by_series.entry(series(path)).or_default().push(path);
        }
        let mut found = BTreeSet::new();
        for (name, files) in by_series {
            let seen = self.series.entry(name).or_default();
            if !seen.has_mask {
                let count = (OF_A_SERIES.saturating_sub(seen.photographs))
                    .min(IN_ALL.saturating_sub(self.photographs))
                    .min(files.len());
                let step = count.saturating_sub(1).max(1);
                let probed: Vec<bool> = (0..count)
                    .into_par_iter()
                    .map(|probe| holds_mask(files[probe * (files.len() - 1) / step]))
                    .collect();
                let photographs = probed.iter().filter(|is_mask| !**is_mask).count();
                seen.has_mask = photographs < count;
                seen.photographs += photographs;
                self.photographs += photographs;
            }
            if seen.has_mask {
                let masks = files.into_par_iter().filter(|path| holds_mask(path));
                found.extend(masks.cloned().collect::<Vec<_>>());
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma};

    use super::*;

    #[test]
    fn numbered_files_are_one_series_and_other_names_and_folders_are_others() {
        let of = |path: &str| series(Path::new(path));
        assert_eq!(of("p1/Eye_10.jpg"), of("p22/eye_7.jpeg"));
        assert_ne!(of("p1/eye_10.jpg"), of("p1/vessels_10.jpg"));
        assert_ne!(of("drawn/1.jpg"), of("photos/1.jpg"));
    }

    #[test]
    fn few_photographs_are_decoded_and_all_masks_of_a_series_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: String, is_mask: bool| {
            let path = folder.path().join(name);
            let image = GrayImage::from_fn(40, 40, |x, y| {
                Luma([match is_mask {
                    true => 255 * u8::from(x % 20 < 6),
                    false => (3 * x + y) as u8,
                }])
            });
            image.save(&path).unwrap();
            path
        };
        let photographs: Vec<_> = (0..20)
            .map(|i| file(format!("eye{i}.jpg"), false))
            .collect();
        let masks: Vec<_> = (0..5)
            .map(|i| file(format!("drawn{i}.jpg"), true))
            .collect();
        // A name of its own for each.
        let chaotic: Vec<_> = (b'a'..=b'z')
            .flat_map(|c| (b'a'..b'i').map(move |d| format!("{}{}.jpg", c as char, d as char)))
            .map(|name| file(name, false))
            .collect();
        let mut probes = Probes::default();
        let all: Vec<_> = photographs.iter().chain(&masks).collect();
        assert_eq!(probes.masks(&all), masks.iter().cloned().collect());
        assert_eq!(probes.photographs, OF_A_SERIES);
        assert!(
            probes
                .masks(&photographs.iter().collect::<Vec<_>>())
                .is_empty()
        );
        assert_eq!(probes.photographs, OF_A_SERIES);
        assert!(probes.masks(&chaotic.iter().collect::<Vec<_>>()).is_empty());
        assert_eq!(probes.photographs, IN_ALL);
        // What is known to be a series of masks is looked into further on.
        assert_eq!(probes.masks(&[&masks[1]]).len(), 1);
    }
}
