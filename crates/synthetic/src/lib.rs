//! Synthetic fundus photographs with exact labels of their vessels and exact fields of view.
//!
//! They need no licence and no file: tests, demonstrations and first trainings draw them. Figures on them say nothing about
//! real photographs.
//!
//! # What is drawn
//! 1. A scene: the optic disc, the macula, the field of view, the colours of one eye and one camera.
//! 2. Vessels: arteries and veins grow from the disc as arcades around the macula. A vessel of radius r parts into two of radii a
//!    and b with r³ = a³ + b³ (Murray, 1926).
//! 3. The background: choroid, uneven light, and, by chance, exudates, drusen, haemorrhages and the sheen of nerve fibres.
//! 4. The camera: a rim of fading light, blur, border of the view, noise, tone curve, JPEG.
//!
//! Every number comes from a stream of ChaCha8 that is keyed by seed, index and stage. The same configuration, seed and index give the
//! same bytes.
//!
//! ```
//! use venule_data::Dataset;
//! use venule_synthetic::{SyntheticFundus, SyntheticSet};
//! let set = SyntheticSet::new(SyntheticFundus::square(96), 42, 3)?;
//! let sample = set.load(0)?;
//! let (label, fov) = (sample.label.unwrap(), sample.fov.unwrap());
//! let share = label.count() as f32 / fov.count() as f32;
//! assert!((0.05..0.2).contains(&share)); // DRIVE: 0.125
//! # Ok::<(), venule_data::Error>(())
//! ```
#![forbid(unsafe_code)]

mod background;
mod camera;
mod config;
mod course;
mod growth;
mod lesions;
mod noise;
mod occupancy;
mod photograph;
mod random;
mod range;
mod rim;
mod scene;
mod set;
mod sheen;
mod stream;
#[cfg(test)]
mod tests;
mod tree;
mod vessels;

pub use venule_data;

pub use config::SyntheticFundus;
pub use photograph::synthetic_fundus;
pub use range::{Interval, SyntheticRange};
pub use set::SyntheticSet;
pub use stream::SyntheticStream;

/// The examples of the crate page are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
