use std::path::Path;

use super::assemble::{MapFiles, Maps};
use super::listing::{Listing, by_id, first_number, folder, images_in};
use crate::{FolderSet, Layout, Result, Split};

pub(super) const LAYOUT: Layout = Layout::new("hrf", |root, split| FolderSet::hrf(root, split))
    .with_splits("of each class 01-04 / 05 / 06-15")
    .with_source("Budai et al., International Journal of Biomedical Imaging, 2013; CC BY 4.0");

const EXPECTED: &str = "HRF needs images, manual1 and mask; give the folder that holds them";

impl FolderSet {
    /// HRF (Budai et al., IJBI 2013): 45 photographs of 3504 × 2336 pixels, 15 each of healthy (`h`), glaucomatous (`g`) and
    /// diabetic (`dr`) eyes, with field of view.
    ///
    /// CC BY 4.0. Ids are `01_dr` to `15_h`. Splits: the first 5 of each class are for training, of which the 5th is for validation;
    /// the others are for test. Where only the first 5 are there, the test split is an error.
    ///
    /// # Errors
    /// A missing folder, image or partner, or an empty split, each as the [`Error`](crate::Error) that names it.
    pub fn hrf(root: impl AsRef<Path>, split: Split) -> Result<Self> {
        let root = root.as_ref();
        let id = |stem: &str| Some(stem.strip_suffix("_mask").unwrap_or(stem).to_lowercase());
        let photographs = images_in(&folder(root.join("images"), EXPECTED)?)?;
        let images = by_id(&photographs, id)?;
        let mut listings = vec![photographs];
        let mut required = |name: &str| -> Result<MapFiles> {
            let path = folder(root.join(name), EXPECTED)?;
            let listing = images_in(&path)?;
            let files = by_id(&listing, id)?;
            listings.push(listing);
            Ok(MapFiles::Required(path, files))
        };
        let maps = Maps {
            label: required("manual1")?,
            second_label: MapFiles::Absent,
            fov: required("mask")?,
        };
        let listings: Vec<&Listing> = listings.iter().collect();
        let wanted = |id: &str| match (split, first_number(id)) {
            (Split::Train, Some(number)) => number <= 4,
            (Split::Validation, Some(number)) => number == 5,
            (Split::Test, Some(number)) => number >= 6,
            (Split::All | Split::Fold(_) | Split::WithoutFold(_), _) => true,
            (_, None) => false,
        };
        FolderSet::assemble(images, maps, &listings, wanted)?
            .not_empty(
                "HRF",
                root,
                split,
                "of each class 01-04 are for training, 05 for validation, 06-15 for test; add the missing files, or take another split",
            )
    }
}
