use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Tensor};
use venule_file::save_weights;
use venule_nn::ParamStore;

use crate::describe::ENCODER_METADATA;
use crate::{Error, Positions, Result, VitConfig, sin_cos_positions};

/// Writes an encoder's variables, those of `store` under `prefix` ("" for all), as a `.safetensors` file in the layout of timm and
/// MAE, which both load as they are.
///
/// Names are without the prefix. `pos_embed` is (1, 1 + N, width) on the grid of `config`, fixed positions written out, with a
/// position of zeros for the class token. Register tokens are named `register_tokens`, as DINOv2 has them. The metadata says
/// `format: pt` and, under `encoder`, the configuration as JSON, by which [`crate::PretrainedWeights`] reads the file again.
///
/// # Errors
/// [`Error::Architecture`] if the store has no encoder under the prefix; [`Error::File`] if the file cannot be written.
///
/// ```
/// use candle_core::Device;
/// use venule_mae::{PretrainedWeights, VitConfig, VitEncoder, export_encoder};
/// use venule_nn::ParamStore;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("vit.safetensors");
/// let config = VitConfig::tiny();
/// let store = ParamStore::new(1, &Device::Cpu);
/// VitEncoder::new(&config, &store.root().pp("encoder"))?;
/// export_encoder(&store, "encoder", &config, &path)?;
/// assert_eq!(PretrainedWeights::read(&path)?.describe()?.config, config);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn export_encoder(
    store: &ParamStore,
    prefix: &str,
    config: &VitConfig,
    path: impl AsRef<Path>,
) -> Result<()> {
    let dotted = match prefix {
        "" => String::new(),
        prefix => format!("{}.", prefix.trim_end_matches('.')),
    };
    let mut tensors = BTreeMap::new();
    for (name, tensor) in store.tensors() {
        let Some(name) = name.strip_prefix(&dotted) else {
            continue;
        };
        let first = name.split('.').next().unwrap_or(name);
        if matches!(
            first,
            "patch_embed" | "cls_token" | "register_tokens" | "pos_embed" | "blocks" | "norm"
        ) {
            tensors.insert(name.to_owned(), tensor.to_dtype(DType::F32)?);
        }
    }
    let Some(class) = tensors.get("cls_token") else {
        return Err(Error::Architecture {
            reason: format!("the store has no `{dotted}cls_token`; name the encoder's prefix"),
        });
    };
    let patches = match (config.positions, tensors.get("pos_embed")) {
        (Positions::Learned, Some(table)) => table.clone(),
        _ => sin_cos_positions(config.grid(), config.width, DType::F32, class.device())?,
    };
    let table = Tensor::cat(&[&class.zeros_like()?, &patches], 1)?;
    tensors.insert("pos_embed".to_owned(), table);
    let mut metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    if let Ok(text) = serde_json::to_string(config) {
        metadata.insert(ENCODER_METADATA.to_owned(), text);
    }
    let tensors: Vec<_> = tensors.into_iter().collect();
    Ok(save_weights(path.as_ref(), &tensors, &metadata)?)
}
