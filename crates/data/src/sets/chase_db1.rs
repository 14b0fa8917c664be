use std::path::Path;

use super::assemble::{MapFiles, Maps};
use super::listing::{by_id, first_number, folder, images_in};
use crate::{FolderSet, Layout, Result, Split};

pub(super) const LAYOUT: Layout =
    Layout::new("chase_db1", |root, split| FolderSet::chase_db1(root, split))
        .with_splits("01L-03R / 04L, 04R / 05L-14R")
        .with_source("Fraz et al., IEEE Transactions on Biomedical Engineering, 2012; CC BY 4.0");

const EXPECTED: &str = "CHASE_DB1 is one folder of Image_01L.jpg, Image_01L_1stHO.png, Image_01L_2ndHO.png, Image_01R.jpg, ...";

impl FolderSet {
    /// CHASE_DB1 (Fraz et al., IEEE TBME 2012): both eyes of 14 children, 999 × 960 pixels, two annotators, no field of view.
    ///
    /// Fraz et al., "An ensemble classification-based approach applied to retinal blood vessel segmentation"; CC BY 4.0.
    /// Ids are `Image_01L` to `Image_14R`. Splits: the first 8 images are for training, of which the last 2 (04L, 04R) are
    /// for validation; the other 20 are for test. Both eyes of a child are in one split.
    ///
    /// # Errors
    /// A missing folder, image or first label, or an empty split, each as the [`Error`](crate::Error) that names it.
    pub fn chase_db1(root: impl AsRef<Path>, split: Split) -> Result<Self> {
        let root = folder(root.as_ref().to_owned(), EXPECTED)?;
        let listing = images_in(&root)?;
        let labels = |ending: &str| {
            by_id(&listing, |stem| {
                stem.strip_suffix(ending).map(str::to_owned)
            })
        };
        let images = by_id(&listing, |stem| {
            let is_image = stem.starts_with("Image_") && !stem.ends_with("HO");
            is_image.then(|| stem.to_owned())
        })?;
        let maps = Maps {
            label: MapFiles::Required(root.clone(), labels("_1stHO")?),
            second_label: MapFiles::Optional(labels("_2ndHO")?),
            fov: MapFiles::Absent,
        };
        let wanted = |id: &str| match (split, first_number(id)) {
            (Split::Train, Some(child)) => child <= 3,
            (Split::Validation, Some(child)) => child == 4,
            (Split::Test, Some(child)) => child >= 5,
            (Split::All | Split::Fold(_) | Split::WithoutFold(_), _) => true,
            (_, None) => false,
        };
        FolderSet::assemble(images, maps, &[&listing], wanted)?
            .not_empty(
                "CHASE_DB1",
                &root,
                split,
                "children 01-03 are for training, 04 for validation, 05-14 for test; add the missing files (Image_01L.jpg, ...)",
            )
    }
}
