use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use candle_core::{DType, Tensor};
use venule_nn::SafetensorsFile;

use crate::pth::read_pth;
use crate::{Error, Result};

/// Weights of a public MAE, RETFound or timm Vision Transformer, or of an own checkpoint, read from a file.
///
/// [`PretrainedWeights::load`] puts them into a model's store; [`crate::VitConfig::from_tensors`] and
/// [`crate::MaeConfig::from_tensors`] tell which model they belong to.
///
/// ```
/// use candle_core::Device;
/// use venule_mae::{PretrainedWeights, VitConfig, VitEncoder};
/// use venule_nn::ParamStore;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("vit.safetensors");
/// # let old = ParamStore::new(1, &Device::Cpu);
/// # VitEncoder::new(&VitConfig::tiny(), &old.root())?;
/// # let saved: std::collections::HashMap<_, _> = old.tensors().into_iter().collect();
/// # candle_core::safetensors::save(&saved, &path)?;
/// let weights = PretrainedWeights::read(&path)?;
/// let config = VitConfig { depth: 3, ..VitConfig::tiny() };
/// let store = ParamStore::new(42, &Device::Cpu);
/// VitEncoder::new(&config, &store.root().pp("encoder"))?;
/// let report = weights.load(&store, "encoder", &config)?;
/// assert!(report.is_complete(), "{report}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct PretrainedWeights {
    tensors: HashMap<String, Tensor>,
    metadata: BTreeMap<String, String>,
    skipped: Vec<String>,
}

/// The name that tells where in a file the Vision Transformer lies.
const LANDMARK: &str = "patch_embed.proj.weight";

impl PretrainedWeights {
    /// Reads a `.pth` archive of `torch.save` (state dict at the top or under `model`, `state_dict`, `model_state_dict` or
    /// `module`) or a `.safetensors` file, told apart by their content. All values become `f32`; a common prefix of the
    /// transformer's names, such as `encoder.` or `module.`, is removed. What is no floating-point tensor is
    /// [`skipped`](Self::skipped).
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be opened, [`Error::Format`] or [`Error::Nn`] if it is damaged or in another format.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let mut magic = Vec::new();
        let file = File::open(path).map_err(io)?;
        file.take(4).read_to_end(&mut magic).map_err(io)?;
        if magic.starts_with(b"PK\x03\x04") {
            let (tensors, skipped) = read_pth(path)?;
            return Self::new(tensors, BTreeMap::new(), skipped);
        }
        if magic.first() == Some(&0x80) && magic.get(1).is_some_and(|protocol| *protocol < 6) {
            return Err(Error::Format {
                path: path.to_owned(),
                reason: "it is a pickle of PyTorch before 1.6; load it there and write it again with torch.save".to_owned(),
            });
        }
        let file = SafetensorsFile::read(path)?;
        let skipped = file.unsupported.into_keys().collect();
        Self::new(file.tensors, file.metadata, skipped)
    }

    /// Weights that are in memory already.
    ///
    /// # Errors
    /// [`Error::Tensor`] if a tensor cannot be converted to `f32`.
    pub fn from_tensors(tensors: HashMap<String, Tensor>) -> Result<Self> {
        Self::new(tensors, BTreeMap::new(), Vec::new())
    }

    fn new(
        tensors: HashMap<String, Tensor>,
        metadata: BTreeMap<String, String>,
        mut skipped: Vec<String>,
    ) -> Result<Self> {
        let prefix = tensors
            .keys()
            .filter_map(|name| name.strip_suffix(LANDMARK))
            // the shortest of several, and of those the first by name: never the map's random order
            .min_by_key(|prefix| (prefix.len(), prefix.to_string()))
            .unwrap_or_default()
            .to_owned();
        let mut converted = HashMap::with_capacity(tensors.len());
        let mut others = Vec::new();
        for (name, tensor) in tensors {
            if !tensor.dtype().is_float() {
                skipped.push(name);
                continue;
            }
            let tensor = tensor.to_dtype(DType::F32)?;
            match name.strip_prefix(&prefix) {
                Some(short) => {
                    converted.insert(short.to_owned(), tensor);
                }
                // What has the prefix goes before a name that is bare of itself, whichever comes first.
                None => others.push((name, tensor)),
            }
        }
        for (name, tensor) in others {
            converted.entry(name).or_insert(tensor);
        }
        skipped.sort();
        Ok(Self {
            tensors: converted,
            metadata,
            skipped,
        })
    }

    /// The tensors by name, as `f32`.
    pub fn tensors(&self) -> &HashMap<String, Tensor> {
        &self.tensors
    }

    /// Metadata of a safetensors file; empty for others.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Names of entries that are no floating-point tensors (step counters and the like) or of a type that candle cannot convert,
    /// sorted.
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }
}
