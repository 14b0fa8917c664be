use std::fmt;
use std::path::Path;

use candle_core::Device;
use image::RgbImage;
use venule_data::{FovPolicy, Mask, Plane, Planes, Resize, Sample};
use venule_mae::VitConfig;

use crate::model::VIT;
use crate::predict::seen_only;
use crate::{
    Cancel, Checkpoint, Error, PartConfig, Predict, Prediction, Registry, Result, Segmentation,
    VesselModel,
};

/// Which weights of crate `venule-weights`; [its card](https://docs.rs/venule-weights) has the figures of all.
#[cfg(feature = "bundled")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bundled {
    /// The preset `compact`: the more accurate ones. The default.
    #[default]
    Compact,
    /// The preset `unet`: a quarter of the time of a photograph.
    Unet,
    /// The preset `unet`, trained on synthetic photographs alone: a start for a training of one's own.
    LabelFree,
}

#[cfg(feature = "bundled")]
impl Bundled {
    /// The names by which programs and run files know them.
    pub const NAMES: [(&str, Self); 3] = [
        ("bundled", Self::Compact),
        ("bundled-fast", Self::Unet),
        ("label-free", Self::LabelFree),
    ];

    /// Those of this name, if there are any.
    ///
    /// ```
    /// use venule::Bundled;
    /// assert_eq!(Bundled::named("label-free"), Some(Bundled::LabelFree));
    /// assert_eq!(Bundled::named("best.safetensors"), None);
    /// ```
    pub fn named(name: &str) -> Option<Self> {
        let mut names = Self::NAMES.into_iter();
        names
            .find(|(known, _)| *known == name)
            .map(|(_, weights)| weights)
    }

    /// The weights file, as it is built into the program.
    ///
    /// ```
    /// use venule::{Bundled, data::Checksum};
    /// let [unet, compact] = [Bundled::Unet, Bundled::Compact].map(|weights| Checksum::of_bytes(weights.bytes()));
    /// assert_ne!(unet, compact);
    /// ```
    pub fn bytes(self) -> &'static [u8] {
        match self {
            Self::Compact => venule_weights::COMPACT,
            Self::Unet => venule_weights::UNET,
            Self::LabelFree => venule_weights::LABEL_FREE,
        }
    }
}

/// A trained model ready for photographs: `Send + Sync`, without global state, to be shared by reference.
///
/// ```
/// use venule::{Calibration, Checkpoint, ModelConfig, Provenance, Segmenter, VesselModel};
/// use venule::candle_core::Device;
/// use venule::data::{FovPolicy, Preprocess};
/// use venule::synthetic::{SyntheticFundus, synthetic_fundus};
///
/// let checkpoint = Checkpoint {
///     model: ModelConfig::preset("tiny")?,
///     preprocess: Preprocess::default(),
///     fov: FovPolicy::GivenOrDetect,
///     threshold: 0.5,
///     calibration: Calibration::default(),
///     provenance: Provenance::default(),
/// };
/// let model = VesselModel::new(&checkpoint.model, 1, &Device::Cpu)?;
/// let segmenter = Segmenter::new(checkpoint, model)?;
/// let photo = synthetic_fundus(&SyntheticFundus::square(128), 7, 0)?.image;
/// let vessels = segmenter.segment(&photo)?;
/// assert_eq!(vessels.mask.size(), (128, 128));
/// # Ok::<(), venule::Error>(())
/// ```
pub struct Segmenter {
    checkpoint: Checkpoint,
    model: VesselModel,
    flips: bool,
}

impl fmt::Debug for Segmenter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Segmenter")
            .field("checkpoint", &self.checkpoint)
            .field("flips", &self.flips)
            .finish_non_exhaustive()
    }
}

impl Segmenter {
    /// From what a checkpoint says and its model, all of whose parameters are frozen from now on, in every
    /// [`ParamStore`](venule_nn::ParamStore) that shares them.
    ///
    /// # Errors
    /// If a setting is out of range, or `checkpoint` is of another architecture or other channels than the model.
    pub fn new(checkpoint: Checkpoint, model: VesselModel) -> Result<Self> {
        checkpoint.validate(&model)?;
        model.store().set_trainable(|_| false);
        Ok(Self {
            checkpoint,
            model,
            flips: false,
        })
    }

    /// With the weights of crate `venule-weights`, which are built into the program, on the CPU: [`Bundled::Compact`], trained on
    /// CHASE_DB1 and HRF. [`venule_weights`](https://docs.rs/venule-weights) says what they are good for, and what not.
    ///
    /// ```
    /// let segmenter = venule::Segmenter::bundled()?;
    /// assert!(segmenter.checkpoint().threshold > 0.0);
    /// # Ok::<(), venule::Error>(())
    /// ```
    ///
    /// # Errors
    /// None that the caller could cause.
    #[cfg(feature = "bundled")]
    pub fn bundled() -> Result<Self> {
        Self::bundled_on(Bundled::Compact, &Device::Cpu)
    }

    /// As [`bundled`](Self::bundled), but with [`Bundled::Unet`].
    ///
    /// ```
    /// let fast = venule::Segmenter::bundled_fast()?;
    /// assert_eq!(fast.checkpoint().model.encoder.kind, "none");
    /// # Ok::<(), venule::Error>(())
    /// ```
    ///
    /// # Errors
    /// None that the caller could cause.
    #[cfg(feature = "bundled")]
    pub fn bundled_fast() -> Result<Self> {
        Self::bundled_on(Bundled::Unet, &Device::Cpu)
    }

    /// As [`bundled`](Self::bundled), with weights and on a device of one's choice.
    ///
    /// # Errors
    /// If the device has no room.
    #[cfg(feature = "bundled")]
    pub fn bundled_on(weights: Bundled, device: &Device) -> Result<Self> {
        let bytes = weights.bytes();
        let (checkpoint, model) = Checkpoint::parse("the bundled weights", bytes, device)?;
        Self::new(checkpoint, model)
    }

    /// From a weights file that `finetune` wrote, on the CPU.
    ///
    /// # Errors
    /// If the file is unreadable, damaged or no segmentation checkpoint.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_file_on(path, &Device::Cpu)
    }

    /// From a weights file, on a device.
    ///
    /// # Errors
    /// As [`Segmenter::from_file`].
    pub fn from_file_on(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        Self::from_file_with(&Registry::built_in(), path, device)
    }

    /// From a weights file whose parts a registry knows.
    ///
    /// # Errors
    /// As [`Segmenter::from_file`]; a kind that the registry lacks is named.
    pub fn from_file_with(
        registry: &Registry,
        path: impl AsRef<Path>,
        device: &Device,
    ) -> Result<Self> {
        let (checkpoint, model) = Checkpoint::load_with(registry, path, device)?;
        Self::new(checkpoint, model)
    }

    /// Uses another threshold than the stored one, and forgets which images that one was chosen on.
    ///
    /// # Errors
    /// [`Error::Config`] if it is not in [0, 1].
    pub fn with_threshold(mut self, threshold: f32) -> Result<Self> {
        check_threshold(threshold)?;
        self.checkpoint.threshold = threshold;
        self.checkpoint.provenance.threshold_images.clear();
        Ok(self)
    }

    /// Takes the field of view from elsewhere than the checkpoint says.
    pub fn with_fov_policy(mut self, fov: FovPolicy) -> Self {
        self.checkpoint.fov = fov;
        self
    }

    /// Brings photographs to another size than the checkpoint says before the network sees them; a sample's own
    /// [`fov_diameter`](Sample::fov_diameter) goes before it.
    ///
    /// # Errors
    /// If the size is out of range.
    pub fn with_resize(mut self, resize: Option<Resize>) -> Result<Self> {
        self.checkpoint.preprocess.resize = resize;
        self.checkpoint.preprocess.validate()?;
        Ok(self)
    }

    /// Keeps the dark rim of the field of view from the network, or not, whatever the checkpoint says
    /// ([`Preprocess::dark_rim`](venule_data::Preprocess::dark_rim)); it finds no vessels there, at the size at which it sees the
    /// photograph.
    ///
    /// # Errors
    /// If the share is out of range.
    pub fn with_dark_rim(mut self, share: f32) -> Result<Self> {
        self.checkpoint.preprocess.dark_rim = share;
        self.checkpoint.preprocess.validate()?;
        Ok(self)
    }

    /// Lets the encoder see the photograph in windows of at most this many patches a side
    /// ([`VitConfig::window`](venule_mae::VitConfig::window)), or at once.
    ///
    /// # Errors
    /// [`Error::Config`] if the model's encoder has no windows, [`Error::Part`] if the window is out of range.
    pub fn with_window(mut self, window: Option<usize>) -> Result<Self> {
        let mut config = self.model.config().clone();
        match window {
            _ if config.encoder.kind == VIT => {
                let mut vit: VitConfig = config.encoder.settings()?;
                vit.window = window;
                config.encoder = PartConfig::new(VIT, &vit)?;
            }
            None => return Ok(self),
            Some(window) => {
                return Err(Error::Config {
                    field: "window",
                    value: window.to_string(),
                    expected: "only an encoder of the kind `vit` has windows",
                });
            }
        }
        self.model = self.model.rebuilt(&config)?;
        self.checkpoint.model = config;
        Ok(self)
    }

    /// Whether to average the probabilities over the photograph and its three mirror images (left and right, top and
    /// bottom, both), each turned back: four times the work. Off at first.
    ///
    /// The threshold stays the stored one, which training chose without mirror images.
    pub fn with_flips(mut self, flips: bool) -> Self {
        self.flips = flips;
        self
    }

    /// Finds the vessels of a photograph; its field of view is found as the checkpoint says (by default detected).
    ///
    /// # Errors
    /// If no field of view is found (pass one, or choose [`FovPolicy::FullFrame`]), or the image is empty.
    pub fn segment(&self, photo: &RgbImage) -> Result<Segmentation> {
        self.segment_sample(&Sample::unlabelled("the photograph", photo.clone()))
    }

    /// Finds the vessels of a photograph within a given field of view, whatever the checkpoint says of it.
    ///
    /// It should be the whole retina that the photograph shows: brightness, contrast and, with [`Resize::FovDiameter`], the scale are
    /// taken from it. A part that matters is better cut from the result.
    ///
    /// # Errors
    /// If the field of view is empty or of another size.
    pub fn segment_within(&self, photo: &RgbImage, fov: &Mask) -> Result<Segmentation> {
        let mut sample = Sample::unlabelled("the photograph", photo.clone());
        sample.fov = Some(fov.clone());
        let prediction = self.predict_with(&sample, FovPolicy::Given, &Cancel::new())?;
        self.segmentation(&sample, prediction)
    }

    /// As [`segment_sample`](Predict::segment_sample), until it is cancelled: by another thread, between the steps, tiles and mirror
    /// images of the photograph. A server gives up so what nobody waits for.
    ///
    /// # Errors
    /// As [`segment`](Self::segment), and [`Error::Cancelled`].
    pub fn segment_until(&self, sample: &Sample, cancel: &Cancel) -> Result<Segmentation> {
        let prediction = self.predict_with(sample, self.checkpoint.fov, cancel)?;
        cancel.check()?;
        self.segmentation(sample, prediction)
    }

    /// At the photograph's size, with what is odd about it.
    fn segmentation(&self, sample: &Sample, prediction: Prediction) -> Result<Segmentation> {
        let found = prediction.segmentation(self.threshold())?;
        found.examined(&sample.image)
    }

    fn predict_with(&self, sample: &Sample, fov: FovPolicy, cancel: &Cancel) -> Result<Prediction> {
        let raw = self.raw_prediction(sample, fov, cancel)?;
        self.calibrated(raw.probability, raw.fov)
    }

    /// What the network says, without the calibration of the weights.
    pub(crate) fn raw_prediction(
        &self,
        sample: &Sample,
        fov: FovPolicy,
        cancel: &Cancel,
    ) -> Result<Prediction> {
        let (input, seen, fov) = self.prepare(sample, fov, cancel)?;
        let probability = match self.flips {
            true => mean_of_mirrored(&input, |views| {
                self.model.predict_batch_until(views, cancel)
            })?,
            false => self.model.predict_until(&input, cancel)?,
        };
        let probability = seen_only(probability, &self.checkpoint.preprocess, &seen)?;
        Ok(Prediction { probability, fov })
    }

    fn calibrated(&self, probability: Plane, fov: Mask) -> Result<Prediction> {
        Ok(Prediction {
            probability: self.checkpoint.calibration.apply(probability, &fov)?,
            fov,
        })
    }

    /// As [`segment_sample`](Self::segment_sample) for many samples at once, in their order: neighbours that come to one size go
    /// through the network together, which pays on a GPU. All inputs and results are in memory; for a large collection
    /// call it for a handful at a time.
    ///
    /// ```no_run
    /// # fn main() -> venule::Result<()> {
    /// use venule::Segmenter;
    /// use venule::data::{Sample, read_image};
    /// let segmenter = Segmenter::from_file("best.safetensors")?;
    /// let read = |name: &str| Ok::<_, venule::Error>(Sample::unlabelled(name, read_image(name)?));
    /// for found in segmenter.segment_batch(&[read("left.png")?, read("right.png")?])? {
    ///     println!("{} vessel pixels", found.mask.count());
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Segmenter::segment`], for the first sample that fails.
    pub fn segment_batch(&self, samples: &[Sample]) -> Result<Vec<Segmentation>> {
        if self.flips {
            return samples.iter().map(|s| self.segment_sample(s)).collect();
        }
        let prepared: Result<Vec<_>> = samples
            .iter()
            .map(|sample| self.prepare(sample, self.checkpoint.fov, &Cancel::new()))
            .collect();
        let prepared = prepared?.into_iter();
        let (inputs, fovs): (Vec<Planes>, Vec<_>) = prepared
            .map(|(input, seen, fov)| (input, (seen, fov)))
            .unzip();
        let maps = self.model.predict_batch(&inputs)?;
        let predictions = maps.into_iter().zip(fovs);
        samples
            .iter()
            .zip(predictions)
            .map(|(sample, (map, (seen, fov)))| {
                let probability = seen_only(map, &self.checkpoint.preprocess, &seen)?;
                self.segmentation(sample, self.calibrated(probability, fov)?)
            })
            .collect()
    }

    /// The network's input, the pixels that it sees there, and the field of view at native size.
    fn prepare(
        &self,
        sample: &Sample,
        fov: FovPolicy,
        cancel: &Cancel,
    ) -> Result<(Planes, Mask, Mask)> {
        sample.check_sizes()?;
        cancel.check()?;
        let fov = fov.resolve(sample)?;
        cancel.check()?;
        let preprocess = self.checkpoint.preprocess.for_sample(sample);
        let input = preprocess.apply_seen(&sample.image, &fov);
        let (input, seen) = input.map_err(|error| error.of_sample(&sample.id))?;
        Ok((input, seen, fov))
    }

    /// What the weights file says.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The model.
    pub fn model(&self) -> &VesselModel {
        &self.model
    }
}

impl Predict for Segmenter {
    fn predict(&self, sample: &Sample) -> Result<Prediction> {
        self.predict_with(sample, self.checkpoint.fov, &Cancel::new())
    }

    fn threshold(&self) -> f32 {
        self.checkpoint.threshold
    }

    fn segment_sample(&self, sample: &Sample) -> Result<Segmentation> {
        self.segmentation(sample, self.predict(sample)?)
    }
}

/// One of the four mirror images: bit 0 of `view` exchanges left and right, bit 1 top and bottom. It undoes itself.
fn mirrored(map: &Plane, view: usize) -> Plane {
    match view {
        0 => map.clone(),
        1 => map.flip_horizontal(),
        2 => map.flip_vertical(),
        _ => map.flip_horizontal().flip_vertical(),
    }
}

/// The mean of what `predict` makes of an image and its mirror images, each turned back.
pub(crate) fn mean_of_mirrored(
    input: &Planes,
    predict: impl FnOnce(&[Planes]) -> Result<Vec<Plane>>,
) -> Result<Plane> {
    let view = |view| input.clone().map(|channel| mirrored(&channel, view));
    let views = (0..4).map(view).collect::<venule_data::Result<Vec<_>>>()?;
    let maps = predict(&views)?;
    let (width, height) = input.size();
    let mut mean = Plane::filled(width, height, 0.0);
    for (view, map) in maps.iter().enumerate() {
        let back = mirrored(map, view);
        let pairs = mean.data_mut().iter_mut().zip(back.data());
        pairs.for_each(|(mean, value)| *mean += 0.25 * value);
    }
    Ok(mean)
}

/// Refuses a threshold outside [0, 1].
///
/// # Errors
/// [`Error::Config`] for one that is outside, or NaN.
pub fn check_threshold(threshold: f32) -> Result<()> {
    match (0.0..=1.0).contains(&threshold) {
        true => Ok(()),
        false => Err(Error::Config {
            field: "threshold",
            value: threshold.to_string(),
            expected: "a probability threshold lies in [0, 1]",
        }),
    }
}
