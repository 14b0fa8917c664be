use serde::{Deserialize, Serialize};

use super::resize::check_size;
use crate::{Error, Result};

/// The size a photograph is brought to before the network sees it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// A square of this side in pixels, whatever the aspect: the published square protocol.
    Square(usize),
    /// The size at which the field of view's [equivalent diameter](crate::equivalent_diameter) is this many pixels, so
    /// that vessels have the width of training whatever the camera. A photograph within 5 % of it is left as it is.
    FovDiameter(f32),
}

impl Resize {
    /// Checks the size.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if it is out of range.
    pub fn validate(self) -> Result<()> {
        match self {
            Self::Square(side) => check_size("Resize::Square", (side, side)),
            Self::FovDiameter(diameter) if (16.0..=8192.0).contains(&diameter) => Ok(()),
            Self::FovDiameter(diameter) => Err(Error::InvalidConfig {
                field: "Resize::FovDiameter",
                found: diameter.to_string(),
                expected: "between 16 and 8192 pixels",
            }),
        }
    }
}
