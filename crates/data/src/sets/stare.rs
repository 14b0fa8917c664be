use std::path::Path;

use super::assemble::{MapFiles, Maps};
use super::listing::{Listing, by_id, folder, images_in};
use crate::{FolderSet, Layout, Result, Split};

pub(super) const LAYOUT: Layout = Layout::new("stare", |root, split| FolderSet::stare(root, split))
    .with_splits("first 8 of the 20 labelled / next 2 / last 10")
    .with_source("Hoover et al., IEEE Transactions on Medical Imaging, 2000; research use, no redistribution licence");

const EXPECTED: &str = "STARE needs stare-images, labels-ah and, for the second annotator, labels-vk; give the folder that holds them";

/// The 20 photographs with labels.
const IDS: [&str; 20] = [
    "im0001", "im0002", "im0003", "im0004", "im0005", "im0044", "im0077", "im0081", "im0082",
    "im0139", "im0162", "im0163", "im0235", "im0236", "im0239", "im0240", "im0255", "im0291",
    "im0319", "im0324",
];

impl FolderSet {
    /// STARE (Hoover et al., IEEE TMI 2000): 20 photographs of 700 × 605 pixels, `.ppm` or `.ppm.gz`, no field of view.
    ///
    /// Research use; no redistribution licence. The label is A. Hoover's (`ah`), the second label V. Kouznetsova's (`vk`). Ids are `im0001` to `im0324`; photographs
    /// beyond the 20 labelled ones are left out. Splits: the first 10 are for training, of which the last 2 are for
    /// validation; the other 10 are for test. [`Split::Fold`] and [`Split::WithoutFold`] are the other usual
    /// protocol, leave-one-out.
    ///
    /// # Errors
    /// A missing folder or first label, or an empty split, each as the [`Error`](crate::Error) that names it.
    pub fn stare(root: impl AsRef<Path>, split: Split) -> Result<Self> {
        let root = root.as_ref();
        let id = |stem: &str| {
            let id = stem.split('.').next()?;
            IDS.contains(&id).then(|| id.to_owned())
        };
        let photographs = images_in(&folder(root.join("stare-images"), EXPECTED)?)?;
        let images = by_id(&photographs, id)?;
        let mut listings = vec![photographs];
        let mut maps = |path: &Path| -> Result<_> {
            let listing = images_in(path)?;
            let files = by_id(&listing, id)?;
            listings.push(listing);
            Ok(files)
        };
        let first = folder(root.join("labels-ah"), EXPECTED)?;
        let second = root.join("labels-vk");
        let maps = Maps {
            label: MapFiles::Required(first.clone(), maps(&first)?),
            second_label: match second.is_dir() {
                true => MapFiles::Optional(maps(&second)?),
                false => MapFiles::Absent,
            },
            fov: MapFiles::Absent,
        };
        let listings: Vec<&Listing> = listings.iter().collect();
        let wanted = match split {
            Split::Train => &IDS[..8],
            Split::Validation => &IDS[8..10],
            Split::Test => &IDS[10..],
            Split::All | Split::Fold(_) | Split::WithoutFold(_) => &IDS[..],
        };
        FolderSet::assemble(images, maps, &listings, |id| wanted.contains(&id))?
            .not_empty(
                "STARE",
                root,
                split,
                "im0001-im0081 are for training, im0082 and im0139 for validation, im0162-im0324 for test; add the missing files, or take all of it",
            )
    }
}
