//! What an evaluation says, as tables, curves and one HTML page.

mod chart;
mod html;
mod table;

pub use chart::{precision_recall_svg, reliability_svg, roc_svg};
pub use html::{Picture, Rank, html, ranked_images};
pub use table::{csv, markdown};

use crate::Evaluated;

/// A system's results on a data set, with the names under which a report shows them.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The system: a weights file, an annotator.
    pub system: String,
    /// The data set.
    pub dataset: String,
    /// What it came to.
    pub evaluated: Evaluated,
}

impl Entry {
    /// Whether the system gives probabilities rather than a finished mask, so that curves say something.
    fn is_ranked(&self) -> bool {
        let bins = &self.evaluated.report.calibration.bins;
        bins.iter().filter(|bin| bin.count > 0).count() > 2
    }
}

/// Text for XML: the five characters with a meaning of their own are written as entities.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
