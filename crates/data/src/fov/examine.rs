use std::fmt;
use std::ops::RangeInclusive;

use image::RgbImage;

use super::equivalent_diameter;
use super::sharpness::sharpness;
use crate::{Error, Mask, PixelBox, Result};

/// Something odd about a photograph that can be segmented all the same.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum FundusWarning {
    /// Much of the round field of view is missing, or it is not round.
    CutFieldOfView {
        /// Its area over that of the disc as wide as its longer side.
        share: f64,
    },
    /// Outside of the field of view the photograph is hardly darker than inside.
    DoubtfulFieldOfView {
        /// Mean brightness inside, 0 to 255.
        inside: f64,
        /// Mean brightness outside.
        outside: f64,
    },
    /// Outside of the field of view lies a large part as bright as a retina: another photograph in the same picture, perhaps.
    BrightOutside {
        /// Its area over that of the field of view.
        share: f64,
    },
    /// So few or so many pixels are marked as hardly any retina has vessels.
    UnlikelyVessels {
        /// Their share of the field of view, 0 to 1.
        share: f64,
    },
    /// The colours are not those of a retina.
    NotAFundus {
        /// Share of pixels that are reddish, 0 to 1.
        reddish: f64,
    },
    /// The photograph is gray, as red-free ones are.
    Gray,
    /// The photograph is gray, and its fine structures are brighter than what surrounds them, as in an angiogram.
    BrightVessels,
    /// Fine structures hardly stand out.
    LowContrast {
        /// Standard deviation of brightness about its local mean, over the mean.
        contrast: f64,
    },
    /// Fine structures are weak beside coarser ones: the photograph is out of focus, or was enlarged.
    Blurred {
        /// Standard deviation of the fine structures over that of coarser ones.
        sharpness: f64,
    },
    /// The field of view is so small that thin vessels cannot be seen.
    LowResolution {
        /// Its equivalent diameter in pixels.
        diameter: f64,
    },
}

impl FundusWarning {
    /// Its kind, as a program writes it: `cut_field_of_view`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CutFieldOfView { .. } => "cut_field_of_view",
            Self::DoubtfulFieldOfView { .. } => "doubtful_field_of_view",
            Self::BrightOutside { .. } => "bright_outside",
            Self::UnlikelyVessels { .. } => "unlikely_vessels",
            Self::NotAFundus { .. } => "not_a_fundus",
            Self::Gray => "gray",
            Self::BrightVessels => "bright_vessels",
            Self::LowContrast { .. } => "low_contrast",
            Self::Blurred { .. } => "blurred",
            Self::LowResolution { .. } => "low_resolution",
        }
    }
}

impl fmt::Display for FundusWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutFieldOfView { share } => write!(
                f,
                "the field of view fills {:.0} % of the disc as wide as it is: it is cut off, or not one round retina; check it, or pass a mask of it",
                100.0 * share
            ),
            Self::DoubtfulFieldOfView { inside, outside } => write!(
                f,
                "outside of the field of view the photograph is hardly darker (brightness {outside:.0}) than inside ({inside:.0}); check it, or pass a mask of it"
            ),
            Self::BrightOutside { share } => write!(
                f,
                "beside the field of view lies something as bright, {:.0} % of its size, in which no vessels are looked for; if the picture holds several photographs, cut it into them",
                100.0 * share
            ),
            Self::UnlikelyVessels { share } => write!(
                f,
                "{:.1} % of the field of view are marked, where vessels take {:.1} to {:.0} %: the photograph may be blurred, overexposed, heavily compressed, or no fundus",
                100.0 * share,
                100.0 * LIKELY_VESSELS.start(),
                100.0 * LIKELY_VESSELS.end()
            ),
            Self::NotAFundus { reddish } => write!(
                f,
                "{:.0} % of the field of view is reddish, where a retina is reddish nearly everywhere; check that this is a colour photograph of a fundus",
                100.0 * reddish
            ),
            Self::Gray => write!(
                f,
                "the photograph is gray; the networks are trained on colour photographs, so look at the result before using it"
            ),
            Self::BrightVessels => write!(
                f,
                "fine structures are brighter than what surrounds them, as in an angiogram; vessels are expected to be dark: invert the picture"
            ),
            Self::LowContrast { contrast } => write!(
                f,
                "fine structures differ from their surroundings by {:.1} % of the brightness; vessels may be missed: use a sharper or better lit photograph",
                100.0 * contrast
            ),
            Self::Blurred { sharpness } => write!(
                f,
                "fine structures have {:.0} % of the contrast of coarser ones, where sharp photographs have about as much or more; thin vessels are missed: use a sharper photograph",
                100.0 * sharpness
            ),
            Self::LowResolution { diameter } => write!(
                f,
                "the field of view is {diameter:.0} pixels wide; thin vessels cannot be seen below 200: use the photograph at its original size"
            ),
        }
    }
}

/// Least area of a field of view over that of the disc as wide as its longer side.
const LEAST_SHARE: f64 = 0.55;
/// Most brightness outside over that inside.
const MOST_OUTSIDE: f64 = 0.6;
/// How bright a pixel outside must be, over the mean inside, to be as bright as a retina.
const AS_BRIGHT: f64 = 0.5;
/// Most area of such pixels over that of the field of view.
const MOST_BRIGHT: f64 = 0.15;
/// Shares of the field of view that vessels take.
const LIKELY_VESSELS: RangeInclusive<f64> = 0.015..=0.25;
/// Least share of reddish pixels.
const LEAST_REDDISH: f64 = 0.5;
/// Most mean difference of the channels, over the brightness, in a gray photograph.
const MOST_GRAY: f64 = 0.04;
/// Least contrast of fine structures.
const LEAST_CONTRAST: f64 = 0.008;
/// Least contrast of fine structures over that of coarser ones.
const LEAST_SHARPNESS: f64 = 0.67;
/// Least diameter in pixels.
const LEAST_DIAMETER: f64 = 200.0;
/// The diameter to which a field of view is reduced at most.
const REDUCED: f64 = 300.0;

/// Looks at a photograph within its field of view for what may spoil a segmentation.
///
/// No figure of darkness is among it: a dark photograph is a sound one. The bounds raise no alarm on the photographs of DRIVE,
/// CHASE_DB1, HRF, STARE, FIVES, GAVE, ORVS and IDRiD.
///
/// ```
/// use venule_data::{FundusWarning, Mask, examine, full_frame};
/// let gray = image::RgbImage::from_fn(300, 300, |x, _| image::Rgb([if x % 16 < 3 { 70 } else { 110 }; 3]));
/// assert_eq!(examine(&gray, &full_frame((300, 300)))?, [FundusWarning::Gray]);
/// # Ok::<(), venule_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::SizeMismatch`] if the field of view has another size, [`Error::EmptyFieldOfView`].
pub fn examine(image: &RgbImage, fov: &Mask) -> Result<Vec<FundusWarning>> {
    let size = (image.width() as usize, image.height() as usize);
    fov.expect_size("the field of view", size)?;
    let Some(bounds) = PixelBox::around(fov) else {
        return Err(Error::EmptyFieldOfView {
            id: "a photograph".to_owned(),
        });
    };
    let seen = Figures::of(image, fov, bounds);
    let mut warnings = Vec::new();
    let full = fov.count() == fov.data().len();
    if !full && seen.share < LEAST_SHARE {
        warnings.push(FundusWarning::CutFieldOfView { share: seen.share });
    }
    if let Some(outside) = seen.outside
        && outside > MOST_OUTSIDE * seen.inside
    {
        warnings.push(FundusWarning::DoubtfulFieldOfView {
            inside: seen.inside,
            outside,
        });
    }
    if seen.bright_outside > MOST_BRIGHT {
        warnings.push(FundusWarning::BrightOutside {
            share: seen.bright_outside,
        });
    }
    if seen.chroma < MOST_GRAY {
        warnings.push(match seen.skew > 0.0 {
            true => FundusWarning::BrightVessels,
            false => FundusWarning::Gray,
        });
    } else if seen.reddish < LEAST_REDDISH {
        warnings.push(FundusWarning::NotAFundus {
            reddish: seen.reddish,
        });
    }
    if seen.contrast < LEAST_CONTRAST {
        warnings.push(FundusWarning::LowContrast {
            contrast: seen.contrast,
        });
    }
    let sharpness = sharpness(image, bounds)?;
    if let Some(sharpness) = sharpness.filter(|sharpness| *sharpness < LEAST_SHARPNESS) {
        warnings.push(FundusWarning::Blurred { sharpness });
    }
    let diameter = equivalent_diameter(fov);
    if diameter < LEAST_DIAMETER {
        warnings.push(FundusWarning::LowResolution { diameter });
    }
    Ok(warnings)
}

/// A warning if a segmentation marks an unlikely share of the field of view.
///
/// ```
/// use venule_data::{FundusWarning, Mask, examine_vessels};
/// let fov = Mask::filled(40, 30, true);
/// assert_eq!(examine_vessels(&Mask::from_fn(40, 30, |x, _| x < 4), &fov), None);
/// let nothing = examine_vessels(&Mask::filled(40, 30, false), &fov);
/// assert_eq!(nothing, Some(FundusWarning::UnlikelyVessels { share: 0.0 }));
/// ```
pub fn examine_vessels(vessels: &Mask, fov: &Mask) -> Option<FundusWarning> {
    let share = vessels.count() as f64 / fov.count().max(1) as f64;
    let likely = LIKELY_VESSELS.contains(&share);
    (!likely).then_some(FundusWarning::UnlikelyVessels { share })
}

/// What the warnings are decided by.
#[derive(Debug)]
struct Figures {
    share: f64,
    inside: f64,
    /// `None` if next to nothing lies outside.
    outside: Option<f64>,
    /// Area outside that is as bright as the inside, over the area inside.
    bright_outside: f64,
    reddish: f64,
    chroma: f64,
    contrast: f64,
    /// How much further from its median the brightest than the darkest twentieth of brightness about its local mean begins.
    skew: f64,
}

impl Figures {
    fn of(image: &RgbImage, fov: &Mask, bounds: PixelBox) -> Self {
        let longest = bounds.width.max(bounds.height) as f64;
        let share = fov.count() as f64 / (longest * longest * std::f64::consts::FRAC_PI_4);
        let (mut inside, mut outside) = (Mean::default(), Mean::default());
        let (mut reddish, mut chroma) = (Mean::default(), Mean::default());
        for (pixel, &is_inside) in image.pixels().zip(fov.data()) {
            let [r, g, b] = pixel.0.map(f64::from);
            let (most, least) = (r.max(g).max(b), r.min(g).min(b));
            if !is_inside {
                outside.add(most);
                continue;
            }
            inside.add(most);
            chroma.add(most - least);
            // The darkest pixels have the colour of noise.
            if most >= 24.0 {
                reddish.add(f64::from(u8::from(r >= g && r >= b)));
            }
        }
        let total = (inside.count + outside.count).max(1.0);
        let bright = AS_BRIGHT * inside.value();
        let pixels = image.pixels().zip(fov.data());
        let as_bright = pixels.filter(|(pixel, is_inside)| {
            let [r, g, b] = pixel.0;
            !**is_inside && f64::from(r.max(g).max(b)) > bright
        });
        let bright_outside = as_bright.count() as f64 / inside.count.max(1.0);
        let (contrast, skew) = fine_structure(image, fov, bounds);
        Self {
            share,
            inside: inside.value(),
            outside: (outside.count / total > 0.02).then(|| outside.value()),
            bright_outside,
            reddish: if reddish.count > 0.0 {
                reddish.value()
            } else {
                1.0
            },
            chroma: chroma.value() / inside.value().max(1.0),
            contrast,
            skew,
        }
    }
}

#[derive(Default)]
struct Mean {
    sum: f64,
    count: f64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1.0;
    }

    fn value(&self) -> f64 {
        self.sum / self.count.max(1.0)
    }
}

/// Contrast and skewness of the green channel about its mean in squares of a 24th of the field of view, reduced by whole blocks.
fn fine_structure(image: &RgbImage, fov: &Mask, bounds: PixelBox) -> (f64, f64) {
    let longest = bounds.width.max(bounds.height) as f64;
    let scale = ((longest / REDUCED) as usize).max(1);
    let (width, height) = (bounds.width.div_ceil(scale), bounds.height.div_ceil(scale));
    let mut levels: Vec<Mean> = (0..width * height).map(|_| Mean::default()).collect();
    for y in 0..bounds.height {
        let row = &fov.row(bounds.top + y)[bounds.left..bounds.left + bounds.width];
        for (x, _) in row.iter().enumerate().filter(|(_, inside)| **inside) {
            let (column, line) = ((bounds.left + x) as u32, (bounds.top + y) as u32);
            let green = image.get_pixel(column, line).0[1];
            levels[y / scale * width + x / scale].add(f64::from(green));
        }
    }
    // Sums of values and of their number over all that lies above and to the left.
    let mut sums = vec![(0.0, 0.0); (width + 1) * (height + 1)];
    let whole = (scale * scale) as f64 * 0.99;
    let known = |x: usize, y: usize| {
        let mean = &levels[y * width + x];
        (mean.count >= whole).then(|| mean.value())
    };
    for y in 0..height {
        let mut row = (0.0, 0.0);
        for x in 0..width {
            if let Some(level) = known(x, y) {
                row = (row.0 + level, row.1 + 1.0);
            }
            let above = sums[y * (width + 1) + x + 1];
            sums[(y + 1) * (width + 1) + x + 1] = (above.0 + row.0, above.1 + row.1);
        }
    }
    let radius = ((longest / scale as f64) / 48.0).round().max(1.0) as usize;
    let (mut square, mut all) = (Mean::default(), Mean::default());
    let mut differences = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let Some(level) = known(x, y) else { continue };
            let (left, right) = (x.saturating_sub(radius), (x + radius + 1).min(width));
            let (top, bottom) = (y.saturating_sub(radius), (y + radius + 1).min(height));
            let corner = |x: usize, y: usize| sums[y * (width + 1) + x];
            let (a, b, c, d) = (
                corner(right, bottom),
                corner(left, bottom),
                corner(right, top),
                corner(left, top),
            );
            let count = a.1 - b.1 - c.1 + d.1;
            // Squares that reach beyond the rim would show its shading.
            if count < ((2 * radius + 1) * (2 * radius + 1)) as f64 {
                continue;
            }
            let difference = level - (a.0 - b.0 - c.0 + d.0) / count;
            all.add(level);
            square.add(difference * difference);
            differences.push(difference);
        }
    }
    differences.sort_by(f64::total_cmp);
    // Quantiles: bright lesions and the optic disc are few pixels of great weight, vessels many.
    let at = |share: f64| {
        let index = (share * differences.len() as f64) as usize;
        differences.get(index).copied().unwrap_or(0.0)
    };
    let skew = at(0.05) + at(0.95) - 2.0 * at(0.5);
    (square.value().sqrt() / all.value().max(1.0), skew)
}
