use std::fmt;
use std::path::{Path, PathBuf};

use image::{DynamicImage, Rgb};

use super::{ReadOptions, decode, source};
use crate::{Error, Plane, Result};

/// Reads a map of probabilities that another program wrote as a gray image: each value over the greatest its type can hold,
/// v / 255 for 8-bit and v / 65,535 for 16-bit samples, so that 0 is 0 and white is 1.
///
/// Of a colour image the mean of the three channels is taken, which may differ by a sixteenth. Formats are those of
/// [`read_photograph`](crate::read_photograph), and floating-point TIFFs of values in 0 to 1. Whether a file's values are meant so
/// only its folder tells: see [`PredictionRange`].
///
/// ```
/// let path = std::env::temp_dir().join("venule_doc_read_probability.png");
/// let gray = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(3, 1, vec![0, 13_107, 65_535]);
/// gray.unwrap().save(&path)?;
/// assert_eq!(venule_data::read_probability(&path)?.data(), [0.0, 0.2, 1.0]);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Those of [`read_image`](crate::read_image), and [`Error::NotGray`] for a colour image.
pub fn read_probability(path: impl AsRef<Path>) -> Result<Plane> {
    read(path.as_ref()).map(|(map, _)| map)
}

/// A map of probabilities with the greatest sample that its type can hold.
fn read(path: &Path) -> Result<(Plane, u16)> {
    let decoded = decode::decode(path, source::read(path)?, &ReadOptions::default(), true)?;
    let (width, height) = (
        decoded.image.width() as usize,
        decoded.image.height() as usize,
    );
    let wide = is_wide(&decoded.image);
    let data: Option<Vec<f32>> = match decoded.image {
        DynamicImage::ImageLuma8(gray) => Some(gray.iter().map(|&v| share(v, u8::MAX)).collect()),
        DynamicImage::ImageLuma16(gray) => Some(gray.iter().map(|&v| share(v, u16::MAX)).collect()),
        other if wide => gray_values(other.into_rgb16().pixels(), u16::MAX),
        other => gray_values(other.into_rgb8().pixels(), u8::MAX),
    };
    let Some(data) = data else {
        return Err(Error::NotGray {
            path: path.to_owned(),
        });
    };
    let most = if wide { u16::MAX } else { u16::from(u8::MAX) };
    Ok((Plane::new(width, height, data)?, most))
}

/// Whether samples have 16 bits.
fn is_wide(image: &DynamicImage) -> bool {
    matches!(
        image,
        DynamicImage::ImageLuma16(_)
            | DynamicImage::ImageLumaA16(_)
            | DynamicImage::ImageRgb16(_)
            | DynamicImage::ImageRgba16(_)
    )
}

fn share<T: Into<f64>>(value: T, greatest: T) -> f32 {
    (value.into() / greatest.into()) as f32
}

/// The mean of each pixel's three channels, or `None` if they are far apart anywhere: palettes are seldom gray to the last bit.
fn gray_values<'a, T>(pixels: impl Iterator<Item = &'a Rgb<T>>, greatest: T) -> Option<Vec<f32>>
where
    T: Copy + Into<f64> + 'a,
{
    const APART: f64 = 1.0 / 16.0;
    let gray = |&Rgb(channels): &Rgb<T>| {
        let shares = channels.map(|value| value.into() / greatest.into());
        let highest = shares.into_iter().fold(0.0, f64::max);
        let lowest = shares.into_iter().fold(1.0, f64::min);
        let mean = (shares[0] + shares[1] + shares[2]) / 3.0;
        (highest - lowest <= APART).then_some(mean as f32)
    };
    pixels.map(gray).collect()
}

/// The values of a folder of predictions, file by file: by them [`scale`](Self::scale) decides what the values mean.
///
/// A single dark prediction is a photograph without vessels; a folder of them is written in another range.
///
/// ```
/// use venule_data::{PredictionRange, PredictionScale};
/// let folder = std::env::temp_dir().join("venule_doc_predictions");
/// std::fs::create_dir_all(&folder)?;
/// let path = folder.join("a.png");
/// image::GrayImage::from_raw(3, 1, vec![0, 1, 1]).unwrap().save(&path)?;
/// let mut range = PredictionRange::new(&folder);
/// range.add(&path)?;
/// let scale = range.scale()?;
/// assert_eq!(scale, PredictionScale::Masks { marked: 1, most: 255 });
/// assert_eq!(scale.to_string(), "predictions are masks of 0 and 1 (of 255); 1 counts as vessel");
/// assert_eq!(scale.read(&path)?.data(), [0.0, 1.0, 1.0]);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct PredictionRange {
    folder: PathBuf,
    files: usize,
    most: u16,
    greatest: u16,
    brightest: Option<PathBuf>,
    /// Whether each value is 0 or the greatest one.
    is_two_valued: bool,
    has_zeros: bool,
    mixed_depths: bool,
}

impl PredictionRange {
    /// Of no file yet; `folder` is named in errors.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            files: 0,
            most: u16::from(u8::MAX),
            greatest: 0,
            brightest: None,
            is_two_valued: true,
            has_zeros: false,
            mixed_depths: false,
        }
    }

    /// Looks at one more file.
    ///
    /// # Errors
    /// Those of [`read_probability`].
    pub fn add(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let (map, most) = read(path)?;
        let mut levels = map.data().iter().map(|&share| level(share, most));
        let greatest = levels.clone().max().unwrap_or(0);
        self.has_zeros |= levels.clone().any(|value| value == 0);
        let two_valued = levels.all(|value| value == 0 || value == greatest);
        self.mixed_depths |= self.files > 0 && most != self.most;
        // Files without a vessel tell nothing of the greatest value.
        self.is_two_valued &=
            two_valued && (greatest == 0 || self.greatest == 0 || greatest == self.greatest);
        // Over depths what counts is the share.
        if u32::from(greatest) * u32::from(self.most) >= u32::from(self.greatest) * u32::from(most)
        {
            (self.greatest, self.most) = (greatest, most);
            self.brightest = Some(path.to_owned());
        }
        self.files += 1;
        Ok(())
    }

    /// The greatest value so far, and the greatest that its samples can hold.
    pub fn greatest(&self) -> (u16, u16) {
        (self.greatest, self.most)
    }

    /// What the values mean: shares of what the samples can hold, or masks of 0 and one other value.
    ///
    /// # Errors
    /// [`Error::PredictionRange`] if the greatest value of all files is below 45 % of what the samples can hold (percent, class
    /// numbers, 12-bit data), unless they are two-valued.
    pub fn scale(&self) -> Result<PredictionScale> {
        let (greatest, most) = (self.greatest, self.most);
        if greatest == 0 {
            return Ok(PredictionScale::Black { files: self.files });
        }
        if greatest > most / 2 {
            return Ok(PredictionScale::Full { greatest, most });
        }
        if self.is_two_valued && self.has_zeros && !self.mixed_depths {
            return Ok(PredictionScale::Masks {
                marked: greatest,
                most,
            });
        }
        // Percent end at 39 % of 8 bits; probabilities that stay just below one half are probabilities.
        if u32::from(greatest) * 20 > u32::from(most) * 9 {
            return Ok(PredictionScale::Full { greatest, most });
        }
        Err(Error::PredictionRange {
            folder: self.folder.clone(),
            file: self.brightest.clone().unwrap_or_default(),
            greatest: u32::from(greatest),
            maximum: u32::from(most),
        })
    }
}

fn level(share: f32, most: u16) -> u16 {
    (f64::from(share) * f64::from(most)).round() as u16
}

/// What the values of predictions mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PredictionScale {
    /// Probabilities from 0 to `most`.
    Full {
        /// The greatest value there is.
        greatest: u16,
        /// The greatest value that samples can hold.
        most: u16,
    },
    /// Masks: 0, and one value far below `most`.
    Masks {
        /// The value that counts as vessel.
        marked: u16,
        /// The greatest value that samples can hold.
        most: u16,
    },
    /// All of them are black: no pixel is marked.
    Black {
        /// Number of files.
        files: usize,
    },
}

impl PredictionScale {
    /// Reads one of the predictions: probabilities from 0 to 1.
    ///
    /// # Errors
    /// Those of [`read_probability`].
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Plane> {
        let map = read_probability(path)?;
        Ok(match self {
            Self::Masks { .. } => map.map(|&share| f32::from(share > 0.0)),
            _ => map,
        })
    }
}

impl fmt::Display for PredictionScale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { greatest, most } => write!(
                f,
                "predictions are probabilities from 0 to {most}; the greatest is {greatest}"
            ),
            Self::Masks { marked, most } => write!(
                f,
                "predictions are masks of 0 and {marked} (of {most}); {marked} counts as vessel"
            ),
            Self::Black { files } => write!(
                f,
                "all {files} predictions are black: no pixel counts as vessel; check that they are the right files"
            ),
        }
    }
}
