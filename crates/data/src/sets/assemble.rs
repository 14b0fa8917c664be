//! Samples from the files that a layout finds by id.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::left_out::{LeftOut, LeftOutReason};
use super::listing::Listing;
use super::order::natural_order;
use crate::{Error, FolderSet, Reading, Result, SampleFiles};

impl FolderSet {
    /// Photographs by id with their maps by id. A required map without its photograph is an error like a photograph without
    /// its required map: a set that lacks photographs must not pass for the whole.
    /// Samples whose id is not wanted are left alone. Listed images of which none is made of are left out.
    pub(super) fn assemble(
        mut images: BTreeMap<String, PathBuf>,
        maps: Maps,
        listings: &[&Listing],
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Self> {
        let left_out = left_out(&images, &maps, listings);
        images.retain(|id, _| wanted(id));
        let folder = images.values().next().and_then(|image| image.parent());
        for files in [&maps.label, &maps.second_label, &maps.fov] {
            let lonely = |id: &str| wanted(id) && !images.contains_key(id);
            if let (MapFiles::Required(_, files), Some(folder)) = (files, folder)
                && let Some((id, file)) = files.iter().find(|(id, _)| lonely(id))
            {
                return Err(Error::MissingPartner {
                    file: file.clone(),
                    id: id.clone(),
                    folder: folder.to_owned(),
                });
            }
        }
        let mut samples = Vec::with_capacity(images.len());
        for (id, image) in images {
            samples.push(SampleFiles {
                label: maps.label.find(&id, &image)?,
                second_label: maps.second_label.find(&id, &image)?,
                fov: maps.fov.find(&id, &image)?,
                fov_diameter: None,
                reading: Reading::default(),
                id,
                image,
            });
        }
        samples.sort_by(|a, b| natural_order(&a.id, &b.id));
        Ok(Self::from_files(samples).with_left_out(left_out))
    }
}

/// What the folders hold beside the photographs and their maps.
fn left_out(
    images: &BTreeMap<String, PathBuf>,
    maps: &Maps,
    listings: &[&Listing],
) -> Vec<LeftOut> {
    let mut used: BTreeSet<&Path> = images.values().map(PathBuf::as_path).collect();
    for files in [&maps.label, &maps.second_label, &maps.fov] {
        if let MapFiles::Optional(files) | MapFiles::Required(_, files) = files {
            let paired = files.iter().filter(|(id, _)| images.contains_key(*id));
            used.extend(paired.map(|(_, path)| path.as_path()));
        }
    }
    let mut left_out = Vec::new();
    for listing in listings {
        let unused = listing
            .images
            .iter()
            .filter(|path| !used.contains(path.as_path()));
        left_out.extend(unused.map(|path| LeftOut::file(path, LeftOutReason::NotOfSet)));
        left_out.extend(listing.left_out.iter().cloned());
    }
    let mut seen = BTreeSet::new();
    left_out.retain(|left| seen.insert(left.path.clone()));
    left_out
}

/// The maps of one kind that a layout has.
#[derive(Default)]
pub(super) enum MapFiles {
    /// None at all.
    #[default]
    Absent,
    /// Some photographs may lack one.
    Optional(BTreeMap<String, PathBuf>),
    /// Each photograph must have one in this folder.
    Required(PathBuf, BTreeMap<String, PathBuf>),
}

impl MapFiles {
    fn find(&self, id: &str, image: &Path) -> Result<Option<PathBuf>> {
        match self {
            MapFiles::Absent => Ok(None),
            MapFiles::Optional(files) => Ok(files.get(id).cloned()),
            MapFiles::Required(folder, files) => match files.get(id) {
                Some(path) => Ok(Some(path.clone())),
                None => Err(Error::MissingPartner {
                    file: image.to_owned(),
                    id: id.to_owned(),
                    folder: folder.clone(),
                }),
            },
        }
    }
}

/// The maps of a layout.
#[derive(Default)]
pub(super) struct Maps {
    pub(super) label: MapFiles,
    pub(super) second_label: MapFiles,
    pub(super) fov: MapFiles,
}
