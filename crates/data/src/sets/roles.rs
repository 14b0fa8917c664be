//! Words of file and folder names that say what a file is, not whose it is.

/// Between the words of a name.
pub(super) const SEPARATORS: [char; 4] = ['_', '-', '.', ' '];

/// Of photographs, at the end of a stem.
const OF_PHOTOGRAPHS: [&str; 7] = [
    "image", "img", "original", "photo", "training", "train", "test",
];

/// Of what is drawn over a photograph, at the end of a stem.
const OF_MAPS: [&str; 29] = [
    "mask",
    "label",
    "labels",
    "1st_manual",
    "2nd_manual",
    "manual",
    "manual1",
    "manual2",
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

/// A stem in lower case less the role words at its end, and whether one of them is of maps; `21_training_mask` is `21`.
pub(super) fn without_role(stem: &str) -> (String, bool) {
    let mut rest = stem.to_lowercase();
    let mut map = false;
    let strip = |rest: &str, role: &&str| {
        let id = rest.strip_suffix(role)?.strip_suffix(SEPARATORS)?;
        (!id.is_empty()).then(|| id.to_owned())
    };
    loop {
        if let Some(shorter) = OF_PHOTOGRAPHS.iter().find_map(|role| strip(&rest, role)) {
            rest = shorter;
        } else if let Some(shorter) = OF_MAPS.iter().find_map(|role| strip(&rest, role)) {
            rest = shorter;
            map = true;
        } else {
            return (rest, map);
        }
    }
}

/// Words further on in a name that say who drew, or how: a partner may have them where the photograph has none.
const OF_DRAWING: [&str; 14] = [
    "drawn",
    "drawing",
    "traced",
    "tracing",
    "manually",
    "hand",
    "expert",
    "observer",
    "annotator",
    "annotated",
    "masks",
    "binary",
    "final",
    "av",
];

/// A word's meaning: that of a side has several spellings.
fn meaning(word: &str) -> &str {
    match word {
        "l" | "os" => "left",
        "r" | "od" => "right",
        word => word,
    }
}

/// The words of a stem after its leading token that may say whose it is: lower case, less roles and words about the drawing, sides
/// in one spelling.
pub(super) fn further_words(stem: &str) -> Vec<String> {
    let (rest, _) = without_role(stem);
    let words = rest.split(SEPARATORS).skip(1);
    let told = |word: &&str| {
        let word: &str = word;
        !(word.is_empty()
            || OF_DRAWING.contains(&word)
            || OF_PHOTOGRAPHS.contains(&word)
            || OF_MAPS.contains(&word))
    };
    words
        .filter(told)
        .map(|word| meaning(word).to_owned())
        .collect()
}

/// Words of folders of labels, masks and fields of view; a number at the end does not count.
const OF_MAP_FOLDERS: [&str; 33] = [
    "mask",
    "masks",
    "label",
    "labels",
    "manual",
    "manuals",
    "gt",
    "gts",
    "truth",
    "groundtruth",
    "groundtruths",
    "annotation",
    "annotations",
    "annotated",
    "fov",
    "fovs",
    "seg",
    "segs",
    "segmentation",
    "segmentations",
    "av",
    "artery",
    "arteries",
    "vein",
    "veins",
    "vessel",
    "vessels",
    "skeleton",
    "skeletons",
    "centerline",
    "centerlines",
    "prediction",
    "predictions",
];

/// Words that may stand beside them.
const BESIDE: [&str; 22] = [
    "1st",
    "2nd",
    "first",
    "second",
    "ground",
    "ah",
    "vk",
    "ho",
    "1stho",
    "2ndho",
    "training",
    "train",
    "test",
    "validation",
    "val",
    "binary",
    "expert",
    "observer",
    "annotator",
    "manually",
    "retinal",
    "blood",
];

/// Whether a folder's name says that it holds labels, masks or fields of view, and nothing else: `1st_manual`, `labels-ah`, `Ground truth`.
pub(super) fn is_map_folder(name: &str) -> bool {
    let name = name.to_lowercase();
    let words = name.split(|c: char| !c.is_alphanumeric());
    let mut says = false;
    for word in words.filter(|word| !word.is_empty()) {
        let bare = word.trim_end_matches(|c: char| c.is_ascii_digit());
        if OF_MAP_FOLDERS.contains(&bare) {
            says = true;
        } else if !bare.is_empty() && !BESIDE.contains(&word) {
            return false;
        }
    }
    says
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_words_are_taken_off_the_end_only() {
        let cases = [
            ("21_training", "21", false),
            ("21_training_mask", "21", true),
            ("21_manual1", "21", true),
            ("Image_01L_1stHO", "image_01l", true),
            ("im0001.ah", "im0001", true),
            ("01_test_pred", "01", true),
            ("01_Prediction", "01", true),
            ("01-prob", "01", true),
            ("im0001_vessel_probability", "im0001", true),
            ("05.output", "05", true),
            ("a_map", "a", true),
            ("roadmap", "roadmap", false),
            ("mask_3", "mask_3", false),
            ("_mask", "_mask", false),
            ("bitmask", "bitmask", false),
        ];
        for (stem, expected, map) in cases {
            assert_eq!(without_role(stem), (expected.to_owned(), map), "{stem}");
        }
    }

    #[test]
    fn folders_of_maps_are_told_by_their_whole_name() {
        for name in [
            "mask",
            "Masks",
            "1st_manual",
            "2nd_manual",
            "manual1",
            "labels-ah",
            "labels-vk",
            "Ground truth",
            "groundtruth",
            "fov",
            "test_labels",
            "segmentation2",
            "AV",
            "artery-vein",
            "annotations",
        ] {
            assert!(is_map_folder(name), "{name}");
        }
        for name in [
            "images",
            "training",
            "test",
            "1",
            "DRIVE_segmentation",
            "images_and_labels",
            "clinic",
            "Original",
            "unmasked",
            "manual_of_use",
            "retina",
        ] {
            assert!(!is_map_folder(name), "{name}");
        }
    }
}
