//! Fundus photographs: data sets, field of view, preprocessing, augmentation, synthetic images.
#![forbid(unsafe_code)]

mod error;
mod raster;

pub use error::{Error, Result};
pub use raster::{Mask, Plane, Raster};
