//! Starting a fine-tuning from a trained segmentation model.

use std::path::Path;

#[cfg(feature = "bundled")]
use venule::Bundled;
use venule::candle_core::Device;
use venule::{Registry, Segmenter};

use super::FinetuneConfig;
use crate::Result;

/// The names of the weights that are built in.
const BUNDLED: [&str; 2] = ["bundled", "bundled-fast"];

impl FinetuneConfig {
    /// Starts from a trained model, and takes its architecture and the way it sees photographs: weights go on with what they know.
    ///
    /// # Errors
    /// If there are no such weights.
    pub fn with_model_of(mut self, from: &str, registry: &Registry) -> Result<Self> {
        let start = weights(from, registry, &Device::Cpu)?;
        let checkpoint = start.checkpoint();
        self.recipe.model = checkpoint.model.clone();
        self.recipe.preprocess = checkpoint.preprocess.clone();
        self.fov = checkpoint.fov;
        self.from = Some(from.to_owned());
        Ok(self)
    }

    /// The model to start from, if any.
    pub(super) fn start(&self, registry: &Registry, device: &Device) -> Result<Option<Segmenter>> {
        let from = self.from.as_deref();
        from.map(|from| weights(from, registry, device)).transpose()
    }

    /// The file of weights to start from, if there is one: a whole model, or a pretrained encoder.
    pub(super) fn weights_file(&self) -> Option<&Path> {
        let from = self.from.as_deref();
        let file = from.filter(|from| !BUNDLED.contains(from)).map(Path::new);
        file.or(self.pretrained.as_deref())
    }
}

fn weights(from: &str, registry: &Registry, device: &Device) -> Result<Segmenter> {
    Ok(match from {
        #[cfg(feature = "bundled")]
        "bundled" => Segmenter::bundled_on(Bundled::Compact, device)?,
        #[cfg(feature = "bundled")]
        "bundled-fast" => Segmenter::bundled_on(Bundled::Unet, device)?,
        #[cfg(not(feature = "bundled"))]
        "bundled" | "bundled-fast" => {
            return Err(venule::Error::Config {
                field: "from",
                value: from.to_owned(),
                expected: "this build has no bundled weights; name a file, or build with the feature bundled",
            }
            .into());
        }
        path => Segmenter::from_file_with(registry, path, device)?,
    })
}
