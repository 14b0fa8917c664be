use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::listing::stem;
use crate::{Error, Result};

/// Words at the end of a stem that say what a file is, not whose it is.
const ROLES: [&str; 36] = [
    "image",
    "img",
    "original",
    "photo",
    "training",
    "train",
    "test",
    "mask",
    "label",
    "labels",
    "manual",
    "manual1",
    "manual2",
    "1st_manual",
    "2nd_manual",
    "gt",
    "groundtruth",
    "ground_truth",
    "seg",
    "segmentation",
    "vessel",
    "vessels",
    "annotation",
    "1stho",
    "2ndho",
    "fov",
    "roi",
    "ah",
    "vk",
    "pred",
    "prediction",
    "predictions",
    "prob",
    "probability",
    "map",
    "output",
];

const SEPARATORS: [char; 4] = ['_', '-', '.', ' '];

/// The partner of each photograph by the rules of [`FolderSet::new`](crate::FolderSet::new).
pub(super) fn pair(
    images_folder: &Path,
    images: &[PathBuf],
    partners_folder: &Path,
    partners: &[PathBuf],
) -> Result<Vec<PathBuf>> {
    if images.first() == partners.first() {
        return Err(Error::Unpaired {
            images: images_folder.to_owned(),
            partners: partners_folder.to_owned(),
            reason: "both are the same folder".to_owned(),
        });
    }
    let mut closest: Option<Mismatch> = None;
    for rule in [whole, without_role, leading_token] {
        match pair_by(rule, images, partners) {
            Ok(found) => return Ok(found),
            // What the most fitting rule misses is what the reader can mend.
            Err(mismatch) => {
                if closest
                    .as_ref()
                    .is_none_or(|best| mismatch.shared > best.shared)
                {
                    closest = Some(mismatch);
                }
            }
        }
    }
    Err(Error::Unpaired {
        images: images_folder.to_owned(),
        partners: partners_folder.to_owned(),
        reason: closest.map(|mismatch| mismatch.reason).unwrap_or_default(),
    })
}

/// Why a rule does not fit, and how many ids it found on both sides all the same.
struct Mismatch {
    shared: usize,
    reason: String,
}

fn pair_by(
    rule: fn(&str) -> String,
    images: &[PathBuf],
    partners: &[PathBuf],
) -> std::result::Result<Vec<PathBuf>, Mismatch> {
    let mut groups: BTreeMap<String, (Vec<&PathBuf>, Vec<&PathBuf>)> = BTreeMap::new();
    for path in images {
        groups.entry(rule(&stem(path))).or_default().0.push(path);
    }
    for path in partners {
        groups.entry(rule(&stem(path))).or_default().1.push(path);
    }
    let shared = groups
        .values()
        .filter(|(images, partners)| !images.is_empty() && !partners.is_empty())
        .count();
    for (key, (images, partners)) in &groups {
        let reason = match (images.as_slice(), partners.as_slice()) {
            ([_], [_]) | ([], []) => continue,
            ([image, ..], []) => format!("{} has no partner", name(image)),
            ([], [partner, ..]) => format!("{} has no photograph", name(partner)),
            ([first, second, ..], _) | (_, [first, second, ..]) => {
                let (first, second) = (name(first), name(second));
                format!("{first} and {second} have the same id '{key}'")
            }
        };
        return Err(Mismatch { shared, reason });
    }
    let found = |path: &PathBuf| {
        groups
            .get(&rule(&stem(path)))
            .map(|(_, partners)| partners[0].clone())
    };
    Ok(images.iter().filter_map(found).collect())
}

fn name(path: &Path) -> String {
    format!(
        "'{}'",
        path.file_name().unwrap_or_default().to_string_lossy()
    )
}

fn whole(stem: &str) -> String {
    stem.to_owned()
}

/// The stem in lower case less the role words at its end; `21_training_mask` is `21`.
fn without_role(stem: &str) -> String {
    let mut rest = stem.to_lowercase();
    loop {
        let shorter = ROLES.iter().find_map(|role| {
            let before = rest.strip_suffix(role)?;
            let id = before.strip_suffix(SEPARATORS)?;
            (!id.is_empty()).then(|| id.to_owned())
        });
        match shorter {
            Some(shorter) => rest = shorter,
            None => return rest,
        }
    }
}

fn leading_token(stem: &str) -> String {
    stem.split(SEPARATORS).next().unwrap_or(stem).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_words_are_taken_off_the_end_only() {
        let cases = [
            ("21_training", "21"),
            ("21_training_mask", "21"),
            ("21_manual1", "21"),
            ("Image_01L_1stHO", "image_01l"),
            ("im0001.ah", "im0001"),
            ("01_test_pred", "01"),
            ("01_Prediction", "01"),
            ("01-prob", "01"),
            ("im0001_vessel_probability", "im0001"),
            ("05.output", "05"),
            ("a_map", "a"),
            ("roadmap", "roadmap"),
            ("mask_3", "mask_3"),
            ("_mask", "_mask"),
            ("bitmask", "bitmask"),
        ];
        for (stem, expected) in cases {
            assert_eq!(without_role(stem), expected, "{stem}");
        }
    }

    fn pairs(images: &[&str], partners: &[&str]) -> Result<Vec<String>> {
        let paths = |folder: &str, names: &[&str]| -> Vec<PathBuf> {
            names
                .iter()
                .map(|name| Path::new(folder).join(name))
                .collect()
        };
        let found = pair(
            Path::new("i"),
            &paths("i", images),
            Path::new("m"),
            &paths("m", partners),
        )?;
        Ok(found
            .iter()
            .map(|path| path.display().to_string())
            .collect())
    }

    #[test]
    fn partners_are_found_by_id_whatever_the_order() {
        let cases: [(&[&str], &[&str], &[&str]); 3] = [
            (
                &["2.jpg", "10.jpg"],
                &["10.png", "2.png"],
                &["m/2.png", "m/10.png"],
            ),
            (
                &["22_training.tif", "21_training.tif"],
                &["21_manual1.gif", "22_manual1.gif"],
                &["m/22_manual1.gif", "m/21_manual1.gif"],
            ),
            (
                &["7_left_eye.png", "8_right_eye.png"],
                &["8-drawn.png", "7-drawn.png"],
                &["m/7-drawn.png", "m/8-drawn.png"],
            ),
        ];
        for (images, partners, expected) in cases {
            assert_eq!(pairs(images, partners).unwrap(), expected);
        }
    }

    #[test]
    fn what_does_not_pair_is_an_error_that_names_the_file_and_both_folders() {
        let cases: [(&[&str], &[&str], &str); 4] = [
            (&["a.jpg", "b.jpg"], &["a.png"], "'b.jpg' has no partner"),
            (&["a.jpg"], &["a.png", "b.png"], "'b.png' has no photograph"),
            (
                &["a.jpg"],
                &["a_mask.png", "a_label.png"],
                "'a_mask.png' and 'a_label.png'",
            ),
            // One leading token for both photographs: pairing by it would be a guess.
            (
                &["eye_1.jpg", "eye_2.jpg"],
                &["eye_x.png", "eye_y.png"],
                "'eye_1.jpg'",
            ),
        ];
        for (images, partners, expected) in cases {
            let message = pairs(images, partners).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
            assert!(message.starts_with("cannot pair i with m"), "{message}");
        }
    }
}
