//! Fundus photographs: data sets, field of view, preprocessing, augmentation, batches.
//!
//! # From files to batches
//! 1. [`DatasetSpec`] (`drive=data/DRIVE`) or [`FolderSet`] finds the files of a [`Split`]. It is a [`Dataset`], as is whatever you
//!    implement it for, whose [`Sample`]s hold a photograph, its labels and its field of view at native size.
//! 2. [`PreparedSet`] keeps what [`Preprocess`] makes of them: a [`Prepared`] input of one or three channels ([`Planes`]) with its maps. [`FovPolicy`] says where
//!    the field of view comes from ([`detect_fov`]).
//! 3. [`AugmentedSet`] cuts and warps views of it ([`Augment`]), [`RecoloredSet`] of photographs whose colours change as well.
//! 4. [`Loader`] makes them ahead on threads; batches depend on the seed, not on the threads. [`Batcher`] turns them into tensors.
//!
//! ```
//! use std::sync::Arc;
//! use venule_data::{
//!     Augment, AugmentedSet, FovPolicy, InMemory, Loader, LoaderConfig, Mask, PreparedSet, Preprocess, Sample,
//! };
//! let mut sample = Sample::unlabelled("01", image::RgbImage::from_fn(96, 96, |x, y| image::Rgb([90, (x ^ y) as u8, 10])));
//! sample.label = Some(Mask::from_fn(96, 96, |x, y| x % 12 == 0 || y % 16 == 0));
//! sample.fov = Some(Mask::filled(96, 96, true));
//! let photographs = InMemory::new(vec![sample]); // or a `FolderSet`
//! let prepared = PreparedSet::new(photographs, Preprocess::default(), FovPolicy::Given);
//! let views = AugmentedSet::new(Arc::new(prepared), Augment::standard(), (64, 64), 7)?;
//! let loader = Loader::new(Arc::new(views), LoaderConfig::default())?;
//! for batch in loader.epoch(0) {
//!     let batch = batch?; // prepared views, ready for `Batcher`
//!     assert!(batch.iter().all(|view| view.size() == (64, 64) && view.label.is_some()));
//! }
//! # Ok::<(), venule_data::Error>(())
//! ```
//!
//! # Rooms
//! `read` (files), `fov` (fields of view), `prepare` (channels, filters, sizes), `augment` (views), `load` (threads, batches), `sets`
//! (layouts of data sets: one file each, and a row in one table, [`Layout`]).
//!
//! # Parts that stand alone
//! [`read_photograph`], [`read_mask_with`] and [`PredictionRange`], which say what they read, within bounds on memory; [`detect_fov`], [`examine`]; [`Clahe`], [`wiener`], [`gaussian_blur`];
//! [`resize_plane`];
//! [`overlay`]; [`write_png`], which never leaves half a file.
#![forbid(unsafe_code)]

mod augment;
mod checksum;
mod dataset;
mod draw;
mod error;
mod fov;
mod joined;
mod kept;
mod load;
mod overlay;
mod planes;
mod prepare;
mod raster;
mod read;
mod sample;
mod sets;
mod write;

pub use image;

pub use augment::{Augment, ColorJitter, CropCentre, Elastic, Jitter, Transform};
pub use checksum::Checksum;
pub use dataset::{Dataset, InMemory};
pub use error::{Error, Result};
pub use fov::{
    FundusWarning, detect_fov, equivalent_diameter, examine, examine_vessels, full_frame,
};
pub use joined::JoinedSet;
pub use load::{AugmentedSet, Batch, Batcher, Epoch, Loader, LoaderConfig, RecoloredSet, Source};
pub use overlay::{mask_image, overlay, probability_image};
pub use planes::Planes;
pub use prepare::{
    Channel, Clahe, FovPolicy, PixelBox, Prepared, PreparedSet, Preprocess, Resize, gaussian_blur,
    resize_mask, resize_plane, vesselness, wiener,
};
pub use raster::{Mask, Plane, Raster};
pub use read::{
    FileKind, LabelCheck, LabelReading, LabelValue, MAX_PIXELS, MaskRule, Note, Photograph,
    PredictionRange, PredictionScale, ReadMask, ReadOptions, check_fov, check_label,
    check_orientation, file_kind, looks_like_image, parse_photograph, read_image, read_mask,
    read_mask_with, read_photograph, read_probability,
};
pub use sample::Sample;
pub use sets::{
    DatasetSpec, FolderNote, FolderSet, Layout, LeftOut, LeftOutReason, NamePattern, Reading,
    SampleFiles, SampleMaps, Split, Understood,
};
pub use write::write_png;

/// The examples of the crate page are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
