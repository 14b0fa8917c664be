//! How labels are read, as flags say it, and what is said of files that were read.

use clap::Args;
use venule::data::{FolderSet, LabelValue, LeftOutReason, Reading};

use crate::output::say;

/// Flags of every subcommand that reads labels.
#[derive(Args)]
pub struct ReadingArgs {
    /// A value of labels that counts as vessel: a gray level (128) or a colour (128,0,0 or '#800000'); may be repeated, for classes
    /// [default: whatever is meant where that is unambiguous]
    #[arg(long, value_name = "VALUE")]
    pub label_value: Vec<LabelValue>,
    /// Accept labels that mark no pixel
    #[arg(long)]
    pub allow_empty_labels: bool,
    /// Accept labels that mark more than half of the field of view
    #[arg(long)]
    pub allow_majority_labels: bool,
}

impl ReadingArgs {
    /// As the readers take them.
    pub fn reading(&self) -> Reading {
        Reading::default()
            .label_values(self.label_value.clone())
            .allow_empty(self.allow_empty_labels)
            .allow_majority(self.allow_majority_labels)
    }
}

/// Says what is left out of the folders of a data set, unless it is nothing but files of the system.
pub fn say_left_out(indent: &str, files: &FolderSet) {
    let left_out = files.left_out().iter();
    if left_out
        .filter(|left| left.reason != LeftOutReason::System)
        .count()
        > 0
    {
        say!("{indent}{files}");
    }
}

/// Says what was understood of the files that were read; each text.
pub fn say_notes(indent: &str, files: &FolderSet) -> Vec<String> {
    let notes = files.notes().into_iter().map(|note| note.to_string());
    let notes: Vec<String> = notes.collect();
    notes.iter().for_each(|note| say!("{indent}{note}"));
    notes
}
