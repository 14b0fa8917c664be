//! What the runs of a sweep came to.

use std::path::Path;

use serde_json::{Map, Value, json};
use venule::file::write_atomic;
use venule::metrics::Summary;

use crate::Result;

/// Columns of the table.
pub(super) const METRICS: [&str; 6] = [
    "f1",
    "f1_at_0.5",
    "recall",
    "thin_recall",
    "cl_dice",
    "roc_auc",
];

/// Every variant of a sweep with its scores over the seeds that are done.
#[derive(Clone, Debug)]
pub struct SweepTable {
    /// The variants, in the order of the file.
    pub rows: Vec<SweepRow>,
}

/// A variant of a sweep.
#[derive(Clone, Debug)]
pub struct SweepRow {
    /// Its name.
    pub variant: String,
    /// How many seeds are done.
    pub seeds: usize,
    /// Each metric over the seeds; none if it is defined for no seed.
    pub metrics: Vec<(&'static str, Option<Summary>)>,
}

impl SweepTable {
    /// As a Markdown table.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut markdown = format!("| variant | seeds | {} |\n", METRICS.join(" | "));
        markdown.push_str(&format!("|{}\n", " --- |".repeat(METRICS.len() + 2)));
        for row in &self.rows {
            let variant = row.variant.replace('|', "\\|").replace(['\n', '\r'], " ");
            markdown.push_str(&format!("| {variant} | {} |", row.seeds));
            for (_, summary) in &row.metrics {
                let cell = match summary {
                    Some(Summary { mean, std, .. }) => match std {
                        Some(std) => format!("{mean:.4} ± {std:.4}"),
                        None => format!("{mean:.4}"),
                    },
                    None => "–".to_owned(),
                };
                markdown.push_str(&format!(" {cell} |"));
            }
            markdown.push('\n');
        }
        markdown
    }

    /// A line for each variant and metric; metrics that are not defined are left out.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut csv = "variant,metric,seeds,mean,std\n".to_owned();
        for row in &self.rows {
            let variant = row.variant.replace('"', "\"\"");
            for (metric, summary) in &row.metrics {
                if let Some(Summary { mean, std, .. }) = summary {
                    let std = std.map_or(String::new(), |std| std.to_string());
                    csv += &format!("\"{variant}\",{metric},{},{mean},{std}\n", row.seeds);
                }
            }
        }
        csv
    }

    /// An object for each variant: `variant`, `seeds` and `metrics`, each of which has `mean` and `std` or is null.
    #[must_use]
    pub fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let metrics = row.metrics.iter().map(|(metric, summary)| {
                let value = summary
                    .as_ref()
                    .map(|s| json!({"mean": s.mean, "std": s.std}));
                ((*metric).to_owned(), value.unwrap_or_default())
            });
            json!({
                "variant": row.variant,
                "seeds": row.seeds,
                "metrics": metrics.collect::<Map<_, _>>(),
            })
        });
        rows.collect()
    }

    /// Writes table.md and table.csv.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        write_atomic(folder.join("table.md"), self.markdown().as_bytes())?;
        write_atomic(folder.join("table.csv"), self.csv().as_bytes())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_views_agree() {
        let summary = Summary {
            count: 2,
            mean: 0.5,
            std: Some(0.25),
            min: 0.25,
            max: 0.75,
        };
        let table = SweepTable {
            rows: vec![SweepRow {
                variant: "a \"b\"".to_owned(),
                seeds: 2,
                metrics: vec![("f1", Some(summary)), ("cl_dice", None)],
            }],
        };
        assert_eq!(
            table.csv(),
            "variant,metric,seeds,mean,std\n\"a \"\"b\"\"\",f1,2,0.5,0.25\n"
        );
        let markdown = table.markdown();
        assert!(
            markdown.ends_with("| a \"b\" | 2 | 0.5000 ± 0.2500 | – |\n"),
            "{markdown}"
        );
        let expected = json!([{
            "variant": "a \"b\"",
            "seeds": 2,
            "metrics": {"f1": {"mean": 0.5, "std": 0.25}, "cl_dice": null},
        }]);
        assert_eq!(table.json(), expected);
    }
}
