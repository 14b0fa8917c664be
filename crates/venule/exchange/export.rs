use std::path::Path;

use venule_onnx::{DecoderSettings, EncoderSettings, Export, InputSize};

use super::describe::description;
use crate::model::{MULTI_SCALE, NO_ENCODER, PROGRESSIVE, VIT};
use crate::{Checkpoint, Error, ModelConfig, Result, VesselModel};

impl Checkpoint {
    /// Writes this and the model as an ONNX file, for images of one size or of any: the function of
    /// [`VesselModel::forward`] in evaluation, and beside it [the probabilities](VesselModel::predict).
    ///
    /// The file's `metadata_props` hold what [`metadata`](Self::metadata) gives, and its documentation says how a photograph is
    /// prepared. Above a million pixels a [`Segmenter`](crate::Segmenter) sees a photograph in tiles, which a caller of the file has to cut.
    ///
    /// ```
    /// use venule::candle_core::Device;
    /// use venule::data::{FovPolicy, Preprocess};
    /// use venule::onnx::InputSize;
    /// use venule::{Calibration, Checkpoint, ModelConfig, Provenance, VesselModel};
    ///
    /// # let folder = std::env::temp_dir().join("venule_onnx_example");
    /// # std::fs::create_dir_all(&folder)?;
    /// # let path = folder.join("vessels.onnx");
    /// let checkpoint = Checkpoint {
    ///     model: ModelConfig::preset("tiny")?,
    ///     preprocess: Preprocess::default(),
    ///     fov: FovPolicy::GivenOrDetect,
    ///     threshold: 0.5,
    ///     calibration: Calibration::default(),
    ///     provenance: Provenance::default(),
    /// };
    /// let model = VesselModel::new(&checkpoint.model, 1, &Device::Cpu)?;
    /// checkpoint.save_onnx(&path, &model, InputSize::fixed(100, 120)?)?;
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::OnnxKind`] for parts that an application has registered; if a setting is out of range, this is of another
    /// architecture or other channels than the model, or the file cannot be written; the old one is then intact.
    pub fn save_onnx(
        &self,
        path: impl AsRef<Path>,
        model: &VesselModel,
        size: InputSize,
    ) -> Result<()> {
        self.validate(model)?;
        let export = Export::new(encoder(&self.model)?, decoder(&self.model)?, model.store());
        let bytes = export
            .with_size(size)
            .with_metadata(self.metadata())
            .with_description(description(self, size))
            .to_bytes()?;
        Ok(venule_file::write_atomic(path, &bytes)?)
    }
}

fn encoder(model: &ModelConfig) -> Result<EncoderSettings> {
    let part = &model.encoder;
    match part.kind.as_str() {
        NO_ENCODER => Ok(EncoderSettings::None),
        VIT => Ok(EncoderSettings::Vit(part.settings()?)),
        other => Err(Error::OnnxKind {
            what: "encoder",
            kind: other.to_owned(),
            known: format!("{NO_ENCODER}, {VIT}"),
        }),
    }
}

fn decoder(model: &ModelConfig) -> Result<DecoderSettings> {
    let part = &model.decoder;
    match part.kind.as_str() {
        MULTI_SCALE => Ok(DecoderSettings::MultiScale(part.settings()?)),
        PROGRESSIVE => Ok(DecoderSettings::Progressive(part.settings()?)),
        other => Err(Error::OnnxKind {
            what: "decoder",
            kind: other.to_owned(),
            known: format!("{MULTI_SCALE}, {PROGRESSIVE}"),
        }),
    }
}
