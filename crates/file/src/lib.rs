//! Files that are either whole or absent, and safetensors files on top of them.
//!
//! - [`write_atomic`] writes bytes through a temporary beside the target: content, sync, rename, sync of the folder.
//! - [`check_writable`] tells, before any work begins, whether a folder can be written to.
//! - [`save_weights`] writes tensors and metadata as one safetensors file. Equal content gives equal bytes, and a checksum covers
//!   all of them.
//! - [`load_weights`] reads such files, and those of other programs.
//!
//! # Example: weights there and back
//! ```
//! use std::collections::BTreeMap;
//! use candle_core::{Device, Tensor};
//! use venule_file::{load_weights, save_weights};
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("model.safetensors");
//! let tensors = [("w".to_string(), Tensor::new(&[1.0f32, 2.0], &Device::Cpu)?)];
//! let metadata = BTreeMap::from([("config".to_string(), r#"{"width":2}"#.to_string())]);
//! save_weights(&path, &tensors, &metadata)?;
//! let weights = load_weights(&path)?;
//! assert_eq!(weights.tensors["w"].to_vec1::<f32>()?, [1.0, 2.0]);
//! assert_eq!(weights.metadata, metadata);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod archive;
mod atomic;
mod crc;
mod error;
mod weights;

pub use candle_core;

pub use archive::{Entry, archive_bytes, stage_archive};
pub use atomic::{
    Staged, check_writable, clear_temporaries, create_folder, sync_folder, write_atomic,
};
pub use crc::crc32c;
pub use error::{Error, Result};
pub use weights::{Weights, load_weights, parse_weights, restore_weights, save_weights};

/// The examples of the crate page are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
