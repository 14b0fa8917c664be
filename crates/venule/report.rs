//! What an evaluation says, as tables, curves, files of numbers and one HTML page.

use std::fmt;

use venule_data::Split;

use crate::Evaluated;

pub use serde_json;

mod chart;
mod csv;
mod html;
mod json;
mod overview;
mod paired;
mod pictures;
mod table;

pub use chart::{precision_recall_svg, reliability_svg, roc_svg};
pub use csv::{images_csv, matrix_csv, systems_csv};
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
