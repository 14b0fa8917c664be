//! What an evaluation says, as tables, curves, files of numbers and one HTML page.

use std::fmt;

use venule::data::Split;
use venule::metrics::Report;

use venule::Evaluated;

pub use serde_json;

mod csv;
mod curves;
mod html;
mod json;
mod overview;
mod paired;
mod pictures;
mod table;

pub use csv::{images_csv, matrix_csv, systems_csv};
pub use curves::{precision_recall_svg, reliability_svg, roc_svg};
pub use html::html;
pub use json::{entries_json, json};
pub use overview::markdown;
pub use paired::{Paired, paired_tests};
pub use pictures::{KeptMasks, Picture, Rank, distinct_names, folder_names, ranked_images};

/// A system's results on a data set, with the names under which a report shows them.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The system: a weights file, an annotator.
    pub system: String,
    /// The data set.
    pub dataset: String,
    /// The part of it that was evaluated.
    pub split: Split,
    /// Where the threshold comes from.
    pub threshold_from: ThresholdOrigin,
    /// What it came to.
    pub evaluated: Evaluated,
}

impl Entry {
    /// Whether the system gives probabilities rather than a finished mask, so that curves say something.
    fn is_ranked(&self) -> bool {
        self.threshold_from != ThresholdOrigin::Mask
    }
}

/// Where the threshold of an evaluation comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThresholdOrigin {
    /// The weights file, where training left it.
    Stored,
    /// The user.
    Given,
    /// Maximal F1 on this split of the data set evaluated.
    Chosen(Split),
    /// The system is a finished mask.
    Mask,
}

impl fmt::Display for ThresholdOrigin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored => formatter.write_str("stored in the weights"),
            Self::Given => formatter.write_str("given"),
            Self::Chosen(split) => write!(formatter, "chosen on {split}"),
            Self::Mask => formatter.write_str("a mask"),
        }
    }
}

/// Names in the order in which they first come.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

/// The names of the metrics that any entry has, each once.
fn metric_names(entries: &[Entry]) -> Vec<&'static str> {
    distinct(entries.iter().flat_map(|e| e.evaluated.report.names()))
}

/// The main metrics in one line.
pub fn summary(report: &Report) -> String {
    let number = |value: Option<f64>| value.map_or("–".to_owned(), |v| format!("{v:.4}"));
    let pooled = &report.pooled;
    format!(
        "F1 {} (threshold {:.3}), precision {}, recall {}, ROC AUC {}, thin-vessel recall {}",
        number(pooled.get("f1")),
        report.threshold,
        number(pooled.get("precision")),
        number(pooled.get("recall")),
        number(pooled.get("roc_auc")),
        number(pooled.get("thin_recall")),
    )
}

#[cfg(test)]
mod tests {
    use venule::metrics::{Comparison, Evaluator, Metric, ScoredImage};

    use super::*;
    use venule::{EvaluationRow, Protocol};

    /// Predicted vessel pixels per vessel pixel of the label.
    struct AreaRatio;

    impl Metric for AreaRatio {
        fn name(&self) -> &'static str {
            "area_ratio"
        }
        fn count(&self, image: &Comparison<'_>) -> venule::metrics::Result<Vec<u128>> {
            let counts = image.confusion();
            let (predicted, target) = (counts.tp + counts.fp, counts.tp + counts.fn_);
            Ok(vec![predicted.into(), target.into()])
        }
        fn value(&self, sums: &[u128]) -> Option<f64> {
            (sums[1] > 0).then(|| sums[0] as f64 / sums[1] as f64)
        }
    }

    fn entry(mut evaluator: Evaluator) -> crate::Result<Entry> {
        let target = [true, true, true, true, false, false];
        let image = ScoredImage::new(3, 2, &[0.9, 0.9, 0.9, 0.1, 0.1, 0.1], &target, None)?;
        evaluator.update(&image)?;
        let row = EvaluationRow {
            id: "1".to_owned(),
            seconds: None,
        };
        Ok(Entry {
            system: "system".to_owned(),
            dataset: "set".to_owned(),
            split: Split::Test,
            threshold_from: ThresholdOrigin::Given,
            evaluated: Evaluated {
                report: evaluator.finish(),
                rows: vec![row],
                protocol: Protocol::default(),
                set_size: 1,
                predictions: None,
                warnings: Vec::new(),
            },
        })
    }

    #[test]
    fn every_report_shows_an_added_metric() -> crate::Result<()> {
        let plain = entry(Evaluator::new(0.5)?)?;
        let own = entry(Evaluator::new(0.5)?.with_metric(Box::new(AreaRatio))?)?;
        // 3 pixels predicted, 4 in the label.
        let json = json(&own.evaluated, 0)?;
        for value in [
            &json["pooled"]["area_ratio"],
            &json["per_image"][0]["area_ratio"],
            &json["mean"]["area_ratio"]["mean"],
            &json["pooled_intervals"]["area_ratio"]["high"],
        ] {
            assert_eq!(value.as_f64(), Some(0.75), "{json}");
        }
        // Beside a system without it, whose cell is empty.
        let entries = [plain, own];
        let cells = |text: &str, separator: char, names: &[&str]| -> Vec<String> {
            let rows: Vec<Vec<String>> = text
                .lines()
                .map(|line| line.split(separator).map(|c| c.trim().to_owned()).collect())
                .collect();
            let header = rows
                .iter()
                .position(|row| row.contains(&"system".to_owned()));
            let header = header.expect("a header");
            let column = rows[header]
                .iter()
                .position(|cell| names.contains(&cell.as_str()));
            let column = column.expect("a column of the metric");
            let body = rows[header + 1..]
                .iter()
                .filter(|row| row.contains(&"system".to_owned()));
            body.map_while(|row| row.get(column).cloned()).collect()
        };
        let name = ["area_ratio"];
        assert_eq!(
            cells(&images_csv(&entries), ',', &name),
            ["", "", "0.75", "0.75"]
        );
        assert_eq!(cells(&systems_csv(&entries, 0)?, ',', &name), ["", "0.75"]);
        let markdown = markdown(&entries, 0)?;
        assert_eq!(cells(&markdown, '|', &name)[..2], ["–", "0.7500"]);
        assert!(html("title", &entries, &[], 0)?.contains("<th>area_ratio</th>"));
        Ok(())
    }
}
