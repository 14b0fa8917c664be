use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use serde::de::DeserializeOwned;
use venule_data::{FovPolicy, Preprocess};
use venule_file::Weights;
use venule_nn::ParamStore;

use crate::segmenter::check_threshold;
use crate::{Calibration, Error, ModelConfig, Provenance, Registry, Result, VesselModel};

const MODEL: &str = "model";
const PREPROCESS: &str = "preprocess";
const FIELD_OF_VIEW: &str = "field_of_view";
const THRESHOLD: &str = "threshold";
const CALIBRATION: &str = "calibration";
const PROVENANCE: &str = "provenance";

/// What a segmentation weights file says beside its weights: all that is needed to use it.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The architecture.
    pub model: ModelConfig,
    /// How a photograph becomes the network's input.
    pub preprocess: Preprocess,
    /// Where the field of view comes from.
    pub fov: FovPolicy,
    /// Pixels with a larger probability are vessels; chosen on validation images, 0.5 before any validation.
    pub threshold: f32,
    /// How the size of a photograph moves its probabilities, before the threshold.
    pub calibration: Calibration,
    /// Where the weights come from.
    pub provenance: Provenance,
}

/// What an ONNX file says beside its graph: a checkpoint, but for the model.
#[cfg(feature = "onnx")]
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) preprocess: Preprocess,
    pub(crate) fov: FovPolicy,
    pub(crate) threshold: f32,
    pub(crate) calibration: Calibration,
    pub(crate) provenance: Provenance,
}

#[cfg(feature = "onnx")]
impl Settings {
    /// Of a file that [`Checkpoint::save_onnx`] wrote; none of other makers' files, which say nothing of preprocessing.
    pub(crate) fn of_onnx(
        path: &Path,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Option<Self>> {
        let documents = [MODEL, PREPROCESS, FIELD_OF_VIEW, THRESHOLD, PROVENANCE];
        if !documents.iter().all(|key| metadata.contains_key(*key)) {
            return Ok(None);
        }
        let Checkpoint {
            preprocess,
            fov,
            threshold,
            calibration,
            provenance,
            ..
        } = Checkpoint::from_metadata(path, metadata)?;
        Ok(Some(Self {
            preprocess,
            fov,
            threshold,
            calibration,
            provenance,
        }))
    }
}

impl Checkpoint {
    /// As the metadata of a safetensors file: one JSON document a key.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        let mut metadata = BTreeMap::new();
        let mut add = |key: &str, value: serde_json::Result<String>| {
            // These types have string keys and no failing serializers.
            if let Ok(value) = value {
                metadata.insert(key.to_owned(), value);
            }
        };
        add(MODEL, serde_json::to_string(&self.model));
        add(PREPROCESS, serde_json::to_string(&self.preprocess));
        add(FIELD_OF_VIEW, serde_json::to_string(&self.fov));
        add(THRESHOLD, serde_json::to_string(&self.threshold));
        // Files without one keep the bytes that they had before there were any.
        if !self.calibration.is_identity() {
            add(CALIBRATION, serde_json::to_string(&self.calibration));
        }
        add(PROVENANCE, serde_json::to_string(&self.provenance));
        metadata
    }

    fn from_metadata(path: &Path, metadata: &BTreeMap<String, String>) -> Result<Self> {
        let checkpoint = Self {
            model: document(path, metadata, MODEL)?,
            preprocess: document(path, metadata, PREPROCESS)?,
            fov: document(path, metadata, FIELD_OF_VIEW)?,
            threshold: document(path, metadata, THRESHOLD)?,
            calibration: match metadata.contains_key(CALIBRATION) {
                true => document(path, metadata, CALIBRATION)?,
                false => Calibration::default(),
            },
            provenance: document(path, metadata, PROVENANCE)?,
        };
        checkpoint
            .validate_settings()
            .map_err(|error| unusable(path, error.to_string()))?;
        Ok(checkpoint)
    }

    fn validate_settings(&self) -> Result<()> {
        check_threshold(self.threshold)?;
        self.calibration.validate()?;
        Ok(self.preprocess.validate()?)
    }

    /// Checks that this is of use with a model.
    pub(crate) fn validate(&self, model: &VesselModel) -> Result<()> {
        self.validate_settings()?;
        if self.model != *model.config() {
            return Err(Error::Config {
                field: "model",
                value: "of another architecture than the weights".to_owned(),
                expected: "a checkpoint says what its own model is: take `model.config().clone()`",
            });
        }
        model.expect_channels(&self.preprocess)
    }

    /// Reads a segmentation weights file of built-in parts: what it says, and the model with its weights.
    ///
    /// # Errors
    /// If the file is unreadable or damaged, is no segmentation checkpoint, or holds weights of another architecture.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<(Self, VesselModel)> {
        Self::load_with(&Registry::built_in(), path, device)
    }

    /// As [`load`](Self::load), of the parts of a registry.
    ///
    /// # Errors
    /// As [`load`](Self::load); a kind that the registry lacks is named, with those it has.
    pub fn load_with(
        registry: &Registry,
        path: impl AsRef<Path>,
        device: &Device,
    ) -> Result<(Self, VesselModel)> {
        let path = path.as_ref();
        Self::build(registry, path, venule_file::load_weights(path)?, device)
    }

    /// As [`load`](Self::load), from a file's bytes, such as those built into a program; errors name it `path`.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(
        path: impl AsRef<Path>,
        bytes: &[u8],
        device: &Device,
    ) -> Result<(Self, VesselModel)> {
        let path = path.as_ref();
        let weights = venule_file::parse_weights(path, bytes)?;
        Self::build(&Registry::built_in(), path, weights, device)
    }

    /// Writes this and the model's weights as a file that [`load`](Self::load) reads, in a type of one's choice:
    /// [`DType::F16`] takes half the space of the `f32` in which the model computes.
    ///
    /// # Errors
    /// If a setting is out of range, this is of another architecture or other channels than the model, `dtype` is no floating-point type of 16 bits
    /// at least or cannot hold one of the weights, or the file cannot be written; the old one is then intact.
    pub fn save(&self, path: impl AsRef<Path>, model: &VesselModel, dtype: DType) -> Result<()> {
        self.validate(model)?;
        if !matches!(dtype, DType::F16 | DType::BF16 | DType::F32 | DType::F64) {
            return Err(Error::Config {
                field: "dtype",
                value: dtype.as_str().to_owned(),
                expected: "weights are kept as f16, bf16, f32 or f64",
            });
        }
        let cast = |(name, tensor): (String, Tensor)| {
            let tensor = tensor.to_dtype(dtype)?;
            let sum = tensor.to_dtype(DType::F64)?.abs()?.sum_all()?;
            match sum.to_scalar::<f64>()?.is_finite() {
                true => Ok((name, tensor)),
                false => Err(Error::NotFinite {
                    name,
                    dtype: dtype.as_str(),
                }),
            }
        };
        let tensors = model.store().tensors().into_iter().map(cast);
        let tensors = tensors.collect::<Result<Vec<_>>>()?;
        Ok(venule_file::save_weights(
            path.as_ref(),
            &tensors,
            &self.metadata(),
        )?)
    }

    fn build(
        registry: &Registry,
        path: &Path,
        weights: Weights,
        device: &Device,
    ) -> Result<(Self, VesselModel)> {
        let Weights {
            tensors, metadata, ..
        } = weights;
        let checkpoint = Self::from_metadata(path, &metadata)?;
        // What the layers say of a variable does not name the file.
        let fits = || -> Result<VesselModel> {
            let store = ParamStore::from_values(tensors.into_iter().collect(), device);
            let model = VesselModel::with_store(registry, &checkpoint.model, store, device)?;
            let names = model.store().unused_values();
            if !names.is_empty() {
                return Err(venule_nn::Error::Unexpected { names }.into());
            }
            Ok(model)
        };
        let model = fits().map_err(|error| {
            unusable(
                path,
                format!("its weights and the 'model' of its metadata do not agree: {error}"),
            )
        })?;
        let channels = model.expect_channels(&checkpoint.preprocess);
        channels.map_err(|error| unusable(path, error.to_string()))?;
        Ok((checkpoint, model))
    }
}

fn unusable(path: &Path, reason: String) -> Error {
    Error::Checkpoint {
        path: PathBuf::from(path),
        wanted: "a segmentation checkpoint",
        reason,
    }
}

fn document<T: DeserializeOwned>(
    path: &Path,
    metadata: &BTreeMap<String, String>,
    key: &str,
) -> Result<T> {
    let Some(text) = metadata.get(key) else {
        return Err(unusable(
            path,
            format!(
                "its metadata has no '{key}'; take a file that `finetune` wrote (such as best.safetensors)"
            ),
        ));
    };
    serde_json::from_str(text)
        .map_err(|e| unusable(path, format!("its '{key}' is not understood: {e}")))
}
