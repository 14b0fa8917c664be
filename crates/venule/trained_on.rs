use venule_data::{DatasetKind, Split};

use crate::Provenance;

impl Provenance {
    /// The name under which weights keep an image of a data set's split: `drive_21`, `fives_28_A`; `fives_test_28_A` for an image of
    /// the test part of a set whose [two parts](DatasetKind::has_parts) may number their images alike.
    ///
    /// ```
    /// use venule::Provenance;
    /// use venule::data::{DatasetKind, Split};
    /// assert_eq!(Provenance::image_name(DatasetKind::Fives, Split::Test, "28_A"), "fives_test_28_A");
    /// ```
    pub fn image_name(kind: DatasetKind, split: Split, id: &str) -> String {
        format!("{kind}_{}{id}", Self::part(kind, split))
    }

    /// What stands before the ids of a split in such a name.
    pub(crate) fn part(kind: DatasetKind, split: Split) -> &'static str {
        match split {
            Split::Test if kind.has_parts() => "test_",
            _ => "",
        }
    }

    /// Whether image `id` of a split of a data set is among those that the stored threshold was chosen on, as far as names tell.
    ///
    /// ```
    /// use venule::Provenance;
    /// use venule::data::{DatasetKind, Split};
    /// let mut provenance = Provenance::default();
    /// provenance.threshold_images = vec!["fives_test_28_A".to_owned()];
    /// assert!(provenance.chose_threshold_on(DatasetKind::Fives, Split::Test, "28_A"));
    /// assert!(!provenance.chose_threshold_on(DatasetKind::Fives, Split::Train, "28_A"));
    /// assert!(!provenance.chose_threshold_on(DatasetKind::Drive, Split::Test, "28_A"));
    /// ```
    pub fn chose_threshold_on(&self, kind: DatasetKind, split: Split, id: &str) -> bool {
        let names = names(kind, split, id);
        let mut chosen = self.threshold_images.iter();
        chosen.any(|name| of(kind, name).is_some_and(|rest| names.contains(&rest)))
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
    /// use venule::data::{DatasetKind, Split};
    /// let on = |ids: &[&str]| Provenance::new(ids.iter().map(|id| id.to_string()).collect(), None, 0);
    /// let joined = on(&["drive_21", "hrf_01_dr"]);
    /// assert!(joined.includes(DatasetKind::Drive, Split::Train, "21"));
    /// assert!(!joined.includes(DatasetKind::Fives, Split::Train, "21"));
    /// let drive = on(&["21", "22"]);
    /// assert!(drive.includes(DatasetKind::Drive, Split::All, "21"));
    /// assert!(!drive.includes(DatasetKind::Drive, Split::Test, "01"));
    /// ```
    pub fn includes(&self, kind: DatasetKind, split: Split, id: &str) -> bool {
        let names = names(kind, split, id);
        let plain = matches!(kind, DatasetKind::Folder | DatasetKind::Unlabelled);
        let bare_counts = plain || self.only_set() == Some(kind);
        let twin = match kind {
            DatasetKind::Drive => Some(DatasetKind::RetinaBloodVessel),
            DatasetKind::RetinaBloodVessel => Some(DatasetKind::Drive),
            _ => None,
        };
        self.data.iter().any(|trained| {
            let own = of(kind, trained).is_some_and(|rest| names.contains(&rest));
            let bare = bare_counts && names.contains(trained);
            own || bare || twin.is_some_and(|twin| of(twin, trained).is_some())
        }) || (twin == Some(DatasetKind::Drive) && self.only_set() == twin)
    }

    /// The set of weights trained on one, if its makers' form of names says which.
    fn only_set(&self) -> Option<DatasetKind> {
        let mut forms = FORMS.into_iter();
        let all = |form: fn(&str) -> bool| {
            let mut ids = self.data.iter().map(|id| without_part(id));
            !self.data.is_empty() && ids.all(form)
        };
        forms.find(|(_, form)| all(*form)).map(|(kind, _)| kind)
    }
}

/// What stands behind the name of its data set in that of an image, if it is of one of this kind.
fn of(kind: DatasetKind, name: &str) -> Option<String> {
    let rest = name.strip_prefix(kind.name())?;
    // The second folder of a kind has a number.
    let rest = match rest.strip_prefix('-') {
        Some(numbered) => &numbered[digits(numbered)..],
        None => rest,
    };
    rest.strip_prefix('_').map(str::to_owned)
}

/// The names under which a training may have kept an image: those of all splits joined say which part it is of, others only for the
/// test part, whose numbers may be those of the training part too.
fn names(kind: DatasetKind, split: Split, id: &str) -> Vec<String> {
    let id = id.to_owned();
    match split {
        _ if !kind.has_parts() => vec![id],
        Split::Train | Split::Validation => vec![format!("train_{id}"), id],
        Split::Test => vec![format!("test_{id}")],
        Split::All | Split::Fold(_) | Split::WithoutFold(_) => {
            let bare = id.strip_prefix("train_").map(str::to_owned);
            bare.into_iter().chain([id]).collect()
        }
    }
}

type Form = fn(&str) -> bool;

const FORMS: [(DatasetKind, Form); 6] = [
    (DatasetKind::Drive, |id| {
        digits(id) == 2 && id.len() == 2 && ("01"..="40").contains(&id)
    }),
    (DatasetKind::ChaseDb1, |id| {
        id.strip_prefix("Image_")
            .is_some_and(|rest| digits(rest) == 2 && ["L", "R"].contains(&&rest[2..]))
    }),
    (DatasetKind::Stare, |id| {
        id.strip_prefix("im")
            .is_some_and(|rest| digits(rest) == 4 && rest.len() == 4)
    }),
    (DatasetKind::Hrf, |id| {
        digits(id) == 2 && ["_h", "_g", "_dr"].contains(&&id[2..])
    }),
    (DatasetKind::Fives, |id| {
        digits(id) > 0 && ["_A", "_D", "_G", "_N"].contains(&&id[digits(id)..])
    }),
    (DatasetKind::RetinaBloodVessel, |id| {
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
    use DatasetKind::{ChaseDb1, Drive, Fives, Folder, Hrf, RetinaBloodVessel, Stare};

    #[test]
    fn names_are_compared_within_their_set() {
        let drive = ["21", "22", "36"];
        let joined = ["chase_db1_Image_01L", "hrf_01_dr", "folder_21"];
        // (trained on, set, split, id, whether it was trained on)
        let cases: [(&[&str], _, _, _, _); 27] = [
            (&drive, Drive, Split::Train, "21", true),
            (&drive, Drive, Split::Validation, "37", false),
            // Equal names of other sets.
            (&drive, Fives, Split::Train, "21", false),
            (&joined, Drive, Split::Train, "21", false),
            (&joined, Stare, Split::All, "Image_01L", false),
            (&["1_A", "2_A"], Drive, Split::All, "01", false),
            (&["photo_1", "21"], Drive, Split::All, "21", false),
            // Joined trainings.
            (&joined, ChaseDb1, Split::All, "Image_01L", true),
            (&joined, ChaseDb1, Split::All, "Image_01R", false),
            (&joined, Hrf, Split::Train, "01_dr", true),
            (&joined, Folder, Split::Train, "21", true),
            // Trainings on one set.
            (
                &["Image_01L", "Image_01R"],
                ChaseDb1,
                Split::All,
                "Image_01R",
                true,
            ),
            (&["im0001"], Stare, Split::Fold(1), "im0001", true),
            (&["01_h", "02_dr"], Hrf, Split::All, "02_dr", true),
            (&["anything"], Folder, Split::Train, "anything", true),
            (&["drive_1"], Folder, Split::Train, "drive_1", true),
            // All splits joined say which part an image is of.
            (
                &["train_28_A", "test_28_A"],
                Fives,
                Split::Train,
                "28_A",
                true,
            ),
            (&["28_A"], Fives, Split::All, "train_28_A", true),
            (&["28_A"], Fives, Split::All, "test_28_A", false),
            (&["fives_28_A"], Fives, Split::Train, "28_A", true),
            (&["fives_28_A"], Fives, Split::Test, "28_A", false),
            (&["fives_test_28_A"], Fives, Split::Test, "28_A", true),
            (&["fives_test_28_A"], Fives, Split::Train, "28_A", false),
            (&["folder-2_1", "folder_2"], Folder, Split::Train, "1", true),
            // The same eyes.
            (&drive, RetinaBloodVessel, Split::Test, "0", true),
            (
                &["retina_blood_vessel_3", "hrf_01_h"],
                Drive,
                Split::Test,
                "01",
                true,
            ),
            (&[], Drive, Split::Test, "01", false),
        ];
        for (trained, kind, split, id, expected) in cases {
            let ids = trained.iter().map(|id| (*id).to_owned()).collect();
            let provenance = Provenance::new(ids, None, 0);
            let found = provenance.includes(kind, split, id);
            assert_eq!(found, expected, "{trained:?} {kind} {split} {id}");
        }
    }
}
