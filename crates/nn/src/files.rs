//! Safetensors files with metadata, written whole or not at all.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;

use candle_core::{Device, Tensor};
use safetensors::SafeTensors;

use crate::{Error, Result};

fn io_error(path: &Path, source: std::io::Error) -> Error {
    Error::Io {
        path: path.to_owned(),
        source,
    }
}

/// Tensors by name and the metadata of a safetensors file, on the CPU.
///
/// # Errors
/// [`Error::Io`] if it cannot be read, [`Error::Format`] if it is truncated or no safetensors file.
pub fn read_safetensors(
    path: &Path,
) -> Result<(HashMap<String, Tensor>, BTreeMap<String, String>)> {
    let bytes = std::fs::read(path).map_err(|source| io_error(path, source))?;
    let format = |reason: String| Error::Format {
        path: path.to_owned(),
        reason,
    };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| format(e.to_string()))?;
    // Also checks that the data are complete.
    SafeTensors::deserialize(&bytes).map_err(|e| format(e.to_string()))?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
        .map_err(|e| format(e.to_string()))?;
    Ok((tensors, metadata.into_iter().collect()))
}

/// Writes tensors and metadata to a temporary file beside `path`, syncs it and renames it.
///
/// # Errors
/// [`Error::Io`] when the file cannot be written, [`Error::Format`] when the tensors cannot be serialised; an old file is then
/// untouched.
pub fn write_safetensors(
    path: &Path,
    tensors: &[(String, Tensor)],
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let pairs = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
    let header = (!metadata.is_empty()).then(|| {
        metadata
            .iter()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    });
    let bytes = safetensors::serialize(pairs, header).map_err(|e| Error::Format {
        path: path.to_owned(),
        reason: e.to_string(),
    })?;
    let write = || -> std::io::Result<()> {
        let mut file = readable(&mut tempfile::Builder::new()).tempfile_in(folder)?;
        file.write_all(&bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|source| io_error(path, source))
}

/// Temporaries are for their owner alone by default; weights are to be as readable as any file.
#[cfg(unix)]
fn readable<'a, 'b>(
    builder: &'a mut tempfile::Builder<'b, 'b>,
) -> &'a mut tempfile::Builder<'b, 'b> {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(std::fs::Permissions::from_mode(0o666))
}

#[cfg(not(unix))]
fn readable<'a, 'b>(
    builder: &'a mut tempfile::Builder<'b, 'b>,
) -> &'a mut tempfile::Builder<'b, 'b> {
    builder
}
