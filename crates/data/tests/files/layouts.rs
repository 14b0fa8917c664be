use std::path::{Path, PathBuf};

use image::{GrayImage, Luma, RgbImage};
use venule_data::{Dataset, DatasetSpec, Error, FolderSet, Reading, Split, read_image};

/// Writes a gray image whose every pixel is `value`, so that a test can tell which file it got.
fn write(root: &Path, name: &str, value: u8) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let image = GrayImage::from_fn(4, 3, |x, _| Luma([if x == 0 { 255 } else { value }]));
    let format = match path.extension().and_then(|extension| extension.to_str()) {
        Some("jpg" | "JPG") => image::ImageFormat::Jpeg,
        Some("gif") => image::ImageFormat::Gif,
        Some("tif") => image::ImageFormat::Tiff,
        Some("ppm") => image::ImageFormat::Pnm,
        _ => image::ImageFormat::Png,
    };
    RgbImage::from(image::DynamicImage::ImageLuma8(image).into_rgb8())
        .save_with_format(path, format)
        .unwrap();
}

fn ids(set: &FolderSet) -> Vec<&str> {
    (0..set.len()).map(|index| set.id(index)).collect()
}

fn file_name(path: &Option<PathBuf>) -> String {
    let path = path.as_ref().expect("a file");
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn drive(root: &Path) {
    for number in 1..=40 {
        let (part, word) = if number <= 20 {
            ("test", "test")
        } else {
            ("training", "training")
        };
        write(
            root,
            &format!("{part}/images/{number:02}_{word}.tif"),
            number,
        );
        write(
            root,
            &format!("{part}/mask/{number:02}_{word}_mask.gif"),
            255,
        );
        write(
            root,
            &format!("{part}/1st_manual/{number:02}_manual1.gif"),
            0,
        );
        if number <= 20 {
            write(
                root,
                &format!("{part}/2nd_manual/{number:02}_manual2.gif"),
                0,
            );
        }
    }
}

#[test]
fn drive_splits_and_pairs_by_number() {
    let folder = tempfile::tempdir().unwrap();
    drive(folder.path());
    let numbers = |range: std::ops::RangeInclusive<u32>| -> Vec<String> {
        range.map(|number| format!("{number:02}")).collect()
    };
    for (split, range) in [
        (Split::Train, 21..=36),
        (Split::Validation, 37..=40),
        (Split::Test, 1..=20),
        (Split::All, 1..=40),
    ] {
        let set = FolderSet::drive(folder.path(), split).unwrap();
        assert_eq!(ids(&set), numbers(range), "{split}");
        for (index, files) in set.files().iter().enumerate() {
            assert!(file_name(&files.label).starts_with(&files.id));
            assert!(file_name(&files.fov).starts_with(&files.id));
            assert_eq!(files.second_label.is_some(), files.id.as_str() <= "20");
            // The pixels say the file's number.
            let sample = set.load(index).unwrap();
            assert_eq!(
                sample.image.get_pixel(2, 1).0[0].to_string(),
                files.id.trim_start_matches('0')
            );
            assert_eq!(sample.label.unwrap().count(), 3);
        }
    }
    let spec: DatasetSpec = format!("drive={}", folder.path().display())
        .parse()
        .unwrap();
    let named = |name: &str, split| (name.to_owned(), spec.files(split).unwrap());
    let join = |a, b| FolderSet::join_named(vec![a, b]);
    let joined = join(
        named("drive", Split::Train),
        named("drive", Split::Validation),
    );
    assert_eq!(ids(&joined.unwrap()), numbers(21..=40));
    assert_eq!(spec.open(Split::Test).unwrap().len(), 20);
    let twice = [("drive", "drive"), ("drive", "other")];
    for (first, second) in twice {
        let twice = join(named(first, Split::Train), named(second, Split::All)).unwrap_err();
        assert!(matches!(twice, Error::AmbiguousId { .. }), "{twice}");
    }
}

#[test]
fn drive_test_labels_may_be_absent_but_not_in_part() {
    let folder = tempfile::tempdir().unwrap();
    drive(folder.path());
    let labels = folder.path().join("test/1st_manual");
    std::fs::remove_file(labels.join("07_manual1.gif")).unwrap();
    let error = FolderSet::drive(folder.path(), Split::Test).unwrap_err();
    assert!(
        matches!(&error, Error::MissingPartner { id, .. } if id == "07"),
        "{error}"
    );
    std::fs::remove_dir_all(labels).unwrap();
    let set = FolderSet::drive(folder.path(), Split::Test).unwrap();
    assert!(
        set.files()
            .iter()
            .all(|files| files.label.is_none() && files.second_label.is_some())
    );
    std::fs::remove_dir_all(folder.path().join("training/mask")).unwrap();
    let error = FolderSet::drive(folder.path(), Split::Train).unwrap_err();
    assert!(matches!(error, Error::MissingFolder { .. }), "{error}");
}

/// What a set says once one of its photographs is gone.
fn without_photograph(root: &Path, photograph: &str, layout: &str) -> Error {
    std::fs::remove_file(root.join(photograph)).unwrap();
    let path = root.to_owned();
    let layout = layout.parse().unwrap();
    DatasetSpec { layout, path }
        .files(Split::Train)
        .unwrap_err()
}

#[test]
fn a_set_that_lacks_a_photograph_is_no_smaller_set() {
    let folder = tempfile::tempdir().unwrap();
    drive(folder.path());
    let missing = "training/images/25_training.tif";
    let error = without_photograph(folder.path(), missing, "drive");
    assert!(
        matches!(&error, Error::MissingPartner { id, folder, .. } if id == "25" && folder.ends_with("images")),
        "{error}"
    );
}

#[test]
fn chase_db1_keeps_both_eyes_of_a_child_together() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for child in 1..=14 {
        for eye in ["L", "R"] {
            let id = format!("Image_{child:02}{eye}");
            write(folder.path(), &format!("{id}.jpg"), 90);
            write(folder.path(), &format!("{id}_1stHO.png"), 0);
            write(folder.path(), &format!("{id}_2ndHO.png"), 255);
            all.push(id);
        }
    }
    for (split, expected) in [
        (Split::Train, &all[..6]),
        (Split::Validation, &all[6..8]),
        (Split::Test, &all[8..]),
        (Split::All, &all[..]),
    ] {
        assert_eq!(
            ids(&FolderSet::chase_db1(folder.path(), split).unwrap()),
            expected,
            "{split}"
        );
    }
    // The second label marks all.
    let test = FolderSet::chase_db1(folder.path(), Split::Test).unwrap();
    let test = test.with_reading(&Reading::default().allow_majority(true));
    let sample = test.load(0).unwrap();
    assert_eq!(sample.label.unwrap().count(), 3);
    assert_eq!(sample.second_label.unwrap().count(), 12);
    assert!(sample.fov.is_none());
    let error = without_photograph(folder.path(), "Image_01R.jpg", "chase_db1");
    assert!(
        matches!(&error, Error::MissingPartner { id, .. } if id == "Image_01R"),
        "{error}"
    );
}

#[test]
fn stare_takes_the_labelled_photographs_plain_or_gzipped() {
    const IDS: [&str; 20] = [
        "im0001", "im0002", "im0003", "im0004", "im0005", "im0044", "im0077", "im0081", "im0082",
        "im0139", "im0162", "im0163", "im0235", "im0236", "im0239", "im0240", "im0255", "im0291",
        "im0319", "im0324",
    ];
    let folder = tempfile::tempdir().unwrap();
    for id in IDS {
        write(folder.path(), &format!("stare-images/{id}.ppm"), 90);
        write(folder.path(), &format!("labels-ah/{id}.ah.ppm"), 0);
        write(folder.path(), &format!("labels-vk/{id}.vk.ppm"), 0);
    }
    // One of the 377 photographs without labels.
    write(folder.path(), "stare-images/im0006.ppm", 90);
    for (split, expected) in [
        (Split::Train, &IDS[..8]),
        (Split::Validation, &IDS[8..10]),
        (Split::Test, &IDS[10..]),
        (Split::All, &IDS[..]),
    ] {
        assert_eq!(
            ids(&FolderSet::stare(folder.path(), split).unwrap()),
            expected,
            "{split}"
        );
    }
    let all = FolderSet::stare(folder.path(), Split::All).unwrap();
    let held_out = all.clone().fold(Split::Fold(6)).unwrap();
    let rest = all.clone().fold(Split::WithoutFold(6)).unwrap();
    assert_eq!((rest.len(), ids(&held_out)), (19, vec!["im0044"]));
    assert!(!ids(&rest).contains(&"im0044"));
    assert!(all.clone().fold(Split::Fold(21)).is_err());
    assert!(all.fold(Split::WithoutFold(0)).is_err());
    // The same by name.
    let spec = |split: &str| {
        let spec: DatasetSpec = format!("stare={}", folder.path().display()).parse()?;
        spec.files(split.parse()?)
    };
    assert_eq!(ids(&spec("fold:6").unwrap()), ["im0044"]);
    assert_eq!(spec("without_fold:6").unwrap(), rest);
    let error = spec("fold:21").unwrap_err().to_string();
    assert!(
        error.contains("no fold:21") && error.contains("fold:1 to fold:20"),
        "{error}"
    );
    for wrong in ["fold:0", "fold:k", "fold:", "without_fold:-1"] {
        let error = wrong.parse::<Split>().unwrap_err().to_string();
        let expected = format!("no {wrong}; a fold has a number from 1");
        assert!(error.contains(&expected), "{error}");
    }
    for wrong in ["fold", "train:3", "folds:3"] {
        let error = wrong.parse::<Split>().unwrap_err().to_string();
        assert!(
            error.contains(&format!("unknown split '{wrong}'")),
            "{error}"
        );
    }
    let error = without_photograph(folder.path(), "stare-images/im0005.ppm", "stare");
    assert!(matches!(error, Error::MissingPartner { .. }), "{error}");
}

#[test]
fn hrf_splits_each_class_and_says_so_where_the_test_part_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let add = |numbers: std::ops::RangeInclusive<u32>| {
        for number in numbers {
            for class in ["dr", "g", "h"] {
                let extension = if class == "dr" { "JPG" } else { "jpg" };
                let id = format!("{number:02}_{class}");
                write(folder.path(), &format!("images/{id}.{extension}"), 90);
                write(folder.path(), &format!("manual1/{id}.tif"), 0);
                write(folder.path(), &format!("mask/{id}_mask.tif"), 255);
            }
        }
    };
    add(1..=5);
    let count = |split| FolderSet::hrf(folder.path(), split).map(|set| set.len());
    assert_eq!(count(Split::Train).unwrap(), 12);
    let error = count(Split::Test).unwrap_err();
    assert!(
        matches!(error, Error::EmptySplit { dataset: "HRF", .. }),
        "{error}"
    );
    add(6..=15);
    assert_eq!(count(Split::Test).unwrap(), 30);
    let validation = FolderSet::hrf(folder.path(), Split::Validation).unwrap();
    assert_eq!(ids(&validation), ["05_dr", "05_g", "05_h"]);
    let error = without_photograph(folder.path(), "images/02_h.jpg", "hrf");
    assert!(
        matches!(&error, Error::MissingPartner { id, .. } if id == "02_h"),
        "{error}"
    );
}

#[test]
fn train_and_test_folders_hold_out_the_last_fifth_in_natural_order() {
    let folder = tempfile::tempdir().unwrap();
    let layouts = [
        ("retina_blood_vessel", "image", "mask"),
        ("fives", "Original", "Ground truth"),
        ("folder", "Images", "labels"),
    ];
    for (kind, images, masks) in layouts {
        let root = folder.path().join(kind);
        let layout = kind.parse().unwrap();
        for number in 0..12 {
            let part = if number < 10 { "train" } else { "test" };
            write(&root, &format!("{part}/{images}/{number}.png"), number);
            write(&root, &format!("{part}/{masks}/{number}.png"), 100 + number);
        }
        let spec = DatasetSpec { layout, path: root };
        // 10 for training, a fifth of which is 2.
        let expected = [
            (Split::Train, vec!["0", "1", "2", "3", "4", "5", "6", "7"]),
            (Split::Validation, vec!["8", "9"]),
            (Split::Test, vec!["10", "11"]),
        ];
        for (split, expected) in expected {
            assert_eq!(ids(&spec.files(split).unwrap()), expected, "{kind} {split}");
        }
        let all = spec.files(Split::All).unwrap();
        assert_eq!(
            (all.len(), all.id(0), all.id(11)),
            (12, "train_0", "test_11")
        );
        // Where one part is all there is, it is everything.
        let alone = DatasetSpec {
            layout,
            path: folder.path().join(format!("{kind} alone")),
        };
        for part in [images, masks] {
            write(&alone.path, &format!("test/{part}/1.png"), 1);
        }
        assert_eq!(ids(&alone.files(Split::All).unwrap()), ["test_1"], "{kind}");
        assert!(alone.files(Split::Train).is_err());
        // The gray mask's 100 to 109 are below the threshold; its first column of three is 255.
        assert_eq!(
            spec.open(Split::Train)
                .unwrap()
                .load(3)
                .unwrap()
                .label
                .unwrap()
                .count(),
            3
        );
    }
}

#[test]
fn plain_folders_pair_by_stem_and_by_role() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for number in [2, 10, 1] {
        write(root, &format!("images/{number}_training.tif"), number);
        write(root, &format!("masks/{number}_manual1.gif"), 0);
        write(root, &format!("fovs/{number}_training_mask.gif"), 255);
    }
    std::fs::write(root.join("images/.hidden.png"), "").unwrap();
    std::fs::write(root.join("images/readme.txt"), "how it was made").unwrap();
    let set = FolderSet::new(
        root.join("images"),
        Some(root.join("masks")),
        Some(root.join("fovs")),
    )
    .unwrap();
    assert_eq!(ids(&set), ["1_training", "2_training", "10_training"]);
    assert_eq!(file_name(&set.files()[2].label), "10_manual1.gif");
    assert_eq!(file_name(&set.files()[1].fov), "2_training_mask.gif");
    assert_eq!(FolderSet::folder(root, Split::All).unwrap(), set);
    assert_eq!(
        ids(&FolderSet::folder(root, Split::Validation).unwrap()),
        ["10_training"]
    );
    let error = FolderSet::folder(root, Split::Test).unwrap_err();
    assert!(matches!(error, Error::EmptySplit { .. }), "{error}");

    write(root, "masks/11_manual1.gif", 0);
    let error = FolderSet::folder(root, Split::All).unwrap_err().to_string();
    assert!(
        error.contains("11_manual1.gif") && error.contains("images") && error.contains("masks"),
        "{error}"
    );

    let same = FolderSet::new(root.join("images"), Some(root.join("images")), None).unwrap_err();
    assert!(same.to_string().contains("same folder"), "{same}");
    let none = FolderSet::new(root.join("nowhere"), None, None).unwrap_err();
    assert!(matches!(none, Error::MissingFolder { .. }), "{none}");
    std::fs::create_dir(root.join("empty")).unwrap();
    let empty = FolderSet::new(root.join("empty"), None, None).unwrap_err();
    assert!(matches!(empty, Error::NoImages { .. }), "{empty}");
    write(root, "images/1_training.png", 1);
    let twice = FolderSet::new(root.join("images"), None, None).unwrap_err();
    assert!(
        matches!(&twice, Error::AmbiguousId { id, .. } if id == "1_training"),
        "{twice}"
    );
}

#[test]
fn maps_of_another_size_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "images/a.png", 9);
    std::fs::create_dir(folder.path().join("masks")).unwrap();
    GrayImage::new(3, 4)
        .save(folder.path().join("masks/a.png"))
        .unwrap();
    let error = FolderSet::folder(folder.path(), Split::All)
        .unwrap()
        .load(0)
        .unwrap_err();
    let expected = matches!(
        error,
        Error::SizeMismatch {
            expected: (4, 3),
            found: (3, 4),
            ..
        }
    );
    assert!(
        expected
            && error.to_string().contains("masks/a.png")
            && error.to_string().contains("EXIF orientation"),
        "{error}"
    );
}

#[test]
fn unlabelled_folders_nest_and_report_damaged_files_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "10.jpg", 10);
    write(root, "2.png", 2);
    write(root, "clinic/left/2.tif", 3);
    write(root, "clinic/2.png", 4);
    write(root, "clinic/2.gif", 5);
    std::fs::write(root.join("clinic/notes.csv"), "a,b").unwrap();
    std::fs::write(root.join("broken.jpg"), "not a photograph").unwrap();
    let set = FolderSet::unlabelled(root).unwrap();
    assert_eq!(
        ids(&set),
        [
            "2",
            "10",
            "broken",
            "clinic/2.gif",
            "clinic/2.png",
            "clinic/left/2"
        ]
    );
    let error = set.load(2).unwrap_err();
    assert!(error.to_string().contains("broken.jpg"), "{error}");
    assert!(set.load(6).is_err());
    let (readable, errors) = set.without_unreadable();
    assert_eq!((readable.len(), errors.len()), (5, 1));
    for files in readable.files() {
        assert!(read_image(&files.image).is_ok());
    }
    let spec = DatasetSpec {
        layout: "unlabelled".parse().unwrap(),
        path: root.to_owned(),
    };
    assert_eq!(spec.files(Split::Train).unwrap().len(), 6);
    assert!(matches!(
        spec.files(Split::Test).unwrap_err(),
        Error::EmptySplit { .. }
    ));
}

#[cfg(unix)]
#[test]
fn links_in_a_circle_and_pipes_do_not_hang() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a/1.png", 1);
    std::os::unix::fs::symlink(folder.path(), folder.path().join("a/back")).unwrap();
    assert_eq!(ids(&FolderSet::unlabelled(folder.path()).unwrap()), ["a/1"]);
    let error = read_image("/dev/zero").unwrap_err();
    assert!(matches!(error, Error::NotAFile { .. }), "{error}");
}

#[test]
fn names_are_forgiving_and_unknown_ones_are_explained() {
    for (text, kind) in [
        ("DRIVE=x", "drive"),
        ("chase-db1=x", "chase_db1"),
        ("Retina Blood Vessel=x", "retina_blood_vessel"),
    ] {
        assert_eq!(text.parse::<DatasetSpec>().unwrap().layout.name, kind);
    }
    let path: DatasetSpec = "folder=a=b".parse().unwrap();
    assert_eq!(path.path, Path::new("a=b"));
    let message = |text: &str| text.parse::<DatasetSpec>().unwrap_err().to_string();
    assert!(message("star=x").contains("did you mean 'stare'?"));
    assert!(!message("imagenet=x").contains("did you mean"));
    assert!(message("imagenet=x").contains("drive, chase_db1, stare, hrf"));
    for text in ["drive", "drive=", ""] {
        assert!(message(text).contains("NAME=PATH"), "{text}");
    }
    let error = "valid".parse::<Split>().unwrap_err();
    assert!(
        error.to_string().contains("train, validation, test, all"),
        "{error}"
    );
}
