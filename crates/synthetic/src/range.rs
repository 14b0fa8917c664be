use std::str::FromStr;

use serde::{Deserialize, Serialize};
use venule_data::{Error, Result};

use crate::SyntheticFundus;
use crate::random::{Random, Stage};

/// The least and the greatest value that is drawn; every value between is as likely.
pub type Interval = [f32; 2];

/// The looks that synthetic photographs of an endless set are drawn from: an interval for every field of [`SyntheticFundus`].
///
/// In TOML an interval is a list of two numbers. A table names a range to start from and says what differs.
///
/// ```
/// use venule_synthetic::{SyntheticRange, SyntheticStream};
/// let range: SyntheticRange = "any-camera".parse()?;
/// let (look, other) = (range.draw(7, 0)?, range.draw(7, 1)?);
/// assert_ne!(look, other);
/// assert_eq!(look, range.draw(7, 0)?);
///
/// let inverted = SyntheticRange { blur: [2.0, 1.0], ..SyntheticRange::any_camera() };
/// assert!(inverted.validate().unwrap_err().to_string().contains("blur"));
/// # Ok::<(), venule_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SyntheticRange {
    /// Pixels per row.
    pub width: [usize; 2],
    /// Rows over pixels per row, 0.5–2.
    pub aspect: Interval,
    /// [`SyntheticFundus::fov_diameter`].
    pub fov_diameter: Interval,
    /// [`SyntheticFundus::field_angle`].
    pub field_angle: Interval,
    /// Chance that the picture is centred on the optic disc.
    pub disc_centred: f32,
    /// Chance that top and bottom of the field of view are cut.
    pub cut: f32,
    /// Chance of lesions.
    pub lesions: f32,
    /// Mean red of the retina.
    pub red: Interval,
    /// Green as a share of red, 0.1–1.
    pub green_share: Interval,
    /// Blue as a share of green, 0.05–1.
    pub blue_share: Interval,
    /// Chance of a picture without colour: a red-free photograph, or a gray one.
    pub gray: f32,
    /// [`SyntheticFundus::vessel_share`].
    pub vessel_share: Interval,
    /// [`SyntheticFundus::calibre`].
    pub calibre: Interval,
    /// [`SyntheticFundus::contrast`]; its logarithm is uniform.
    pub contrast: Interval,
    /// [`SyntheticFundus::artery_darkness`].
    pub artery_darkness: Interval,
    /// [`SyntheticFundus::reflex`].
    pub reflex: Interval,
    /// [`SyntheticFundus::tortuosity`].
    pub tortuosity: Interval,
    /// [`SyntheticFundus::label_margin`].
    pub label_margin: Interval,
    /// [`SyntheticFundus::texture`].
    pub texture: Interval,
    /// Chance that choroidal vessels show.
    pub choroid: f32,
    /// Chance of the sheen of a young retina.
    pub reflections: f32,
    /// Chance of a rim along the border of the field of view.
    pub rim: f32,
    /// [`SyntheticFundus::illumination`].
    pub illumination: Interval,
    /// [`SyntheticFundus::blur`].
    pub blur: Interval,
    /// [`SyntheticFundus::sharpness_gradient`].
    pub sharpness_gradient: Interval,
    /// [`SyntheticFundus::noise`].
    pub noise: Interval,
    /// Chance of JPEG compression.
    pub jpeg: f32,
    /// Quality of that compression.
    pub jpeg_quality: [u8; 2],
    /// [`SyntheticFundus::variation`], the same for all.
    pub variation: f32,
}

impl Default for SyntheticRange {
    fn default() -> Self {
        Self::any_camera()
    }
}

impl SyntheticRange {
    /// Names of the ranges there are.
    pub const NAMES: [&str; 2] = ["any-camera", "drive-like"];

    /// Fields of view of 535 pixels by cameras of 30° to 50°, as sharp, noisy and colourful as published sets, and beyond.
    pub fn any_camera() -> Self {
        Self {
            width: [550, 600],
            aspect: [0.95, 1.05],
            fov_diameter: [0.93, 0.97],
            field_angle: [30.0, 50.0],
            disc_centred: 0.35,
            cut: 0.25,
            lesions: 0.45,
            red: [130.0, 235.0],
            green_share: [0.36, 0.62],
            blue_share: [0.25, 0.75],
            gray: 0.05,
            vessel_share: [0.12, 0.19],
            calibre: [0.8, 1.15],
            contrast: [0.6, 1.4],
            artery_darkness: [0.6, 0.9],
            reflex: [0.5, 2.0],
            tortuosity: [0.6, 1.6],
            label_margin: [0.3, 0.7],
            texture: [0.7, 1.6],
            choroid: 0.35,
            reflections: 0.5,
            rim: 0.7,
            illumination: [0.6, 1.4],
            blur: [0.5, 1.3],
            sharpness_gradient: [0.0, 0.5],
            noise: [0.008, 0.03],
            jpeg: 0.8,
            jpeg_quality: [70, 97],
            variation: 1.0,
        }
    }

    /// The one look of [`SyntheticFundus::drive_like`].
    pub fn drive_like() -> Self {
        let look = SyntheticFundus::drive_like();
        let one = |value: f32| [value; 2];
        let [red, green, blue] = look.base_color;
        let quality = look.jpeg_quality.unwrap_or(100);
        Self {
            width: [look.width; 2],
            aspect: one(look.height as f32 / look.width as f32),
            fov_diameter: one(look.fov_diameter),
            field_angle: one(look.field_angle),
            disc_centred: look.disc_centred,
            cut: look.cut,
            lesions: look.lesions,
            red: one(red),
            green_share: one(green / red),
            blue_share: one(blue / green),
            gray: look.gray,
            vessel_share: one(look.vessel_share),
            calibre: one(look.calibre),
            contrast: one(look.contrast),
            artery_darkness: one(look.artery_darkness),
            reflex: one(look.reflex),
            tortuosity: one(look.tortuosity),
            label_margin: one(look.label_margin),
            texture: one(look.texture),
            choroid: look.choroid,
            reflections: look.reflections,
            rim: look.rim,
            illumination: one(look.illumination),
            blur: one(look.blur),
            sharpness_gradient: one(look.sharpness_gradient),
            noise: one(look.noise),
            jpeg: 1.0,
            jpeg_quality: [quality; 2],
            variation: look.variation,
        }
    }

    /// Its name, or "a range of one's own".
    pub fn name(&self) -> &'static str {
        let own = "a range of one's own";
        let named = |name: &&str| name.parse::<Self>().is_ok_and(|range| range == *self);
        Self::NAMES.into_iter().find(named).unwrap_or(own)
    }

    /// Checks that each interval goes from less to more, and that both its ends are values a photograph can have.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`], naming the first field at fault.
    pub fn validate(&self) -> Result<()> {
        let [low, high] = [self.width, self.jpeg_quality.map(usize::from)];
        let whole = [("width", low), ("jpeg_quality", high)];
        let whole = whole.map(|(field, ends)| (field, ends.map(|end| end as f32)));
        for (field, [low, high]) in whole.into_iter().chain(self.intervals()) {
            // Nothing lies in a range that ends in a NaN, nor in one that goes from more to less.
            if !(low..=high).contains(&low) {
                return Err(Error::InvalidConfig {
                    field,
                    found: format!("[{low}, {high}]"),
                    expected: "the least value first, then the greatest",
                });
            }
        }
        let shares = [
            ("aspect", self.aspect, 0.5..=2.0, "between 0.5 and 2"),
            (
                "green_share",
                self.green_share,
                0.1..=1.0,
                "between 0.1 and 1",
            ),
            (
                "blue_share",
                self.blue_share,
                0.05..=1.0,
                "between 0.05 and 1",
            ),
            (
                "jpeg_quality",
                self.jpeg_quality.map(f32::from),
                1.0..=100.0,
                "between 1 and 100",
            ),
            ("jpeg", [self.jpeg; 2], 0.0..=1.0, "between 0 and 1"),
        ];
        for (field, ends, range, expected) in shares {
            if let Some(end) = ends.iter().find(|end| !range.contains(*end)) {
                return Err(Error::InvalidConfig {
                    field,
                    found: end.to_string(),
                    expected,
                });
            }
        }
        self.look(|_, [low, _]| low).validate()?;
        self.look(|_, [_, high]| high).validate()
    }

    /// The look of photograph `index` of `seed`.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn draw(&self, seed: u64, index: usize) -> Result<SyntheticFundus> {
        self.validate()?;
        let mut random = Random::new(seed, index, Stage::Look);
        Ok(self.look(|scale, [low, high]| match scale {
            Scale::Linear => random.range(low, high),
            Scale::Log => random.log_range(low, high),
        }))
    }

    fn intervals(&self) -> [(&'static str, Interval); 18] {
        [
            ("aspect", self.aspect),
            ("fov_diameter", self.fov_diameter),
            ("field_angle", self.field_angle),
            ("red", self.red),
            ("green_share", self.green_share),
            ("blue_share", self.blue_share),
            ("vessel_share", self.vessel_share),
            ("calibre", self.calibre),
            ("contrast", self.contrast),
            ("artery_darkness", self.artery_darkness),
            ("reflex", self.reflex),
            ("tortuosity", self.tortuosity),
            ("label_margin", self.label_margin),
            ("texture", self.texture),
            ("illumination", self.illumination),
            ("blur", self.blur),
            ("sharpness_gradient", self.sharpness_gradient),
            ("noise", self.noise),
        ]
    }

    /// A look whose values `pick` takes from their intervals, in the order of the fields.
    fn look(&self, mut pick: impl FnMut(Scale, Interval) -> f32) -> SyntheticFundus {
        let mut pick_linear = |interval| pick(Scale::Linear, interval);
        let ends = |[low, high]: [usize; 2]| [low as f32, high as f32];
        let width = pick_linear(ends(self.width)).round();
        let height = (width * pick_linear(self.aspect)).round();
        let red = pick_linear(self.red);
        let green = red * pick_linear(self.green_share);
        let blue = green * pick_linear(self.blue_share);
        let quality = pick_linear(ends(self.jpeg_quality.map(usize::from))).round();
        let compressed = pick_linear([0.0, 1.0]) <= self.jpeg && self.jpeg > 0.0;
        SyntheticFundus {
            width: width as usize,
            height: height as usize,
            fov_diameter: pick_linear(self.fov_diameter),
            field_angle: pick_linear(self.field_angle),
            disc_centred: self.disc_centred,
            cut: self.cut,
            lesions: self.lesions,
            base_color: [red, green, blue],
            gray: self.gray,
            vessel_share: pick_linear(self.vessel_share),
            calibre: pick_linear(self.calibre),
            artery_darkness: pick_linear(self.artery_darkness),
            reflex: pick_linear(self.reflex),
            tortuosity: pick_linear(self.tortuosity),
            label_margin: pick_linear(self.label_margin),
            texture: pick_linear(self.texture),
            choroid: self.choroid,
            reflections: self.reflections,
            rim: self.rim,
            illumination: pick_linear(self.illumination),
            blur: pick_linear(self.blur),
            sharpness_gradient: pick_linear(self.sharpness_gradient),
            noise: pick_linear(self.noise),
            variation: self.variation,
            jpeg_quality: compressed.then_some(quality as u8),
            contrast: pick(Scale::Log, self.contrast),
        }
    }
}

/// How a value is spread over its interval.
#[derive(Clone, Copy)]
enum Scale {
    Linear,
    Log,
}

impl FromStr for SyntheticRange {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "any-camera" => Ok(Self::any_camera()),
            "drive-like" => Ok(Self::drive_like()),
            _ => Err(Error::InvalidConfig {
                field: "the range of synthetic photographs",
                found: name.to_owned(),
                expected: "any-camera or drive-like",
            }),
        }
    }
}
