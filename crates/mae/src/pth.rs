//! State dicts in the zip archives that `torch.save` writes.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use candle_core::pickle::{Object, Stack, TensorInfo};
use candle_core::{DType, Device, Tensor};
use zip::ZipArchive;

use crate::pickle_size;
use crate::{Error, Result};

/// Keys under which training scripts store the state dict.
const STATE_KEYS: [&str; 4] = ["model", "state_dict", "model_state_dict", "module"];

/// Largest description of tensors that is read: a ViT-H with its optimizer needs a hundredth of it.
const LARGEST_PICKLE: u64 = 64 << 20;

/// How many times the file's length all storages may have that its tensors name.
const SHARED: u64 = 8;

/// Tensors by name as `f32`, and the names of those that are no floating-point tensors.
pub(crate) type StateDict = (HashMap<String, Tensor>, Vec<String>);

pub(crate) fn read_pth(path: &Path) -> Result<StateDict> {
    let format = |reason: String| Error::Format {
        path: path.to_owned(),
        reason,
    };
    // The unpickler and the archive reader index what they parse: malformed files can make them panic.
    match catch_unwind(AssertUnwindSafe(|| read(path))) {
        Ok(Ok(state)) => Ok(state),
        Ok(Err(reason)) => Err(format(reason)),
        Err(_) => Err(format(
            "its structure is damaged; fetch it again".to_owned(),
        )),
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn read(path: &Path) -> std::result::Result<StateDict, String> {
    let file = File::open(path).map_err(text)?;
    let length = file.metadata().map_err(text)?.len();
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(text)?;
    let pickle = archive
        .file_names()
        .filter_map(std::result::Result::ok)
        .find(|name| name.ends_with("data.pkl"))
        .map(std::borrow::Cow::into_owned)
        .ok_or("it holds no data.pkl; write it with torch.save(model.state_dict(), path)")?;
    let folder = pickle.strip_suffix(".pkl").unwrap_or_default().to_owned();

    let bytes = entry(&mut archive, &pickle, LARGEST_PICKLE)?;
    pickle_size::check(&bytes)?;
    let mut stack = Stack::empty();
    stack.read_loop(&mut bytes.as_slice()).map_err(text)?;
    let root = stack.finalize().map_err(text)?;

    let (mut tensors, mut skipped) = (HashMap::new(), Vec::new());
    // Tensors may share a storage, which each of them reads anew.
    let mut budget = length.saturating_mul(SHARED);
    for (key, value) in state_dict(root)? {
        let Object::Unicode(name) = &key else {
            continue;
        };
        let name = name.clone();
        match value.into_tensor_info(key, Path::new(&folder)) {
            Ok(Some(info)) if info.dtype.is_float() => {
                let tensor = tensor(&mut archive, &info, length, &mut budget)
                    .map_err(|reason| format!("tensor `{name}`: {reason}"))?;
                tensors.insert(name, tensor);
            }
            // Integer and boolean tensors, and values that are no tensors at all.
            _ => skipped.push(name),
        }
    }
    Ok((tensors, skipped))
}

/// The dictionary of tensors: under one of the usual keys, or the whole file.
fn state_dict(root: Object) -> std::result::Result<Vec<(Object, Object)>, String> {
    let Object::Dict(mut pairs) = root else {
        return Err(
            "it holds no dictionary of tensors; write it with torch.save(model.state_dict(), path)"
                .to_owned(),
        );
    };
    for wanted in STATE_KEYS {
        let place = pairs.iter().position(|(key, value)| {
            matches!((key, value), (Object::Unicode(key), Object::Dict(_)) if key == wanted)
        });
        if let Some(place) = place
            && let (_, Object::Dict(inner)) = pairs.swap_remove(place)
        {
            return Ok(inner);
        }
    }
    Ok(pairs)
}

/// Content of an archive's entry of at most `limit` bytes.
fn entry(
    archive: &mut ZipArchive<BufReader<File>>,
    name: &str,
    limit: u64,
) -> std::result::Result<Vec<u8>, String> {
    let reader = archive.by_name(name).map_err(text)?;
    let size = reader.size();
    if size > limit {
        return Err(format!(
            "its entry {name} claims {size} bytes, more than the {limit} that can be right"
        ));
    }
    let mut bytes = Vec::new();
    reader.take(limit).read_to_end(&mut bytes).map_err(text)?;
    if bytes.len() as u64 != size {
        return Err(format!(
            "its entry {name} has {} of {size} bytes; fetch it again",
            bytes.len()
        ));
    }
    Ok(bytes)
}

/// Place in the storage of the row-major i-th value.
fn place(mut i: usize, dims: &[usize], strides: &[usize]) -> usize {
    let mut place = 0;
    for (&dim, &stride) in dims.iter().zip(strides).rev() {
        place += i % dim * stride;
        i /= dim;
    }
    place
}

/// One tensor as `f32`, gathered from its storage by its strides. Archives of `torch.save` are not compressed: no storage is
/// larger than the file.
fn tensor(
    archive: &mut ZipArchive<BufReader<File>>,
    info: &TensorInfo,
    file_length: u64,
    budget: &mut u64,
) -> std::result::Result<Tensor, String> {
    let size = info.dtype.size_in_bytes();
    if info.layout.dims().contains(&0) {
        return Tensor::zeros(info.layout.dims(), DType::F32, &Device::Cpu).map_err(text);
    }
    let bytes = entry(archive, &info.path, file_length)?;
    *budget = budget
        .checked_sub(bytes.len() as u64)
        .ok_or("too many tensors share its storage")?;
    let stored = bytes.len() / size;
    let (dims, strides) = (info.layout.dims(), info.layout.stride());
    let count = dims
        .iter()
        .try_fold(1usize, |count, &dim| count.checked_mul(dim));
    let first = info.layout.start_offset() / size;
    let last = dims
        .iter()
        .zip(strides)
        .try_fold(first, |last, (&dim, &stride)| {
            last.checked_add(dim.saturating_sub(1).checked_mul(stride)?)
        });
    let fits = count.is_some_and(|count| count <= stored) && last.is_some_and(|last| last < stored);
    let (true, Some(count)) = (fits && dims.len() == strides.len(), count) else {
        return Err(format!(
            "its shape {dims:?} does not fit the {stored} values stored for it"
        ));
    };
    let storage =
        Tensor::from_raw_buffer(&bytes[..stored * size], info.dtype, &[stored], &Device::Cpu)
            .and_then(|storage| storage.to_dtype(DType::F32)?.to_vec1::<f32>())
            .map_err(text)?;
    let values: Vec<f32> = if info.layout.is_contiguous() {
        storage[first..first + count].to_vec()
    } else {
        (0..count)
            .map(|i| storage[first + place(i, dims, strides)])
            .collect()
    };
    Tensor::from_vec(values, dims, &Device::Cpu).map_err(text)
}
