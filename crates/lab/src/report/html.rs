use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::overview::Overview;
use super::table::{Table, number};
use super::{Entry, Picture, distinct, precision_recall_svg, reliability_svg, roc_svg};
use crate::Result;
use crate::chart::escape;

const STYLE: &str = "body{font-family:sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222}\
table{border-collapse:collapse;font-size:.85rem;display:block;overflow-x:auto}td,th{border:1px solid #ccc;padding:.25rem .5rem;text-align:right}\
td:first-child,td:nth-child(2),th{text-align:left}.row{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0;max-width:22rem}\
figure img{width:100%}figcaption{font-size:.85rem}";

/// One page with the protocol, the tables, the curves, the pictures and a row for each image; it needs no other file and no
/// network.
///
/// # Errors
/// None for the results of an evaluation.
pub fn html(title: &str, entries: &[Entry], pictures: &[Picture], seed: u64) -> Result<String> {
    let overview = Overview::new(entries, seed)?;
    let title = escape(title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style></head><body>\n\
         <h1>{title}</h1>\n"
    );
    for sentence in &overview.protocol {
        page.push_str(&format!("<p>{}</p>\n", escape(sentence)));
    }
    page.push_str("<p>95 % intervals by bootstrap over images.</p>\n");
    overview
        .tables
        .iter()
        .for_each(|table| page.push_str(&table.html()));
    if !overview.tests.is_empty() {
        page.push_str("<p>Paired permutation tests over images:</p>\n<ul>\n");
        for test in &overview.tests {
            page.push_str(&format!("<li>{}</li>\n", escape(test)));
        }
        page.push_str("</ul>\n");
    }
    for dataset in distinct(entries.iter().map(|entry| entry.dataset.as_str())) {
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
            let own = |p: &&Picture| p.dataset == dataset && p.system == entry.system;
            push_entry(&mut page, entry, pictures.iter().filter(own));
        }
    }
    page.push_str("</body></html>\n");
    Ok(page)
}

/// The pictures of a system on a data set, and a row for each image.
fn push_entry<'a>(page: &mut String, entry: &Entry, pictures: impl Iterator<Item = &'a Picture>) {
    let system = escape(&entry.system);
    page.push_str(&format!("<h3>{system}</h3>\n<div class=\"row\">\n"));
    for picture in pictures {
        page.push_str(&format!(
            "<figure><img alt=\"{0}\" src=\"data:image/png;base64,{1}\"><figcaption>{0}</figcaption></figure>\n",
            escape(&picture.caption),
            STANDARD.encode(&picture.png)
        ));
    }
    page.push_str("</div>\n<details><summary>each image</summary>\n");
    let report = &entry.evaluated.report;
    let classes = report.width_recall.iter();
    let classes = classes.map(|class| format!("recall {}", class.name()));
    let names = ["image", "seconds"].into_iter().chain(report.names());
    let mut table = Table::new("", names.map(str::to_owned).chain(classes));
    let rows = entry.evaluated.rows.iter().zip(&report.per_image);
    for ((row, scores), widths) in rows.zip(&report.per_image_width_recall) {
        let seconds = row.seconds.map_or(number(None), |s| format!("{s:.3}"));
        let mut cells = vec![row.id.clone(), seconds];
        cells.extend(scores.values().map(number));
        cells.extend(widths.iter().map(|class| number(class.recall())));
        table.rows.push(cells);
    }
    page.push_str(&table.html());
    page.push_str("</details>\n");
}
