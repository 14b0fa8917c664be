use std::path::Path;

use super::listing::folder;
use crate::{FolderSet, Result, Split};

const LAYOUT: &str = "FIVES needs train/{Original,Ground truth} and test/{Original,Ground truth}; give the folder that holds 'train' and 'test'";

impl FolderSet {
    /// FIVES (Jin et al., Scientific Data 2022): 600 photographs for training and 200 for test, 2048 × 2048 pixels, no field of view.
    ///
    /// Ids are the file names' stems, e.g. `28_A`; where a split takes both parts, with `train_` or `test_` before them. Splits: the
    /// last fifth of `train` is for validation.
    ///
    /// # Errors
    /// A missing folder, image or partner, or an empty split, each as the [`Error`](crate::Error) that names it.
    pub fn fives(root: impl AsRef<Path>, split: Split) -> Result<Self> {
        let part = |root: &Path| {
            FolderSet::new(
                folder(root.join("Original"), LAYOUT)?,
                Some(folder(root.join("Ground truth"), LAYOUT)?),
                None,
            )
        };
        train_and_test("FIVES", root.as_ref(), split, part)
    }
}

/// Opens the parts `train` and `test` of a layout as far as the split needs them.
pub(super) fn train_and_test(
    dataset: &'static str,
    root: &Path,
    split: Split,
    part: impl Fn(&Path) -> Result<FolderSet>,
) -> Result<FolderSet> {
    let mut samples = FolderSet::from_files(Vec::new());
    // Everything there is may be one part alone.
    let alone = |name: &str, other: &str| {
        split.takes_all() && !root.join(other).is_dir() && root.join(name).is_dir()
    };
    if split.touches_train() && !alone("test", "train") {
        samples = part(&root.join("train"))?.train_part(split);
    }
    if split.touches_test() && !alone("train", "test") {
        let test = part(&root.join("test"))?;
        // The two parts may number their images alike.
        samples = match split.takes_all() {
            true => samples
                .with_id_prefix("train_")
                .join(test.with_id_prefix("test_")),
            false => test,
        };
    }
    samples.not_empty(
        dataset,
        root,
        split,
        "the last fifth of 'train' is for validation, which takes two images at least; add images or take another split",
    )
}
