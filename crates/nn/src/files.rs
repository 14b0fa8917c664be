//! Safetensors files with metadata.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::safetensors::Load;
use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;

use crate::{Error, Result};

fn io_error(path: &Path, source: std::io::Error) -> Error {
    Error::Io {
        path: path.to_owned(),
        source,
    }
}

/// Whether tensors of this type are more than stored bytes: candle has no operation for the others, not even a conversion.
fn is_usable(dtype: DType) -> bool {
    !matches!(
        dtype,
        DType::F4 | DType::F6E2M3 | DType::F6E3M2 | DType::F8E8M0
    )
}

/// What a safetensors file holds; made by [`SafetensorsFile::read`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SafetensorsFile {
    /// Tensors by name, on the CPU.
    pub tensors: HashMap<String, Tensor>,
    /// Metadata, empty where there are none.
    pub metadata: BTreeMap<String, String>,
    /// Types by name of the tensors that candle cannot hold or convert, such as `BOOL` and `I8`.
    pub unsupported: BTreeMap<String, String>,
}

impl SafetensorsFile {
    /// Reads a whole file, whatever the types of its tensors.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Format`] if it is truncated or no safetensors file.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|source| io_error(path, source))?;
        let format = |reason: String| Error::Format {
            path: path.to_owned(),
            reason,
        };
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| format(e.to_string()))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|e| format(e.to_string()))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let (mut tensors, mut unsupported) = (HashMap::new(), BTreeMap::new());
        for (name, view) in file.iter() {
            match view.load(&Device::Cpu) {
                Ok(tensor) if is_usable(tensor.dtype()) => {
                    tensors.insert(name.to_owned(), tensor);
                }
                Ok(_) | Err(candle_core::Error::UnsupportedSafeTensorDtype(_)) => {
                    unsupported.insert(name.to_owned(), view.dtype().to_string());
                }
                Err(error) => return Err(format(format!("tensor `{name}`: {error}"))),
            }
        }
        Ok(Self {
            tensors,
            metadata: metadata.into_iter().collect(),
            unsupported,
        })
    }
}

/// Tensors by name and the metadata of a safetensors file, on the CPU, every tensor or none.
///
/// # Errors
/// As [`SafetensorsFile::read`], and [`Error::FileDType`] if a tensor is of a type that candle cannot hold.
pub fn read_safetensors(
    path: &Path,
) -> Result<(HashMap<String, Tensor>, BTreeMap<String, String>)> {
    let file = SafetensorsFile::read(path)?;
    match file.unsupported.into_iter().next() {
        None => Ok((file.tensors, file.metadata)),
        Some((name, dtype)) => Err(Error::FileDType {
            path: path.to_owned(),
            name,
            dtype,
        }),
    }
}
