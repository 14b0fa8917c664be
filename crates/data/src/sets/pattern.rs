use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::assemble::{MapFiles, Maps};
use super::listing::{Listing, by_id, folder, images_in};
use super::stem::stem;
use crate::{Error, FolderSet, Result};

/// File names without extension in which `{id}` stands for the image's id, e.g. `{id}_manual2`.
///
/// ```
/// use venule_data::NamePattern;
/// let pattern: NamePattern = "pred_{id}_final".parse()?;
/// assert_eq!(pattern.id("pred_07_final"), Some("07"));
/// assert_eq!(pattern.id("07"), None);
/// assert!("no place for it".parse::<NamePattern>().is_err());
/// assert!("{id}_of_{id}".parse::<NamePattern>().is_err());
/// # Ok::<(), venule_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern {
    before: String,
    after: String,
}

impl NamePattern {
    /// The id in a file name without extension, if it follows the pattern.
    pub fn id<'a>(&self, stem: &'a str) -> Option<&'a str> {
        let id = stem.strip_prefix(&self.before)?.strip_suffix(&self.after)?;
        (!id.is_empty()).then_some(id)
    }

    /// What a folder holds, and of it the files that follow the pattern, by id.
    fn files(&self, path: &Path) -> Result<(Listing, BTreeMap<String, PathBuf>)> {
        let path = folder(path.to_owned(), "a folder of images")?;
        let listing = images_in(&path)?;
        let files = by_id(&listing, |stem| self.id(stem).map(str::to_owned))?;
        if files.is_empty() {
            let example = listing.images.first().map(|image| stem(image));
            return Err(Error::NoneOfPattern {
                pattern: format!("{}{{id}}{}", self.before, self.after),
                example: example.unwrap_or_default(),
                path,
            });
        }
        Ok((listing, files))
    }
}

impl Default for NamePattern {
    /// `{id}`: the whole name.
    fn default() -> Self {
        Self {
            before: String::new(),
            after: String::new(),
        }
    }
}

impl FromStr for NamePattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split("{id}").collect();
        match parts.as_slice() {
            [before, after] => Ok(Self {
                before: (*before).to_owned(),
                after: (*after).to_owned(),
            }),
            _ => Err(Error::InvalidConfig {
                field: "NamePattern",
                found: format!("'{text}'"),
                expected: "a file name without extension that holds {id} once, such as {id}_manual2",
            }),
        }
    }
}

impl FolderSet {
    /// As [`FolderSet::new`], with the files of each folder paired by the ids in their names; files that do not follow their
    /// folder's pattern are left out.
    ///
    /// # Errors
    /// [`Error::MissingFolder`], [`Error::NoImages`], [`Error::NoneOfPattern`], [`Error::AmbiguousId`], and
    /// [`Error::MissingPartner`] for an image without its mask or field of view, or either without its image.
    pub fn by_patterns(
        images: (&Path, &NamePattern),
        masks: (&Path, &NamePattern),
        fovs: Option<(&Path, &NamePattern)>,
    ) -> Result<Self> {
        let (photographs, files) = images.1.files(images.0)?;
        let (label_files, labels) = masks.1.files(masks.0)?;
        let mut listings = vec![photographs, label_files];
        let fov = match fovs {
            Some((path, pattern)) => {
                let (listing, files) = pattern.files(path)?;
                listings.push(listing);
                MapFiles::Required(path.to_owned(), files)
            }
            None => MapFiles::Absent,
        };
        let maps = Maps {
            label: MapFiles::Required(masks.0.to_owned(), labels),
            second_label: MapFiles::Absent,
            fov,
        };
        let listings: Vec<&Listing> = listings.iter().collect();
        FolderSet::assemble(files, maps, &listings, |_| true)
    }
}
