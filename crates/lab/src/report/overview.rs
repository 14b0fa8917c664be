use venule::metrics::{Interval, METRICS, Summary};

use super::table::{Table, number};
use super::{Entry, Paired, distinct, metric_names, paired_tests};
use crate::Result;

/// The tables that the Markdown file and the HTML page show alike.
pub(super) struct Overview {
    /// Which pixels counted, of which split: one sentence if it is one for all entries.
    pub(super) protocol: Vec<String>,
    pub(super) tables: Vec<Table>,
    /// Differences between systems, a sentence each.
    pub(super) tests: Vec<String>,
}

impl Overview {
    pub(super) fn new(entries: &[Entry], seed: u64) -> Result<Self> {
        let mut tables = vec![systems(entries, seed)?];
        if distinct(entries.iter().map(|entry| entry.dataset.as_str())).len() > 1 {
            tables.push(matrix(entries));
        }
        tables.push(widths(entries));
        let tests = paired_tests(entries, seed)?;
        Ok(Self {
            protocol: protocols(entries),
            tables,
            tests: tests.iter().map(|test| sentence(entries, test)).collect(),
        })
    }
}

/// The tables of all entries: a row each with pooled metrics, F1 with its 95 % bootstrap interval and as mean and standard
/// deviation over images, and the source of the threshold; systems by data sets, if there are several sets; recall by vessel
/// width; and, where two systems were tested on the same images, their differences. Above them the protocol.
///
/// # Errors
/// None for the results of an evaluation.
pub fn markdown(entries: &[Entry], seed: u64) -> Result<String> {
    let overview = Overview::new(entries, seed)?;
    let mut text = overview.protocol.join("\n\n");
    for table in &overview.tables {
        text.push_str(&format!("\n\n{}", table.markdown().trim_end()));
    }
    if !overview.tests.is_empty() {
        text.push_str("\n\nPaired permutation tests over images:\n");
        for test in &overview.tests {
            text.push_str(&format!("\n- {test}"));
        }
    }
    text.push('\n');
    Ok(text)
}

fn protocols(entries: &[Entry]) -> Vec<String> {
    let protocol = |entry: &Entry| format!("{}, split {}", entry.evaluated.protocol, entry.split);
    let of_all: Vec<String> = entries.iter().map(protocol).collect();
    let kinds = distinct(of_all.iter().map(String::as_str));
    match kinds.as_slice() {
        [only] => vec![format!("Protocol: {only}.")],
        kinds => {
            let kinds = kinds.iter().map(|kind| {
                let own = entries.iter().zip(&of_all).filter(|(_, of)| of == kind);
                let own = own.map(|(entry, _)| format!("{} on {}", entry.system, entry.dataset));
                format!(
                    "Protocol of {}: {kind}.",
                    own.collect::<Vec<_>>().join("; ")
                )
            });
            kinds.collect()
        }
    }
}

/// The columns of every table; those of added metrics follow before the last.
const COLUMNS: [&str; 18] = [
    "data set",
    "system",
    "images",
    "threshold",
    "F1 (95 % interval)",
    "F1 at 0.5",
    "F1 per image",
    "precision",
    "recall",
    "MCC",
    "ROC AUC (95 % interval)",
    "AP (95 % interval)",
    "thin-vessel recall",
    "thin-vessel precision",
    "thin-vessel F1",
    "clDice",
    "ECE",
    "Brier",
];

fn systems(entries: &[Entry], seed: u64) -> Result<Table> {
    let mut added = metric_names(entries);
    added.retain(|name| METRICS.iter().all(|metric| metric.name != *name));
    let mut table = Table::new(
        "All pixels pooled; F1 per image is mean ± standard deviation.",
        COLUMNS
            .into_iter()
            .chain(added.iter().copied())
            .chain(["s an image"]),
    );
    for entry in entries {
        let evaluated = &entry.evaluated;
        let (report, pooled) = (&evaluated.report, &evaluated.report.pooled);
        let intervals = evaluated.pooled_intervals(seed)?;
        let with_interval = |name: &str, value: Option<f64>| {
            let interval = find(&intervals, name);
            let span = interval.map_or(String::new(), |i| format!(" ({:.4}–{:.4})", i.low, i.high));
            format!("{}{span}", number(value))
        };
        // A finished mask has no probabilities to rank.
        let ranked = |text: String| match entry.is_ranked() {
            true => text,
            false => number(None),
        };
        let mut cells = vec![
            entry.dataset.clone(),
            entry.system.clone(),
            images(entry),
            format!("{:.3} ({})", report.threshold, entry.threshold_from),
            with_interval("f1", pooled.get("f1")),
            ranked(number(evaluated.f1_at_half())),
            mean_and_std(find(&report.summaries()?, "f1")),
            number(pooled.get("precision")),
            number(pooled.get("recall")),
            number(pooled.get("mcc")),
            ranked(with_interval("roc_auc", pooled.get("roc_auc"))),
            ranked(with_interval(
                "average_precision",
                pooled.get("average_precision"),
            )),
            number(pooled.get("thin_recall")),
            number(pooled.get("thin_precision")),
            number(pooled.get("thin_f1")),
            number(pooled.get("cl_dice")),
            ranked(number(pooled.get("expected_calibration_error"))),
            ranked(number(pooled.get("brier"))),
        ];
        cells.extend(added.iter().map(|name| number(pooled.get(name))));
        let seconds = evaluated.seconds();
        cells.push(seconds.map_or(number(None), |s| format!("{s:.3}")));
        table.rows.push(cells);
    }
    Ok(table)
}

/// Number of images, and of how many if only some were evaluated.
fn images(entry: &Entry) -> String {
    let (count, all) = (entry.evaluated.rows.len(), entry.evaluated.set_size);
    match count == all {
        true => count.to_string(),
        false => format!("{count} of {all}"),
    }
}

/// Pooled F1, a row for each system and a column for each data set.
pub(super) fn matrix(entries: &[Entry]) -> Table {
    let datasets = distinct(entries.iter().map(|entry| entry.dataset.as_str()));
    let header = ["system"].into_iter().chain(datasets.iter().copied());
    let mut table = Table::new("Pooled F1, systems by data sets.", header);
    for system in distinct(entries.iter().map(|entry| entry.system.as_str())) {
        let cell = |dataset: &&str| {
            let mut own = entries.iter();
            let own = own.find(|entry| entry.system == system && entry.dataset == **dataset);
            own.map_or(String::new(), |entry| {
                number(entry.evaluated.report.pooled.get("f1"))
            })
        };
        let cells = datasets.iter().map(cell);
        table
            .rows
            .push([system.to_owned()].into_iter().chain(cells).collect());
    }
    table
}

/// Pooled recall by the width of the label's vessels.
fn widths(entries: &[Entry]) -> Table {
    let classes = entries
        .iter()
        .flat_map(|e| &e.evaluated.report.width_recall);
    let names: Vec<String> = classes.map(|class| class.name()).collect();
    let names = distinct(names.iter().map(String::as_str));
    let header = ["data set", "system"].into_iter().chain(names);
    let title = "Pooled recall by the width of the label's vessels, and their pixels.";
    let mut table = Table::new(title, header);
    for entry in entries {
        let classes = entry.evaluated.report.width_recall.iter();
        let cells = classes.map(|class| format!("{} of {}", number(class.recall()), class.target));
        let names = [entry.dataset.clone(), entry.system.clone()];
        table.rows.push(names.into_iter().chain(cells).collect());
    }
    table
}

fn sentence(entries: &[Entry], paired: &Paired) -> String {
    let (a, b) = (&entries[paired.a], &entries[paired.b]);
    let p = match paired.test.p_value < 1e-4 {
        true => "p < 0.0001".to_owned(),
        false => format!("p = {:.4}", paired.test.p_value),
    };
    format!(
        "{}: {} − {}: F1 per image {:+.4}, {p}, {} images",
        a.dataset, a.system, b.system, paired.test.mean_difference, paired.images
    )
}

fn mean_and_std(summary: Option<Summary>) -> String {
    match summary {
        None => number(None),
        Some(Summary {
            mean,
            std: Some(std),
            ..
        }) => format!("{mean:.4} ± {std:.4}"),
        Some(Summary { mean, .. }) => format!("{mean:.4}"),
    }
}

/// The value of this name.
pub(super) fn find<T: Copy>(values: &[(&'static str, Option<T>)], name: &str) -> Option<T> {
    values.iter().find(|(key, _)| *key == name)?.1
}

/// The two ends of an interval, each empty if there is none.
pub(super) fn ends(interval: Option<Interval>) -> [Option<f64>; 2] {
    [interval.map(|i| i.low), interval.map(|i| i.high)]
}
