use std::collections::BTreeMap;

use venule::metrics::{PairedTest, paired_permutation_test};

use super::Entry;
use crate::Result;

const PERMUTATIONS: usize = 1 << 20;

/// The difference in F1 per image between two systems on the images of a data set that both have seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paired {
    /// Index of the first system among the entries.
    pub a: usize,
    /// Index of the second.
    pub b: usize,
    /// Number of images that both systems have an F1 on.
    pub images: usize,
    /// The test of a − b.
    pub test: PairedTest,
}

/// A paired permutation test of each two systems that saw images of one data set.
///
/// # Errors
/// None for the results of an evaluation.
pub fn paired_tests(entries: &[Entry], seed: u64) -> Result<Vec<Paired>> {
    let mut tests = Vec::new();
    for (a, first) in entries.iter().enumerate() {
        for (b, second) in entries.iter().enumerate().skip(a + 1) {
            // Names of images mean something within a data set only, and figures within a protocol.
            if first.dataset != second.dataset
                || first.split != second.split
                || first.evaluated.protocol != second.evaluated.protocol
            {
                continue;
            }
            let by_id = scores(second).collect::<BTreeMap<_, _>>();
            let (x, y): (Vec<f64>, Vec<f64>) = scores(first)
                .filter_map(|(id, f1)| Some((f1, *by_id.get(id)?)))
                .unzip();
            if !x.is_empty() {
                tests.push(Paired {
                    a,
                    b,
                    images: x.len(),
                    test: paired_permutation_test(&x, &y, PERMUTATIONS, seed)?,
                });
            }
        }
    }
    Ok(tests)
}

/// The images with a defined F1.
fn scores(entry: &Entry) -> impl Iterator<Item = (&str, f64)> {
    let rows = entry.evaluated.rows.iter();
    let rows = rows.zip(&entry.evaluated.report.per_image);
    rows.filter_map(|(row, scores)| Some((row.id.as_str(), scores.get("f1")?)))
}
