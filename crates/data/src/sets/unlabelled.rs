use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::contents::{Look, holds_mask, look};
use super::left_out::{LeftOut, LeftOutReason};
use super::listing::{Listing, folder, images_below};
use super::order::natural_order;
use super::probes::Probes;
use super::roles::{is_map_folder, without_role};
use super::stem::{escaped, stem, text, without_extension};
use crate::{Error, FolderSet, Layout, Result, SampleFiles, Split};

pub(super) const LAYOUT: Layout = Layout::new("unlabelled", |root, split| match split {
    Split::Train | Split::All => FolderSet::unlabelled(root),
    Split::Fold(_) | Split::WithoutFold(_) | Split::Validation | Split::Test => {
        Err(Error::EmptySplit {
            dataset: "unlabelled",
            path: root.to_owned(),
            split: split.name(),
            reason: "all its photographs are for training; take 'train' or 'all'".to_owned(),
        })
    }
})
.with_splits("all / none / none");

impl FolderSet {
    /// All photographs in a folder and in the folders below it, of any mixture of formats.
    ///
    /// Ids are the paths below `root` without extension, with `/` between folders; where two files differ in extension
    /// alone, or a file would be called as another with its extension, they keep it.
    ///
    /// What is no photograph is left out, and named by [`left_out`](FolderSet::left_out):
    /// - files that neither are named like an image nor begin like one, and formats that are not read;
    /// - folders below `root` that are called as labels, masks or fields of view are (`mask`, `1st_manual`, `labels-ah`,
    ///   `Ground truth`, `fov`, `segmentation`, `av`, …) and hold images;
    /// - files that are named as the mask of a photograph beside them (`a.jpg`, `a_mask.png`);
    /// - images of at least 1,024 pixels that hold exactly two values, or black and white but for smooth edges between. Of JPEG
    ///   files, and large PNG files in colour, a few of every series of numbered names are looked into, and all of it where one of them
    ///   is a mask.
    ///
    /// A damaged file is an error when it is loaded; [`without_unreadable`](FolderSet::without_unreadable) finds and leaves out such
    /// files.
    ///
    /// ```
    /// use venule_data::{Dataset, FolderSet};
    /// let root = std::env::temp_dir().join("venule_doc_unlabelled");
    /// std::fs::create_dir_all(root.join("clinic"))?;
    /// image::RgbImage::new(4, 4).save(root.join("clinic/7.png"))?;
    /// std::fs::write(root.join("notes.txt"), "not an image")?;
    /// let photographs = FolderSet::unlabelled(&root)?;
    /// assert_eq!((photographs.len(), photographs.id(0)), (1, "clinic/7"));
    /// assert_eq!(photographs.to_string(), "1 photograph; 1 left out: notes.txt (not an image)");
    /// # std::fs::remove_dir_all(&root)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::MissingFolder`], [`Error::NoImages`], and [`Error::Io`] for a folder that cannot be listed.
    pub fn unlabelled(root: impl AsRef<Path>) -> Result<Self> {
        let root = folder(
            root.as_ref().to_owned(),
            "a folder of photographs was expected",
        )?;
        let is_map = |path: &Path| {
            let name = path.file_name().unwrap_or_default();
            is_map_folder(&name.to_string_lossy())
        };
        let mut probes = Probes::default();
        let listing = images_below(
            &root,
            |listing| leave_out_masks(listing, &mut probes),
            is_map,
        )?;
        let samples = samples(&root, &listing.images);
        Ok(Self::from_files(samples).with_left_out(listing.left_out))
    }
}

/// Takes the masks out of a folder's images.
fn leave_out_masks(listing: &mut Listing, probes: &mut Probes) {
    let roles: Vec<(String, bool)> = listing
        .images
        .iter()
        .map(|path| without_role(&stem(path)))
        .collect();
    let photographs: BTreeSet<&str> = roles
        .iter()
        .filter(|(_, is_map)| !is_map)
        .map(|(id, _)| id.as_str())
        .collect();
    // What the name does not tell is looked at.
    let looks: Vec<Option<Look>> = listing
        .images
        .par_iter()
        .zip(&roles)
        .map(|(path, (id, is_map))| {
            let named = *is_map && photographs.contains(id.as_str());
            (!named).then(|| look(path))
        })
        .collect();
    let probed: Vec<&PathBuf> = listing
        .images
        .iter()
        .zip(&looks)
        .filter(|(_, look)| **look == Some(Look::Probe))
        .map(|(path, _)| path)
        .collect();
    let probed_masks = probes.masks(&probed);
    let masks: Vec<bool> = listing
        .images
        .par_iter()
        .zip(&looks)
        .map(|(path, look)| match look {
            None => true,
            Some(Look::No) => false,
            Some(Look::Yes) => holds_mask(path),
            Some(Look::Probe) => probed_masks.contains(path),
        })
        .collect();
    let mut kept = Vec::with_capacity(listing.images.len());
    for (path, is_mask) in listing.images.drain(..).zip(masks) {
        match is_mask {
            true => listing
                .left_out
                .push(LeftOut::file(path, LeftOutReason::Mask)),
            false => kept.push(path),
        }
    }
    listing.images = kept;
}

/// Photographs with their ids.
fn samples(root: &Path, images: &[PathBuf]) -> Vec<SampleFiles> {
    let below = |path: &Path, name: fn(&std::ffi::OsStr) -> String| {
        let below = path.strip_prefix(root).unwrap_or(path);
        let parts: Vec<String> = below.iter().map(name).collect();
        parts.join("/")
    };
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for path in images {
        *taken.entry(below(path, text)).or_default() += 1;
    }
    let mut by_stem: BTreeMap<String, Vec<SampleFiles>> = BTreeMap::new();
    for path in images {
        let mut id = below(path, text);
        // Two names that differ in their Unicode form alone keep it.
        if taken.get(&id).is_some_and(|count| *count > 1) {
            id = below(path, escaped);
        }
        let stem = without_extension(&id).to_owned();
        let files = SampleFiles::unlabelled(id, path);
        by_stem.entry(stem).or_default().push(files);
    }
    let whole: BTreeSet<String> = by_stem.values().flatten().map(|f| f.id.clone()).collect();
    let mut samples = Vec::new();
    for (stem, mut alike) in by_stem {
        // `a.png.jpg` beside `a.png` keeps its extension too.
        if let [only] = alike.as_mut_slice()
            && (only.id == stem || !whole.contains(&stem))
        {
            only.id = stem;
        }
        samples.extend(alike);
    }
    samples.sort_by(|a, b| natural_order(&a.id, &b.id));
    samples
}
