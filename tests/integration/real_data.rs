//! DRIVE's protocol. `VENULE_DATA` names the folder that holds DRIVE.

use std::path::PathBuf;

use venule::data::{DatasetSpec, FolderSet, FovPolicy, Split};
use venule::{Protocol, evaluate_predictions};

/// The masks that come with DRIVE.
const GIVEN: Protocol = Protocol {
    fov: FovPolicy::Given,
    full_frame: false,
    square: None,
};

fn drive() -> PathBuf {
    let data = std::env::var_os("VENULE_DATA").expect("VENULE_DATA names the folder of DRIVE");
    let root = PathBuf::from(data).join("DRIVE");
    assert!(
        root.is_absolute() && root.is_dir(),
        "VENULE_DATA must be the absolute path of a folder that holds DRIVE, but {} is none",
        root.display()
    );
    root
}

fn split(split: Split) -> FolderSet {
    let spec: DatasetSpec = format!("drive={}", drive().display()).parse().unwrap();
    spec.files(split).unwrap()
}

#[test]
#[ignore = "needs the published data sets: set VENULE_DATA and pass --include-ignored"]
fn the_second_annotator_of_drive_scores_as_published() {
    let evaluated = GIVEN
        .evaluate_second_annotator(&split(Split::Test))
        .unwrap();
    let evaluated = evaluated.expect("every test image of DRIVE has a second annotator");
    assert_eq!(
        (evaluated.rows.len(), evaluated.rows[0].id.as_str()),
        (20, "01")
    );
    // The protocol's golden values, pooled over the 20 fields of view and averaged by image.
    let pooled = evaluated.report.pooled.get("f1").unwrap();
    assert!((pooled - 0.7891).abs() < 2e-4, "{pooled}");
    let f1 = evaluated
        .report
        .per_image
        .iter()
        .map(|row| row.get("f1").unwrap());
    let mean = f1.sum::<f64>() / 20.0;
    assert!((mean - 0.7881).abs() < 2e-4, "{mean}");
    // The golden pixel and vessel counts.
    let counts = evaluated.report.confusion;
    assert_eq!(counts.total(), 4_538_143);
    assert_eq!(counts.tp + counts.fn_, 577_649);
}

#[test]
#[ignore = "needs the published data sets: set VENULE_DATA and pass --include-ignored"]
fn the_second_annotator_scored_as_images_comes_to_the_same() {
    let part = |name: &str| drive().join("test").join(name);
    let files = FolderSet::new(
        part("2nd_manual"),
        Some(part("1st_manual")),
        Some(part("mask")),
    );
    let scored = evaluate_predictions(&files.unwrap(), 0.5).unwrap();
    let pooled = scored.report.pooled.get("f1").unwrap();
    assert!((pooled - 0.7891).abs() < 2e-4, "{pooled}");
    let intervals = scored.intervals(0).unwrap();
    let mean = intervals.iter().find(|(name, _)| *name == "f1").unwrap().1;
    let mean = mean.unwrap();
    assert!((mean.estimate - 0.7881).abs() < 2e-4, "{mean:?}");
    assert!(mean.low < 0.7881 && 0.7881 < mean.high);
}

#[test]
#[ignore = "needs the published data sets: set VENULE_DATA and pass --include-ignored"]
fn the_training_images_have_no_second_annotator() {
    let train = split(Split::Train);
    let evaluated = GIVEN.evaluate_second_annotator(&train).unwrap();
    assert!(evaluated.is_none());
}
