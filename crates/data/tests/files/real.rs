//! The published sets. `VENULE_DATA` names the folder that holds them.

use std::path::{Path, PathBuf};

use venule_data::{Clahe, Dataset, DatasetSpec, FolderSet, Raster, Sample, Split, detect_fov};

use crate::fov::intersection_over_union;

/// The folder of one data set.
pub fn data(name: &str) -> PathBuf {
    let data = std::env::var_os("VENULE_DATA").expect("VENULE_DATA names the folder of the sets");
    let root = PathBuf::from(data).join(name);
    assert!(
        root.is_absolute() && root.is_dir(),
        "VENULE_DATA must be the absolute path of a folder that holds {name}, but {} is none",
        root.display()
    );
    root
}

fn samples(set: &FolderSet) -> impl Iterator<Item = Sample> {
    (0..set.len()).map(|index| set.load(index).unwrap())
}

/// Pixels in the field of view, and vessel pixels among them.
fn counts(sample: &Sample) -> (usize, usize) {
    let (fov, label) = (sample.fov.as_ref().unwrap(), sample.label.as_ref().unwrap());
    let vessels = fov
        .data()
        .iter()
        .zip(label.data())
        .filter(|(fov, label)| **fov && **label);
    (fov.count(), vessels.count())
}

fn totals(set: &FolderSet) -> (usize, usize) {
    samples(set)
        .map(|sample| counts(&sample))
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

#[test]
#[ignore = "needs the published data sets: set VENULE_DATA and pass --include-ignored"]
fn drive_has_its_golden_counts() {
    let root = data("DRIVE");
    let test = FolderSet::drive(&root, Split::Test).unwrap();
    // Counted once with Pillow and NumPy from the published files.
    assert_eq!(totals(&test), (4_538_143, 577_649));
    let first = test.load(0).unwrap();
    assert_eq!(
        (first.id.as_str(), first.size(), counts(&first).0),
        ("01", (565, 584), 224_377)
    );
    assert!(samples(&test).all(|sample| sample.second_label.is_some()));
    let spec: DatasetSpec = format!("drive={}", root.display()).parse().unwrap();
    let part = |split| spec.files(split).unwrap();
    let train = part(Split::Train).join(part(Split::Validation));
    assert_eq!(train.len(), 20);
    assert_eq!(totals(&train), (4_541_006, 569_415));
}

#[test]
#[ignore = "needs the published data sets: set VENULE_DATA and pass --include-ignored"]
fn hrf_has_its_share_of_vessels() {
    let root = data("HRF");
    let set = FolderSet::hrf(root, Split::All).unwrap();
    let (pixels, vessels) = totals(&set);
    let share = vessels as f64 / pixels as f64;
    assert!((0.085..0.095).contains(&share), "{share}");
    assert_eq!(set.load(0).unwrap().size(), (3504, 2336));
}

#[test]
#[ignore = "needs the published data sets: set VENULE_DATA and pass --include-ignored"]
fn chase_db1_loads() {
    let root = data("CHASE_DB1");
    let set = FolderSet::chase_db1(root, Split::All).unwrap();
    assert_eq!(set.len(), 28);
    for sample in samples(&set) {
        assert_eq!(sample.size(), (999, 960));
        for label in [sample.label.unwrap(), sample.second_label.unwrap()] {
            let share = label.count() as f64 / (999.0 * 960.0);
            assert!((0.04..0.12).contains(&share), "{}: {share}", sample.id);
        }
    }
}

#[test]
#[ignore = "needs the published data sets: set VENULE_DATA and pass --include-ignored"]
fn stare_loads() {
    let root = data("STARE");
    let set = FolderSet::stare(root, Split::All).unwrap();
    for sample in samples(&set) {
        assert_eq!(sample.size(), (700, 605));
        for label in [sample.label.unwrap(), sample.second_label.unwrap()] {
            let share = label.count() as f64 / (700.0 * 605.0);
            assert!((0.03..0.16).contains(&share), "{}: {share}", sample.id);
        }
    }
}

#[test]
#[ignore = "needs the published data sets: set VENULE_DATA and pass --include-ignored"]
fn fives_loads() {
    let root = data("FIVES");
    let set = FolderSet::fives(root, Split::Test).unwrap();
    for sample in samples(&set) {
        assert_eq!(sample.size(), (2048, 2048));
        let share = sample.label.unwrap().count() as f64 / (2048.0 * 2048.0);
        assert!((0.02..0.12).contains(&share), "{}: {share}", sample.id);
    }
}

#[test]
#[ignore = "needs the published data sets: set VENULE_DATA and pass --include-ignored"]
fn unlabelled_photographs_load_and_show_their_field_of_view() {
    let root = data("unlabelled");
    let set = FolderSet::unlabelled(root).unwrap();
    assert!(set.len() > 100, "{}", set.len());
    // Every 20th: all of them take minutes.
    for index in (0..set.len()).step_by(20) {
        let sample = set.load(index).unwrap();
        let fov = detect_fov(&sample.image).unwrap();
        let share = fov.count() as f64 / fov.data().len() as f64;
        assert!((0.4..0.9).contains(&share), "{}: {share}", sample.id);
    }
}

#[test]
#[ignore = "needs the published data sets: set VENULE_DATA and pass --include-ignored"]
fn detected_fields_of_view_agree_with_the_official_ones() {
    let sets = [
        FolderSet::drive(data("DRIVE"), Split::All),
        FolderSet::hrf(data("HRF"), Split::All),
    ];
    for set in sets {
        let set = set.unwrap();
        let mut overlaps = Vec::new();
        for files in set.files() {
            let sample = Sample {
                fov: files
                    .fov
                    .as_ref()
                    .map(|path| venule_data::read_mask(path).unwrap()),
                ..Sample::unlabelled(&files.id, venule_data::read_image(&files.image).unwrap())
            };
            let found = detect_fov(&sample.image).unwrap();
            overlaps.push(intersection_over_union(
                &found,
                sample.fov.as_ref().unwrap(),
            ));
        }
        let mean = overlaps.iter().sum::<f64>() / overlaps.len() as f64;
        let worst = overlaps.iter().copied().fold(1.0, f64::min);
        println!(
            "{} photographs: mean {mean:.4}, worst {worst:.4}",
            overlaps.len()
        );
        assert!(mean >= 0.98 && worst >= 0.95, "mean {mean}, worst {worst}");
    }
}

/// The CRC-32 sums of `fixtures/make_whole.py`: of what OpenCV makes of the same green channel.
#[test]
#[ignore = "needs the published data sets: set VENULE_DATA and pass --include-ignored"]
fn clahe_of_drive_equals_opencv_in_every_pixel() {
    let root = data("DRIVE");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/whole.json");
    let expected: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let checksum = |bytes: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        Some(u64::from(crc.sum()))
    };
    for name in ["21_training", "40_training"] {
        let photograph = root.join(format!("training/images/{name}.tif"));
        let image = venule_data::read_image(photograph).unwrap();
        let green: Vec<u8> = image.pixels().map(|pixel| pixel.0[1]).collect();
        assert_eq!(checksum(&green), expected[name]["input"].as_u64());
        let green = Raster::new(565, 584, green).unwrap();
        let out = Clahe::default().apply(&green).unwrap();
        assert_eq!(checksum(out.data()), expected[name]["clahe"].as_u64());
    }
}
