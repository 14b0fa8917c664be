use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::{Plane, Raster};

/// Which single channel of a photograph the network sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Luma, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601).
    Gray,
    /// The green channel, in which vessels stand out most.
    #[default]
    Green,
}

impl Channel {
    /// The channel as gray levels 0..=255; luma is not rounded.
    ///
    /// ```
    /// use venule_data::Channel;
    /// let pixel = image::RgbImage::from_pixel(1, 1, image::Rgb([100, 200, 50]));
    /// assert_eq!(Channel::Green.extract(&pixel).data(), &[200.0]);
    /// assert!((Channel::Gray.extract(&pixel).data()[0] - 153.0).abs() < 1e-4);
    /// ```
    pub fn extract(self, image: &RgbImage) -> Plane {
        let (width, height) = image.dimensions();
        let mut pixels = image.pixels();
        Raster::from_fn(width as usize, height as usize, |_, _| {
            let [r, g, b] = pixels.next().map_or([0.0; 3], |p| p.0.map(f32::from));
            match self {
                Self::Gray => 0.299 * r + 0.587 * g + 0.114 * b,
                Self::Green => g,
            }
        })
    }
}
