use std::fmt;

use serde::{Deserialize, Serialize};
use venule_data::{Checksum, Dataset};

use crate::Result;

/// An image by name and content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct ImageRecord {
    /// Its id, with the name of its data set before it where a run file names one: `drive_21`.
    pub name: String,
    /// The checksum of its content ([`Dataset::checksum`]); files of version 0.1 do not have it.
    pub checksum: Option<Checksum>,
}

/// An image as files have it; those of version 0.1 have its name alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Name(String),
    Record {
        name: String,
        #[serde(default)]
        checksum: Option<Checksum>,
    },
}

impl From<Written> for ImageRecord {
    fn from(written: Written) -> Self {
        let (name, checksum) = match written {
            Written::Name(name) => (name, None),
            Written::Record { name, checksum } => (name, checksum),
        };
        Self { name, checksum }
    }
}

impl ImageRecord {
    /// Those of a data set, each name behind `prefix`; samples that are [drawn](Dataset::drawn) anew for every epoch are no images that
    /// could be named.
    ///
    /// # Errors
    /// If an image cannot be read.
    pub fn of(dataset: &dyn Dataset, prefix: &str) -> Result<Vec<Self>> {
        let image = |index| {
            Ok(Self {
                name: format!("{prefix}{}", dataset.id(index)),
                checksum: Some(dataset.checksum(index)?),
            })
        };
        let stay = (0..dataset.len()).filter(|&index| dataset.drawn(index).is_none());
        stay.map(image).collect()
    }
}

/// Whether an image is one of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// The list is of version 0.1, which kept names alone, and this name is not among them.
    Unknown,
}

/// Where weights come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The images they were trained on.
    #[serde(alias = "data")]
    pub images: Vec<ImageRecord>,
    /// The photographs that they learned from without labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unlabelled: Vec<ImageRecord>,
    /// What drew further photographs for them, in words: synthetic ones, new in every epoch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drawn: Vec<String>,
    /// The images that the stored threshold was chosen on. None where it was given, or no validation has chosen one.
    #[serde(default)]
    pub threshold_images: Vec<ImageRecord>,
    /// The trained models that taught them, if any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teachers: Vec<String>,
    /// The weights file that training started from, if any.
    pub pretrained: Option<String>,
    /// Seed of the run.
    pub seed: u64,
    /// Version of this crate.
    pub version: String,
}

impl Provenance {
    /// Weights trained by this version, whose threshold nothing has chosen yet.
    pub fn new(images: Vec<ImageRecord>, pretrained: Option<String>, seed: u64) -> Self {
        Self {
            images,
            unlabelled: Vec::new(),
            drawn: Vec::new(),
            threshold_images: Vec::new(),
            teachers: Vec::new(),
            pretrained,
            seed,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Weights to be trained on a data set: its images by name, and what draws its other samples.
    #[cfg(feature = "train")]
    pub(crate) fn of(dataset: &dyn Dataset, seed: u64) -> Result<Self> {
        let mut provenance = Self::new(ImageRecord::of(dataset, "")?, None, seed);
        for name in (0..dataset.len()).filter_map(|index| dataset.drawn(index)) {
            if provenance.drawn.iter().all(|known| known != name) {
                provenance.drawn.push(name.to_owned());
            }
        }
        Ok(provenance)
    }

    /// Whether the weights were trained on an image, with its label or without: its content decides, whatever its name. Where a file of version 0.1 kept names
    /// alone, an equal name says yes, and another nothing.
    ///
    /// ```
    /// use venule::data::{InMemory, Sample};
    /// use venule::image::{Rgb, RgbImage};
    /// use venule::{ImageRecord, Provenance, Seen};
    /// let photo = |gray| RgbImage::from_pixel(4, 4, Rgb([gray; 3]));
    /// let set = |id: &str, gray| InMemory::new(vec![Sample::unlabelled(id, photo(gray))]);
    /// let provenance = Provenance::new(ImageRecord::of(&set("a", 1), "")?, None, 0);
    /// let (renamed, another) = (ImageRecord::of(&set("b", 1), "")?, ImageRecord::of(&set("a", 2), "")?);
    /// assert_eq!(provenance.trained_on(&renamed[0]), Seen::Yes);
    /// assert_eq!(provenance.trained_on(&another[0]), Seen::No);
    /// # Ok::<(), venule::Error>(())
    /// ```
    pub fn trained_on(&self, image: &ImageRecord) -> Seen {
        among(self.images.iter().chain(&self.unlabelled), image)
    }

    /// Whether the stored threshold was chosen on an image, as [`trained_on`](Self::trained_on).
    pub fn chose_threshold_on(&self, image: &ImageRecord) -> Seen {
        among(self.threshold_images.iter(), image)
    }
}

fn among<'a>(images: impl Iterator<Item = &'a ImageRecord>, image: &ImageRecord) -> Seen {
    let mut unsure = false;
    for known in images {
        match (known.checksum, image.checksum) {
            (Some(known), Some(sum)) if known == sum => return Seen::Yes,
            (Some(_), Some(_)) => {}
            _ if known.name == image.name => return Seen::Yes,
            _ => unsure = true,
        }
    }
    match unsure {
        true => Seen::Unknown,
        false => Seen::No,
    }
}

impl fmt::Display for ImageRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_version_0_1_tell_what_is_equal_and_no_more() {
        let old = r#"{"data": ["drive_21"], "pretrained": null, "seed": 3, "version": "0.1.0"}"#;
        let provenance: Provenance = serde_json::from_str(old).unwrap();
        assert_eq!(provenance.images[0].name, "drive_21");
        let image = |name: &str| ImageRecord {
            name: name.to_owned(),
            checksum: None,
        };
        assert_eq!(provenance.trained_on(&image("drive_21")), Seen::Yes);
        assert_eq!(provenance.trained_on(&image("drive_22")), Seen::Unknown);
        assert_eq!(provenance.chose_threshold_on(&image("drive_21")), Seen::No);
        let text = serde_json::to_string(&provenance).unwrap();
        assert_eq!(
            serde_json::from_str::<Provenance>(&text).unwrap(),
            provenance
        );
    }
}
