//! Prediction images of any program against the truth.

use std::path::{Path, PathBuf};

use serde_json::Value;
use venule::data::{FolderSet, Mask, NamePattern, Reading, mask_image, write_png};
use venule::metrics::{METRICS, Scores};
use venule::{Evaluated, evaluate_predictions};
use venule_lab::report;

pub fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/scoring");
    folder.join(name)
}

pub fn scored() -> Evaluated {
    let files = FolderSet::new(
        fixture("predictions"),
        Some(fixture("truth")),
        Some(fixture("fov")),
    );
    evaluate_predictions(&files.unwrap(), 0.5).unwrap()
}

#[test]
fn soft_maps_score_as_with_scikit_learn_and_scikit_image() {
    let text = std::fs::read_to_string(fixture("expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    let scored = scored();
    let compare = |scores: &Scores, expected: &Value| {
        let expected = expected.as_object().unwrap();
        let mut compared = 0;
        for (name, value) in scores.entries() {
            let expected = expected[name].as_f64().unwrap();
            let value = value.unwrap();
            assert!(
                (value - expected).abs() < 1e-6,
                "{name}: {value}, {expected}"
            );
            compared += 1;
        }
        assert_eq!(compared, METRICS.len());
    };
    compare(&scored.report.pooled, &expected["pooled"]);
    let rows = expected["per_image"].as_array().unwrap();
    assert_eq!(rows.len(), scored.rows.len());
    for ((row, scores), expected) in scored.rows.iter().zip(&scored.report.per_image).zip(rows) {
        assert_eq!(row.id, expected["id"]);
        compare(scores, expected);
    }
    // The same through the file that `score` writes, and the means with their standard deviations.
    let written = report::json(&scored, 0).unwrap();
    for name in METRICS.iter().map(|metric| metric.name) {
        for key in ["mean", "std"] {
            let (found, expected) = (&written["mean"][name][key], &expected["mean"][name][key]);
            let difference = found.as_f64().unwrap() - expected.as_f64().unwrap();
            assert!(
                difference.abs() < 1e-6,
                "{key} of {name}: {found}, {expected}"
            );
        }
        let (found, expected) = (&written["pooled"][name], &expected["pooled"][name]);
        let difference = found.as_f64().unwrap() - expected.as_f64().unwrap();
        assert!(difference.abs() < 1e-6, "{name}: {found}, {expected}");
    }
}

#[test]
fn one_inverted_prediction_among_others_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let parts = ["predictions", "truth"].map(|part| folder.path().join(part));
    for part in &parts {
        std::fs::create_dir(part).unwrap();
    }
    let vessel = |x: usize| x % 16 < 3;
    for (name, inverted) in [("a", false), ("b", true), ("c", false)] {
        let maps = [
            Mask::from_fn(48, 48, |x, _| vessel(x) != inverted),
            Mask::from_fn(48, 48, |x, _| vessel(x)),
        ];
        for (map, part) in maps.iter().zip(&parts) {
            write_png(part.join(format!("{name}.png")), mask_image(map).unwrap()).unwrap();
        }
    }
    let files = FolderSet::new(&parts[0], Some(parts[1].clone()), None).unwrap();
    let scored = evaluate_predictions(&files, 0.5).unwrap();
    let said: Vec<String> = scored.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("'b' is 0.0000") && said[0].contains("inverted"));
}

#[test]
fn patterns_pair_what_rules_pair() {
    let pattern = |text: &str| text.parse::<NamePattern>().unwrap();
    let (maps, truth, fov) = (
        pattern("{id}_map"),
        pattern("{id}_manual1"),
        pattern("{id}_mask"),
    );
    let folders = ["predictions", "truth", "fov"].map(fixture);
    let files = FolderSet::by_patterns(
        (&folders[0], &maps),
        (&folders[1], &truth),
        Some((&folders[2], &fov)),
    );
    let by_pattern = evaluate_predictions(&files.unwrap(), 0.5).unwrap();
    assert_eq!(by_pattern.report.pooled, scored().report.pooled);
    assert_eq!(by_pattern.rows[0].id, "0");
    let wrong = FolderSet::by_patterns((&folders[0], &truth), (&folders[1], &truth), None);
    assert!(
        matches!(wrong, Err(venule::data::Error::NoneOfPattern { .. })),
        "{wrong:?}"
    );
    // a truth of which there is no prediction may not be passed over in silence
    let only = pattern("0_{id}");
    let missing = FolderSet::by_patterns((&folders[0], &only), (&folders[1], &truth), None);
    assert!(
        matches!(missing, Err(venule::data::Error::MissingPartner { .. })),
        "{missing:?}"
    );
}

/// Masks written as predictions and scored against a truth.
pub fn score_masks(prediction: &Mask, truth: &Mask) -> Evaluated {
    let folder = tempfile::tempdir().unwrap();
    let path = |part: &str| folder.path().join(part);
    for (part, mask) in [("prediction", prediction), ("truth", truth)] {
        std::fs::create_dir(path(part)).unwrap();
        write_png(path(part).join("1.png"), mask_image(mask).unwrap()).unwrap();
    }
    let files = FolderSet::new(path("prediction"), Some(path("truth")), None).unwrap();
    evaluate_predictions(&files.with_reading(&any_labels()), 0.5).unwrap()
}

/// Empty and full masks are meant.
pub fn any_labels() -> Reading {
    Reading::default().allow_empty(true).allow_majority(true)
}

/// All metrics of two masks, by the names of reports.
fn metrics_of_masks(prediction: &Mask, truth: &Mask) -> Vec<(&'static str, Option<f64>)> {
    score_masks(prediction, truth)
        .report
        .pooled
        .entries()
        .collect()
}

#[test]
fn a_perfect_prediction_is_perfect() {
    let truth = Mask::from_fn(64, 64, |x, y| x % 16 < 4 || y == 40);
    for (name, value) in metrics_of_masks(&truth, &truth) {
        let best = match name {
            "betti0_error" | "brier" | "expected_calibration_error" => 0.0,
            _ => 1.0,
        };
        assert_eq!(value, Some(best), "{name}");
    }
}

#[test]
fn an_empty_prediction_has_the_documented_values() {
    // Four lines one pixel wide, 4 · 64 of 64 · 64 pixels: 1/16 is vessel.
    let truth = Mask::from_fn(64, 64, |x, _| x % 16 == 4);
    let empty = metrics_of_masks(&Mask::filled(64, 64, false), &truth);
    assert_eq!(
        empty,
        [
            ("accuracy", Some(15.0 / 16.0)),
            ("precision", None),
            ("recall", Some(0.0)),
            ("specificity", Some(1.0)),
            ("f1", Some(0.0)),
            ("dice", Some(0.0)),
            ("iou", Some(0.0)),
            ("mcc", None),
            ("balanced_accuracy", Some(0.5)),
            ("roc_auc", Some(0.5)),
            ("average_precision", Some(1.0 / 16.0)),
            ("cl_dice", Some(0.0)),
            ("thin_recall", Some(0.0)),
            ("thin_precision", None),
            ("thin_f1", Some(0.0)),
            ("betti0_error", Some(4.0)),
            ("expected_calibration_error", Some(1.0 / 16.0)),
            ("brier", Some(1.0 / 16.0)),
        ]
    );
    let both = metrics_of_masks(&Mask::filled(64, 64, false), &Mask::filled(64, 64, false));
    let defined = both.into_iter().filter(|(_, value)| value.is_some());
    assert_eq!(
        defined.collect::<Vec<_>>(),
        [
            ("accuracy", Some(1.0)),
            ("specificity", Some(1.0)),
            ("dice", Some(1.0)),
            ("betti0_error", Some(0.0)),
            ("expected_calibration_error", Some(0.0)),
            ("brier", Some(0.0)),
        ]
    );
}

#[test]
fn sizes_that_differ_are_told_with_both_files() {
    let folder = tempfile::tempdir().unwrap();
    for (part, side) in [("a", 8), ("b", 9)] {
        std::fs::create_dir(folder.path().join(part)).unwrap();
        let mask = Mask::from_fn(side, 8, |x, _| x > 2);
        write_png(
            folder.path().join(part).join("1.png"),
            mask_image(&mask).unwrap(),
        )
        .unwrap();
    }
    let files = FolderSet::new(folder.path().join("a"), Some(folder.path().join("b")), None);
    let error = evaluate_predictions(&files.unwrap(), 0.5)
        .unwrap_err()
        .to_string();
    assert!(error.contains("9x8") && error.contains("8x8"), "{error}");
    assert!(error.matches("1.png").count() == 2, "{error}");
}
