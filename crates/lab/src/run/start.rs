//! Starting a fine-tuning from a trained segmentation model.

use std::path::Path;

#[cfg(feature = "bundled")]
use venule::Bundled;
use venule::candle_core::Device;
use venule::{Registry, Segmenter};

use super::FinetuneConfig;
use crate::Result;

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
        return Ok(Segmenter::from_file_with(registry, from, device)?);
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

fn is_built_in(name: &Path) -> bool {
    BUILT_IN.iter().any(|built_in| name == Path::new(built_in))
}
