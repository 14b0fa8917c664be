use std::fmt;
use std::str::FromStr;

use crate::Error;

/// A value that pixels of a label have in their file, palettes resolved.
///
/// ```
/// use venule_data::LabelValue;
/// assert_eq!("128".parse::<LabelValue>()?, LabelValue::Gray(128));
/// assert_eq!("128,0,0".parse::<LabelValue>()?, LabelValue::Colour([128, 0, 0]));
/// assert_eq!("#800000".parse::<LabelValue>()?.to_string(), "128,0,0 (dark red)");
/// assert!("vessel".parse::<LabelValue>().is_err());
/// # Ok::<(), venule_data::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum LabelValue {
    /// A pixel of which nothing shows.
    Transparent,
    /// A gray level; of 16-bit files up to 65,535. Levels of 1, 2 and 4 bits are those of the 8-bit gray that they show.
    Gray(u16),
    /// Red, green and blue.
    Colour([u16; 3]),
}

impl LabelValue {
    /// Of channels.
    pub(super) fn of([r, g, b, alpha]: [u16; 4]) -> Self {
        match (alpha, r == g && g == b) {
            (0, _) => Self::Transparent,
            (_, true) => Self::Gray(r),
            (_, false) => Self::Colour([r, g, b]),
        }
    }
}

impl LabelValue {
    /// As settings and flags have it, and [`FromStr`] reads it: without the colour's name.
    pub fn setting(&self) -> String {
        match self {
            Self::Colour([r, g, b]) => format!("{r},{g},{b}"),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for LabelValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transparent => write!(f, "transparent"),
            Self::Gray(level) => write!(f, "{level}"),
            Self::Colour([r, g, b]) => {
                write!(f, "{r},{g},{b}")?;
                // Names are those of 8-bit colours.
                let most = *r.max(g).max(b);
                let shift = if most > 255 { 8 } else { 0 };
                match name([r, g, b].map(|value| value >> shift)) {
                    Some(name) => write!(f, " ({name})"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// The name of a saturated colour.
fn name([r, g, b]: [u16; 3]) -> Option<String> {
    let most = r.max(g).max(b);
    let on = |value: u16| 3 * value > 2 * most;
    let off = |value: u16| 3 * value < most;
    let state = [r, g, b].map(|value| match (on(value), off(value)) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    });
    let name = match [state[0]?, state[1]?, state[2]?] {
        [true, false, false] => "red",
        [false, true, false] => "green",
        [false, false, true] => "blue",
        [true, true, false] => "yellow",
        [false, true, true] => "cyan",
        [true, false, true] => "magenta",
        _ => return None,
    };
    let dark = if most < 170 { "dark " } else { "" };
    Some(format!("{dark}{name}"))
}

impl FromStr for LabelValue {
    type Err = Error;

    /// A gray level (`128`), a colour (`128,0,0` or `#800000`), or `transparent`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::InvalidConfig {
            field: "label value",
            found: format!("'{text}'"),
            expected: "a gray level (128), a colour (128,0,0 or #800000), or transparent",
        };
        let text = text.trim();
        if text.eq_ignore_ascii_case("transparent") {
            return Ok(Self::Transparent);
        }
        if let Some(digits) = text.strip_prefix('#') {
            let number = u32::from_str_radix(digits, 16).map_err(|_| wrong())?;
            if digits.len() != 6 {
                return Err(wrong());
            }
            let [_, r, g, b] = number.to_be_bytes().map(u16::from);
            return Ok(Self::of([r, g, b, 1]));
        }
        let parts: Result<Vec<u16>, _> = text.split(',').map(|part| part.trim().parse()).collect();
        match parts.map_err(|_| wrong())?[..] {
            [level] => Ok(Self::Gray(level)),
            [r, g, b] => Ok(Self::of([r, g, b, 1])),
            _ => Err(wrong()),
        }
    }
}
