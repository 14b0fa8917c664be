//! Vessel segmentation models as ONNX files.
//!
//! [`Export`] writes the network of a model, from its settings and parameters, as a graph that any runtime of ONNX computes. Beside
//! the graph a file says how its input is made, in `metadata_props` and in a text for readers.
//!
//! With the feature `tract`, `OnnxNetwork` reads such a file, or a network of other makers, and finds vessels with it.
//!
//! The messages are declared for `prost`; no compiler of protobuf is needed.
#![forbid(unsafe_code)]

mod decoders;
mod error;
mod export;
mod graph;
mod layers;
mod proto;
#[cfg(feature = "tract")]
mod runtime;
mod size;
mod vit;
mod windows;

pub use error::{Error, Result};
pub use export::{DecoderSettings, EncoderSettings, Export, INPUT, LOGITS, PROBABILITY};
#[cfg(feature = "tract")]
pub use runtime::{Interface, OnnxNetwork};
pub use size::InputSize;

/// The examples of the crate page are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
