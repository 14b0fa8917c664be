#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

/// A segmentation weights file of the `compact` preset, in half precision.
///
/// ```
/// let header = u64::from_le_bytes(venule_weights::COMPACT[..8].try_into()?);
/// assert_eq!(venule_weights::COMPACT[8], b'{');
/// assert!((header as usize) < venule_weights::COMPACT.len());
/// # Ok::<(), std::array::TryFromSliceError>(())
/// ```
pub const COMPACT: &[u8] = include_bytes!("../compact.safetensors");

/// A segmentation weights file of the `unet` preset, in half precision: less accurate, in a quarter of the time.
pub const UNET: &[u8] = include_bytes!("../unet.safetensors");

/// A segmentation weights file of the `unet` preset, in half precision, trained on synthetic photographs alone: no photograph of a
/// patient and no human label is behind its weights; labels chose settings, such as its threshold.
pub const LABEL_FREE: &[u8] = include_bytes!("../label_free.safetensors");
