//! Safetensors files: ordered, checksummed, written atomically, verified when read.

use std::collections::BTreeMap;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::{Dtype, SafeTensorError, SafeTensors, View};

use crate::atomic::{Staged, folder_of, sync_folder};
use crate::crc::Crc32c;
use crate::error::io_error;
use crate::{Error, Result};

/// The metadata key of the checksum.
pub(crate) const CHECKSUM_KEY: &str = "checksum";
const ALGORITHM: &str = "crc32c:";
/// Stands for the checksum while it is computed: the file sums to the value it would have had
/// with this in its place, so that the header is covered too.
const PLACEHOLDER: &str = "crc32c:00000000";

/// A tensor to be written.
pub(crate) struct Entry<'a> {
    name: String,
    payload: Payload<'a>,
}

pub(crate) enum Payload<'a> {
    Tensor(Tensor),
    Slice { shape: Vec<usize>, data: &'a [f32] },
}

impl<'a> Entry<'a> {
    pub(crate) fn new(name: String, payload: Payload<'a>) -> Self {
        Self { name, payload }
    }
}

impl<'a> Payload<'a> {
    /// Moved to the CPU here, where a failure is an error; the format's trait has no room for one.
    pub(crate) fn tensor(tensor: &Tensor) -> candle_core::Result<Self> {
        let dtype = tensor.dtype();
        // candle has no bytes of these to give, and would panic.
        if let DType::F4 | DType::F6E2M3 | DType::F6E3M2 | DType::F8E8M0 = dtype {
            candle_core::bail!(
                "a tensor of type {} cannot be written to a file",
                dtype.as_str()
            );
        }
        Ok(Self::Tensor(tensor.to_device(&Device::Cpu)?))
    }

    pub(crate) fn slice(shape: &[usize], data: &'a [f32]) -> Self {
        Self::Slice {
            shape: shape.to_vec(),
            data,
        }
    }

    fn dtype(&self) -> DType {
        match self {
            Self::Tensor(tensor) => tensor.dtype(),
            Self::Slice { .. } => DType::F32,
        }
    }

    fn shape(&self) -> &[usize] {
        match self {
            Self::Tensor(tensor) => tensor.dims(),
            Self::Slice { shape, .. } => shape,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Tensor(tensor) => View::data_len(tensor),
            Self::Slice { data, .. } => size_of_val(*data),
        }
    }

    fn for_each_block(
        &self,
        mut f: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        match self {
            Self::Tensor(tensor) => f(&View::data(tensor)),
            Self::Slice { data, .. } => {
                let mut bytes = Vec::with_capacity(64 * 1024);
                for block in data.chunks(16 * 1024) {
                    bytes.clear();
                    bytes.extend(block.iter().flat_map(|value| value.to_le_bytes()));
                    f(&bytes)?;
                }
                Ok(())
            }
        }
    }
}

/// Writes `entries` and `metadata` to `path`, whole or not at all. Returns the checksum.
pub(crate) fn write_archive(
    path: &Path,
    entries: Vec<Entry<'_>>,
    metadata: &BTreeMap<String, String>,
) -> Result<String> {
    let (staged, checksum) = stage_archive(path, entries, metadata)?;
    staged.place()?;
    sync_folder(folder_of(path))?;
    Ok(checksum)
}

/// Writes beside `path`, where the caller places it, `entries`, widest type first and then by name (the format's own order), with
/// sorted `metadata`: the same content always gives the same bytes. Returns the checksum too.
pub(crate) fn stage_archive(
    path: &Path,
    mut entries: Vec<Entry<'_>>,
    metadata: &BTreeMap<String, String>,
) -> Result<(Staged, String)> {
    if metadata.contains_key(CHECKSUM_KEY) {
        return Err(Error::ReservedMetadata {
            key: CHECKSUM_KEY.into(),
        });
    }
    entries.sort_by(|a, b| {
        let width = |entry: &Entry<'_>| entry.payload.dtype().size_in_bytes();
        width(b).cmp(&width(a)).then_with(|| a.name.cmp(&b.name))
    });
    if let Some(pair) = entries.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(Error::DuplicateParameter {
            name: pair[0].name.clone(),
        });
    }
    let header = header(&entries, metadata);
    let mut checksum = String::new();
    let staged = Staged::write(path, |file| {
        let mut crc = Crc32c::new();
        let mut writer = BufWriter::with_capacity(1 << 20, &mut *file);
        let mut put = |bytes: &[u8]| {
            crc.update(bytes);
            writer.write_all(bytes)
        };
        put(&(header.len() as u64).to_le_bytes())?;
        put(header.as_bytes())?;
        for entry in &entries {
            entry.payload.for_each_block(&mut put)?;
        }
        writer.flush()?;
        drop(writer);
        checksum = format!("{ALGORITHM}{:08x}", crc.value());
        let position = placeholder_position(header.as_bytes()).unwrap_or(0) as u64;
        file.seek(SeekFrom::Start(8 + position))?;
        file.write_all(checksum.as_bytes())
    })?;
    Ok((staged, checksum))
}

/// The JSON header, by hand: the `safetensors` crate keeps metadata in a hash map, whose order
/// (and so the file's bytes) changes from run to run.
fn header(entries: &[Entry<'_>], metadata: &BTreeMap<String, String>) -> String {
    use serde_json::Value;
    let mut header = format!("{{\"__metadata__\":{{\"{CHECKSUM_KEY}\":\"{PLACEHOLDER}\"");
    for (key, value) in metadata {
        let (key, value) = (Value::from(key.as_str()), Value::from(value.as_str()));
        header.push_str(&format!(",{key}:{value}"));
    }
    header.push('}');
    let mut offset = 0;
    for entry in entries {
        let end = offset + entry.payload.len();
        let dtype = Dtype::from(entry.payload.dtype());
        header.push_str(&format!(
            ",{}:{{\"dtype\":\"{dtype}\",\"shape\":{:?},\"data_offsets\":[{offset},{end}]}}",
            Value::from(entry.name.as_str()),
            entry.payload.shape(),
        ));
        offset = end;
    }
    header.push('}');
    // The format wants its data aligned to eight bytes; spaces end a JSON text harmlessly.
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    header
}

/// Where the checksum stands in a header. Inside JSON strings quotes are escaped, so that the
/// pattern with its bare quotes matches the entry itself alone.
fn placeholder_position(header: &[u8]) -> Option<usize> {
    let pattern = format!("\"{CHECKSUM_KEY}\":\"{ALGORITHM}");
    let start = header
        .windows(pattern.len())
        .position(|window| window == pattern.as_bytes())?;
    let position = start + pattern.len() - ALGORITHM.len();
    (position + PLACEHOLDER.len() <= header.len()).then_some(position)
}

/// The verified content of a safetensors file.
#[derive(Debug)]
pub(crate) struct Archive {
    pub(crate) tensors: BTreeMap<String, Tensor>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) checksum: Option<String>,
}

/// Reads a safetensors file onto the CPU. A checksum, if the file has one, is verified; files of
/// other programs have none.
pub(crate) fn read_archive(path: &Path) -> Result<Archive> {
    let mut file = std::fs::File::open(path).map_err(io_error("open", path))?;
    let length = file.metadata().map_err(io_error("read", path))?.len();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .map_err(io_error("read", path))?;
    tracing::debug!(path = %path.display(), length, "read");
    parse_archive(path, &bytes)
}

/// As [`read_archive`], from the file's bytes; errors name `path`.
pub(crate) fn parse_archive(path: &Path, bytes: &[u8]) -> Result<Archive> {
    let parsed = SafeTensors::deserialize(bytes).map_err(|error| classify(error, path, bytes))?;
    let (header_length, header) =
        SafeTensors::read_metadata(bytes).map_err(|error| classify(error, path, bytes))?;
    let metadata: BTreeMap<String, String> = header
        .metadata()
        .clone()
        .unwrap_or_default()
        .into_iter()
        .collect();
    let checksum = metadata.get(CHECKSUM_KEY).cloned();
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
    let mut tensors = BTreeMap::new();
    for (name, view) in parsed.tensors() {
        let dtype = DType::try_from(view.dtype()).map_err(|_| Error::NotSafetensors {
            path: path.to_path_buf(),
            reason: format!("`{name}` has the unsupported type {}", view.dtype()),
        })?;
        let tensor = Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu)?;
        tensors.insert(name, tensor);
    }
    Ok(Archive {
        tensors,
        metadata,
        checksum,
    })
}

fn checksum_of(bytes: &[u8], header_length: usize) -> Option<String> {
    let header = bytes.get(8..8 + header_length)?;
    let position = 8 + placeholder_position(header)?;
    let mut crc = Crc32c::new();
    crc.update(&bytes[..position]);
    crc.update(PLACEHOLDER.as_bytes());
    crc.update(&bytes[position + PLACEHOLDER.len()..]);
    Some(format!("{ALGORITHM}{:08x}", crc.value()))
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
            reason: error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(path: &Path, note: &str) -> String {
        let a = Tensor::new(&[[1.0f32, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
        let b = Tensor::new(7i64, &Device::Cpu).unwrap();
        let entries = vec![
            Entry::new("a".into(), Payload::tensor(&a).unwrap()),
            Entry::new("b".into(), Payload::tensor(&b).unwrap()),
            Entry::new("c \"q\"".into(), Payload::slice(&[3], &[5.0, 6.0, 7.0])),
        ];
        let metadata = BTreeMap::from([
            ("note".to_string(), note.to_string()),
            // A decoy: the checksum's own pattern inside a string.
            (
                "decoy".to_string(),
                "\"checksum\":\"crc32c:ffffffff\"".to_string(),
            ),
        ]);
        write_archive(path, entries, &metadata).unwrap()
    }

    #[test]
    fn round_trip_and_equal_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (
            dir.path().join("1.safetensors"),
            dir.path().join("2.safetensors"),
        );
        let checksum = sample(&one, "x");
        sample(&two, "x");
        assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap());
        let archive = read_archive(&one).unwrap();
        assert_eq!(archive.checksum.as_deref(), Some(checksum.as_str()));
        assert_eq!(archive.metadata["note"], "x");
        assert_eq!(archive.tensors["b"].to_scalar::<i64>().unwrap(), 7);
        assert_eq!(
            archive.tensors["c \"q\""].to_vec1::<f32>().unwrap(),
            [5.0, 6.0, 7.0]
        );
        // An independent reader takes the file too.
        let map = candle_core::safetensors::load(&one, &Device::Cpu).unwrap();
        assert_eq!(map["a"].to_vec2::<f32>().unwrap(), [[1.0, 2.0], [3.0, 4.0]]);
    }

    #[test]
    fn every_truncation_and_every_flipped_byte_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file.safetensors");
        sample(&path, "x");
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(
                matches!(read_archive(&path), Err(Error::Truncated { .. })),
                "cut to {length}: {:?}",
                read_archive(&path)
            );
        }
        for index in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[index] ^= 0x10;
            std::fs::write(&path, &damaged).unwrap();
            let result = read_archive(&path);
            // A flip that renames the checksum's own key leaves a file without one: still seen,
            // because such a file is not taken for a checkpoint.
            let unsigned = matches!(&result, Ok(archive) if archive.checksum.is_none());
            assert!(result.is_err() || unsigned, "byte {index}");
        }
    }

    #[test]
    fn other_files_are_named_as_such() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.txt");
        std::fs::write(&path, "These are no weights, only a text.").unwrap();
        assert!(matches!(
            read_archive(&path),
            Err(Error::NotSafetensors { .. })
        ));
        let missing = dir.path().join("missing.safetensors");
        assert!(matches!(read_archive(&missing), Err(Error::Io { .. })));
    }

    #[test]
    fn the_checksum_key_is_reserved() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file.safetensors");
        let metadata = BTreeMap::from([("checksum".to_string(), "mine".to_string())]);
        let result = write_archive(&path, Vec::new(), &metadata);
        assert!(matches!(result, Err(Error::ReservedMetadata { .. })));
        assert!(!path.exists());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("file.safetensors");
            std::fs::write(&path, &bytes).unwrap();
            prop_assert!(read_archive(&path).is_err());
        }
    }
}
