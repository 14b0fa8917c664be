mod background;
mod camera;
mod course;
mod growth;
mod lesions;
mod noise;
mod occupancy;
mod random;
mod scene;
#[cfg(test)]
mod tests;
mod tree;
mod vessels;

use serde::{Deserialize, Serialize};

use crate::{Dataset, Error, Mask, Result, Sample};
use random::{Random, Stage};
use scene::Scene;

/// What synthetic fundus photographs look like.
///
/// Lengths are given for an image in which 540 pixels span 45°, as in DRIVE, and scale with the image.
///
/// ```
/// use venule_data::{SyntheticFundus, synthetic_fundus};
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
    /// Mean share of vessel pixels in the field of view, 0.02–0.16.
    pub vessel_share: f32,
    /// Darkness of the vessels, 0.1–3; 1 is that of DRIVE.
    pub contrast: f32,
    /// How much vessels wind, 0–3; 1 is usual.
    pub tortuosity: f32,
    /// Standard deviation of the optical blur in pixels of a DRIVE photograph, 0–5.
    pub blur: f32,
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
            vessel_share: 0.12,
            contrast: 1.0,
            tortuosity: 1.0,
            blur: 0.75,
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
            (
                "SyntheticFundus::vessel_share",
                self.vessel_share,
                0.02..=0.16,
                "between 0.02 and 0.16",
            ),
            (
                "SyntheticFundus::contrast",
                self.contrast,
                0.1..=3.0,
                "between 0.1 and 3",
            ),
            (
                "SyntheticFundus::tortuosity",
                self.tortuosity,
                0.0..=3.0,
                "between 0 and 3",
            ),
            (
                "SyntheticFundus::blur",
                self.blur,
                0.0..=5.0,
                "between 0 and 5 pixels",
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

/// Makes photograph `index` of the endless set that `seed` stands for, with its exact label and field of view.
///
/// Vessels grow from the optic disc as arcades around the macula and branch by Murray's law; the label holds the pixels
/// of which more than half is a vessel at least 0.9 pixels wide. The same arguments give the same bytes.
///
/// # Errors
/// [`Error::InvalidConfig`] if the configuration is out of range; [`Error::SyntheticJpeg`] if the JPEG encoder fails.
pub fn synthetic_fundus(config: &SyntheticFundus, seed: u64, index: usize) -> Result<Sample> {
    config.validate()?;
    let stream = |stage| Random::new(seed, index, stage);
    let scene = Scene::new(config, &mut stream(Stage::Scene));
    let fov = Mask::from_fn(config.width, config.height, |x, y| scene.sees(x, y));

    let mut random = stream(Stage::Vessels);
    let vessels = grow_vessels(config, &scene, &fov, &mut random);

    let mut planes = background::paint(&scene, config.variation, &mut stream(Stage::Background));
    if scene.has_lesions {
        lesions::paint(&mut planes, &scene, &mut stream(Stage::Lesions));
    }
    // Blood lets red light through best. Veins carry less oxygen and take more of it.
    let weights = [(0.24, 0.38), (1.0, 1.0), (0.5, 0.52)];
    for (plane, (artery, vein)) in planes.iter_mut().zip(weights) {
        for (at, value) in plane.iter_mut().enumerate() {
            let depth = artery * vessels.artery[at] + vein * vessels.vein[at];
            if depth > 0.0 {
                *value *= (-scene.contrast * depth).exp();
            }
        }
    }
    let image = camera::expose(planes, &scene, config, &mut stream(Stage::Camera))?;
    Ok(Sample {
        id: synthetic_id(seed, index),
        image,
        label: Some(vessels.label),
        second_label: None,
        fov: Some(fov),
        fov_diameter: None,
    })
}

/// Grows a tree and widens or narrows it a little so that its drawn share meets the drawn target.
fn grow_vessels(
    config: &SyntheticFundus,
    scene: &Scene,
    fov: &Mask,
    random: &mut Random,
) -> vessels::Vessels {
    let spread = 0.09 * config.variation * random.normal().clamp(-1.6, 1.6);
    let share = config.vessel_share * (1.0 + spread);
    let reflex = random.range(0.1, 0.45);
    // Vessels much narrower than a pixel would not be seen.
    let smallest = (0.5 / scene.scale).clamp(0.68, 1.6);
    let mut tree = growth::grow(scene, 1.15 * share, smallest, random);
    // In a small image few vessels are wider than a pixel, so those must be widened more; they come into sight all
    // at once, so the steps there are damped.
    let limit = (0.45 / scene.scale).max(1.25);
    let power = if scene.scale < 0.6 { 0.5 } else { 1.0 };
    let mut widened = 1.0_f32;
    for _ in 0..5 {
        let found = vessels::share(&tree, scene, fov).max(1e-3);
        let wanted = widened * (share / found).powf(power);
        let factor = wanted.clamp(0.8, limit) / widened;
        tree.widen(factor);
        widened *= factor;
        if (factor - 1.0).abs() < 0.05 * power {
            break;
        }
    }
    vessels::draw(&tree, scene, fov, reflex)
}

fn synthetic_id(seed: u64, index: usize) -> String {
    format!("synthetic_{seed}_{index:04}")
}

/// Most photographs of a set: their ids are in memory.
const MOST: usize = 1 << 26;

/// A data set of synthetic photographs, made when they are asked for.
///
/// ```
/// use venule_data::{Dataset, SyntheticFundus, SyntheticSet};
/// let set = SyntheticSet::new(SyntheticFundus::square(96), 42, 3)?;
/// assert_eq!((set.len(), set.id(2)), (3, "synthetic_42_0002"));
/// let sample = set.load(2)?;
/// assert!(sample.label.is_some() && sample.fov.is_some());
/// # Ok::<(), venule_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SyntheticSet {
    config: SyntheticFundus,
    seed: u64,
    ids: Vec<String>,
}

impl SyntheticSet {
    /// The first `count` photographs of `seed`.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if the configuration is out of range, or `count` above 2²⁶.
    pub fn new(config: SyntheticFundus, seed: u64, count: usize) -> Result<Self> {
        config.validate()?;
        if count > MOST {
            return Err(Error::InvalidConfig {
                field: "the number of synthetic photographs",
                found: count.to_string(),
                expected: "at most 2^26",
            });
        }
        let ids = (0..count).map(|index| synthetic_id(seed, index)).collect();
        Ok(Self { config, seed, ids })
    }
}

impl Dataset for SyntheticSet {
    fn len(&self) -> usize {
        self.ids.len()
    }

    fn id(&self, index: usize) -> &str {
        self.ids.get(index).map_or("", String::as_str)
    }

    fn load(&self, index: usize) -> Result<Sample> {
        if index >= self.ids.len() {
            return Err(Error::IndexOutOfRange {
                index,
                len: self.ids.len(),
            });
        }
        synthetic_fundus(&self.config, self.seed, index)
    }
}
