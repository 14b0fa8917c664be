use venule_metrics::{PairedTest, paired_permutation_test};

use super::Entry;
use crate::{Evaluated, Result};

const PERMUTATIONS: usize = 1 << 20;

fn number(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |v| format!("{v:.4}"))
}

/// A Markdown table of all entries, a row each: pooled metrics, F1 with its 95 % bootstrap interval, F1 as mean and
/// standard deviation over images; below it, where two systems were tested on the same images, their differences.
///
/// # Errors
/// None for the results of an evaluation.
pub fn markdown(entries: &[Entry], seed: u64) -> Result<String> {
    let mut text = String::from(
        "| data set | system | images | threshold | F1 (95 % interval) | F1 at 0.5 | F1 per image | precision | recall | ROC AUC | AP | thin-vessel recall | clDice |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for entry in entries {
        let report = &entry.evaluated.report;
        let pooled = &report.pooled;
        let interval = entry.evaluated.pooled_f1_interval(seed)?;
        let span = interval.map_or(String::new(), |i| format!(" ({:.4}–{:.4})", i.low, i.high));
        let summaries = report.summaries()?;
        let per_image = summaries.iter().find(|(name, _)| *name == "f1");
        let per_image = per_image.and_then(|(_, summary)| summary.as_ref());
        let per_image = per_image.map_or("–".to_owned(), |s| match s.std {
            Some(std) => format!("{:.4} ± {std:.4}", s.mean),
            None => format!("{:.4}", s.mean),
        });
        // A finished mask has no probabilities to rank.
        let ranked = |value: Option<f64>| number(value.filter(|_| entry.is_ranked()));
        let cells = [
            entry.dataset.replace('|', "\\|"),
            entry.system.replace('|', "\\|"),
            entry.evaluated.rows.len().to_string(),
            format!("{:.3}", report.threshold),
            format!("{}{span}", number(pooled.f1)),
            ranked(entry.evaluated.f1_at(0.5)),
            per_image,
            number(pooled.precision),
            number(pooled.recall),
            ranked(pooled.roc_auc),
            ranked(pooled.average_precision),
            number(pooled.thin_recall),
            number(pooled.cl_dice),
        ];
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    let mut differences = String::new();
    for (index, a) in entries.iter().enumerate() {
        for b in &entries[index + 1..] {
            if let Some(test) = compare(&a.evaluated, &b.evaluated, seed)? {
                let p = match test.p_value < 1e-4 {
                    true => "p < 0.0001".to_owned(),
                    false => format!("p = {:.4}", test.p_value),
                };
                differences.push_str(&format!(
                    "- {}: {} − {}: F1 per image {:+.4}, {p}\n",
                    a.dataset, a.system, b.system, test.mean_difference
                ));
            }
        }
    }
    if !differences.is_empty() {
        text.push_str("\nPaired permutation tests over images:\n\n");
        text.push_str(&differences);
    }
    Ok(text)
}

/// The difference of two systems that saw the same images; `None` if they did not.
fn compare(a: &Evaluated, b: &Evaluated, seed: u64) -> Result<Option<PairedTest>> {
    let ids = |e: &Evaluated| e.rows.iter().map(|row| row.id.clone()).collect::<Vec<_>>();
    if ids(a) != ids(b) {
        return Ok(None);
    }
    let (a, b) = (&a.report.per_image, &b.report.per_image);
    let pairs = a.iter().zip(b).filter_map(|(a, b)| Some((a.f1?, b.f1?)));
    let (a, b): (Vec<f64>, Vec<f64>) = pairs.unzip();
    if a.is_empty() {
        return Ok(None);
    }
    Ok(Some(paired_permutation_test(&a, &b, PERMUTATIONS, seed)?))
}

/// All entries as comma-separated values: a line for each image and one, with id `pooled`, for all pixels together; an
/// undefined value is empty.
pub fn csv(entries: &[Entry]) -> String {
    let quote = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut text = String::from("dataset,system,threshold,id");
    let names = venule_metrics::Scores::default().entries();
    for (name, _) in names {
        text.push(',');
        text.push_str(name);
    }
    text.push('\n');
    for entry in entries {
        let report = &entry.evaluated.report;
        let ids = entry.evaluated.rows.iter().map(|row| row.id.as_str());
        let rows = ids.zip(&report.per_image);
        for (id, scores) in rows.chain([("pooled", &report.pooled)]) {
            text.push_str(&format!(
                "{},{},{},{}",
                quote(&entry.dataset),
                quote(&entry.system),
                report.threshold,
                quote(id)
            ));
            for (_, value) in scores.entries() {
                text.push(',');
                if let Some(value) = value {
                    text.push_str(&value.to_string());
                }
            }
            text.push('\n');
        }
    }
    text
}
