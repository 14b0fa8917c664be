use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::listing::{folder, images_in, subfolder};
use super::pairing::pair;
use super::parts::train_and_test;
use super::stem::stem;
use crate::{Error, FolderSet, Layout, Result, SampleFiles, Split};

pub(super) const LAYOUT: Layout =
    Layout::new("folder", |root, split| FolderSet::folder(root, split))
        .with_splits("'train', or all, less the last fifth / the last fifth / 'test', or none");

const EXPECTED: &str = "a folder data set needs images, masks and, where known, fovs, either directly or in each of 'train' and 'test'";

const IMAGES: [&str; 4] = ["images", "image", "imgs", "img"];
const MASKS: [&str; 4] = ["masks", "mask", "labels", "label"];
const FOVS: [&str; 2] = ["fovs", "fov"];

impl FolderSet {
    /// Photographs of one folder, with masks of vessels and of fields of view from two others where given.
    ///
    /// Ids are the photographs' stems (file names without extension). A photograph and a mask belong together
    ///
    /// 1. if their stems are equal (`a.jpg`, `a.png`); else
    /// 2. if they are equal once words for the file's role are taken off their ends, such as `_training`, `_test`,
    ///    `_manual1`, `_mask`, `_label`, `_gt`, `_1stHO`, `_prediction`, `_probability`, in any case (`21_training.tif`, `21_manual1.gif`); else
    /// 3. if the stems' leading tokens, up to the first `_`, `-`, `.` or blank, are equal (`7_left_eye.png`, `7-vessels.png`) and
    ///    what follows, less such words, does not say two different things. `0_left.png` and `0_right_label.png` do, and so do
    ///    `p1_1_2.png` and `p1_2_1_mask.png`: order counts. `left`, `l`, `os` and `right`, `r`, `od` mean the same.
    ///
    /// The first rule that gives every photograph one mask, and every mask one photograph, is taken for the whole folder. Names are
    /// compared in Unicode NFC; bytes that are no UTF-8 stand in ids as `\xe8`.
    ///
    /// # Errors
    /// [`Error::MissingFolder`], [`Error::NoImages`], [`Error::AmbiguousId`] for two photographs of one stem,
    /// [`Error::Unpaired`], naming both folders, where no rule fits.
    pub fn new(
        images: impl AsRef<Path>,
        masks: Option<PathBuf>,
        fovs: Option<PathBuf>,
    ) -> Result<Self> {
        let images = folder(
            images.as_ref().to_owned(),
            "a folder of photographs was expected",
        )?;
        let photographs = images_in(&images)?;
        let mut seen = HashMap::new();
        for path in &photographs.images {
            let id = stem(path);
            if let Some(first) = seen.insert(id.clone(), path) {
                return Err(Error::AmbiguousId {
                    id,
                    first: first.clone(),
                    second: path.clone(),
                });
            }
        }
        let mut left_out = photographs.left_out.clone();
        let mut partners = |of: Option<PathBuf>| -> Result<Vec<Option<PathBuf>>> {
            match of {
                None => Ok(vec![None; photographs.images.len()]),
                Some(path) => {
                    let masks = images_in(&folder(path, "a folder of masks was expected")?)?;
                    let found = pair(&photographs, &masks)?;
                    left_out.extend(masks.left_out);
                    Ok(found.into_iter().map(Some).collect())
                }
            }
        };
        let (labels, fovs) = (partners(masks)?, partners(fovs)?);
        let samples = photographs.images.iter().zip(labels).zip(fovs);
        let samples = samples.map(|((path, label), fov)| SampleFiles {
            label,
            fov,
            ..SampleFiles::unlabelled(stem(path), path)
        });
        Ok(Self::from_files(samples.collect()).with_left_out(left_out))
    }

    /// A folder with subfolders `images`, `masks` and, optionally, `fovs`, or with these in each of `train` and `test`.
    ///
    /// Also `image`, `mask`, `fov`, `labels`, … in any case; files are paired as by [`FolderSet::new`]. Splits: the last
    /// fifth of `train`, or of everything if there is no `train`, is for validation.
    ///
    /// # Errors
    /// Those of [`FolderSet::new`]; [`Error::EmptySplit`], e.g. for the test split where there is neither `train` nor `test`;
    /// [`Error::MissingFolder`] for the test split where there is `train` alone.
    pub fn folder(root: impl AsRef<Path>, split: Split) -> Result<Self> {
        let root = folder(root.as_ref().to_owned(), EXPECTED)?;
        if root.join("train").is_dir() || root.join("test").is_dir() {
            return train_and_test("folder", &root, split, part);
        }
        let rule = "without subfolders 'train' and 'test' the last fifth (of two images at least) is for validation and nothing for test; take another split or make these subfolders";
        match split {
            Split::Test => Self::from_files(Vec::new()),
            _ => part(&root)?.train_part(split),
        }
        .not_empty("folder", &root, split, rule)
    }
}

fn part(root: &Path) -> Result<FolderSet> {
    let named = |names: &[&str]| {
        subfolder(root, names).ok_or_else(|| Error::MissingFolder {
            path: root.join(names[0]),
            expected: EXPECTED.to_owned(),
        })
    };
    FolderSet::new(
        named(&IMAGES)?,
        Some(named(&MASKS)?),
        subfolder(root, &FOVS),
    )
}
