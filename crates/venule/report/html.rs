use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Entry, escape, markdown, precision_recall_svg, reliability_svg, roc_svg};
use crate::{Evaluated, Result};

const STYLE: &str = "body{font-family:sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222}\
table{border-collapse:collapse;font-size:.85rem;display:block;overflow-x:auto}td,th{border:1px solid #ccc;padding:.25rem .5rem;text-align:right}\
td:first-child,td:nth-child(2),th{text-align:left}.row{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0;max-width:22rem}\
figure img{width:100%}figcaption{font-size:.85rem}";

/// An overlay of a report.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The system that made it.
    pub system: String,
    /// The data set it is of.
    pub dataset: String,
    /// What stands below it.
    pub caption: String,
    /// The image as a PNG file's bytes.
    pub png: Vec<u8>,
}

/// The place of an image among all by F1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// The highest F1.
    Best,
    /// The F1 in the middle; of an even number the lower of the two.
    Median,
    /// The lowest F1.
    Worst,
}

impl Rank {
    /// As a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::Median => "median",
            Self::Worst => "worst",
        }
    }
}

/// Indices of the best, the median and the worst image by F1; images without F1 are passed over, and of fewer than three
/// only as many are named.
pub fn ranked_images(evaluated: &Evaluated) -> Vec<(Rank, usize)> {
    let rows = evaluated.report.per_image.iter().enumerate();
    let mut rows: Vec<(usize, f64)> = rows.filter_map(|(i, row)| Some((i, row.f1?))).collect();
    rows.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let count = rows.len();
    let mut places = vec![
        (Rank::Best, 0),
        (Rank::Worst, count.saturating_sub(1)),
        (Rank::Median, count / 2),
    ];
    places.truncate(count);
    places.sort_by_key(|&(_, place)| place);
    places
        .into_iter()
        .map(|(rank, place)| (rank, rows[place].0))
        .collect()
}

/// One page with the table, the curves, the pictures and a row for each image; it needs no other file and no network.
///
/// # Errors
/// None for the results of an evaluation.
pub fn html(title: &str, entries: &[Entry], pictures: &[Picture], seed: u64) -> Result<String> {
    let title = escape(title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style></head><body>\n\
         <h1>{title}</h1>\n<p>In the field of view, at native size, all pixels pooled unless said otherwise; 95 % intervals by bootstrap over images.</p>\n"
    );
    page.push_str(&from_markdown(&markdown(entries, seed)?));
    let mut datasets: Vec<&str> = Vec::new();
    for entry in entries {
        if !datasets.contains(&entry.dataset.as_str()) {
            datasets.push(&entry.dataset);
        }
    }
    for dataset in datasets {
        let here: Vec<&Entry> = entries.iter().filter(|e| e.dataset == dataset).collect();
        page.push_str(&format!(
            "<h2>{}</h2>\n<div class=\"row\">\n",
            escape(dataset)
        ));
        page.push_str(&roc_svg("ROC", &here));
        page.push_str(&precision_recall_svg("Precision and recall", &here));
        page.push_str(&reliability_svg("Reliability", &here));
        page.push_str("</div>\n");
        for entry in here {
            page.push_str(&format!(
                "<h3>{}</h3>\n<div class=\"row\">\n",
                escape(&entry.system)
            ));
            let own = |p: &&Picture| p.dataset == dataset && p.system == entry.system;
            for picture in pictures.iter().filter(own) {
                page.push_str(&format!(
                    "<figure><img alt=\"{0}\" src=\"data:image/png;base64,{1}\"><figcaption>{0}</figcaption></figure>\n",
                    escape(&picture.caption),
                    STANDARD.encode(&picture.png)
                ));
            }
            page.push_str(
                "</div>\n<details><summary>each image</summary>\n<table><tr><th>image</th>",
            );
            for (name, _) in entry.evaluated.report.pooled.entries() {
                page.push_str(&format!("<th>{name}</th>"));
            }
            page.push_str("</tr>\n");
            let rows = entry
                .evaluated
                .rows
                .iter()
                .zip(&entry.evaluated.report.per_image);
            for (row, scores) in rows {
                page.push_str(&format!("<tr><td>{}</td>", escape(&row.id)));
                for (_, value) in scores.entries() {
                    let value = value.map_or("–".to_owned(), |v| format!("{v:.4}"));
                    page.push_str(&format!("<td>{value}</td>"));
                }
                page.push_str("</tr>\n");
            }
            page.push_str("</table></details>\n");
        }
    }
    page.push_str("</body></html>\n");
    Ok(page)
}

/// The table and the list that [`markdown`] writes, as HTML.
fn from_markdown(text: &str) -> String {
    let mut html = String::from("<table>\n");
    let mut rest = String::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(row) = line
            .strip_prefix("| ")
            .and_then(|line| line.strip_suffix(" |"))
        {
            let tag = if index == 0 { "th" } else { "td" };
            if !row.starts_with("---") {
                let cells = row.split(" | ").map(|cell| {
                    let cell = escape(&cell.replace("\\|", "|"));
                    format!("<{tag}>{cell}</{tag}>")
                });
                html.push_str(&format!("<tr>{}</tr>\n", cells.collect::<String>()));
            }
        } else if !line.is_empty() {
            rest.push_str(&format!("<p>{}</p>\n", escape(line)));
        }
    }
    html.push_str("</table>\n");
    html + &rest
}
