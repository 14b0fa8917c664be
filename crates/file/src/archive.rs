//! Safetensors files as bytes: ordered, checksummed, staged.

use std::collections::BTreeMap;
use std::io::{BufWriter, Cursor, Seek, SeekFrom, Write};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::{Dtype, View};

use crate::atomic::Staged;
use crate::crc::Crc32c;
use crate::{Error, Result};

/// The metadata key of the checksum.
pub(crate) const CHECKSUM_KEY: &str = "checksum";
/// The name under which the header holds the metadata.
const METADATA: &str = "__metadata__";
/// What a checksum of this crate begins with.
pub(crate) const ALGORITHM: &str = "crc32c:";
/// Stands for the checksum while it is computed: the file sums to the value it would have had
/// with this in its place, so that the header is covered too.
const PLACEHOLDER: &str = "crc32c:00000000";

/// Whether candle can hold tensors of this type as more than bytes: it has no operation for the others, not even a conversion.
pub(crate) fn is_usable(dtype: DType) -> bool {
    !matches!(
        dtype,
        DType::F4 | DType::F6E2M3 | DType::F6E3M2 | DType::F8E8M0
    )
}

/// A named tensor, or named values, to be written by [`stage_archive`].
#[derive(Debug)]
pub struct Entry<'a> {
    name: String,
    payload: Payload<'a>,
}

#[derive(Debug)]
enum Payload<'a> {
    Tensor(Tensor),
    Slice { shape: Vec<usize>, data: &'a [f32] },
}

impl<'a> Entry<'a> {
    /// A tensor of any device; it is moved to the CPU here.
    ///
    /// # Errors
    /// A tensor error.
    pub fn tensor(name: String, tensor: &Tensor) -> candle_core::Result<Self> {
        // Here a failure is an error; the format's trait has no room for one.
        // A part of a device's storage is cut out there, since all of it would be moved.
        let tensor = match tensor.device().is_cpu() {
            true => tensor.clone(),
            false => tensor.force_contiguous()?.to_device(&Device::Cpu)?,
        };
        let payload = Payload::Tensor(tensor);
        Ok(Self { name, payload })
    }

    /// Values in row-major order, written without a copy; `shape` must have as many.
    ///
    /// # Errors
    /// A tensor error if the numbers of values differ.
    pub fn slice(name: String, shape: &[usize], data: &'a [f32]) -> candle_core::Result<Self> {
        let expected = shape.iter().product::<usize>();
        if expected != data.len() {
            candle_core::bail!(
                "`{name}` of shape {shape:?} needs {expected} values, not {}",
                data.len()
            );
        }
        let shape = shape.to_vec();
        let payload = Payload::Slice { shape, data };
        Ok(Self { name, payload })
    }
}

impl Payload<'_> {
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

/// Writes a safetensors file beside `path`, where the caller places it. Returns its checksum too.
///
/// Entries lie widest type first and then by name (the format's own order), metadata by key: the same content always gives the
/// same bytes. [`save_weights`](crate::save_weights) does all of it for a single file.
///
/// # Errors
/// [`Error::Write`], [`Error::ReservedMetadata`], [`Error::DuplicateName`], or [`Error::DType`] for a type that candle cannot hold.
pub fn stage_archive(
    path: &Path,
    entries: Vec<Entry<'_>>,
    metadata: &BTreeMap<String, String>,
) -> Result<(Staged, String)> {
    let entries = in_order(path, entries, metadata)?;
    let header = header(&entries, metadata);
    let mut checksum = String::new();
    let staged = Staged::write(path, |file| {
        checksum = write(file, &entries, &header)?;
        Ok(())
    })?;
    Ok((staged, checksum))
}

/// The bytes of the file that [`stage_archive`] would write, for a message instead of a file;
/// [`parse_weights`](crate::parse_weights) reads them. `what` is what errors name.
///
/// # Errors
/// As [`stage_archive`].
pub fn archive_bytes(
    what: &Path,
    entries: Vec<Entry<'_>>,
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>> {
    let entries = in_order(what, entries, metadata)?;
    let mut bytes = Cursor::new(Vec::new());
    let written = write(&mut bytes, &entries, &header(&entries, metadata));
    written.map_err(Error::writing("write", what))?;
    Ok(bytes.into_inner())
}

/// The entries in the order of the format, if they can be written.
fn in_order<'a>(
    path: &Path,
    mut entries: Vec<Entry<'a>>,
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<Entry<'a>>> {
    // The second is the metadata's own place among the names.
    let taken = [
        (CHECKSUM_KEY, metadata.contains_key(CHECKSUM_KEY)),
        (METADATA, entries.iter().any(|entry| entry.name == METADATA)),
    ];
    if let Some((key, _)) = taken.into_iter().find(|(_, taken)| *taken) {
        return Err(Error::ReservedMetadata { key: key.into() });
    }
    entries.sort_by(|a, b| {
        let width = |entry: &Entry<'_>| entry.payload.dtype().size_in_bytes();
        width(b).cmp(&width(a)).then_with(|| a.name.cmp(&b.name))
    });
    if let Some(pair) = entries.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(Error::DuplicateName {
            name: pair[0].name.clone(),
        });
    }
    // Candle has no bytes of these to give, and would panic.
    if let Some(entry) = entries.iter().find(|e| !is_usable(e.payload.dtype())) {
        return Err(Error::DType {
            path: path.to_path_buf(),
            name: entry.name.clone(),
            dtype: Dtype::from(entry.payload.dtype()).to_string(),
        });
    }
    Ok(entries)
}

/// Writes header and entries, and the checksum into its place; returns it.
fn write(
    target: &mut (impl Write + Seek),
    entries: &[Entry<'_>],
    header: &str,
) -> std::io::Result<String> {
    let mut crc = Crc32c::new();
    let mut writer = BufWriter::with_capacity(1 << 20, &mut *target);
    let mut put = |bytes: &[u8]| {
        crc.update(bytes);
        writer.write_all(bytes)
    };
    put(&(header.len() as u64).to_le_bytes())?;
    put(header.as_bytes())?;
    for entry in entries {
        entry.payload.for_each_block(&mut put)?;
    }
    writer.flush()?;
    drop(writer);
    let checksum = format!("{ALGORITHM}{:08x}", crc.value());
    let position = placeholder_position(header.as_bytes()).unwrap_or(0) as u64;
    target.seek(SeekFrom::Start(8 + position))?;
    target.write_all(checksum.as_bytes())?;
    Ok(checksum)
}

/// The JSON header, by hand: the `safetensors` crate keeps metadata in a hash map, whose order
/// (and so the file's bytes) changes from run to run.
fn header(entries: &[Entry<'_>], metadata: &BTreeMap<String, String>) -> String {
    use serde_json::Value;
    let mut header = format!("{{\"{METADATA}\":{{\"{CHECKSUM_KEY}\":\"{PLACEHOLDER}\"");
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

/// The checksum that the bytes of a file should carry; `None` if its header has no place for one.
pub(crate) fn checksum_of(bytes: &[u8], header_length: usize) -> Option<String> {
    let header = bytes.get(8..8 + header_length)?;
    let position = 8 + placeholder_position(header)?;
    let mut crc = Crc32c::new();
    crc.update(&bytes[..position]);
    crc.update(PLACEHOLDER.as_bytes());
    crc.update(&bytes[position + PLACEHOLDER.len()..]);
    Some(format!("{ALGORITHM}{:08x}", crc.value()))
}
