use std::path::Path;

use super::listing::folder;
use super::parts::train_and_test;
use crate::{FolderSet, Layout, Result, Split};

pub(super) const LAYOUT: Layout = Layout::new("fives", |root, split| FolderSet::fives(root, split))
    .with_splits("'train' less its last fifth / its last fifth / 'test'")
    .with_source("Jin et al., Scientific Data, 2022; CC BY 4.0");

const EXPECTED: &str = "FIVES needs train/{Original,Ground truth} and test/{Original,Ground truth}; give the folder that holds 'train' and 'test'";

impl FolderSet {
    /// FIVES (Jin et al., Scientific Data 2022): 600 photographs for training and 200 for test, 2048 × 2048 pixels, no field of view.
    ///
    /// CC BY 4.0. Ids are the file names' stems, e.g. `28_A`; where a split takes both parts, with `train_` or `test_` before them. Splits: the
    /// last fifth of `train` is for validation.
    ///
    /// # Errors
    /// A missing folder, image or partner, or an empty split, each as the [`Error`](crate::Error) that names it.
    pub fn fives(root: impl AsRef<Path>, split: Split) -> Result<Self> {
        let part = |root: &Path| {
            FolderSet::new(
                folder(root.join("Original"), EXPECTED)?,
                Some(folder(root.join("Ground truth"), EXPECTED)?),
                None,
            )
        };
        train_and_test("FIVES", root.as_ref(), split, part)
    }
}
