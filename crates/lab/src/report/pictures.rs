use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::Cursor;
use std::path::PathBuf;

use venule::data::{Dataset, Mask, overlay};
use venule::image::{ImageFormat, RgbImage};

use venule::{Evaluated, Segmentation};

use crate::Result;

/// An overlay of a report.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The system that made it.
    pub system: String,
    /// The data set it is of.
    pub dataset: String,
    /// What stands below it.
    pub caption: String,
    /// The image as a PNG file's bytes.
    pub png: Vec<u8>,
}

/// The place of an image among all by F1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// The highest F1.
    Best,
    /// The F1 in the middle; of an even number the lower of the two.
    Median,
    /// The lowest F1.
    Worst,
}

impl Rank {
    /// As a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::Median => "median",
            Self::Worst => "worst",
        }
    }
}

/// Indices of the best, the median and the worst image by F1; images without F1 are passed over, and of fewer than three
/// only as many are named.
pub fn ranked_images(evaluated: &Evaluated) -> Vec<(Rank, usize)> {
    let rows = evaluated.report.per_image.iter().enumerate();
    let mut rows: Vec<(usize, f64)> = rows
        .filter_map(|(i, row)| Some((i, row.get("f1")?)))
        .collect();
    rows.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let count = rows.len();
    let mut places = vec![
        (Rank::Best, 0),
        (Rank::Worst, count.saturating_sub(1)),
        (Rank::Median, count / 2),
    ];
    places.truncate(count);
    places.sort_by_key(|&(_, place)| place);
    places
        .into_iter()
        .map(|(rank, place)| (rank, rows[place].0))
        .collect()
}

/// What a system found in each image of a data set, as lengths of runs: little enough to keep until it is known which images
/// are the best, the median and the worst, so that nothing is segmented twice for their pictures.
#[derive(Clone, Debug, Default)]
pub struct KeptMasks {
    images: Vec<(Runs, Runs)>,
}

impl KeptMasks {
    /// Keeps mask and field of view of the next image.
    pub fn keep(&mut self, result: &Segmentation) {
        let kept = (Runs::of(&result.mask), Runs::of(&result.fov));
        self.images.push(kept);
    }

    /// Overlays of the best, the median and the worst image of an evaluation of `set`, of which every result was kept.
    ///
    /// # Errors
    /// If an image cannot be read again, or its size has changed.
    pub fn pictures(
        &self,
        system: &str,
        dataset: &str,
        set: &dyn Dataset,
        evaluated: &Evaluated,
    ) -> Result<Vec<Picture>> {
        let mut pictures = Vec::new();
        for (rank, index) in ranked_images(evaluated) {
            let Some((mask, fov)) = self.images.get(index) else {
                continue;
            };
            let sample = set.load(index)?;
            let (mask, fov) = (mask.mask()?, fov.mask()?);
            let picture = overlay(&sample.image, &mask, sample.label.as_ref(), Some(&fov))?;
            let f1 = evaluated.report.per_image[index].get("f1").unwrap_or(0.0);
            pictures.push(Picture {
                system: system.to_owned(),
                dataset: dataset.to_owned(),
                caption: format!("{}: {}, F1 {f1:.4}", rank.name(), sample.id),
                png: png(&sample.id, &picture)?,
            });
        }
        Ok(pictures)
    }
}

/// A mask as the lengths of its runs, background first.
#[derive(Clone, Debug)]
struct Runs {
    size: (usize, usize),
    lengths: Vec<u32>,
}

impl Runs {
    fn of(mask: &Mask) -> Self {
        let mut lengths = Vec::new();
        if mask.data().first() == Some(&true) {
            lengths.push(0);
        }
        let runs = mask.data().chunk_by(|a, b| a == b);
        lengths.extend(runs.map(|run| run.len() as u32));
        Self {
            size: mask.size(),
            lengths,
        }
    }

    fn mask(&self) -> Result<Mask> {
        let runs = self.lengths.iter().enumerate();
        let pixels =
            runs.flat_map(|(run, &length)| std::iter::repeat_n(run % 2 == 1, length as usize));
        Ok(Mask::new(self.size.0, self.size.1, pixels.collect())?)
    }
}

fn png(id: &str, image: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    match image.write_to(&mut bytes, ImageFormat::Png) {
        Ok(()) => Ok(bytes.into_inner()),
        Err(source) => Err(venule::data::Error::Encode {
            path: PathBuf::from(id),
            source,
        }
        .into()),
    }
}

/// A folder name for each of several names: letters, digits, `.` and `-` stay, all else becomes `_`, and names that come out
/// alike get a number.
///
/// ```
/// let names = ["runs/a/best.safetensors", "drive=data/DRIVE", "drive data/DRIVE"];
/// assert_eq!(
///     venule_lab::report::folder_names(&names),
///     ["runs_a_best.safetensors", "drive_data_DRIVE", "drive_data_DRIVE_2"]
/// );
/// ```
pub fn folder_names(names: &[impl AsRef<str>]) -> Vec<String> {
    let plain = |c: char| match c.is_alphanumeric() || ['.', '-'].contains(&c) {
        true => c,
        false => '_',
    };
    let folders = names.iter().map(|name| {
        let name: String = name.as_ref().chars().map(plain).collect();
        // A leading dot would hide the folder, or leave it.
        match name.trim_matches(['.', '_']) {
            "" => "unnamed".to_owned(),
            name => name.to_owned(),
        }
    });
    distinct_names(folders)
}

/// The names in their order; those that come again, in whatever case, get a number.
///
/// ```
/// let names = ["eye", "Eye", "other"].map(String::from);
/// assert_eq!(venule_lab::report::distinct_names(names), ["eye", "Eye_2", "other"]);
/// ```
pub fn distinct_names(names: impl IntoIterator<Item = String>) -> Vec<String> {
    // Of every name that is taken, in one case since some file systems do not tell cases apart, the number to try next: as many
    // photographs as there are may all have one name.
    let mut taken: HashMap<String, usize> = HashMap::new();
    let distinct = names.into_iter().map(|name| {
        let folded = name.to_lowercase();
        let Some(&next) = taken.get(&folded) else {
            taken.insert(folded, 2);
            return name;
        };
        let mut number = next;
        loop {
            let candidate = format!("{name}_{number}");
            number += 1;
            if let Entry::Vacant(free) = taken.entry(candidate.to_lowercase()) {
                free.insert(2);
                taken.insert(folded, number);
                return candidate;
            }
        }
    });
    distinct.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn runs_give_the_mask_back() {
        for mask in [
            Mask::filled(3, 2, true),
            Mask::filled(3, 2, false),
            Mask::from_fn(7, 5, |x, y| (x * y) % 3 == 0),
            Mask::from_fn(7, 5, |x, y| (x + y) % 2 == 1),
        ] {
            assert_eq!(Runs::of(&mask).mask().unwrap(), mask);
        }
    }

    #[test]
    fn names_that_come_again_are_numbered_without_trying_every_number() {
        let names = ["a", "a", "a_2", "A", "a_2"].map(String::from);
        assert_eq!(distinct_names(names), ["a", "a_2", "a_2_2", "A_3", "a_2_3"]);
        // 2·10¹⁰ tries, were each number tried anew.
        let many = distinct_names(std::iter::repeat_n("left".to_owned(), 200_000));
        assert_eq!(many[199_999], "left_200000");
    }

    #[test]
    fn no_two_names_share_a_folder() {
        let names = ["a/b", "a_b", "A b", "..", "", "../x", "a_b_2"];
        let folders = folder_names(&names);
        let distinct: BTreeSet<String> = folders.iter().map(|f| f.to_lowercase()).collect();
        assert_eq!(distinct.len(), names.len(), "{folders:?}");
        let safe = |folder: &String| !folder.starts_with('.') && !folder.contains('/');
        assert!(folders.iter().all(safe), "{folders:?}");
    }
}
