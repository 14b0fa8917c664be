//! Random views of a prepared sample.

mod centre;
mod color;
mod compression;
mod elastic;
mod intensity;
mod jitter;
mod warp;

use serde::{Deserialize, Serialize};

use crate::draw::{Draw, Purpose};
use crate::prepare::check_size;
use crate::{Prepared, Result};
use jitter::probability;
use warp::{View, warp};

pub use centre::CropCentre;
pub use color::ColorJitter;
pub use elastic::Elastic;
pub use jitter::Jitter;

/// Anything that makes a random view of a prepared sample; [`Augment`] is the ready-made one.
pub trait Transform: Send + Sync {
    /// A view of `crop` = (width, height) pixels, the same for the same (`seed`, `epoch`, `index`).
    ///
    /// # Errors
    /// Whatever stops the view from being made.
    fn transform(
        &self,
        prepared: &Prepared,
        crop: (usize, usize),
        seed: u64,
        epoch: u64,
        index: u64,
    ) -> Result<Prepared>;
}

/// Random flips, rotation, scale, shear, translation, elastic deformation and changes of intensity.
///
/// The geometric steps are composed to one map from output to input and the input is sampled once: image and weights
/// bilinearly, label and field of view at the nearest pixel. What lies outside the frame or the field of view is 0 in
/// the image and the weights, `false` in the masks. Then, on the image: blur, gamma, contrast and brightness, noise,
/// compression as JPEG. All channels of an image are changed alike; noise is drawn for each.
///
/// The sampling does not average when a view shrinks its source, so keep scales below about 2. Colour can only change
/// before channels are chosen: see [`ColorJitter`] and [`RecoloredSet`](crate::RecoloredSet).
///
/// ```
/// use venule_data::{Augment, Mask, Plane, Prepared};
/// let prepared = Prepared {
///     id: "01".into(),
///     image: Plane::from_fn(64, 48, |x, y| (x + y) as f32).into(),
///     label: Some(Mask::from_fn(64, 48, |x, _| x % 9 == 0)),
///     fov: Mask::filled(64, 48, true),
///     weights: None,
/// };
/// let view = Augment::standard().sample(&prepared, (32, 32), 7, 0, 3)?;
/// assert_eq!(view.size(), (32, 32));
/// assert_eq!(view, Augment::standard().sample(&prepared, (32, 32), 7, 0, 3)?);
/// assert_eq!(Augment::none().sample(&prepared, (64, 48), 7, 0, 3)?, prepared);
/// # Ok::<(), venule_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// Where in the image the view is centred.
    pub centre: CropCentre,
    /// Probability of mirroring left and right.
    pub flip_horizontal: f32,
    /// Probability of mirroring top and bottom.
    pub flip_vertical: f32,
    /// Turn of the view about its centre, in degrees, within ±360.
    pub rotation: Jitter,
    /// Side of the view in the source over side of the crop: 0.75 magnifies, 1.3 shrinks. Within 0.1..=10.
    pub scale: Jitter,
    /// Shear angle in degrees, each axis drawn on its own, within ±60.
    pub shear: Jitter,
    /// Further shift of the view in source pixels, each axis drawn on its own, within ±10,000.
    pub translation: Jitter,
    /// Smooth random deformation.
    pub elastic: Elastic,
    /// Standard deviation of a Gaussian blur, in pixels of the crop, 0..=50.
    pub blur: Jitter,
    /// Exponent applied after the crop's values inside the field of view, of all channels, are mapped to 0..1; then they are mapped back. Within
    /// 0.1..=10.
    pub gamma: Jitter,
    /// Factor on the image, about 0 (the mean of a standardised image), 0..=10.
    pub contrast: Jitter,
    /// Shift added to the image, in its own units (standard deviations of a standardised image), within ±10.
    pub brightness: Jitter,
    /// Standard deviation of Gaussian noise, in the image's own units, 0..=10.
    pub noise: Jitter,
    /// Quality of a JPEG file that the view is written to and read from, 1..=100. Each channel is a gray picture of its own, of which a
    /// unit of the image (one standard deviation) is 32 gray levels; where its blocks of 8×8 begin is drawn.
    pub jpeg: Jitter,
}

impl Default for Augment {
    fn default() -> Self {
        Self::none()
    }
}

impl Augment {
    /// No change at all: the middle of the image, cut or padded with zeros to the crop's size. The default.
    pub fn none() -> Self {
        Self {
            centre: CropCentre::Middle,
            flip_horizontal: 0.0,
            flip_vertical: 0.0,
            rotation: Jitter::NEVER,
            scale: Jitter::NEVER,
            shear: Jitter::NEVER,
            translation: Jitter::NEVER,
            elastic: Elastic::default(),
            blur: Jitter::NEVER,
            gamma: Jitter::NEVER,
            contrast: Jitter::NEVER,
            brightness: Jitter::NEVER,
            noise: Jitter::NEVER,
            jpeg: Jitter::NEVER,
        }
    }

    /// The recipe of the `compact` model: any rotation, scale 0.75 to 1.3, flips, contrast 0.7 to 1.4, shift ±0.3,
    /// noise of 0.1 on three views in ten; centres in the inner 0.7 of the field of view's box.
    pub fn standard() -> Self {
        Self {
            centre: CropCentre::Inner { fraction: 0.7 },
            flip_horizontal: 0.5,
            flip_vertical: 0.5,
            rotation: Jitter::always(-180.0, 180.0),
            scale: Jitter::always(0.75, 1.3),
            contrast: Jitter::always(0.7, 1.4),
            brightness: Jitter::always(-0.3, 0.3),
            noise: Jitter::sometimes(0.3, 0.1, 0.1),
            ..Self::none()
        }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`](crate::Error::InvalidConfig) that names the first setting out of range.
    pub fn validate(&self) -> Result<()> {
        probability("Augment::flip_horizontal", self.flip_horizontal)?;
        probability("Augment::flip_vertical", self.flip_vertical)?;
        let turns = "within -360 to 360 degrees";
        self.rotation
            .validate("Augment::rotation", (-360.0, 360.0), turns)?;
        let factors = "within 0.1 to 10";
        self.scale
            .validate("Augment::scale", (0.1, 10.0), factors)?;
        let angles = "within -60 to 60 degrees";
        self.shear
            .validate("Augment::shear", (-60.0, 60.0), angles)?;
        let pixels = "within -10000 to 10000 pixels";
        self.translation
            .validate("Augment::translation", (-1e4, 1e4), pixels)?;
        let pixels = "within 0 to 50 pixels";
        self.blur.validate("Augment::blur", (0.0, 50.0), pixels)?;
        self.gamma
            .validate("Augment::gamma", (0.1, 10.0), factors)?;
        let factors = "within 0 to 10";
        self.contrast
            .validate("Augment::contrast", (0.0, 10.0), factors)?;
        let units = "within -10 to 10 standard deviations";
        self.brightness
            .validate("Augment::brightness", (-10.0, 10.0), units)?;
        let units = "within 0 to 10 standard deviations";
        self.noise.validate("Augment::noise", (0.0, 10.0), units)?;
        let qualities = "within the qualities 1 to 100";
        self.jpeg
            .validate("Augment::jpeg", (1.0, 100.0), qualities)?;
        self.elastic.validate()?;
        self.centre.validate()
    }

    /// A view of `crop` = (width, height) pixels. The same `seed`, `epoch` and `index` give the same bytes, and
    /// each setting draws its numbers whether it acts or not, so that changing one leaves the others as they were.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`](crate::Error::InvalidConfig) for settings or a crop out of range, [`Error::SizeMismatch`](crate::Error::SizeMismatch) if the sample's maps
    /// differ in size.
    pub fn sample(
        &self,
        prepared: &Prepared,
        crop: (usize, usize),
        seed: u64,
        epoch: u64,
        index: u64,
    ) -> Result<Prepared> {
        self.validate()?;
        check_size("the crop", crop)?;
        check_size("the image to crop", prepared.size())?;
        prepared.check_sizes()?;
        let stream = |purpose| Draw::new(seed, epoch, index, purpose);
        let centre = self
            .centre
            .choose(prepared, crop, &mut stream(Purpose::Centre));
        let view = self.view(centre, &mut stream(Purpose::Geometry));
        let displacement = self.elastic.draw(crop, &mut stream(Purpose::Elastic));
        let mut out = warp(prepared, crop, &view, displacement.as_ref())?;
        self.shade(&mut out, &stream)?;
        Ok(out)
    }

    /// The same places in the same intensities: no blur, gamma, contrast, brightness, noise or compression.
    #[must_use]
    pub fn geometry(&self) -> Self {
        Self {
            blur: Jitter::NEVER,
            gamma: Jitter::NEVER,
            contrast: Jitter::NEVER,
            brightness: Jitter::NEVER,
            noise: Jitter::NEVER,
            jpeg: Jitter::NEVER,
            ..self.clone()
        }
    }

    /// The changes of intensity alone, on an image as it stands; with those of [`geometry`](Self::geometry) before them they give
    /// what [`sample`](Self::sample) gives.
    ///
    /// ```
    /// use venule_data::{Augment, Mask, Plane, Prepared};
    /// let prepared = Prepared {
    ///     id: "01".into(),
    ///     image: Plane::from_fn(64, 48, |x, y| (x + y) as f32).into(),
    ///     label: None,
    ///     fov: Mask::filled(64, 48, true),
    ///     weights: None,
    /// };
    /// let augment = Augment::standard();
    /// let weak = augment.geometry().sample(&prepared, (32, 32), 7, 0, 3)?;
    /// let strong = augment.change_intensity(weak.clone(), 7, 0, 3)?;
    /// assert_ne!(strong.image, weak.image);
    /// assert_eq!(strong, augment.sample(&prepared, (32, 32), 7, 0, 3)?);
    /// # Ok::<(), venule_data::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidConfig`](crate::Error::InvalidConfig) for settings out of range.
    pub fn change_intensity(
        &self,
        mut view: Prepared,
        seed: u64,
        epoch: u64,
        index: u64,
    ) -> Result<Prepared> {
        self.validate()?;
        view.check_sizes()?;
        self.shade(&mut view, &|purpose| Draw::new(seed, epoch, index, purpose))?;
        Ok(view)
    }

    fn view(&self, (x, y): (f32, f32), draw: &mut Draw) -> View {
        let mirror = |probability: f32, draw: &mut Draw| match draw.unit() < probability {
            true => -1.0,
            false => 1.0,
        };
        let flip = (
            mirror(self.flip_horizontal, draw),
            mirror(self.flip_vertical, draw),
        );
        let angle = self.rotation.draw(0.0, draw).to_radians();
        let scale = self.scale.draw(1.0, draw);
        let shear = (
            self.shear.draw(0.0, draw).to_radians().tan(),
            self.shear.draw(0.0, draw).to_radians().tan(),
        );
        let shift = (
            self.translation.draw(0.0, draw),
            self.translation.draw(0.0, draw),
        );
        View::new((x + shift.0, y + shift.1), angle, scale, shear, flip)
    }

    fn shade(&self, out: &mut Prepared, stream: &impl Fn(Purpose) -> Draw) -> Result<()> {
        let mut draw = stream(Purpose::Intensity);
        let sigma = self.blur.draw(0.0, &mut draw);
        let exponent = self.gamma.draw(1.0, &mut draw);
        let factor = self.contrast.draw(1.0, &mut draw);
        let shift = self.brightness.draw(0.0, &mut draw);
        let noise = self.noise.draw(0.0, &mut draw);
        intensity::blur(out, sigma)?;
        intensity::gamma(out, exponent);
        intensity::linear(out, factor, shift);
        intensity::noise(out, noise, &mut stream(Purpose::Noise));
        let mut draw = stream(Purpose::Compression);
        let quality = self.jpeg.draw(0.0, &mut draw);
        let grid = (draw.below(8), draw.below(8));
        if quality > 0.0 {
            compression::jpeg(out, quality.round() as u8, grid)?;
        }
        Ok(())
    }
}

impl Transform for Augment {
    fn transform(
        &self,
        prepared: &Prepared,
        crop: (usize, usize),
        seed: u64,
        epoch: u64,
        index: u64,
    ) -> Result<Prepared> {
        self.sample(prepared, crop, seed, epoch, index)
    }
}
