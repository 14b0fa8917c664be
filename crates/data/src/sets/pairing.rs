use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::left_out::LeftOut;
use super::listing::Listing;
use super::roles::{SEPARATORS, further_words, without_role};
use super::stem::{escaped, stem};
use crate::{Error, Result};

/// The partner of each photograph by the rules of [`FolderSet::new`](crate::FolderSet::new), whatever the order of the files.
pub(super) fn pair(photographs: &Listing, masks: &Listing) -> Result<Vec<PathBuf>> {
    let unpaired = |reason: String| Error::Unpaired {
        images: photographs.path.clone(),
        partners: masks.path.clone(),
        reason,
    };
    let images: BTreeSet<&PathBuf> = photographs.images.iter().collect();
    if masks.images.iter().any(|path| images.contains(path)) {
        return Err(unpaired("both are the same folder".to_owned()));
    }
    let mut closest: Option<Mismatch> = None;
    for rule in [Rule::Whole, Rule::WithoutRole, Rule::LeadingToken] {
        match rule.pair(&photographs.images, &masks.images) {
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
    let reason = closest.map(|mismatch| mismatch.reason).unwrap_or_default();
    let left_out = |listing: &Listing| match LeftOut::list(&listing.left_out, 4) {
        list if list.is_empty() => list,
        list => format!(" (in {}{list})", listing.path.display()),
    };
    Err(unpaired(format!(
        "{reason}{}{}",
        left_out(photographs),
        left_out(masks)
    )))
}

/// Why a rule does not fit, and how many ids it found on both sides all the same.
struct Mismatch {
    shared: usize,
    reason: String,
}

/// What two names have in common if they belong together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// The whole stem.
    Whole,
    /// The stem less the role words at its end.
    WithoutRole,
    /// What stands before the first separator; the rest may not say two different things.
    LeadingToken,
}

impl Rule {
    fn key(self, stem: &str) -> String {
        match self {
            Self::Whole => stem.to_owned(),
            Self::WithoutRole => without_role(stem).0,
            Self::LeadingToken => stem.split(SEPARATORS).next().unwrap_or(stem).to_owned(),
        }
    }

    fn pair(
        self,
        images: &[PathBuf],
        partners: &[PathBuf],
    ) -> std::result::Result<Vec<PathBuf>, Mismatch> {
        let mut groups: BTreeMap<String, (Vec<&PathBuf>, Vec<&PathBuf>)> = BTreeMap::new();
        let keys: Vec<String> = images.iter().map(|path| self.key(&stem(path))).collect();
        for (path, key) in images.iter().zip(&keys) {
            groups.entry(key.clone()).or_default().0.push(path);
        }
        for path in partners {
            groups
                .entry(self.key(&stem(path)))
                .or_default()
                .1
                .push(path);
        }
        let shared = groups
            .values()
            .filter(|(images, partners)| !images.is_empty() && !partners.is_empty())
            .count();
        for (key, (images, partners)) in &mut groups {
            // Whatever order the files came in, the same ones are named.
            images.sort();
            partners.sort();
            let reason = match (images.as_slice(), partners.as_slice()) {
                ([image], [partner])
                    if self == Self::LeadingToken && contradict(image, partner) =>
                {
                    format!(
                        "{} and {} begin alike, but go on differently",
                        name(image),
                        name(partner)
                    )
                }
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
        let found = |key: &String| groups.get(key).map(|(_, partners)| partners[0].clone());
        Ok(keys.iter().filter_map(found).collect())
    }
}

/// Whether two names of one leading token name two things: neither's words are among the other's in their order (`0_left` and
/// `0_right_label`, `p1_1_2` and `p1_2_1_mask`), or their numbers begin differently (`p1_2` and `p1_1_2`).
fn contradict(image: &Path, partner: &Path) -> bool {
    let (image, partner) = (further_words(&stem(image)), further_words(&stem(partner)));
    let is_number = |word: &&String| word.bytes().all(|byte| byte.is_ascii_digit());
    let numbers = image.iter().filter(is_number);
    let numbers_agree = numbers
        .zip(partner.iter().filter(is_number))
        .all(|(one, other)| one == other);
    !(numbers_agree && (is_within(&image, &partner) || is_within(&partner, &image)))
}

/// Whether words come among others in their order, each as often.
fn is_within(words: &[String], others: &[String]) -> bool {
    let mut others = others.iter();
    words.iter().all(|word| others.any(|other| other == word))
}

/// A file's name as an error gives it: what is no UTF-8 by its bytes.
fn name(path: &Path) -> String {
    format!("'{}'", escaped(path.file_name().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn listing<S: AsRef<str>>(folder: &str, names: &[S]) -> Listing {
        let path = |name: &S| Path::new(folder).join(name.as_ref());
        Listing {
            path: folder.into(),
            images: names.iter().map(path).collect(),
            left_out: Vec::new(),
        }
    }

    fn pairs(images: &[&str], partners: &[&str]) -> Result<Vec<String>> {
        let found = pair(&listing("i", images), &listing("m", partners))?;
        Ok(found
            .iter()
            .map(|path| path.display().to_string())
            .collect())
    }

    #[test]
    fn partners_are_found_by_id_whatever_the_order() {
        let cases: [(&[&str], &[&str], &[&str]); 8] = [
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
            // One name, composed and decomposed.
            (
                &["M\u{fc}ller_1.png", "a.png"],
                &["a.png", "Mu\u{308}ller_1.png"],
                &["m/Mu\u{308}ller_1.png", "m/a.png"],
            ),
            // The rest of the one is in the rest of the other.
            (
                &["3_left.png", "4_left.png"],
                &["3_left_vessels_of_dr_b.png", "4_left_vessels_of_dr_b.png"],
                &[
                    "m/3_left_vessels_of_dr_b.png",
                    "m/4_left_vessels_of_dr_b.png",
                ],
            ),
            // A year that only one of them tells.
            (&["1_2019_left.png"], &["1_left.png"], &["m/1_left.png"]),
            // One side in two words for it.
            (
                &["0_OD.png", "1_l.png"],
                &["0_right_label.png", "1_OS_label.png"],
                &["m/0_right_label.png", "m/1_OS_label.png"],
            ),
            // The only label of a photograph that tells no side.
            (&["0.png"], &["0_right_label.png"], &["m/0_right_label.png"]),
        ];
        for (images, partners, expected) in cases {
            assert_eq!(pairs(images, partners).unwrap(), expected);
        }
    }

    #[test]
    fn what_does_not_pair_is_an_error_that_names_the_file_and_both_folders() {
        let cases: [(&[&str], &[&str], &str); 14] = [
            (&["a.jpg", "b.jpg"], &["a.png"], "'b.jpg' has no partner"),
            (&["a.jpg"], &["a.png", "b.png"], "'b.png' has no photograph"),
            (
                &["a.jpg"],
                &["a_mask.png", "a_label.png"],
                "'a_label.png' and 'a_mask.png'",
            ),
            // One leading token for both photographs: pairing by it would be a guess.
            (
                &["eye_1.jpg", "eye_2.jpg"],
                &["eye_x.png", "eye_y.png"],
                "'eye_1.jpg'",
            ),
            // Another eye, another photograph, another place of one patient.
            (
                &["0_left.jpg", "1_left.jpg"],
                &["0_right_label.png", "1_right_label.png"],
                "'0_left.jpg'",
            ),
            (
                &["p1_2.jpg", "p2_2.jpg"],
                &["p1_3_mask.png", "p2_3_mask.png"],
                "'p1_2.jpg'",
            ),
            (
                &["0-macula.jpg", "1-macula.jpg"],
                &["0-disc_gt.png", "1-disc_gt.png"],
                "'0-macula.jpg'",
            ),
            // The same words in another order, or another number of times.
            (
                &["p1_1_2.png", "p2_1_2.png"],
                &["p1_2_1_mask.png", "p2_2_1_mask.png"],
                "'p1_1_2.png' and 'p1_2_1_mask.png'",
            ),
            (
                &["p1_1_2.png", "p2_1_2.png"],
                &["p1_2_2_mask.png", "p2_2_2_mask.png"],
                "'p1_1_2.png' and 'p1_2_2_mask.png'",
            ),
            (&["p1_2.png"], &["p1_1_2_mask.png"], "'p1_2.png'"),
            // A photograph without a side beside labels of both.
            (
                &["0.png"],
                &["0_left_label.png", "0_right_label.png"],
                "'0_left_label.png' and '0_right_label.png'",
            ),
            (
                &["0.png", "1.png"],
                &["0_OD.png", "0_OS.png"],
                "'0_OD.png' and '0_OS.png'",
            ),
            (&["0_left.png"], &["0_R.png"], "'0_left.png'"),
            (&["0_OD.png"], &["0_OS_label.png"], "'0_OD.png'"),
        ];
        for (images, partners, expected) in cases {
            let message = pairs(images, partners).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
            assert!(message.starts_with("cannot pair i with m"), "{message}");
        }
    }

    #[test]
    fn thirty_thousand_names_pair_each_with_its_own() {
        let names = |end: &str| -> Vec<String> {
            (0..30_000).map(|number| format!("{number}{end}")).collect()
        };
        let mut labels = names("_mask.png");
        labels.reverse();
        let found = pair(&listing("i", &names("_eye.jpg")), &listing("m", &labels)).unwrap();
        let pairs = found.iter().zip(names("_mask.png"));
        assert!(pairs.into_iter().all(|(path, name)| path.ends_with(name)));
    }

    #[cfg(unix)]
    #[test]
    fn names_of_other_encodings_keep_their_difference() {
        use std::os::unix::ffi::OsStrExt;
        let path =
            |folder: &str, name: &[u8]| Path::new(folder).join(std::ffi::OsStr::from_bytes(name));
        let mut images = listing::<&str>("i", &[]);
        images.images = vec![path("i", b"p\xe8_1.png"), path("i", b"p\xe9_1.png")];
        let mut masks = listing::<&str>("m", &[]);
        masks.images = vec![path("m", b"p\xe9_1_gt.png"), path("m", b"p\xe8_1_gt.png")];
        let expected = [masks.images[1].clone(), masks.images[0].clone()];
        assert_eq!(pair(&images, &masks).unwrap(), expected);
        masks.images.pop();
        let message = pair(&images, &masks).unwrap_err().to_string();
        assert!(
            message.contains(r"'p\xe8_1.png' has no partner"),
            "{message}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_permutation_of_the_files_pairs_alike(
            ids in prop::collection::btree_set("[a-c1-3é]{1,3}(_(left|right|2))?", 1..12),
            image_end in "(_training|_image)?", mask_end in "(_mask|_1stHO|_gt)?",
            turn in 0_usize..12, odd in any::<bool>(),
        ) {
            let names = |end: &str| -> Vec<String> { ids.iter().map(|id| format!("{id}{end}.png")).collect() };
            let (images, mut masks) = (names(&image_end), names(&mask_end));
            if odd {
                masks[0] = format!("{}_right.png", masks[0].trim_end_matches(".png"));
            }
            let (mut turned_images, mut turned_masks) = (images.clone(), masks.clone());
            turned_images.rotate_left(turn % images.len());
            turned_masks.reverse();
            turned_masks.rotate_left(turn / 2 % masks.len());
            let by_name = |images: &[String], masks: &[String]| {
                pair(&listing("i", images), &listing("m", masks))
                    .map(|found| images.iter().cloned().zip(found).collect::<BTreeMap<_, _>>())
                    .map_err(|error| error.to_string())
            };
            let paired = by_name(&images, &masks);
            prop_assert_eq!(&paired, &by_name(&turned_images, &turned_masks));
            if !odd {
                let expected: BTreeMap<_, _> = images.iter().cloned().zip(masks.iter().map(|name| Path::new("m").join(name))).collect();
                prop_assert_eq!(paired, Ok(expected));
            }
        }
    }
}
