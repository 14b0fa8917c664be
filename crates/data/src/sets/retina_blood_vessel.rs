use std::path::Path;

use super::listing::folder;
use super::parts::train_and_test;
use crate::{FolderSet, Layout, Result, Split};

pub(super) const LAYOUT: Layout = Layout::new("retina_blood_vessel", |root, split| {
    FolderSet::retina_blood_vessel(root, split)
})
.with_splits("'train' less its last fifth / its last fifth / 'test'")
.with_source(
    "made of DRIVE: cite Staal et al., IEEE Transactions on Medical Imaging, 2004; research use",
);

const EXPECTED: &str = "Retina Blood Vessel needs train/{image,mask} and test/{image,mask}; give the folder that holds 'train' and 'test'";

impl FolderSet {
    /// The "Retina Blood Vessel" set: 80 photographs for training and 20 for test, 512 × 512 pixels, no field of view.
    ///
    /// It is DRIVE, resized and augmented: never train on the one and test on the other. Its masks hold all gray levels.
    /// Ids are the numbers. Splits: the last fifth of `train` is for validation.
    ///
    /// # Errors
    /// A missing folder, image or partner, or an empty split, each as the [`Error`](crate::Error) that names it.
    pub fn retina_blood_vessel(root: impl AsRef<Path>, split: Split) -> Result<Self> {
        let part = |root: &Path| {
            FolderSet::new(
                folder(root.join("image"), EXPECTED)?,
                Some(folder(root.join("mask"), EXPECTED)?),
                None,
            )
        };
        train_and_test("Retina Blood Vessel", root.as_ref(), split, part)
    }
}
