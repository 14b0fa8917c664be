use std::path::Path;

use super::assemble::{MapFiles, Maps};
use super::listing::{Listing, by_id, first_number, folder, images_in};
use crate::{FolderSet, Layout, Result, Split};

pub(super) const LAYOUT: Layout = Layout::new("drive", |root, split| FolderSet::drive(root, split))
    .with_splits("21-36 / 37-40 / 01-20")
    .with_source("Staal et al., IEEE Transactions on Medical Imaging, 2004; research use, no redistribution licence");

const EXPECTED: &str = "DRIVE needs training/{images,1st_manual,mask} and test/{images,mask}; give the folder that holds 'training' and 'test'";

impl FolderSet {
    /// DRIVE (Staal et al., IEEE TMI 2004): 40 photographs of 565 × 584 pixels with field of view, as published.
    ///
    /// Research use; no redistribution licence. Ids are the numbers, `01` to `40`. Splits: 21–36 train, 37–40 validation, 01–20 test. Test images have no label
    /// where the folder `test/1st_manual` is absent (the site withholds it today), and a second label where `2nd_manual` is there.
    ///
    /// # Errors
    /// A missing folder, image or partner, or an empty split, each as the [`Error`](crate::Error) that names it.
    pub fn drive(root: impl AsRef<Path>, split: Split) -> Result<Self> {
        let root = root.as_ref();
        let mut samples = FolderSet::from_files(Vec::new());
        // The order of the ids: 01-20 are the test images.
        if split.touches_test() {
            samples = samples.join(part(root, "test", false)?);
        }
        if split.touches_train() {
            let held_out = |id: &str| matches!(first_number(id), Some(37..=40));
            samples = samples.join(part(root, "training", true)?.retain(|id| match split {
                Split::Train => !held_out(id),
                Split::Validation => held_out(id),
                Split::Test | Split::All | Split::Fold(_) | Split::WithoutFold(_) => true,
            }));
        }
        let rule =
            "21-36 are for training, 37-40 for validation, 01-20 for test; add the missing files";
        // A photograph copied from one part to the other would be trained and tested on.
        samples.unambiguous()?.not_empty("DRIVE", root, split, rule)
    }
}

fn part(root: &Path, name: &str, label_required: bool) -> Result<FolderSet> {
    let id = |stem: &str| stem.split('_').next().map(str::to_owned);
    let root = root.join(name);
    let photographs = images_in(&folder(root.join("images"), EXPECTED)?)?;
    let images = by_id(&photographs, id)?;
    let mut listings = vec![photographs];
    let mut maps = |name: &str, required: bool| -> Result<MapFiles> {
        let path = root.join(name);
        if !required && !path.is_dir() {
            return Ok(MapFiles::Absent);
        }
        let listing = images_in(&folder(path.clone(), EXPECTED)?)?;
        let files = by_id(&listing, id)?;
        listings.push(listing);
        Ok(MapFiles::Required(path, files))
    };
    let maps = Maps {
        label: maps("1st_manual", label_required)?,
        second_label: maps("2nd_manual", false)?,
        fov: maps("mask", true)?,
    };
    let listings: Vec<&Listing> = listings.iter().collect();
    FolderSet::assemble(images, maps, &listings, |_| true)
}
