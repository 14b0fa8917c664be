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
    /// Those of a data set, each name behind `prefix`.
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
        (0..dataset.len()).map(image).collect()
    }
}

/// Whether an image is one of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// The list is of version 0.1, which kept names alone: it cannot be known.
    Unknown,
}

/// Where weights come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The images they were trained on.
    #[serde(alias = "data")]
    pub images: Vec<ImageRecord>,
    /// The images that the stored threshold was chosen on. None where it was given, or no validation has chosen one.
    #[serde(default)]
    pub threshold_images: Vec<ImageRecord>,
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
            threshold_images: Vec::new(),
            pretrained,
            seed,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Whether the weights were trained on the image of this content, under whatever name.
    ///
    /// ```
    /// use venule::data::{Dataset, InMemory, Sample};
    /// use venule::{ImageRecord, Provenance, Seen};
    /// let photo = |gray| image::RgbImage::from_pixel(4, 4, image::Rgb([gray; 3]));
    /// # use venule::image;
    /// let set = InMemory::new(vec![Sample::unlabelled("a", photo(1)), Sample::unlabelled("b", photo(2))]);
    /// let trained = InMemory::new(vec![Sample::unlabelled("renamed", photo(1))]);
    /// let provenance = Provenance::new(ImageRecord::of(&trained, "")?, None, 0);
    /// assert_eq!(provenance.trained_on(set.checksum(0)?), Seen::Yes);
    /// assert_eq!(provenance.trained_on(set.checksum(1)?), Seen::No);
    /// # Ok::<(), venule::Error>(())
    /// ```
    pub fn trained_on(&self, checksum: Checksum) -> Seen {
        among(&self.images, checksum)
    }

    /// Whether the stored threshold was chosen on the image of this content.
    pub fn chose_threshold_on(&self, checksum: Checksum) -> Seen {
        among(&self.threshold_images, checksum)
    }
}

fn among(images: &[ImageRecord], checksum: Checksum) -> Seen {
    let mut known = images.iter().map(|image| image.checksum);
    match known.clone().any(|other| other == Some(checksum)) {
        true => Seen::Yes,
        false if known.any(|other| other.is_none()) => Seen::Unknown,
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
    fn names_of_version_0_1_are_read_and_cannot_tell() {
        let old = r#"{"data": ["drive_21"], "pretrained": null, "seed": 3, "version": "0.1.0"}"#;
        let provenance: Provenance = serde_json::from_str(old).unwrap();
        assert_eq!(provenance.images[0].name, "drive_21");
        let sum: Checksum = "ba7816bf8f01cfea414140de5dae2223".parse().unwrap();
        assert_eq!(provenance.trained_on(sum), Seen::Unknown);
        assert_eq!(provenance.chose_threshold_on(sum), Seen::No);
        let text = serde_json::to_string(&provenance).unwrap();
        assert_eq!(
            serde_json::from_str::<Provenance>(&text).unwrap(),
            provenance
        );
    }
}
