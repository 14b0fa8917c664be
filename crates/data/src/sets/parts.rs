use std::path::Path;

use crate::{FolderSet, Result, Split};

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
