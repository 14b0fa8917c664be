use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// Fewest pixels of a side: networks halve it four times, and photographs are cut into tiles of that size.
pub(crate) const LEAST: usize = 16;

/// Most pixels of a fixed size: positions of so many patches still find room in a file.
pub(crate) const LARGEST: usize = 1 << 26;

/// Which images an ONNX file takes.
///
/// ```
/// use venule_onnx::InputSize;
/// assert_eq!("584x565".parse::<InputSize>()?, InputSize::fixed(584, 565)?);
/// assert_eq!("dynamic".parse::<InputSize>()?.to_string(), "dynamic");
/// assert!("584".parse::<InputSize>().is_err());
/// # Ok::<(), venule_onnx::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum InputSize {
    /// Images of any size: sizes are computed in the graph. The default.
    #[default]
    Dynamic,
    /// Images of one size: a graph of fixed shapes, but for the number of images, which more programs take.
    #[non_exhaustive]
    Fixed {
        /// Rows of pixels.
        height: usize,
        /// Columns of pixels.
        width: usize,
    },
}

impl InputSize {
    /// Images of this height and width.
    ///
    /// # Errors
    /// [`Error::Size`] if one is below 16 or both together are more than 67 million pixels.
    pub fn fixed(height: usize, width: usize) -> Result<Self> {
        match height.checked_mul(width) {
            Some(..=LARGEST) if height.min(width) >= LEAST => Ok(Self::Fixed { height, width }),
            _ => Err(Error::Size {
                found: format!("{height}x{width}"),
                expected: format!(
                    "each side has {LEAST} pixels at least, and both together {LARGEST} at most"
                ),
            }),
        }
    }
}

impl fmt::Display for InputSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dynamic => formatter.write_str("dynamic"),
            Self::Fixed { height, width } => write!(formatter, "{height}x{width}"),
        }
    }
}

impl FromStr for InputSize {
    type Err = Error;

    /// `dynamic`, or height and width as `584x565`.
    fn from_str(text: &str) -> Result<Self> {
        if text == "dynamic" {
            return Ok(Self::Dynamic);
        }
        let sides = text
            .split_once('x')
            .and_then(|(height, width)| Some((height.parse().ok()?, width.parse().ok()?)));
        match sides {
            Some((height, width)) => Self::fixed(height, width),
            None => Err(Error::Size {
                found: text.to_owned(),
                expected: "give height and width as 584x565, or the word 'dynamic'".to_owned(),
            }),
        }
    }
}
