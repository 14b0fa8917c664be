use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use venule_file::Weights;

use crate::describe::own_config;
use crate::names::Named;
use crate::pth::{StateDict, read_pth};
use crate::{Conversion, Error, Family, Result, VitConfig};

/// What an encoder does whose file has no final `norm`, but the `fc_norm` of a classifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingNorm {
    /// The file is refused.
    #[default]
    Refuse,
    /// The scales of `fc_norm`, which were trained on the mean of all patches, are taken for every patch.
    FcNorm,
    /// The encoder keeps the scales it was built with: 1 and 0 in a new one.
    Fresh,
}

/// How a file of weights is read and loaded. `Default` takes all or refuses.
///
/// ```
/// let mut options = venule_mae::ImportOptions::default();
/// options.key = Some("teacher".to_owned());
/// options.heads = Some(3);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportOptions {
    /// Which of several dictionaries, or beginning of names: `teacher`, `model_ema`. None: the only one that holds a Vision
    /// Transformer, or by `model`, `state_dict`, `teacher`, as the report says.
    pub key: Option<String>,
    /// The file's number of attention heads, which no tensor shows. None: that of the metadata, or of the published models of
    /// its width.
    pub heads: Option<usize>,
    /// Whether tensors that change the encoder's output may find no place; the report lists them.
    pub allow_unused: bool,
    /// What is done without a final `norm`.
    pub missing_norm: MissingNorm,
}

/// What errors call weights that came from no file.
const IN_MEMORY: &str = "the weights";

/// Weights of a public Vision Transformer (timm, MAE, RETFound, DINO, DINOv2, Hugging Face), or of an own checkpoint.
///
/// [`PretrainedWeights::load`] puts them into a model's store; [`PretrainedWeights::describe`] tells which encoder they belong
/// to. Names become those of timm; Hugging Face's query, key and value are joined, LayerScale is multiplied into the layer before it.
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
/// # venule_file::save_weights(&path, &old.tensors(), &Default::default())?;
/// let weights = PretrainedWeights::read(&path)?;
/// let config = VitConfig::tiny();
/// let store = ParamStore::new(42, &Device::Cpu);
/// VitEncoder::new(&config, &store.root().pp("encoder"))?;
/// let report = weights.load(&store, "encoder", &config)?;
/// println!("{report}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct PretrainedWeights {
    path: Option<PathBuf>,
    named: Named,
    metadata: BTreeMap<String, String>,
    skipped: Vec<String>,
    /// Types of those that are tensors.
    skipped_types: BTreeMap<String, String>,
    family: Family,
    own: Option<VitConfig>,
    key: Option<String>,
    other_keys: Vec<String>,
    options: ImportOptions,
}

/// What a file is that is neither, and what to do about it.
fn misplaced(start: &[u8]) -> Option<&'static str> {
    let text = start.trim_ascii_start();
    if start.is_empty() {
        Some("it is empty; fetch it again")
    } else if text.starts_with(b"version https://git-lfs") {
        Some("it is a Git LFS pointer; fetch its content with `git lfs pull`")
    } else if text.starts_with(b"<") {
        Some("it is an HTML or XML page; the download failed, fetch it again")
    } else if start.starts_with(b"\x89HDF") {
        Some("it is an HDF5 file of Keras; convert it to .safetensors")
    } else if start.starts_with(b"\x1f\x8b") {
        Some("it is compressed by gzip; unpack it first")
    } else if start.get(257..262) == Some(b"ustar") {
        Some(
            "it is a tar archive of an old PyTorch; load it there and write it again with torch.save(model.state_dict(), path)",
        )
    } else if start.first() == Some(&0x80) && start.get(1).is_some_and(|protocol| *protocol < 6) {
        Some(
            "it is a pickle of PyTorch before 1.6; load it there and write it again with torch.save(model.state_dict(), path)",
        )
    } else {
        None
    }
}

/// Whether a file begins as safetensors do: a header's length, then `{`.
fn is_safetensors(start: &[u8], length: u64) -> bool {
    start
        .first_chunk()
        .is_some_and(|header| u64::from_le_bytes(*header) <= length)
        && start.get(8) == Some(&b'{')
}

impl PretrainedWeights {
    /// Reads a file with [`ImportOptions::default`].
    ///
    /// # Errors
    /// As [`PretrainedWeights::read_with`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        Self::read_with(path, &ImportOptions::default())
    }

    /// Reads a `.pth` archive of `torch.save` (pickle protocols 2 to 5; the state dict at the top or in up to three
    /// dictionaries) or a `.safetensors` file, told apart by their content. All values become `f32`; a prefix of the
    /// transformer's names, such as `encoder.` or `module.`, is removed. What is no floating-point tensor is
    /// [`skipped`](Self::skipped).
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be opened; [`Error::CutOff`], [`Error::Format`] or [`Error::File`] if it is incomplete, damaged
    /// or in another format; [`Error::Key`] if several Vision Transformers lie in it and nothing says which; [`Error::NotFinite`] if a
    /// value of the encoder is NaN or infinite.
    pub fn read_with(path: impl AsRef<Path>, options: &ImportOptions) -> Result<Self> {
        let path = path.as_ref();
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let mut start = Vec::new();
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        file.take(512).read_to_end(&mut start).map_err(io)?;
        let mut options = options.clone();
        if start.starts_with(b"PK\x03\x04") {
            let state = read_pth(path, options.key.as_deref())?;
            if state.key.is_some() {
                options.key = None;
            }
            return Self::new(Some(path), state, BTreeMap::new(), options);
        }
        if let Some(reason) = misplaced(&start).filter(|_| !is_safetensors(&start, length)) {
            return Err(Error::Format {
                path: path.to_owned(),
                reason: reason.to_owned(),
            });
        }
        let file = Weights::read(path)?;
        let state = StateDict {
            tensors: file.tensors.into_iter().collect(),
            skipped: file
                .unsupported
                .into_iter()
                .map(|(name, dtype)| (name, Some(dtype.to_lowercase())))
                .collect(),
            ..StateDict::default()
        };
        Self::new(Some(path), state, file.metadata, options)
    }

    /// Weights that are in memory already.
    ///
    /// # Errors
    /// [`Error::Tensor`] if a tensor cannot be converted to `f32`, else as [`PretrainedWeights::read_with`].
    pub fn from_tensors(tensors: HashMap<String, Tensor>, options: &ImportOptions) -> Result<Self> {
        let state = StateDict {
            tensors,
            ..StateDict::default()
        };
        Self::new(None, state, BTreeMap::new(), options.clone())
    }

    fn new(
        path: Option<&Path>,
        state: StateDict,
        metadata: BTreeMap<String, String>,
        options: ImportOptions,
    ) -> Result<Self> {
        let origin = path.unwrap_or(Path::new(IN_MEMORY));
        let mut skipped = state.skipped;
        let mut floats = HashMap::with_capacity(state.tensors.len());
        for (name, tensor) in state.tensors {
            match tensor.dtype().is_float() {
                true => drop(floats.insert(name, tensor.to_dtype(DType::F32)?)),
                false => drop(skipped.insert(name, Some(tensor.dtype().as_str().to_owned()))),
            }
        }
        let finite = |name: &str, tensor: &Tensor| expect_finite(origin, name, tensor);
        let named = Named::new(floats, options.key.as_deref(), origin, &finite)?;
        let own = own_config(&metadata);
        Ok(Self {
            path: path.map(Path::to_owned),
            family: Family::of(&named, state.key.as_deref(), own.is_some()),
            own,
            // Where only one lies in the file, what its names begin with says nothing.
            key: match state.key {
                None if named.others.is_empty() => None,
                None => Some(named.prefix.trim_end_matches('.').to_owned()),
                key => key,
            },
            other_keys: match state.other_keys.is_empty() {
                true => named.others.clone(),
                false => state.other_keys,
            },
            named,
            metadata,
            skipped: skipped.keys().cloned().collect(),
            skipped_types: skipped
                .into_iter()
                .filter_map(|(name, dtype)| Some((name, dtype?)))
                .collect(),
            options,
        })
    }

    /// The tensors of the transformer by the names of timm, as `f32`.
    pub fn tensors(&self) -> &HashMap<String, Tensor> {
        &self.named.tensors
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

    /// Whose weights they are.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The key, or the beginning of names, under which they lie in the file.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Keys, or beginnings of names, under which other Vision Transformers lie.
    pub fn other_keys(&self) -> &[String] {
        &self.other_keys
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Refuses a tensor of these weights that holds NaN or infinity.
    pub(crate) fn expect_finite(&self, name: &str, tensor: &Tensor) -> Result<()> {
        let origin = self.path.as_deref().unwrap_or(Path::new(IN_MEMORY));
        expect_finite(origin, name, tensor)
    }

    pub(crate) fn own(&self) -> Option<&VitConfig> {
        self.own.as_ref()
    }

    pub(crate) fn options(&self) -> &ImportOptions {
        &self.options
    }

    /// Name of a tensor in the file.
    pub(crate) fn origin<'a>(&'a self, name: &'a str) -> &'a str {
        self.named.origin(name)
    }

    pub(crate) fn outside(&self) -> &[String] {
        &self.named.outside
    }

    /// What an encoder's tensor is called in a file that has it, but not of floating-point numbers: its name and type there.
    pub(crate) fn not_float(&self, name: &str) -> Option<(&str, &str)> {
        let found = self.skipped_types.iter().find(|(origin, _)| {
            let renamed = self.named.renamed(origin);
            renamed.as_deref() == Some(name)
        });
        found.map(|(origin, dtype)| (origin.as_str(), dtype.as_str()))
    }

    /// Types of the tensors that are not of floating-point numbers, by their names in the file.
    pub(crate) fn skipped_types(&self) -> &BTreeMap<String, String> {
        &self.skipped_types
    }

    /// What was joined or multiplied on reading.
    pub(crate) fn changed(&self) -> &[Conversion] {
        &self.named.changed
    }
}

fn expect_finite(path: &Path, name: &str, tensor: &Tensor) -> Result<()> {
    let values = tensor.flatten_all()?.to_vec1::<f32>()?;
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(place) => Err(Error::NotFinite {
            path: path.to_owned(),
            tensor: name.to_owned(),
            value: values[place],
            place,
        }),
    }
}
