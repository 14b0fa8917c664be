//! Tensors and metadata as one file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use candle_core::safetensors::Load;
use candle_core::{Device, Tensor, Var};
use safetensors::{SafeTensorError, SafeTensors};

use crate::archive::{ALGORITHM, CHECKSUM_KEY, Entry, checksum_of, is_usable, stage_archive};
use crate::atomic::sync_folder_of;
use crate::{Error, Result};

/// The content of a safetensors file, on the CPU. A checksum that the file carried has been verified.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Weights {
    /// The tensors by name.
    pub tensors: BTreeMap<String, Tensor>,
    /// The metadata by key, such as JSON documents; empty where the file has none.
    pub metadata: BTreeMap<String, String>,
    /// The checksum that the file carried, such as `crc32c:e3069283`; files of other programs have none.
    pub checksum: Option<String>,
    /// Types by name of the tensors that candle cannot hold or convert, such as `BOOL` and `I8`. Only [`Weights::read`] leaves any.
    pub unsupported: BTreeMap<String, String>,
}

impl Weights {
    /// Reads a file whatever the types of its tensors: those that candle cannot hold are named in `unsupported`.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Truncated`], [`Error::NotSafetensors`] or [`Error::Checksum`].
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::reading("read", path))?;
        Self::parse(path, &bytes)
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let parsed =
            SafeTensors::deserialize(bytes).map_err(|error| classify(error, path, bytes))?;
        let (header_length, header) =
            SafeTensors::read_metadata(bytes).map_err(|error| classify(error, path, bytes))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let mut metadata: BTreeMap<String, String> = metadata.into_iter().collect();
        // Another program's entry of this name is metadata like any other.
        let ours = |sum: &String| sum.starts_with(ALGORITHM);
        let checksum = match metadata.get(CHECKSUM_KEY).is_some_and(ours) {
            true => metadata.remove(CHECKSUM_KEY),
            false => None,
        };
        if let Some(expected) = &checksum {
            let found = checksum_of(bytes, header_length);
            if found.as_ref() != Some(expected) {
                return Err(Error::Checksum {
                    path: path.to_path_buf(),
                    expected: expected.clone(),
                    found: found.unwrap_or_else(|| "not computable".into()),
                });
            }
        }
        let (mut tensors, mut unsupported) = (BTreeMap::new(), BTreeMap::new());
        for (name, view) in parsed.iter() {
            match view.load(&Device::Cpu) {
                Ok(tensor) if is_usable(tensor.dtype()) => {
                    tensors.insert(name.to_owned(), tensor);
                }
                Ok(_) | Err(candle_core::Error::UnsupportedSafeTensorDtype(_)) => {
                    unsupported.insert(name.to_owned(), view.dtype().to_string());
                }
                Err(error) => {
                    return Err(Error::NotSafetensors {
                        path: path.to_path_buf(),
                        reason: format!("tensor `{name}`: {error}"),
                    });
                }
            }
        }
        Ok(Self {
            tensors,
            metadata,
            checksum,
            unsupported,
        })
    }

    /// Every tensor or none.
    fn complete(self, path: &Path) -> Result<Self> {
        match self.unsupported.first_key_value() {
            None => Ok(self),
            Some((name, dtype)) => Err(Error::DType {
                path: path.to_path_buf(),
                name: name.clone(),
                dtype: dtype.clone(),
            }),
        }
    }
}

/// Saves tensors and metadata as one safetensors file: sorted, with a checksum over everything, whole or not at all
/// (see [`write_atomic`](crate::write_atomic)). Equal content gives equal bytes.
///
/// # Errors
/// [`Error::Write`] (the old file is then intact), [`Error::ReservedMetadata`], [`Error::DuplicateName`], [`Error::DType`], or a
/// tensor error.
pub fn save_weights(
    path: &Path,
    tensors: &[(String, Tensor)],
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let tensors = tensors.iter();
    let entries = tensors.map(|(name, tensor)| Entry::tensor(name.clone(), tensor));
    let (staged, _) = stage_archive(path, entries.collect::<Result<_, _>>()?, metadata)?;
    staged.place()?;
    sync_folder_of(path)
}

/// Loads a safetensors file, this crate's or another's; a checksum, if there is one, is verified.
///
/// # Errors
/// [`Error::Read`], [`Error::Truncated`], [`Error::NotSafetensors`] or [`Error::Checksum`]; [`Error::DType`] if a tensor is of a
/// type that candle cannot hold.
pub fn load_weights(path: &Path) -> Result<Weights> {
    Weights::read(path)?.complete(path)
}

/// As [`load_weights`], from a file's bytes, such as those built into a program; `path` is what errors name.
///
/// # Errors
/// As [`load_weights`].
pub fn parse_weights(path: &Path, bytes: &[u8]) -> Result<Weights> {
    Weights::parse(path, bytes)?.complete(path)
}

/// Sets every variable of `params` from the `tensors` of a file, which came from `path`; names and shapes must agree exactly.
/// Nothing is set if they do not.
///
/// ```
/// use candle_core::{Device, Tensor, Var};
/// use venule_file::{load_weights, restore_weights, save_weights};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("model.safetensors");
/// save_weights(&path, &[("w".into(), Tensor::new(2.0f32, &Device::Cpu)?)], &Default::default())?;
/// let params = [("w".to_string(), Var::new(0.0f32, &Device::Cpu)?)];
/// restore_weights(&path, &load_weights(&path)?.tensors, &params)?;
/// assert_eq!(params[0].1.to_scalar::<f32>()?, 2.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Architecture`] with all differences, or a tensor error.
pub fn restore_weights(
    path: &Path,
    tensors: &BTreeMap<String, Tensor>,
    params: &[(String, Var)],
) -> Result<()> {
    let mut missing = Vec::new();
    let mut reshaped = Vec::new();
    for (name, var) in params {
        match tensors.get(name) {
            None => missing.push(name.clone()),
            Some(tensor) if tensor.dims() != var.dims() => {
                reshaped.push((name.clone(), var.dims().to_vec(), tensor.dims().to_vec()));
            }
            Some(_) => {}
        }
    }
    let known: BTreeSet<_> = params.iter().map(|(name, _)| name).collect();
    let unexpected = tensors.keys().filter(|name| !known.contains(name));
    let unexpected: Vec<_> = unexpected.cloned().collect();
    if !(missing.is_empty() && unexpected.is_empty() && reshaped.is_empty()) {
        return Err(Error::Architecture {
            path: path.to_path_buf(),
            missing,
            unexpected,
            reshaped,
        });
    }
    for (name, var) in params {
        let tensor = &tensors[name];
        var.set(&tensor.to_dtype(var.dtype())?.to_device(var.device())?)?;
    }
    Ok(())
}

fn classify(error: SafeTensorError, path: &Path, bytes: &[u8]) -> Error {
    // A header opens with a brace; anything else was never such a file.
    let looks_right = bytes.get(8).is_none_or(|&byte| byte == b'{');
    let cut_short = match error {
        SafeTensorError::HeaderTooSmall | SafeTensorError::InvalidHeaderLength => looks_right,
        SafeTensorError::MetadataIncompleteBuffer => true,
        _ => false,
    };
    if cut_short {
        Error::Truncated {
            path: path.to_path_buf(),
            length: bytes.len() as u64,
            reason: error.to_string(),
        }
    } else {
        Error::NotSafetensors {
            path: path.to_path_buf(),
            reason: match known(path, bytes) {
                Some(what) => what.to_owned(),
                None => error.to_string(),
            },
        }
    }
}

/// What a file is that begins as another kind of file does.
fn known(path: &Path, bytes: &[u8]) -> Option<&'static str> {
    let is_onnx = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("onnx"));
    match bytes {
        [0x89, b'P', b'N', b'G', ..]
        | [0xff, 0xd8, 0xff, ..]
        | [b'I', b'I', 42, 0, ..]
        | [b'M', b'M', 0, 42, ..] => Some("it is a picture"),
        [b'P', b'K', 3, 4, ..] => Some("it is a ZIP file, as PyTorch's .pth"),
        _ if is_onnx => Some("it is called ONNX, which only finding vessels and evaluating take"),
        _ if std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0')) => {
            Some("it is text")
        }
        _ => None,
    }
}
