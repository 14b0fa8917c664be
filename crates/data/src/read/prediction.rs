use std::fmt;
use std::path::{Path, PathBuf};

use super::Note;
use crate::{Error, Plane, Result};

mod probability;

pub use probability::read_probability;

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
    /// Whether each value is the greatest one that samples can hold.
    is_white: bool,
    /// The first file whose values are those of another scale, if the folder's are full.
    apart: Option<Apart>,
    notes: Vec<(PathBuf, Note)>,
}

/// A file that would mark nothing in a folder of full scale, though its values hardly mean so.
#[derive(Clone, Debug)]
struct Apart {
    file: PathBuf,
    greatest: u16,
    most: u16,
    what: &'static str,
}

impl Apart {
    /// `None` for black, for what passes half of white, and for levels that fade below it, as faint probabilities do.
    fn of(
        file: &Path,
        levels: impl Iterator<Item = u16>,
        greatest: u16,
        most: u16,
    ) -> Option<Self> {
        let (mut two_valued, mut has_zeros) = (true, false);
        for value in levels {
            two_valued &= value == 0 || value == greatest;
            has_zeros |= value == 0;
        }
        let what = match greatest {
            0 => return None,
            _ if greatest > most / 2 => return None,
            _ if two_valued && has_zeros => "a mask of two values",
            // Up to 127 its pixels pass half of white by neither scale.
            128..=255 if most == u16::MAX => "a map of 8-bit values in 16-bit samples",
            _ => return None,
        };
        Some(Self {
            file: file.to_owned(),
            greatest,
            most,
            what,
        })
    }
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
            is_white: true,
            apart: None,
            notes: Vec::new(),
        }
    }

    /// Looks at one more file.
    ///
    /// # Errors
    /// Those of [`read_probability`].
    pub fn add(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let probability::Map {
            plane: map,
            most,
            notes,
        } = probability::read(path)?;
        let noted = notes.into_iter().map(|note| (path.to_owned(), note));
        self.notes.extend(noted);
        let mut levels = map.data().iter().map(|&share| level(share, most));
        let greatest = levels.clone().max().unwrap_or(0);
        self.has_zeros |= levels.clone().any(|value| value == 0);
        self.is_white &= levels.clone().all(|value| value == most);
        if self.apart.is_none() {
            self.apart = Apart::of(path, levels.clone(), greatest, most);
        }
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

    /// What of the files was passed over, such as pictures of an animation, in the order in which they were added.
    pub fn notes(&self) -> &[(PathBuf, Note)] {
        &self.notes
    }

    /// What the values mean: shares of what the samples can hold, or masks of 0 and one other value.
    ///
    /// # Errors
    /// [`Error::PredictionRange`] if the greatest value of all files is below 45 % of what the samples can hold (percent, class
    /// numbers, 12-bit data), unless they are two-valued; [`Error::PredictionOfOtherScale`] if one file alone is so, and would mark
    /// nothing: a mask of 0 and 1 among files of 0 to 255, or 8-bit values in 16-bit samples.
    pub fn scale(&self) -> Result<PredictionScale> {
        let (greatest, most) = (self.greatest, self.most);
        if greatest == 0 {
            return Ok(PredictionScale::Black { files: self.files });
        }
        if self.is_white {
            return Ok(PredictionScale::White { files: self.files });
        }
        if greatest > most / 2 {
            return self.full();
        }
        if self.is_two_valued && self.has_zeros && !self.mixed_depths {
            return Ok(PredictionScale::Masks {
                marked: greatest,
                most,
            });
        }
        // Percent end at 39 % of 8 bits; probabilities that stay just below one half are probabilities.
        if u32::from(greatest) * 20 > u32::from(most) * 9 {
            return self.full();
        }
        Err(Error::PredictionRange {
            folder: self.folder.clone(),
            file: self.brightest.clone().unwrap_or_default(),
            greatest: u32::from(greatest),
            maximum: u32::from(most),
        })
    }

    /// Shares of what the samples can hold, if no file is apart from the others.
    fn full(&self) -> Result<PredictionScale> {
        let (greatest, most) = (self.greatest, self.most);
        let below = |apart: &&Apart| {
            u32::from(apart.greatest) * u32::from(most)
                < u32::from(greatest) * u32::from(apart.most)
        };
        match self.apart.as_ref().filter(below) {
            Some(apart) => Err(Error::PredictionOfOtherScale {
                file: apart.file.clone(),
                folder: self.folder.clone(),
                greatest: u32::from(apart.greatest),
                maximum: u32::from(apart.most),
                what: apart.what,
            }),
            None => Ok(PredictionScale::Full { greatest, most }),
        }
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
    /// All of them are white: every pixel is marked.
    White {
        /// Number of files.
        files: usize,
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
            Self::White { files } => write!(
                f,
                "all {files} predictions are white: every pixel counts as vessel; check that they are the right files"
            ),
            Self::Black { files } => write!(
                f,
                "all {files} predictions are black: no pixel counts as vessel; check that they are the right files"
            ),
        }
    }
}
