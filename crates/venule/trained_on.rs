use venule_data::{Layout, Split};

use crate::Provenance;

impl Provenance {
    /// The name under which weights keep an image of a data set's split: `drive_21`, `fives_28_A`; `fives_test_28_A` for an image of
    /// the test part of a set whose two parts may number their images alike.
    ///
    /// ```
    /// use venule::Provenance;
    /// use venule::data::{Layout, Split};
    /// assert_eq!(Provenance::image_name("fives".parse()?, Split::Test, "28_A"), "fives_test_28_A");
    /// # Ok::<(), venule::data::Error>(())
    /// ```
    pub fn image_name(kind: Layout, split: Split, id: &str) -> String {
        format!("{kind}_{}{id}", Self::part(kind, split))
    }

    /// What stands before the ids of a split in such a name.
    pub(crate) fn part(kind: Layout, split: Split) -> &'static str {
        match split {
            Split::Test if has_parts(kind) => "test_",
            _ => "",
        }
    }

    /// Whether image `id` of a split of a data set is among those that the stored threshold was chosen on, as far as names tell.
    ///
    /// ```
    /// use venule::Provenance;
    /// use venule::data::{Layout, Split};
    /// let mut provenance = Provenance::default();
    /// provenance.threshold_images = vec!["fives_test_28_A".to_owned()];
    /// assert!(provenance.chose_threshold_on("fives".parse()?, Split::Test, "28_A"));
    /// assert!(!provenance.chose_threshold_on("fives".parse()?, Split::Train, "28_A"));
    /// assert!(!provenance.chose_threshold_on("drive".parse()?, Split::Test, "28_A"));
    /// # Ok::<(), venule::data::Error>(())
    /// ```
    pub fn chose_threshold_on(&self, kind: Layout, split: Split, id: &str) -> bool {
        let names = names(kind, split, id);
        let mut chosen = self.threshold_images.iter();
        chosen.any(|name| of(kind.name, name).is_some_and(|rest| names.contains(&rest)))
    }

    /// Whether image `id` of a split of a data set is among those the weights were trained on, as far as names tell.
    ///
    /// Weights trained from a run file name `hrf_01_dr`: image `01_dr` of HRF and of no other
    /// ([`image_name`](Self::image_name)). Others may name `01_dr`
    /// alone, which counts for the set whose makers name all the images so, and for plain folders. "Retina
    /// Blood Vessel" is made of DRIVE: weights trained on the one have seen every image of the other.
    ///
    /// ```
    /// use venule::Provenance;
    /// use venule::data::{Layout, Split};
    /// let on = |ids: &[&str]| Provenance::new(ids.iter().map(|id| id.to_string()).collect(), None, 0);
    /// let joined = on(&["drive_21", "hrf_01_dr"]);
    /// assert!(joined.includes("drive".parse()?, Split::Train, "21"));
    /// assert!(!joined.includes("fives".parse()?, Split::Train, "21"));
    /// let drive = on(&["21", "22"]);
    /// assert!(drive.includes("drive".parse()?, Split::All, "21"));
    /// assert!(!drive.includes("drive".parse()?, Split::Test, "01"));
    /// # Ok::<(), venule::data::Error>(())
    /// ```
    pub fn includes(&self, kind: Layout, split: Split, id: &str) -> bool {
        let names = names(kind, split, id);
        let plain = matches!(kind.name, "folder" | "unlabelled");
        let bare_counts = plain || self.only_set() == Some(kind.name);
        let twin = match kind.name {
            "drive" => Some("retina_blood_vessel"),
            "retina_blood_vessel" => Some("drive"),
            _ => None,
        };
        self.data.iter().any(|trained| {
            let own = of(kind.name, trained).is_some_and(|rest| names.contains(&rest));
            let bare = bare_counts && names.contains(trained);
            own || bare || twin.is_some_and(|twin| of(twin, trained).is_some())
        }) || (twin == Some("drive") && self.only_set() == twin)
    }

    /// The set of weights trained on one, if its makers' form of names says which.
    fn only_set(&self) -> Option<&'static str> {
        let mut forms = FORMS.into_iter();
        let all = |form: fn(&str) -> bool| {
            let mut ids = self.data.iter().map(|id| without_part(id));
            !self.data.is_empty() && ids.all(form)
        };
        forms.find(|(_, form)| all(*form)).map(|(kind, _)| kind)
    }
}

/// Whether the makers' training and test part lie in folders `train` and `test`, so that an image of the one may have the number of
/// an image of the other.
fn has_parts(kind: Layout) -> bool {
    matches!(kind.name, "fives" | "retina_blood_vessel" | "folder")
}

/// What stands behind the name of its data set in that of an image, if it is of one of this kind.
fn of(kind: &str, name: &str) -> Option<String> {
    let rest = name.strip_prefix(kind)?;
    // The second folder of a kind has a number.
    let rest = match rest.strip_prefix('-') {
        Some(numbered) => &numbered[digits(numbered)..],
        None => rest,
    };
    rest.strip_prefix('_').map(str::to_owned)
}

/// The names under which a training may have kept an image: those of all splits joined say which part it is of, others only for the
/// test part, whose numbers may be those of the training part too.
fn names(kind: Layout, split: Split, id: &str) -> Vec<String> {
    let id = id.to_owned();
    match split {
        _ if !has_parts(kind) => vec![id],
        Split::Train | Split::Validation => vec![format!("train_{id}"), id],
        Split::Test => vec![format!("test_{id}")],
        Split::All | Split::Fold(_) | Split::WithoutFold(_) => {
            let bare = id.strip_prefix("train_").map(str::to_owned);
            bare.into_iter().chain([id]).collect()
        }
    }
}

type Form = fn(&str) -> bool;

const FORMS: [(&str, Form); 6] = [
    ("drive", |id| {
        digits(id) == 2 && id.len() == 2 && ("01"..="40").contains(&id)
    }),
    ("chase_db1", |id| {
        id.strip_prefix("Image_")
            .is_some_and(|rest| digits(rest) == 2 && ["L", "R"].contains(&&rest[2..]))
    }),
    ("stare", |id| {
        id.strip_prefix("im")
            .is_some_and(|rest| digits(rest) == 4 && rest.len() == 4)
    }),
    ("hrf", |id| {
        digits(id) == 2 && ["_h", "_g", "_dr"].contains(&&id[2..])
    }),
    ("fives", |id| {
        digits(id) > 0 && ["_A", "_D", "_G", "_N"].contains(&&id[digits(id)..])
    }),
    ("retina_blood_vessel", |id| {
        digits(id) == id.len() && (id == "0" || !id.starts_with('0'))
    }),
];

/// Number of digits at the start.
fn digits(id: &str) -> usize {
    id.bytes().take_while(u8::is_ascii_digit).count()
}

fn without_part(id: &str) -> &str {
    let part = id.strip_prefix("train_").or(id.strip_prefix("test_"));
    part.unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_within_their_set() {
        let drive = ["21", "22", "36"];
        let joined = ["chase_db1_Image_01L", "hrf_01_dr", "folder_21"];
        // (trained on, set, split, id, whether it was trained on)
        let cases: [(&[&str], &str, _, _, _); 27] = [
            (&drive, "drive", Split::Train, "21", true),
            (&drive, "drive", Split::Validation, "37", false),
            // Equal names of other sets.
            (&drive, "fives", Split::Train, "21", false),
            (&joined, "drive", Split::Train, "21", false),
            (&joined, "stare", Split::All, "Image_01L", false),
            (&["1_A", "2_A"], "drive", Split::All, "01", false),
            (&["photo_1", "21"], "drive", Split::All, "21", false),
            // Joined trainings.
            (&joined, "chase_db1", Split::All, "Image_01L", true),
            (&joined, "chase_db1", Split::All, "Image_01R", false),
            (&joined, "hrf", Split::Train, "01_dr", true),
            (&joined, "folder", Split::Train, "21", true),
            // Trainings on one set.
            (
                &["Image_01L", "Image_01R"],
                "chase_db1",
                Split::All,
                "Image_01R",
                true,
            ),
            (&["im0001"], "stare", Split::Fold(1), "im0001", true),
            (&["01_h", "02_dr"], "hrf", Split::All, "02_dr", true),
            (&["anything"], "folder", Split::Train, "anything", true),
            (&["drive_1"], "folder", Split::Train, "drive_1", true),
            // All splits joined say which part an image is of.
            (
                &["train_28_A", "test_28_A"],
                "fives",
                Split::Train,
                "28_A",
                true,
            ),
            (&["28_A"], "fives", Split::All, "train_28_A", true),
            (&["28_A"], "fives", Split::All, "test_28_A", false),
            (&["fives_28_A"], "fives", Split::Train, "28_A", true),
            (&["fives_28_A"], "fives", Split::Test, "28_A", false),
            (&["fives_test_28_A"], "fives", Split::Test, "28_A", true),
            (&["fives_test_28_A"], "fives", Split::Train, "28_A", false),
            (
                &["folder-2_1", "folder_2"],
                "folder",
                Split::Train,
                "1",
                true,
            ),
            // The same eyes.
            (&drive, "retina_blood_vessel", Split::Test, "0", true),
            (
                &["retina_blood_vessel_3", "hrf_01_h"],
                "drive",
                Split::Test,
                "01",
                true,
            ),
            (&[], "drive", Split::Test, "01", false),
        ];
        for (trained, kind, split, id, expected) in cases {
            let ids = trained.iter().map(|id| (*id).to_owned()).collect();
            let provenance = Provenance::new(ids, None, 0);
            let found = provenance.includes(kind.parse().unwrap(), split, id);
            assert_eq!(found, expected, "{trained:?} {kind} {split} {id}");
        }
    }
}
