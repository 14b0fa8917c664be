use serde::{Deserialize, Serialize};
use venule_data::{Error, Result};

/// What synthetic fundus photographs look like.
///
/// Lengths are given for an image in which 540 pixels span 45°, as in DRIVE, and scale with the image.
///
/// ```
/// use venule_synthetic::{SyntheticFundus, synthetic_fundus};
/// let config = SyntheticFundus::square(128);
/// let sample = synthetic_fundus(&config, 7, 0)?;
/// assert_eq!(sample.size(), (128, 128));
/// assert_eq!(sample, synthetic_fundus(&config, 7, 0)?);
/// assert_ne!(sample, synthetic_fundus(&config, 7, 1)?);
/// # Ok::<(), venule_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SyntheticFundus {
    /// Pixels per row, 64–4096.
    pub width: usize,
    /// Number of rows, 64–4096.
    pub height: usize,
    /// Diameter of the circular field of view as a share of the width, 0.3–1.5; a circle larger than the image is cut.
    pub fov_diameter: f32,
    /// Angle that the diameter spans, 20–60 degrees: 45 in DRIVE, 30 in CHASE_DB1.
    pub field_angle: f32,
    /// Chance that the picture is centred on the optic disc instead of the macula, 0–1.
    pub disc_centred: f32,
    /// Chance that the top and the bottom of the field of view are cut straight, 0–1.
    pub cut: f32,
    /// Chance of exudates, drusen and haemorrhages, 0–1.
    pub lesions: f32,
    /// Mean red, green and blue of the retina in the middle of the picture, 1–255.
    pub base_color: [f32; 3],
    /// Chance that the picture has no colour, as a red-free photograph, 0–1.
    pub gray: f32,
    /// Mean share of vessel pixels in the field of view, 0.02–0.2.
    pub vessel_share: f32,
    /// Width of the main vessels, 0.5–2; 1 is usual.
    pub calibre: f32,
    /// Darkness of the vessels, 0.1–3; 1 is that of DRIVE.
    pub contrast: f32,
    /// Darkness of arteries as a share of that of veins, 0.3–1.2; 0.8 is usual.
    pub artery_darkness: f32,
    /// Brightness of the reflex along the middle of wide vessels, 0–2; 1 is usual.
    pub reflex: f32,
    /// How much vessels wind, 0–3; 1 is usual.
    pub tortuosity: f32,
    /// How far beyond the edge of a vessel its label reaches, 0–2 pixels: human annotators draw outside the edge, by half a pixel in
    /// DRIVE. It is that of vessels at least 4 pixels wide in a field of 45°; thinner ones have less in proportion, and other fields by
    /// the square of their angle, since narrow ones are photographed with more pixels to a degree.
    pub label_margin: f32,
    /// How uneven the retina between the vessels is, 0–3; 1 is usual.
    pub texture: f32,
    /// Chance that vessels of the choroid show between those of the retina, which no label holds, 0–1.
    pub choroid: f32,
    /// Chance of the sheen of a young retina: bright streaks beside the vessels, 0–1.
    pub reflections: f32,
    /// Chance of a rim: the light fades over the last pixels before the border of the field of view, 0–1.
    pub rim: f32,
    /// How much the light falls off and leans to one side, 0–2; 1 is usual.
    pub illumination: f32,
    /// Standard deviation of the optical blur in pixels of a DRIVE photograph, 0–5.
    pub blur: f32,
    /// How much less sharp one side of the picture is, 0–1.
    pub sharpness_gradient: f32,
    /// Standard deviation of the sensor noise as a share of the light, 0–0.2.
    pub noise: f32,
    /// How much images differ from one another, 0 (hardly) to 1 (as in real sets).
    pub variation: f32,
    /// Quality, 1–100, of the JPEG compression the picture has been through; `None` for none.
    pub jpeg_quality: Option<u8>,
}

impl Default for SyntheticFundus {
    fn default() -> Self {
        Self::drive_like()
    }
}

impl SyntheticFundus {
    /// 565×584, 45°, centred on the macula, with the colours of DRIVE.
    pub fn drive_like() -> Self {
        Self {
            width: 565,
            height: 584,
            fov_diameter: 0.956,
            field_angle: 45.0,
            disc_centred: 0.0,
            cut: 0.0,
            lesions: 0.35,
            base_color: [205.0, 112.0, 64.0],
            gray: 0.0,
            vessel_share: 0.12,
            calibre: 1.0,
            contrast: 1.0,
            artery_darkness: 0.8,
            reflex: 1.0,
            tortuosity: 1.0,
            label_margin: 0.0,
            texture: 1.0,
            choroid: 0.3,
            reflections: 0.0,
            rim: 0.0,
            illumination: 1.0,
            blur: 0.75,
            sharpness_gradient: 0.0,
            noise: 0.02,
            variation: 1.0,
            jpeg_quality: Some(92),
        }
    }

    /// 999×960, 30°, centred on the disc, with the dark red of CHASE_DB1.
    pub fn chase_like() -> Self {
        Self {
            width: 999,
            height: 960,
            fov_diameter: 0.93,
            field_angle: 30.0,
            disc_centred: 1.0,
            lesions: 0.1,
            base_color: [165.0, 64.0, 14.0],
            vessel_share: 0.11,
            noise: 0.025,
            ..Self::drive_like()
        }
    }

    /// A square picture with the look of [`drive_like`](Self::drive_like), of any size from 64 pixels.
    pub fn square(size: usize) -> Self {
        Self {
            width: size,
            height: size,
            ..Self::drive_like()
        }
    }

    /// Checks every field's range.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`], naming the first field that is out of range.
    pub fn validate(&self) -> Result<()> {
        let unit = "between 0 and 1";
        let three = "between 0 and 3";
        let color = "between 1 and 255";
        let size = "between 64 and 4096 pixels";
        let [red, green, blue] = self.base_color;
        let quality = f32::from(self.jpeg_quality.unwrap_or(100));
        let ranges = [
            (
                "SyntheticFundus::width",
                self.width as f32,
                64.0..=4096.0,
                size,
            ),
            (
                "SyntheticFundus::height",
                self.height as f32,
                64.0..=4096.0,
                size,
            ),
            (
                "SyntheticFundus::fov_diameter",
                self.fov_diameter,
                0.3..=1.5,
                "between 0.3 and 1.5 of the width",
            ),
            (
                "SyntheticFundus::field_angle",
                self.field_angle,
                20.0..=60.0,
                "between 20 and 60 degrees",
            ),
            (
                "SyntheticFundus::disc_centred",
                self.disc_centred,
                0.0..=1.0,
                unit,
            ),
            ("SyntheticFundus::cut", self.cut, 0.0..=1.0, unit),
            ("SyntheticFundus::lesions", self.lesions, 0.0..=1.0, unit),
            ("SyntheticFundus::base_color[0]", red, 1.0..=255.0, color),
            ("SyntheticFundus::base_color[1]", green, 1.0..=255.0, color),
            ("SyntheticFundus::base_color[2]", blue, 1.0..=255.0, color),
            ("SyntheticFundus::gray", self.gray, 0.0..=1.0, unit),
            (
                "SyntheticFundus::vessel_share",
                self.vessel_share,
                0.02..=0.2,
                "between 0.02 and 0.2",
            ),
            (
                "SyntheticFundus::calibre",
                self.calibre,
                0.5..=2.0,
                "between 0.5 and 2",
            ),
            (
                "SyntheticFundus::contrast",
                self.contrast,
                0.1..=3.0,
                "between 0.1 and 3",
            ),
            (
                "SyntheticFundus::artery_darkness",
                self.artery_darkness,
                0.3..=1.2,
                "between 0.3 and 1.2",
            ),
            (
                "SyntheticFundus::reflex",
                self.reflex,
                0.0..=2.0,
                "between 0 and 2",
            ),
            (
                "SyntheticFundus::tortuosity",
                self.tortuosity,
                0.0..=3.0,
                three,
            ),
            (
                "SyntheticFundus::label_margin",
                self.label_margin,
                0.0..=2.0,
                "between 0 and 2 pixels",
            ),
            ("SyntheticFundus::rim", self.rim, 0.0..=1.0, unit),
            ("SyntheticFundus::texture", self.texture, 0.0..=3.0, three),
            ("SyntheticFundus::choroid", self.choroid, 0.0..=1.0, unit),
            (
                "SyntheticFundus::reflections",
                self.reflections,
                0.0..=1.0,
                unit,
            ),
            (
                "SyntheticFundus::illumination",
                self.illumination,
                0.0..=2.0,
                "between 0 and 2",
            ),
            (
                "SyntheticFundus::blur",
                self.blur,
                0.0..=5.0,
                "between 0 and 5 pixels",
            ),
            (
                "SyntheticFundus::sharpness_gradient",
                self.sharpness_gradient,
                0.0..=1.0,
                unit,
            ),
            (
                "SyntheticFundus::noise",
                self.noise,
                0.0..=0.2,
                "between 0 and 0.2",
            ),
            (
                "SyntheticFundus::variation",
                self.variation,
                0.0..=1.0,
                unit,
            ),
            (
                "SyntheticFundus::jpeg_quality",
                quality,
                1.0..=100.0,
                "between 1 and 100",
            ),
        ];
        // A NaN lies in no range.
        match ranges
            .into_iter()
            .find(|(_, found, range, _)| !range.contains(found))
        {
            Some((field, found, _, expected)) => Err(Error::InvalidConfig {
                field,
                found: found.to_string(),
                expected,
            }),
            None => Ok(()),
        }
    }
}
