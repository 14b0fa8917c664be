use venule::metrics::WidthClass;

use super::Entry;
use super::metric_names;
use super::overview::{ends, find, matrix};
use super::table::Table;
use crate::Result;

/// What every line says of its entry.
const ENTRY: [&str; 7] = [
    "dataset",
    "system",
    "split",
    "pixels",
    "size",
    "threshold",
    "threshold_from",
];

fn of_entry(entry: &Entry) -> Vec<String> {
    let evaluated = &entry.evaluated;
    vec![
        entry.dataset.clone(),
        entry.system.clone(),
        entry.split.to_string(),
        evaluated.protocol.pixels().to_owned(),
        evaluated.protocol.size(),
        evaluated.report.threshold.to_string(),
        entry.threshold_from.to_string(),
    ]
}

/// All digits; nothing for what is undefined.
fn exact(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

/// Columns of the recall by vessel width.
fn width_names(entries: &[Entry]) -> Vec<String> {
    let first = entries.first();
    let classes = first.map_or(&[][..], |entry| &entry.evaluated.report.width_recall);
    let name = |class: &WidthClass| format!("recall {}", class.name()).replace(' ', "_");
    classes.iter().map(name).collect()
}

fn widths(classes: &[WidthClass]) -> impl Iterator<Item = String> {
    classes.iter().map(|class| exact(class.recall()))
}

/// All entries as comma-separated values: a line for each image and one, with id `pooled`, for all pixels together, with
/// counts, metrics, recall by vessel width and seconds; an undefined value is empty.
pub fn images_csv(entries: &[Entry]) -> String {
    let counts = ["id", "seconds", "tp", "fp", "tn", "fn"];
    let metrics = metric_names(entries);
    let fixed = ENTRY.into_iter().chain(counts);
    let names = fixed.chain(metrics.iter().copied());
    let names = names.map(str::to_owned).chain(width_names(entries));
    let mut table = Table::new("", names);
    for entry in entries {
        let report = &entry.evaluated.report;
        let rows = entry.evaluated.rows.iter();
        let images = rows
            .zip(&report.per_image)
            .zip(&report.per_image_confusion)
            .zip(&report.per_image_width_recall)
            .map(|(((row, s), c), w)| (row.id.as_str(), row.seconds, s, c, w));
        let pooled = (
            "pooled",
            entry.evaluated.seconds(),
            &report.pooled,
            &report.confusion,
            &report.width_recall,
        );
        for (id, seconds, scores, counts, classes) in images.chain([pooled]) {
            let mut cells = of_entry(entry);
            cells.extend([id.to_owned(), exact(seconds)]);
            let counts = [counts.tp, counts.fp, counts.tn, counts.fn_];
            cells.extend(counts.map(|count| count.to_string()));
            cells.extend(metrics.iter().map(|name| exact(scores.get(name))));
            cells.extend(widths(classes));
            table.rows.push(cells);
        }
    }
    table.csv()
}

/// All entries as comma-separated values, a line each: images, seconds an image, F1 at 0.5, and of each metric the pooled
/// value with its 95 % bootstrap interval and the mean over images with standard deviation and interval, then recall by
/// vessel width.
///
/// # Errors
/// None for the results of an evaluation.
pub fn systems_csv(entries: &[Entry], seed: u64) -> Result<String> {
    let parts = [
        "",
        "_low",
        "_high",
        "_mean",
        "_std",
        "_mean_low",
        "_mean_high",
    ];
    let metrics = metric_names(entries);
    let columns = metrics
        .iter()
        .flat_map(|name| parts.map(|part| format!("{name}{part}")));
    let fixed = ["images", "images_in_set", "seconds", "f1_at_0.5"];
    let names = ENTRY.into_iter().chain(fixed).map(str::to_owned);
    let mut table = Table::new("", names.chain(columns).chain(width_names(entries)));
    for entry in entries {
        let evaluated = &entry.evaluated;
        let pooled = evaluated.pooled_intervals(seed)?;
        let (means, summaries) = (evaluated.intervals(seed)?, evaluated.report.summaries()?);
        let mut cells = of_entry(entry);
        cells.extend([
            evaluated.rows.len().to_string(),
            evaluated.set_size.to_string(),
        ]);
        cells.extend([exact(evaluated.seconds()), exact(evaluated.f1_at_half())]);
        for name in &metrics {
            let value = evaluated.report.pooled.get(name);
            let summary = find(&summaries, name);
            let [low, high] = ends(find(&pooled, name));
            let [mean_low, mean_high] = ends(find(&means, name));
            let (mean, std) = (summary.map(|s| s.mean), summary.and_then(|s| s.std));
            cells.extend([value, low, high, mean, std, mean_low, mean_high].map(exact));
        }
        cells.extend(widths(&evaluated.report.width_recall));
        table.rows.push(cells);
    }
    Ok(table.csv())
}

/// Pooled F1 as comma-separated values, a line for each system and a column for each data set.
pub fn matrix_csv(entries: &[Entry]) -> String {
    matrix(entries).csv()
}
