use image::{Rgb, RgbImage};
use serde::{Deserialize, Serialize};

use super::jitter::Jitter;
use crate::Result;
use crate::draw::{Draw, Purpose};

/// Random changes of a photograph's colours, to be made before [`Preprocess`](crate::Preprocess) takes its channels.
///
/// All four are linear in the pixel, so they are composed to one matrix and rounded once: hue turns the chroma plane
/// of YIQ, saturation scales the distance from luma, contrast the distance from the image's mean luma, brightness
/// the whole.
///
/// In training [`RecoloredSet`](crate::RecoloredSet) applies it to each view's photograph. Standardisation afterwards undoes a
/// change of brightness or contrast but for what it clips; saturation and hue mix red and blue into the channel taken.
///
/// ```
/// use venule_data::{ColorJitter, Jitter};
/// let photo = image::RgbImage::from_pixel(2, 2, image::Rgb([120, 80, 40]));
/// let brighter = ColorJitter { brightness: Jitter::always(1.5, 1.5), ..ColorJitter::none() };
/// assert_eq!(brighter.apply(&photo, 0, 0, 0)?.get_pixel(0, 0).0, [180, 120, 60]);
/// # Ok::<(), venule_data::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ColorJitter {
    /// Factor on all channels, 0..=10.
    pub brightness: Jitter,
    /// Factor on the distance from the image's mean luma, 0..=10.
    pub contrast: Jitter,
    /// Factor on the distance from each pixel's luma, 0..=10.
    pub saturation: Jitter,
    /// Turn of the hue in degrees, within ±360.
    pub hue: Jitter,
}

const LUMA: [f32; 3] = [0.299, 0.587, 0.114];
const YIQ: [[f32; 3]; 3] = [LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]];

impl Default for ColorJitter {
    fn default() -> Self {
        Self::none()
    }
}

impl ColorJitter {
    /// No change. The default.
    pub const fn none() -> Self {
        Self {
            brightness: Jitter::NEVER,
            contrast: Jitter::NEVER,
            saturation: Jitter::NEVER,
            hue: Jitter::NEVER,
        }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`](crate::Error::InvalidConfig) for factors outside 0..=10 or a hue outside ±360.
    pub fn validate(&self) -> Result<()> {
        let (range, factors) = ((0.0, 10.0), "within 0 to 10");
        self.brightness
            .validate("ColorJitter::brightness", range, factors)?;
        self.contrast
            .validate("ColorJitter::contrast", range, factors)?;
        self.saturation
            .validate("ColorJitter::saturation", range, factors)?;
        let turns = "within -360 to 360 degrees";
        self.hue
            .validate("ColorJitter::hue", (-360.0, 360.0), turns)
    }

    /// The photograph with other colours, the same for the same (`seed`, `epoch`, `index`).
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn apply(&self, image: &RgbImage, seed: u64, epoch: u64, index: u64) -> Result<RgbImage> {
        self.validate()?;
        let mut draw = Draw::new(seed, epoch, index, Purpose::Colour);
        let brightness = self.brightness.draw(1.0, &mut draw);
        let contrast = self.contrast.draw(1.0, &mut draw);
        let saturation = self.saturation.draw(1.0, &mut draw);
        let turn = self.hue.draw(0.0, &mut draw).to_radians();

        let count = (image.width() as usize * image.height() as usize).max(1);
        let luma = |p: &Rgb<u8>| (0..3).map(|c| LUMA[c] * f32::from(p.0[c])).sum::<f32>();
        let mean = (image.pixels().map(|p| f64::from(luma(p))).sum::<f64>() / count as f64) as f32;
        let gain = brightness * contrast;
        let offset = brightness * (1.0 - contrast) * mean;
        let chroma = chroma_change(turn, saturation);
        let mut out = image.clone();
        for pixel in out.pixels_mut() {
            let rgb = pixel.0.map(f32::from);
            let base = luma(pixel);
            pixel.0 = std::array::from_fn(|c| {
                let moved: f32 = (0..3).map(|k| chroma[c][k] * (rgb[k] - base)).sum();
                (gain * (base + moved) + offset).round().clamp(0.0, 255.0) as u8
            });
        }
        Ok(out)
    }
}

/// The matrix on (pixel − its luma), whose luma is 0 and stays 0: the identity at turn 0 and saturation 1.
fn chroma_change(turn: f32, saturation: f32) -> [[f32; 3]; 3] {
    let (sin, cos) = turn.sin_cos();
    // Columns of the inverse of YIQ that belong to I and Q.
    let back = [[0.956, 0.619], [-0.272, -0.647], [-1.106, 1.703]];
    std::array::from_fn(|c| {
        std::array::from_fn(|k| {
            let (i, q) = (YIQ[1][k], YIQ[2][k]);
            let identity = if c == k { 1.0 } else { 0.0 };
            // Written as a difference from the identity, so that no turn is exactly no change.
            let turned =
                back[c][0] * ((cos - 1.0) * i - sin * q) + back[c][1] * (sin * i + (cos - 1.0) * q);
            saturation * (identity + turned)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn photo() -> RgbImage {
        RgbImage::from_fn(16, 16, |x, y| {
            Rgb([(x * 15) as u8, (y * 15) as u8, (x * y) as u8])
        })
    }

    #[test]
    fn none_changes_nothing_and_no_saturation_is_gray() {
        assert_eq!(
            ColorJitter::none().apply(&photo(), 1, 2, 3).unwrap(),
            photo()
        );
        let gray = ColorJitter {
            saturation: Jitter::always(0.0, 0.0),
            ..ColorJitter::none()
        };
        let gray = gray.apply(&photo(), 1, 2, 3).unwrap();
        assert!(gray.pixels().all(|p| p.0[0] == p.0[1] && p.0[1] == p.0[2]));
    }

    #[test]
    fn a_whole_turn_of_hue_is_none_and_gray_has_no_hue() {
        let turn = |degrees: f32| ColorJitter {
            hue: Jitter::always(degrees, degrees),
            ..ColorJitter::none()
        };
        assert_eq!(turn(360.0).apply(&photo(), 0, 0, 0).unwrap(), photo());
        let gray = RgbImage::from_pixel(3, 3, Rgb([90; 3]));
        assert_eq!(turn(77.0).apply(&gray, 0, 0, 0).unwrap(), gray);
        assert_ne!(turn(77.0).apply(&photo(), 0, 0, 0).unwrap(), photo());
    }
}
