//! Weights for a model's encoder.

use std::path::Path;

use candle_core::DType;
use venule_file::Weights;
use venule_mae::{ImportOptions, ImportReport, PretrainedWeights, VitConfig};

use super::VIT;
use super::vessel_model::ENCODER;
use crate::{Error, Result, VesselModel};

impl VesselModel {
    /// Loads pretrained weights into the encoder: nothing is changed on an error.
    pub(crate) fn load_encoder(
        &self,
        path: &Path,
        options: &ImportOptions,
    ) -> Result<ImportReport> {
        let unfit = |reason: String| Error::Checkpoint {
            path: path.to_owned(),
            wanted: "a pretrained encoder",
            reason,
        };
        if self.config().encoder.kind == VIT {
            let config: VitConfig = self.config().encoder.settings()?;
            let weights = PretrainedWeights::read_with(path, options)?;
            let report = weights.load(self.store(), ENCODER, &config);
            return report.map_err(|error| unfit(error.to_string()));
        }
        let mut known = ImportOptions::default();
        known.allow_unused = options.allow_unused;
        if *options != known {
            return Err(Error::Config {
                field: "import",
                value: format!("set for the encoder '{}'", self.config().encoder.kind),
                expected: "key, heads and missing_norm are for encoders of the kind 'vit'; leave them out",
            });
        }
        let prefix = format!("{ENCODER}.");
        let own = self.store().params();
        let own: Vec<_> = own
            .iter()
            .filter(|p| p.name().starts_with(&prefix))
            .collect();
        if own.is_empty() {
            return Err(unfit("this model has no encoder".to_owned()));
        }
        // A pretraining has the encoder's variables at its root, a segmentation model under `encoder.`.
        let mut tensors = Weights::read(path)?.tensors;
        let mut found = Vec::with_capacity(own.len());
        let mut missing = Vec::new();
        for param in own {
            let name = param.name();
            let there = tensors.remove(name);
            match there.or_else(|| tensors.remove(&name[prefix.len()..])) {
                Some(tensor) if tensor.shape() == param.var().shape() => {
                    let tensor = tensor.to_dtype(DType::F32)?;
                    let values = tensor.flatten_all()?.to_vec1::<f32>()?;
                    if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                        return Err(unfit(format!("{name} holds {value}")));
                    }
                    found.push((param, tensor));
                }
                Some(tensor) => missing.push(format!(
                    "{name} is {:?} in the file and {:?} here",
                    tensor.dims(),
                    param.var().dims()
                )),
                None => missing.push(format!("{name} is not in the file")),
            }
        }
        if !missing.is_empty() {
            return Err(unfit(format!(
                "its variables are not those of the encoder '{}': {}",
                self.config().encoder.kind,
                missing.join("; ")
            )));
        }
        let (mut unused, mut left_out): (Vec<_>, Vec<_>) = tensors
            .into_keys()
            .partition(|name| name.starts_with(&prefix));
        unused.sort();
        left_out.sort();
        if !unused.is_empty() && !options.allow_unused {
            return Err(unfit(format!(
                "the encoder '{}' has no place for {}; allow_unused leaves them out",
                self.config().encoder.kind,
                unused.join(", ")
            )));
        }
        let mut report = ImportReport::default();
        (report.unused, report.left_out) = (unused, left_out);
        for (param, tensor) in found {
            param.var().set(&tensor.to_device(self.device())?)?;
            report.loaded.push(param.name()[prefix.len()..].to_owned());
        }
        Ok(report)
    }
}
