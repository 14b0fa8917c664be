//! What reports say of results: tables, files of numbers, curves, the page.

use serde_json::Value;
use venule::data::{FolderSet, Mask, Split};
use venule::metrics::METRICS;
use venule::{Evaluated, Protocol, evaluate_predictions};
use venule_lab::report::{self, Entry, Picture, Rank, ThresholdOrigin};

use crate::scoring::{any_labels, fixture, score_masks, scored};

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

fn entry(system: &str, dataset: &str, evaluated: Evaluated) -> Entry {
    Entry {
        system: system.to_owned(),
        dataset: dataset.to_owned(),
        split: Split::Test,
        threshold_from: ThresholdOrigin::Given,
        evaluated,
    }
}

fn entries() -> Vec<Entry> {
    let files = FolderSet::new(fixture("truth"), Some(fixture("fov")), None).unwrap();
    // Fields of view in the place of labels.
    let files = files.with_reading(&any_labels());
    let mut mask = evaluate_predictions(&files, 0.5).unwrap();
    // As if on the same images by the same protocol.
    (mask.rows, mask.protocol) = (scored().rows, scored().protocol);
    let set = "drive=<a & b>";
    vec![
        entry("soft | maps", set, scored()),
        Entry {
            threshold_from: ThresholdOrigin::Mask,
            ..entry("a mask", set, mask)
        },
    ]
}

#[test]
fn a_network_that_hardly_differs_from_pixel_to_pixel_is_no_mask() {
    // As after the first steps: all its probabilities in one or two bins of the calibration.
    let mut narrow = entries().remove(1);
    let auc = narrow.evaluated.report.pooled.get("roc_auc").unwrap();
    let auc = format!("{auc:.4} (");
    let table = |entry: &Entry| report::markdown(std::slice::from_ref(entry), 1).unwrap();
    assert!(!table(&narrow).contains(&auc));
    narrow.threshold_from = ThresholdOrigin::Stored;
    assert!(table(&narrow).contains(&auc));
}

/// The rows of the tables of a Markdown text, cell by cell.
fn cells(text: &str) -> Vec<Vec<&str>> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| "));
    rows.map(|row| row.trim_end_matches(" |").split(" | ").collect())
        .collect()
}

#[test]
fn tables_hold_every_entry_and_every_metric() {
    let entries = entries();
    let text = report::markdown(&entries, 0).unwrap();
    assert_eq!(text, report::markdown(&entries, 0).unwrap());
    let rows = cells(&text);
    let pooled = &entries[0].evaluated.report.pooled;
    let (header, soft, mask) = (&rows[0], &rows[2], &rows[3]);
    let at = |row: &[&str], name: &str| {
        let column = header.iter().position(|title| title.starts_with(name));
        row[column.unwrap_or_else(|| panic!("{name} is no column"))].to_owned()
    };
    assert_eq!(at(soft, "system"), "soft \\| maps");
    assert_eq!(at(soft, "threshold"), "0.500 (given)");
    assert_eq!(at(mask, "threshold"), "0.500 (a mask)");
    let interval = entries[0].evaluated.pooled_intervals(0).unwrap();
    let f1 = interval
        .iter()
        .find(|(name, _)| *name == "f1")
        .unwrap()
        .1
        .unwrap();
    let expected = format!(
        "{:.4} ({:.4}–{:.4})",
        pooled.get("f1").unwrap(),
        f1.low,
        f1.high
    );
    assert_eq!(at(soft, "F1 (95 %"), expected);
    let precision = interval
        .iter()
        .find(|(name, _)| *name == "average_precision");
    let ends = precision.unwrap().1.unwrap();
    let value = pooled.get("average_precision").unwrap();
    assert!(ends.low <= value && value <= ends.high, "{value} {ends:?}");
    let expected = format!("{value:.4} ({:.4}–{:.4})", ends.low, ends.high);
    assert_eq!(at(soft, "AP (95 %"), expected);
    for (name, value) in [
        ("precision", pooled.get("precision")),
        ("recall", pooled.get("recall")),
        ("MCC", pooled.get("mcc")),
        ("thin-vessel recall", pooled.get("thin_recall")),
        ("thin-vessel precision", pooled.get("thin_precision")),
        ("thin-vessel F1", pooled.get("thin_f1")),
        ("clDice", pooled.get("cl_dice")),
        ("ECE", pooled.get("expected_calibration_error")),
        ("Brier", pooled.get("brier")),
    ] {
        assert_eq!(at(soft, name), format!("{:.4}", value.unwrap()), "{name}");
    }
    // A mask has no ranking and no probabilities.
    for name in ["F1 at 0.5", "ROC AUC", "AP", "ECE", "Brier"] {
        assert_eq!(at(mask, name), "–", "{name}");
    }
    // Recall by width, in a table of its own.
    let width = &entries[0].evaluated.report.width_recall[0];
    let cell = format!("{:.4} of {}", width.recall().unwrap(), width.target);
    let of_widths = rows.iter().find(|row| row.contains(&cell.as_str()));
    assert_eq!(of_widths.unwrap()[1], "soft \\| maps");
    assert!(
        text.contains("| below 3 px | 3 to 5 px | 5 to 7 px | from 7 px |"),
        "{text}"
    );
}

#[test]
fn every_report_names_protocol_and_threshold() {
    let mut entries = entries();
    for entry in &mut entries {
        entry.evaluated.protocol = Protocol {
            full_frame: true,
            square: Some(512),
            ..Protocol::default()
        };
        entry.threshold_from = ThresholdOrigin::Chosen(Split::Validation);
    }
    let json = report::entries_json(&entries, 0).unwrap().to_string();
    let csv = report::images_csv(&entries);
    let systems = report::systems_csv(&entries, 0).unwrap();
    let markdown = report::markdown(&entries, 0).unwrap();
    let html = report::html("", &entries, &[], 0).unwrap();
    for text in [json, csv, systems, markdown, html] {
        for said in [
            "full frame",
            "resized to 512x512 pixels",
            "chosen on validation",
            "test",
        ] {
            assert!(text.contains(said), "'{said}' is not in {text}");
        }
        assert!(!text.contains("field of view, native size"));
    }
    // Two protocols in one report are told apart.
    entries[1].evaluated.protocol = Protocol::default();
    let markdown = report::markdown(&entries, 0).unwrap();
    assert!(markdown.contains("Protocol of a mask on drive=<a & b>: field of view, native size"));
}

/// Comma-separated values as rows of cells; no cell of these tests holds a comma or a quotation mark.
fn csv_rows(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split(',').collect()).collect()
}

#[test]
fn comma_separated_values_hold_every_number() {
    let entries = entries();
    let scored = &entries[0].evaluated;
    let text = report::images_csv(&entries);
    let rows = csv_rows(&text);
    assert_eq!(rows.len(), 1 + 2 * (4 + 1));
    assert!(rows.iter().all(|row| row.len() == rows[0].len()));
    let column = |rows: &[Vec<&str>], name: &str| {
        let found = rows[0].iter().position(|title| *title == name);
        found.unwrap_or_else(|| panic!("{name} is no column"))
    };
    let pooled = rows
        .iter()
        .find(|row| row[1] == "soft | maps" && row[7] == "pooled")
        .unwrap();
    for (name, value) in scored.report.pooled.entries() {
        assert_eq!(pooled[column(&rows, name)].parse().ok(), value, "{name}");
    }
    assert_eq!(
        pooled[column(&rows, "tp")],
        scored.report.confusion.tp.to_string()
    );
    let thin = scored.report.width_recall[0].recall();
    assert_eq!(
        pooled[column(&rows, "recall_below_3_px")].parse().ok(),
        thin
    );
    assert_eq!(pooled[column(&rows, "seconds")], "");

    let text = report::systems_csv(&entries, 0).unwrap();
    let rows = csv_rows(&text);
    assert_eq!(rows.len(), 3);
    let number = |name: &str| rows[1][column(&rows, name)].parse::<f64>().ok();
    assert_eq!(number("f1_at_0.5"), scored.f1_at_half());
    assert_eq!(number("f1"), scored.report.pooled.get("f1"));
    let intervals = scored.pooled_intervals(0).unwrap();
    for (name, interval) in intervals {
        assert_eq!(
            number(&format!("{name}_low")),
            interval.map(|i| i.low),
            "{name}"
        );
        assert_eq!(
            number(&format!("{name}_high")),
            interval.map(|i| i.high),
            "{name}"
        );
    }
    for (name, summary) in scored.report.summaries().unwrap() {
        let summary = summary.unwrap();
        assert_eq!(
            number(&format!("{name}_mean")),
            Some(summary.mean),
            "{name}"
        );
        assert_eq!(number(&format!("{name}_std")), summary.std, "{name}");
    }
}

#[test]
fn systems_by_data_sets_make_a_matrix() {
    let soft = scored();
    let mask = entries().swap_remove(1).evaluated;
    let entries = [
        entry("one", "drive", soft.clone()),
        entry("one", "stare", mask.clone()),
        entry("two", "drive", mask.clone()),
    ];
    let f1 = |evaluated: &Evaluated| format!("{:.4}", evaluated.report.pooled.get("f1").unwrap());
    let (soft, mask) = (f1(&soft), f1(&mask));
    let expected = format!("system,drive,stare\none,{soft},{mask}\ntwo,{mask},\n");
    assert_eq!(report::matrix_csv(&entries), expected);
    let row = format!("| one | {soft} | {mask} |");
    assert!(report::markdown(&entries, 0).unwrap().contains(&row));
    let html = report::html("", &entries, &[], 0).unwrap();
    let row = format!("<tr><td>one</td><td>{soft}</td><td>{mask}</td></tr>");
    assert!(html.contains(&row));
    // One data set needs none.
    let alone = report::markdown(&entries[..1], 0).unwrap();
    assert!(!alone.contains("systems by data sets"));
}

#[test]
fn systems_are_paired_within_a_data_set_only() {
    let one = scored();
    let paired = |entries: &[Entry]| report::paired_tests(entries, 0).unwrap();
    let twins = [
        entry("a", "drive", one.clone()),
        entry("b", "drive", one.clone()),
    ];
    let found = paired(&twins);
    assert_eq!((found.len(), found[0].images), (1, 4));
    assert_eq!(
        (found[0].test.mean_difference, found[0].test.p_value),
        (0.0, 1.0)
    );
    let text = report::markdown(&twins, 0).unwrap();
    assert!(text.contains("+0.0000, p = 1.0000, 4 images"), "{text}");
    // Equal names of other data sets are other images.
    let strangers = [
        entry("a", "drive", one.clone()),
        entry("b", "stare", one.clone()),
    ];
    assert_eq!(paired(&strangers), []);
    // Another protocol is another measure.
    let mut whole = twins.clone();
    whole[1].evaluated.protocol.full_frame = true;
    assert_eq!(paired(&whole), []);
    // A system that saw some of the images is paired on those.
    let mut some = twins.clone();
    some[1].evaluated.rows.truncate(3);
    some[1].evaluated.report.per_image.truncate(3);
    some[1].evaluated.rows.reverse();
    some[1].evaluated.report.per_image.reverse();
    let found = paired(&some);
    assert_eq!((found[0].images, found[0].test.mean_difference), (3, 0.0));
}

/// The keys of an object, sorted.
fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

/// The names of all metrics and of what else an object holds, sorted.
fn metrics_and<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut keys: Vec<&str> = METRICS
        .iter()
        .map(|metric| metric.name)
        .chain(more.iter().copied())
        .collect();
    keys.sort_unstable();
    keys
}

#[test]
fn the_json_has_exactly_the_documented_keys() {
    let entries = entries();
    let list = report::entries_json(&entries, 0).unwrap();
    let first = &list[0];
    let mut expected = vec![
        "counts",
        "dataset",
        "f1_at_0.5",
        "images",
        "images_in_set",
        "mean",
        "paired_tests",
        "per_image",
        "pixels",
        "pooled",
        "pooled_intervals",
        "reliability",
        "seconds",
        "size",
        "split",
        "system",
        "threshold",
        "threshold_from",
        "warnings",
        "width_recall",
    ];
    expected.sort_unstable();
    assert_eq!(keys(first), expected);
    assert_eq!(keys(&first["pooled"]), metrics_and(&[]));
    assert_eq!(keys(&first["pooled_intervals"]), metrics_and(&[]));
    assert_eq!(keys(&first["mean"]), metrics_and(&[]));
    let image = &first["per_image"][0];
    assert_eq!(
        keys(image),
        metrics_and(&["counts", "id", "seconds", "width_recall"])
    );
    for name in [
        "accuracy",
        "precision",
        "recall",
        "specificity",
        "f1",
        "iou",
        "mcc",
        "roc_auc",
        "average_precision",
        "cl_dice",
        "thin_recall",
        "thin_precision",
        "betti0_error",
    ] {
        assert!(
            first["pooled"][name].is_f64() && image[name].is_f64(),
            "{name}"
        );
    }
    assert_eq!(
        keys(&first["mean"]["f1"]),
        ["high", "images", "low", "mean", "std"]
    );
    assert_eq!(keys(&first["pooled_intervals"]["roc_auc"]), ["high", "low"]);
    assert_eq!(keys(&first["counts"]), ["fn", "fp", "tn", "tp"]);
    let bins = first["reliability"].as_array().unwrap();
    assert_eq!(bins.len(), 15);
    let bin = [
        "count",
        "high",
        "low",
        "mean_probability",
        "vessel_fraction",
    ];
    assert_eq!(keys(&bins[0]), bin);
    let widths = first["width_recall"].as_array().unwrap();
    assert_eq!(widths.len(), 4);
    let width = ["below_px", "found", "from_px", "recall", "target"];
    assert_eq!(keys(&widths[0]), width);
    let found = |key: &str| {
        widths
            .iter()
            .map(|class| class[key].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(found("found"), first["counts"]["tp"].as_u64().unwrap());
    let test = &first["paired_tests"][0];
    assert_eq!(
        keys(test),
        [
            "against",
            "exact",
            "images",
            "mean_difference",
            "metric",
            "p_value",
            "permutations"
        ]
    );
    // Each system tells of the other, with the sign turned.
    let back = &list[1]["paired_tests"][0];
    assert_eq!(
        (&test["against"], &back["against"]),
        (&"a mask".into(), &"soft | maps".into())
    );
    let difference = |test: &Value| test["mean_difference"].as_f64().unwrap();
    assert_eq!(difference(test), -difference(back));
    assert_eq!(test["p_value"], back["p_value"]);
}

#[test]
fn what_is_undefined_is_null_and_never_missing() {
    let truth = Mask::from_fn(64, 64, |x, _| x % 16 == 4);
    let empty = score_masks(&Mask::filled(64, 64, false), &truth);
    let json = report::json(&empty, 0).unwrap();
    for object in [&json["pooled"], &json["per_image"][0], &json["mean"]] {
        for name in ["precision", "mcc", "thin_precision"] {
            assert_eq!(object.get(name), Some(&Value::Null), "{name}");
        }
        for name in ["f1", "cl_dice", "thin_f1"] {
            let value = object[name].as_f64().or(object[name]["mean"].as_f64());
            assert_eq!(value, Some(0.0), "{name}");
        }
    }
    assert_eq!(json["pooled_intervals"]["precision"], Value::Null);
    // One image is the same in every draw: an interval of no width.
    let precision = &json["pooled"]["average_precision"];
    let interval = &json["pooled_intervals"]["average_precision"];
    assert_eq!(
        (&interval["low"], &interval["high"]),
        (precision, precision)
    );
    // One image has no standard deviation, a file took no seconds, the widest vessels have no upper bound.
    assert_eq!(json["mean"]["f1"].get("std"), Some(&Value::Null));
    assert_eq!(json["per_image"][0].get("seconds"), Some(&Value::Null));
    assert_eq!(json["width_recall"][3].get("below_px"), Some(&Value::Null));
    assert_eq!(json["width_recall"][3].get("recall"), Some(&Value::Null));
    assert_eq!(
        json["reliability"][7].get("vessel_fraction"),
        Some(&Value::Null)
    );
    // Nothing passes 0.5: the F1 there is 0, not undefined.
    assert_eq!(json["f1_at_0.5"], 0.0);
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
    let f1 = |index: usize| scored.report.per_image[index].get("f1").unwrap();
    assert_eq!(
        ranked.iter().map(|(rank, _)| *rank).collect::<Vec<_>>(),
        [Rank::Best, Rank::Median, Rank::Worst]
    );
    assert!(f1(ranked[0].1) > f1(ranked[1].1) && f1(ranked[1].1) > f1(ranked[2].1));
    let mut all: Vec<f64> = (0..4).map(f1).collect();
    all.sort_by(|a, b| b.total_cmp(a));
    assert_eq!(f1(ranked[1].1), all[2]);
}
