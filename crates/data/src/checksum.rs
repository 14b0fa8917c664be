use std::fmt;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use image::RgbImage;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use crate::read::open;
use crate::{Error, Result};

/// What tells one photograph from another, whatever it is called: 128 bits of a SHA-256.
///
/// - Of a file: of its bytes as they are stored. The text is the first 32 digits of `sha256sum FILE`. A renamed or moved copy has the
///   same checksum.
/// - Of a photograph in memory: of width, height (each as 32 bits, little-endian) and the RGB bytes, row by row.
///
/// Equal checksums mean equal content; two different contents share one with a chance of 2⁻¹²⁸. Different checksums do not mean
/// different eyes: the same photograph stored anew, in another format or size, has another. The checksum of a file is never that of
/// its pixels.
///
/// ```
/// use venule_data::Checksum;
/// let file = std::env::temp_dir().join("venule_doc_checksum.txt");
/// std::fs::write(&file, "abc")?;
/// let checksum = Checksum::of_file(&file)?;
/// // printf abc | sha256sum
/// assert_eq!(checksum.to_string(), "ba7816bf8f01cfea414140de5dae2223");
/// assert_eq!(checksum.to_string().parse::<Checksum>()?, checksum);
/// # std::fs::remove_file(&file)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Checksum([u8; 16]);

impl Checksum {
    /// Of a file's bytes, read in pieces.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::NotAFile`], naming the file.
    pub fn of_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let failed = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let (mut file, _) = open(path)?;
        let mut hash = Sha256::new();
        let mut piece = vec![0; 1 << 16];
        loop {
            match file.read(&mut piece).map_err(failed)? {
                0 => return Ok(Self::finish(hash)),
                count => hash.update(&piece[..count]),
            }
        }
    }

    /// Of what a file holds, in memory: that of the file.
    ///
    /// ```
    /// use venule_data::Checksum;
    /// // printf abc | sha256sum
    /// assert_eq!(Checksum::of_bytes(b"abc").to_string(), "ba7816bf8f01cfea414140de5dae2223");
    /// ```
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(bytes);
        Self::finish(hash)
    }

    /// Of a photograph's pixels.
    pub fn of_pixels(image: &RgbImage) -> Self {
        let mut hash = Sha256::new();
        hash.update(image.width().to_le_bytes());
        hash.update(image.height().to_le_bytes());
        hash.update(image.as_raw());
        Self::finish(hash)
    }

    fn finish(hash: Sha256) -> Self {
        let digest: [u8; 32] = hash.finalize().into();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(bytes)
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Checksum({self})")
    }
}

impl FromStr for Checksum {
    type Err = Error;

    /// Reads 32 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self> {
        let invalid = || Error::InvalidConfig {
            field: "Checksum",
            found: format!("'{text}'"),
            expected: "32 hexadecimal digits",
        };
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(invalid());
        }
        let value = u128::from_str_radix(text, 16).map_err(|_| invalid())?;
        Ok(Self(value.to_be_bytes()))
    }
}

impl Serialize for Checksum {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Checksum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_and_the_shape_count() {
        let black = Checksum::of_pixels(&RgbImage::new(4, 3));
        assert_eq!(black, Checksum::of_pixels(&RgbImage::new(4, 3)));
        assert_ne!(black, Checksum::of_pixels(&RgbImage::new(3, 4)));
        let mut other = RgbImage::new(4, 3);
        other.get_pixel_mut(3, 2).0[2] = 1;
        assert_ne!(black, Checksum::of_pixels(&other));
    }

    #[test]
    fn text_that_is_no_checksum_is_refused() {
        let good = "00ba7816bf8f01cfea414140de5dae22";
        let json = format!("\"{good}\"");
        let read: Checksum = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
        let signed = format!("+{}", &good[1..]);
        for bad in [
            "",
            "ba78",
            &good[1..],
            &format!("{good}0"),
            &signed,
            "öööööööööööööööö",
        ] {
            assert!(bad.parse::<Checksum>().is_err(), "{bad}");
        }
    }
}
