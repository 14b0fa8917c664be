//! State dicts in the zip archives that `torch.save` writes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use zip::ZipArchive;

use crate::names::{self, PREFERRED_KEYS};
use crate::pickle::{Id, Pickle, Stored};
use crate::{Error, Result};

/// Largest description of tensors that is read: a ViT-H with its optimizer needs a hundredth of it.
const LARGEST_PICKLE: u64 = 64 << 20;

/// How many times the file's length the values of all tensors may have, which can share a storage.
const SHARED: u64 = 8;

/// How deep a dictionary of tensors may lie in others.
const DEEPEST: usize = 3;

/// A dictionary of tensors.
#[derive(Debug, Default)]
pub(crate) struct StateDict {
    /// As `f32`.
    pub tensors: HashMap<String, Tensor>,
    /// What is no floating-point tensor: its type by its name, None where it is no tensor.
    pub skipped: BTreeMap<String, Option<String>>,
    /// Where in the file it lies, keys joined by dots; None at the top.
    pub key: Option<String>,
    /// Where others lie that could have been taken.
    pub other_keys: Vec<String>,
}

type Archive = ZipArchive<BufReader<File>>;

/// Reads the dictionary at `key`, or the one that holds a Vision Transformer.
pub(crate) fn read_pth(path: &Path, key: Option<&str>) -> Result<StateDict> {
    // The archive reader is not this crate's: a panic of it would be an application's.
    catch_unwind(AssertUnwindSafe(|| read(path, key)))
        .unwrap_or_else(|_| Err(format(path, "its structure is damaged; fetch it again")))
}

fn format(path: &Path, reason: impl Into<String>) -> Error {
    Error::Format {
        path: path.to_owned(),
        reason: reason.into(),
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn read(path: &Path, key: Option<&str>) -> Result<StateDict> {
    let (mut archive, length) = open(path)?;
    let names: Vec<String> = archive
        .file_names()
        .filter_map(|name| Some(name.ok()?.into_owned()))
        .collect();
    let pickle = names
        .iter()
        .find(|name| *name == "data.pkl" || name.ends_with("/data.pkl"));
    let Some(pickle) = pickle else {
        let reason = match names.iter().any(|name| name.ends_with(".npy")) {
            true => "it is an archive of NumPy arrays; write them as .safetensors",
            false => "it holds no data.pkl; write it with torch.save(model.state_dict(), path)",
        };
        return Err(format(path, reason));
    };
    let folder = pickle.strip_suffix("data.pkl").unwrap_or_default();
    if names.contains(&format!("{folder}constants.pkl")) {
        return Err(format(
            path,
            "it is a TorchScript program; write its weights with torch.save(torch.jit.load(path).state_dict(), new_path)",
        ));
    }
    let order = format!("{folder}byteorder");
    if names.contains(&order) && entry(&mut archive, &order, 16).is_ok_and(|order| order == b"big")
    {
        return Err(format(
            path,
            "its values are big-endian; write it again on a little-endian machine",
        ));
    }
    let bytes = entry(&mut archive, pickle, LARGEST_PICKLE).map_err(|e| format(path, e))?;
    let pickle = Pickle::read(&bytes).map_err(|e| format(path, e))?;
    let chosen = choose(path, &pickle, key)?;

    let mut state = StateDict {
        key: chosen.key,
        other_keys: chosen.others,
        ..StateDict::default()
    };
    let mut by_storage = BTreeMap::<&str, Vec<(&str, Stored<'_>, DType)>>::new();
    // Of a name that is given twice the last counts, as in Python.
    let named = chosen.pairs.iter();
    let named = named.filter_map(|&(name, value)| Some((pickle.text(name)?, value)));
    for (name, value) in named.collect::<BTreeMap<_, _>>() {
        let stored = pickle.tensor(value).transpose();
        let stored = stored.map_err(|e| format(path, format!("tensor `{name}`: {e}")))?;
        let Some(stored) = stored else {
            state.skipped.insert(name.to_owned(), None);
            continue;
        };
        match stored.dtype {
            Some(dtype) => {
                let place = by_storage.entry(stored.storage).or_default();
                place.push((name, stored, dtype));
            }
            None => {
                let dtype = type_name(stored.class).to_owned();
                state.skipped.insert(name.to_owned(), Some(dtype));
            }
        }
    }
    let mut budget = length.saturating_mul(SHARED);
    for (storage, wanted) in by_storage {
        // Archives of torch.save are not compressed: no storage is larger than the file.
        let bytes = match wanted.iter().all(|(_, stored, _)| stored.dims.contains(&0)) {
            true => Ok(Vec::new()),
            false => entry(&mut archive, &format!("{folder}data/{storage}"), length),
        };
        // Tensors that are the same part of a storage share their memory here too.
        let mut views = HashMap::new();
        for (name, stored, dtype) in wanted {
            let bytes = bytes.as_ref().map_err(Clone::clone);
            let view = (
                dtype,
                stored.offset,
                stored.dims.clone(),
                stored.strides.clone(),
            );
            let tensor = match views.get(&view) {
                Some(tensor) => Ok(Tensor::clone(tensor)),
                None => bytes.and_then(|bytes| tensor(bytes, &stored, dtype, &mut budget)),
            };
            let tensor = tensor.map_err(|e| format(path, format!("tensor `{name}`: {e}")))?;
            views.insert(view, tensor.clone());
            state.tensors.insert(name.to_owned(), tensor);
        }
    }
    Ok(state)
}

/// The type that the class of a storage is of.
fn type_name(class: &str) -> &str {
    match class {
        "FloatStorage" => "float32",
        "DoubleStorage" => "float64",
        "HalfStorage" => "float16",
        "BFloat16Storage" => "bfloat16",
        "LongStorage" => "int64",
        "IntStorage" => "int32",
        "ShortStorage" => "int16",
        "CharStorage" => "int8",
        "ByteStorage" => "uint8",
        "BoolStorage" => "bool",
        "ComplexFloatStorage" => "complex64",
        "ComplexDoubleStorage" => "complex128",
        name => name,
    }
}

/// The archive and the file's length.
fn open(path: &Path) -> Result<(Archive, u64)> {
    let io = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    // The directory of a zip archive is its end, at most a comment of 64 KiB before the last byte.
    let tail = length.min(22 + (1 << 16));
    file.seek(SeekFrom::Start(length - tail)).map_err(io)?;
    let mut end = Vec::new();
    Read::by_ref(&mut file)
        .take(tail)
        .read_to_end(&mut end)
        .map_err(io)?;
    if !end.windows(4).any(|window| window == b"PK\x05\x06") {
        return Err(Error::CutOff {
            path: path.to_owned(),
        });
    }
    file.rewind().map_err(io)?;
    let archive = ZipArchive::new(BufReader::new(file)).map_err(|e| format(path, text(e)))?;
    Ok((archive, length))
}

struct Chosen<'p> {
    key: Option<String>,
    others: Vec<String>,
    pairs: &'p [(Id, Id)],
}

/// The dictionaries of a file with their keys joined by dots, each once, those above before those below.
fn dictionaries<'p>(pickle: &'p Pickle<'_>) -> Vec<(String, &'p [(Id, Id)])> {
    let Some(root) = pickle.dict(pickle.root()) else {
        return Vec::new();
    };
    let mut seen = HashSet::from([pickle.root()]);
    let mut found = vec![(String::new(), root)];
    let mut level = 0..1;
    for _ in 0..DEEPEST {
        for place in level.clone() {
            let (key, pairs) = (found[place].0.clone(), found[place].1);
            for &(name, value) in pairs {
                if let (Some(name), Some(inner)) = (pickle.text(name), pickle.dict(value))
                    && seen.insert(value)
                {
                    let dot = if key.is_empty() { "" } else { "." };
                    found.push((format!("{key}{dot}{name}"), inner));
                }
            }
        }
        level = level.end..found.len();
    }
    found
}

fn last(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// The dictionary at `key`, else the one with a Vision Transformer in it.
fn choose<'p>(path: &Path, pickle: &'p Pickle<'_>, key: Option<&str>) -> Result<Chosen<'p>> {
    let all = dictionaries(pickle);
    let Some((_, root)) = all.first() else {
        let what = match pickle.class(pickle.root()) {
            Some((module, name)) => format!("a whole object of the class {module}.{name}"),
            None => "no dictionary of tensors".to_owned(),
        };
        return Err(format(
            path,
            format!("it holds {what}; write it with torch.save(model.state_dict(), path)"),
        ));
    };
    let transformer = |pairs: &[(Id, Id)]| {
        pairs.iter().any(|&(name, value)| {
            pickle.text(name).is_some_and(names::is_landmark) && pickle.tensor(value).is_some()
        })
    };
    let candidates: Vec<_> = all.iter().filter(|(_, pairs)| transformer(pairs)).collect();
    let chosen = match key {
        // A key that is none of a dictionary may still begin the names of a flat one.
        Some(wanted) => {
            let here = |key: &str| key == wanted || last(key) == wanted;
            let below = |key: &str| key.starts_with(&format!("{wanted}."));
            candidates
                .iter()
                .find(|(key, _)| here(key))
                .or_else(|| candidates.iter().find(|(key, _)| below(key)))
                .copied()
                .or_else(|| all.iter().find(|(key, _)| here(key)))
                .or_else(|| all.first().filter(|(_, root)| transformer(root)))
        }
        None => match candidates[..] {
            [only] => Some(only),
            [] => all.first().filter(|(_, root)| {
                root.iter()
                    .any(|&(_, value)| pickle.tensor(value).is_some())
            }),
            _ => PREFERRED_KEYS
                .iter()
                .find_map(|key| candidates.iter().find(|(path, _)| last(path) == *key))
                .or_else(|| candidates.iter().find(|(key, _)| key.is_empty()))
                .copied(),
        },
    };
    let Some((found, pairs)) = chosen else {
        let named = root.iter().filter_map(|&(name, _)| pickle.text(name));
        return Err(Error::Key {
            path: path.to_owned(),
            wanted: key.map(str::to_owned),
            keys: named
                .collect::<BTreeSet<_>>()
                .into_iter()
                .map(str::to_owned)
                .collect(),
            transformers: candidates.iter().map(|(key, _)| key.clone()).collect(),
        });
    };
    let others = candidates.iter().filter(|(key, _)| key != found);
    Ok(Chosen {
        key: (!found.is_empty()).then(|| found.clone()),
        others: others.map(|(key, _)| key.clone()).collect(),
        pairs,
    })
}

/// Content of an archive's entry of at most `limit` bytes.
fn entry(archive: &mut Archive, name: &str, limit: u64) -> std::result::Result<Vec<u8>, String> {
    let reader = archive
        .by_name(name)
        .map_err(|error| format!("its entry {name}: {error}; fetch it again"))?;
    let size = reader.size();
    if size > limit {
        return Err(format!(
            "its entry {name} claims {size} bytes, more than the {limit} that can be right"
        ));
    }
    let mut bytes = Vec::new();
    reader
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("its entry {name}: {error}; fetch it again"))?;
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

/// Whether values lie one after another in the order of their places.
fn is_row_major(dims: &[usize], strides: &[usize]) -> bool {
    let mut step = 1;
    dims.iter().zip(strides).rev().all(|(&dim, &stride)| {
        let right = dim == 1 || stride == step;
        step *= dim;
        right
    })
}

/// One tensor as `f32`, gathered from its storage by its strides.
fn tensor(
    bytes: &[u8],
    stored: &Stored<'_>,
    dtype: DType,
    budget: &mut u64,
) -> std::result::Result<Tensor, String> {
    let size = dtype.size_in_bytes();
    let (dims, strides) = (stored.dims.as_slice(), stored.strides.as_slice());
    let (first, held) = (stored.offset, bytes.len() / size);
    let count = dims
        .iter()
        .try_fold(1usize, |count, &dim| count.checked_mul(dim));
    let last = dims
        .iter()
        .zip(strides)
        .try_fold(first, |last, (&dim, &stride)| {
            last.checked_add(dim.saturating_sub(1).checked_mul(stride)?)
        });
    let count = match (count, last) {
        (Some(0), _) => 0,
        (Some(count), Some(last)) if last < held => count,
        _ => {
            return Err(format!(
                "its shape {dims:?} does not fit the {held} values stored for it; fetch it again"
            ));
        }
    };
    *budget = (count as u64)
        .checked_mul(4)
        .and_then(|bytes| budget.checked_sub(bytes))
        .ok_or("it and the tensors before it unfold to many times the file's length")?;
    let gathered: Vec<u8>;
    let values = if count == 0 {
        &[]
    } else if is_row_major(dims, strides) {
        &bytes[first * size..(first + count) * size]
    } else {
        gathered = (0..count)
            .flat_map(|i| {
                let start = (first + place(i, dims, strides)) * size;
                bytes[start..start + size].iter().copied()
            })
            .collect();
        &gathered
    };
    Tensor::from_raw_buffer(values, dtype, dims, &Device::Cpu)
        .and_then(|tensor| tensor.to_dtype(DType::F32))
        .map_err(text)
}
