use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::{Error, Plane, Raster, Result};

/// Which channels of a photograph the network sees.
///
/// In a run file: `channel = "green"`, `"gray"` or `"rgb"`, or with numbers of one's own
/// `channel = { normalized_rgb = { mean = [0.485, 0.456, 0.406], deviation = [0.229, 0.224, 0.225] } }`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Channel {
    /// One channel: luma, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601).
    Gray,
    /// One channel: green, in which vessels stand out most.
    #[default]
    Green,
    /// Red, green and blue, each standardised by itself.
    Rgb,
    /// Red, green and blue, each as (x / 255 − mean) / deviation: what public weights were trained on. It takes the place of
    /// standardisation. A black pixel inside the field of view is −mean / deviation, one outside is 0, the mean colour.
    NormalizedRgb {
        /// Mean of red, green and blue, of values in 0..=1.
        mean: [f32; 3],
        /// Standard deviation of red, green and blue, of such values; above 0.
        deviation: [f32; 3],
    },
}

impl Channel {
    /// How many channels the network's input has: 1 or 3.
    pub fn count(self) -> usize {
        match self {
            Self::Gray | Self::Green => 1,
            Self::Rgb | Self::NormalizedRgb { .. } => 3,
        }
    }

    /// Its name, as in a run file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gray => "gray",
            Self::Green => "green",
            Self::Rgb => "rgb",
            Self::NormalizedRgb { .. } => "normalized_rgb",
        }
    }

    /// The channels as levels 0..=255; luma is not rounded.
    ///
    /// ```
    /// use venule_data::Channel;
    /// let pixel = image::RgbImage::from_pixel(1, 1, image::Rgb([100, 200, 50]));
    /// assert_eq!(Channel::Green.extract(&pixel)[0].data(), &[200.0]);
    /// assert!((Channel::Gray.extract(&pixel)[0].data()[0] - 153.0).abs() < 1e-4);
    /// let [red, green, blue] = &Channel::Rgb.extract(&pixel)[..] else { panic!() };
    /// assert_eq!((red.data()[0], green.data()[0], blue.data()[0]), (100.0, 200.0, 50.0));
    /// ```
    pub fn extract(self, image: &RgbImage) -> Vec<Plane> {
        (0..self.count())
            .map(|place| self.plane(place, image))
            .collect()
    }

    /// The channel at one place.
    pub(crate) fn plane(self, place: usize, image: &RgbImage) -> Plane {
        let (width, height) = image.dimensions();
        let mut pixels = image.pixels();
        Raster::from_fn(width as usize, height as usize, |_, _| {
            let [r, g, b] = pixels.next().map_or([0.0; 3], |p| p.0.map(f32::from));
            match self {
                Self::Gray => 0.299 * r + 0.587 * g + 0.114 * b,
                Self::Green => g,
                Self::Rgb | Self::NormalizedRgb { .. } => [r, g, b][place],
            }
        })
    }

    /// Checks the numbers.
    pub(super) fn validate(self) -> Result<()> {
        let Self::NormalizedRgb { mean, deviation } = self else {
            return Ok(());
        };
        let check = |field, values: [f32; 3], fine: fn(&f32) -> bool, expected| match values
            .iter()
            .all(fine)
        {
            true => Ok(()),
            false => Err(Error::InvalidConfig {
                field,
                found: format!("{values:?}"),
                expected,
            }),
        };
        check(
            "Channel::NormalizedRgb::mean",
            mean,
            |mean| (0.0..=1.0).contains(mean),
            "three numbers in 0 to 1, as of samples divided by 255",
        )?;
        check(
            "Channel::NormalizedRgb::deviation",
            deviation,
            |deviation| (1e-3..=1.0).contains(deviation),
            "three numbers in 0.001 to 1, as of samples divided by 255",
        )
    }
}
