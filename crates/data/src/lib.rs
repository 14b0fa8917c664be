//! Fundus photographs: data sets, field of view, preprocessing, augmentation, synthetic images.
#![forbid(unsafe_code)]

mod dataset;
mod error;
mod raster;
mod sample;

pub use dataset::{Concat, Dataset, InMemory};
pub use error::{Error, Result};
pub use raster::{Mask, Plane, Raster};
pub use sample::Sample;
