//! Prediction images of any program against the truth, and the reports made of such results.

use std::path::{Path, PathBuf};

use serde_json::Value;
use venule::data::{FolderSet, Mask, NamePattern, mask_image, write_png};
use venule::report::{self, Entry, Picture, Rank};
use venule::{Evaluated, evaluate_predictions};

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/scoring");
    folder.join(name)
}

fn scored() -> Evaluated {
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
    let compare = |scores: &venule::metrics::Scores, expected: &Value| {
        let expected = expected.as_object().unwrap();
        let mut compared = 0;
        for (name, value) in scores.entries() {
            let Some(expected) = expected.get(name).and_then(Value::as_f64) else {
                continue;
            };
            let value = value.unwrap();
            assert!(
                (value - expected).abs() < 1e-6,
                "{name}: {value}, {expected}"
            );
            compared += 1;
        }
        assert_eq!(compared, 13);
    };
    compare(&scored.report.pooled, &expected["pooled"]);
    let rows = expected["per_image"].as_array().unwrap();
    assert_eq!(rows.len(), scored.rows.len());
    for ((row, scores), expected) in scored.rows.iter().zip(&scored.report.per_image).zip(rows) {
        assert_eq!(row.id, expected["id"]);
        compare(scores, expected);
    }
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
        matches!(wrong, Err(venule::data::Error::NoImages { .. })),
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
fn score_masks(prediction: &Mask, truth: &Mask) -> Evaluated {
    let folder = tempfile::tempdir().unwrap();
    let path = |part: &str| folder.path().join(part);
    for (part, mask) in [("prediction", prediction), ("truth", truth)] {
        std::fs::create_dir(path(part)).unwrap();
        write_png(path(part).join("1.png"), mask_image(mask).unwrap()).unwrap();
    }
    let files = FolderSet::new(path("prediction"), Some(path("truth")), None).unwrap();
    evaluate_predictions(&files, 0.5).unwrap()
}

#[test]
fn a_perfect_prediction_is_perfect_and_an_empty_one_undefined() {
    let truth = Mask::from_fn(64, 64, |x, y| x % 16 < 4 || y == 40);
    let perfect = score_masks(&truth, &truth).report.pooled;
    for (name, value) in perfect.entries() {
        let best = match name {
            "betti0_error" | "brier" | "expected_calibration_error" => 0.0,
            _ => 1.0,
        };
        assert_eq!(value, Some(best), "{name}");
    }
    let empty = score_masks(&Mask::filled(64, 64, false), &truth)
        .report
        .pooled;
    assert_eq!((empty.precision, empty.thin_precision), (None, None));
    assert_eq!(empty.recall, Some(0.0));
    assert_eq!(empty.specificity, Some(1.0));
    assert_eq!((empty.f1, empty.iou), (Some(0.0), Some(0.0)));
    // All scores are equal: no better than chance.
    assert_eq!(empty.roc_auc, Some(0.5));
    assert_eq!(empty.mcc, None);
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

/// Every tag that is opened is closed, in order.
fn assert_balanced(markup: &str) {
    let mut open = Vec::new();
    for tag in markup.split('<').skip(1) {
        let tag = tag.split_once('>').expect("a tag ends").0;
        let name = tag.split_whitespace().next().unwrap();
        if let Some(name) = name.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') && !["!DOCTYPE", "meta", "img"].contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

fn entries() -> Vec<Entry> {
    let entry = |system: &str, evaluated| Entry {
        system: system.to_owned(),
        dataset: "drive=<a & b>".to_owned(),
        evaluated,
    };
    let files = FolderSet::new(fixture("truth"), Some(fixture("fov")), None).unwrap();
    vec![
        entry("soft | maps", scored()),
        entry("a mask", evaluate_predictions(&files, 0.5).unwrap()),
    ]
}

#[test]
fn tables_hold_every_entry_and_every_image() {
    let entries = entries();
    let table = report::markdown(&entries, 0).unwrap();
    let rows: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with("| "))
        .collect();
    assert_eq!(rows.len(), 4);
    let f1 = format!("{:.4} (", entries[0].evaluated.report.pooled.f1.unwrap());
    assert!(
        rows[2].contains(&f1) && rows[2].contains("soft \\| maps"),
        "{}",
        rows[2]
    );
    // A mask has no ranking.
    assert_eq!(rows[3].matches("| – ").count(), 4, "{}", rows[3]);
    assert_eq!(table, report::markdown(&entries, 0).unwrap());
    let csv = report::csv(&entries);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 1 + 2 * (4 + 1));
    let columns = lines[0].split(',').count();
    assert!(lines.iter().all(|line| line.split(',').count() == columns));
    // The same images: a paired test.
    let twins = vec![entries[0].clone(), entries[0].clone()];
    let table = report::markdown(&twins, 0).unwrap();
    assert!(table.contains("+0.0000, p = 1.0000"), "{table}");
}

#[test]
fn the_page_is_whole_and_needs_nothing_else() {
    let entries = entries();
    let here: Vec<&Entry> = entries.iter().collect();
    for svg in [
        report::roc_svg("a < b", &here),
        report::precision_recall_svg("a", &here),
        report::reliability_svg("a", &here),
    ] {
        assert_balanced(&svg);
        assert!(svg.contains("polyline"));
    }
    // One system is a curve, the other a point.
    let roc = report::roc_svg("ROC", &here);
    assert_eq!(roc.matches("<circle").count(), 1);
    let picture = Picture {
        system: entries[0].system.clone(),
        dataset: entries[0].dataset.clone(),
        caption: "best".to_owned(),
        png: vec![137, 80, 78, 71],
    };
    let page = report::html("A report", &entries, &[picture], 0).unwrap();
    assert_balanced(&page);
    assert!(page.contains("data:image/png;base64,iVBORw=="));
    assert!(page.contains("drive=&lt;a &amp; b&gt;"));
    for outside in ["http://", "https://", "src=\"/"] {
        let without_namespace = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!without_namespace.contains(outside), "{outside}");
    }
}

#[test]
fn best_median_and_worst_are_found() {
    let scored = scored();
    let ranked = report::ranked_images(&scored);
    let f1 = |index: usize| scored.report.per_image[index].f1.unwrap();
    assert_eq!(
        ranked.iter().map(|(rank, _)| *rank).collect::<Vec<_>>(),
        [Rank::Best, Rank::Median, Rank::Worst]
    );
    assert!(f1(ranked[0].1) > f1(ranked[1].1) && f1(ranked[1].1) > f1(ranked[2].1));
    let mut all: Vec<f64> = (0..4).map(f1).collect();
    all.sort_by(|a, b| b.total_cmp(a));
    assert_eq!(f1(ranked[1].1), all[2]);
}
