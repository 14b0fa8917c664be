//! Starting a fine-tuning from a trained segmentation model.

use std::path::{Path, PathBuf};

use strsim::levenshtein;
#[cfg(feature = "bundled")]
use venule::Bundled;
use venule::candle_core::Device;
use venule::data::{Augment, Checksum, Jitter};
use venule::synthetic::SyntheticRange;
use venule::train::{BEST_FILE, EmaConfig, FINAL_FILE, Schedule, Span};
use venule::{Registry, Segmenter};

use super::{FinetuneConfig, SyntheticConfig};
use crate::{Error, Result};

/// Steps of an adaptation.
const ADAPTATION_STEPS: usize = 400;

/// The names of the weights that are built in, in a build without them too.
const BUILT_IN: [&str; 3] = ["bundled", "bundled-fast", "label-free"];

impl FinetuneConfig {
    /// Starts from a trained model, and takes its architecture and the way it sees photographs: weights go on with what they know.
    ///
    /// # Errors
    /// If there are no such weights.
    pub fn with_model_of(mut self, from: &str, registry: &Registry) -> Result<Self> {
        let start = weights(Path::new(from), registry, &Device::Cpu)?;
        let checkpoint = start.checkpoint();
        self.recipe.model = checkpoint.model.clone();
        self.recipe.preprocess = checkpoint.preprocess.clone();
        self.fov = checkpoint.fov;
        self.from = Some(from.to_owned());
        Ok(self)
    }

    /// Makes of it the adaptation of trained weights to the photographs of these folders, which have no labels: what `venule adapt`
    /// does. Synthetic photographs stand beside them, since a teacher alone drifts; the threshold stays that of the weights.
    ///
    /// 400 steps of learning rate 3e-4 after 50 of warm-up; the teacher keeps 0.995 of itself at each step.
    ///
    /// ```
    /// use venule::Registry;
    /// use venule_lab::{FinetuneConfig, RunFile};
    /// # #[cfg(feature = "bundled")] {
    /// let registry = Registry::built_in();
    /// let run = FinetuneConfig::preset("compact")?.adapting("bundled-fast", vec!["photographs".into()], &registry)?;
    /// assert_eq!(run.recipe.model.encoder.kind, "none");
    /// assert_eq!(run.recipe.train.max_steps, Some(400));
    /// # }
    /// # Ok::<(), venule_lab::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`with_model_of`](Self::with_model_of).
    pub fn adapting(
        self,
        from: &str,
        unlabelled: Vec<PathBuf>,
        registry: &Registry,
    ) -> Result<Self> {
        let mut run = self.with_model_of(from, registry)?;
        run.unlabelled = unlabelled;
        run.synthetic = Some(SyntheticConfig::beside(SyntheticRange::default()));
        let recipe = &mut run.recipe;
        recipe.crops_per_image = 4;
        recipe.augment = unseen_cameras(&recipe.augment);
        let train = &mut recipe.train;
        // An epoch has a step at least, so that the steps end the run, however many photographs there are.
        (train.epochs, train.max_steps) = (ADAPTATION_STEPS, Some(ADAPTATION_STEPS));
        (train.learning_rate, train.base_learning_rate) = (3e-4, None);
        train.warmup.length = Span::Steps(50);
        train.schedule = Schedule::Cosine { min_lr: 1e-6 };
        train.ema = Some(EmaConfig {
            decay: 0.995,
            warmup: false,
        });
        Ok(run)
    }

    /// The model to start from, if any.
    pub(super) fn start(&self, registry: &Registry, device: &Device) -> Result<Option<Segmenter>> {
        let from = self.from.as_deref().map(Path::new);
        from.map(|from| weights(from, registry, device)).transpose()
    }

    /// The file of weights to start from, if there is one: a whole model, or a pretrained encoder.
    pub(super) fn weights_file(&self) -> Option<&Path> {
        let from = self.from.as_deref().map(Path::new);
        let file = from.filter(|from| !is_built_in(from));
        file.or(self.pretrained.as_deref())
    }
}

/// The same views in intensities that differ as those of cameras do, which a student has to see through.
fn unseen_cameras(augment: &Augment) -> Augment {
    Augment {
        contrast: Jitter::always(0.5, 1.6),
        brightness: Jitter::always(-0.5, 0.5),
        gamma: Jitter::sometimes(0.5, 0.6, 1.6),
        blur: Jitter::sometimes(0.3, 0.3, 1.0),
        ..augment.clone()
    }
}

/// The segmenter of a weights file, or of the built-in weights of this name: `bundled`, `bundled-fast` or `label-free`.
///
/// ```
/// use std::path::Path;
/// use venule::Registry;
/// use venule::candle_core::Device;
/// let registry = Registry::built_in();
/// # #[cfg(feature = "bundled")] {
/// let fast = venule_lab::weights(Path::new("bundled-fast"), &registry, &Device::Cpu)?;
/// assert_eq!(fast.checkpoint().model.encoder.kind, "none");
/// # }
/// assert!(venule_lab::weights(Path::new("missing.safetensors"), &registry, &Device::Cpu).is_err());
/// # Ok::<(), venule_lab::Error>(())
/// ```
///
/// # Errors
/// If there is no such file, it holds no segmentation model, or this build has no bundled weights.
pub fn weights(from: &Path, registry: &Registry, device: &Device) -> Result<Segmenter> {
    if !is_built_in(from) {
        return Segmenter::from_file_with(registry, from, device)
            .map_err(|error| explained(from, error.into()));
    }
    #[cfg(feature = "bundled")]
    if let Some(weights) = from.to_str().and_then(Bundled::named) {
        return Ok(Segmenter::bundled_on(weights, device)?);
    }
    Err(venule::Error::Config {
        field: "weights",
        value: from.display().to_string(),
        expected: "this build has no bundled weights; name a file, or build with the feature bundled",
    }
    .into())
}

/// What tells the weights that [`weights`] reads from any others: the checksum of their file.
///
/// ```
/// use std::path::Path;
/// # #[cfg(feature = "bundled")] {
/// let [one, other] = ["bundled", "bundled-fast"].map(|name| venule_lab::weights_checksum(Path::new(name)));
/// assert_ne!(one?, other?);
/// # }
/// assert!(venule_lab::weights_checksum(Path::new("missing.safetensors")).is_err());
/// # Ok::<(), venule_lab::Error>(())
/// ```
///
/// # Errors
/// If there is no such file.
pub fn weights_checksum(from: &Path) -> Result<Checksum> {
    #[cfg(feature = "bundled")]
    if let Some(weights) = from.to_str().and_then(Bundled::named) {
        return Ok(Checksum::of_bytes(weights.bytes()));
    }
    let checksum = Checksum::of_file(from).map_err(venule::Error::from);
    checksum.map_err(|error| explained(from, error.into()))
}

/// The error of weights that cannot be read, or a better one for what is no file: a name that is misspelt, or the folder of a run.
pub(super) fn explained(from: &Path, error: Error) -> Error {
    if from.is_dir() {
        let files = [BEST_FILE, FINAL_FILE].map(|file| from.join(file));
        return match files.into_iter().find(|file| file.is_file()) {
            Some(file) => Error::WeightsName {
                name: from.to_owned(),
                hint: format!(
                    "that is a run folder; name a file in it: {}",
                    file.display()
                ),
            },
            None => error,
        };
    }
    let Some(name) = from.to_str().filter(|_| !from.exists()) else {
        return error;
    };
    let distance = |known: &&str| levenshtein(&name.to_lowercase().replace('_', "-"), known);
    let nearest = BUILT_IN.into_iter().min_by_key(distance);
    match nearest.filter(|known| distance(known) <= 2) {
        Some(known) => Error::WeightsName {
            name: from.to_owned(),
            hint: format!(
                "did you mean '{known}'? Built in are {}",
                BUILT_IN.join(", ")
            ),
        },
        None => error,
    }
}

pub(super) fn is_built_in(name: &Path) -> bool {
    BUILT_IN.iter().any(|built_in| name == Path::new(built_in))
}
