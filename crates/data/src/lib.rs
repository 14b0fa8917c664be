//! Fundus photographs: data sets, field of view, preprocessing, augmentation, synthetic images.
//!
//! # From files to batches
//! 1. [`DatasetSpec`] (`drive=data/DRIVE`) or [`FolderSet`] finds the files of a [`Split`]; [`SyntheticSet`] draws photographs. Each is a
//!    [`Dataset`], whose [`Sample`]s hold a photograph, its labels and its field of view at native size.
//! 2. [`PreparedSet`] keeps what [`Preprocess`] makes of them: a [`Prepared`] input plane with its maps. [`FovPolicy`] says where
//!    the field of view comes from ([`detect_fov`]).
//! 3. [`AugmentedSet`] cuts and warps views of it ([`Augment`]), [`RecoloredSet`] of photographs whose colours change as well.
//! 4. [`Loader`] makes them ahead on threads; batches depend on the seed, not on the threads. [`Batcher`] turns them into tensors.
//!
//! ```
//! use std::sync::Arc;
//! use venule_data::{
//!     Augment, AugmentedSet, FovPolicy, Loader, LoaderConfig, PreparedSet, Preprocess, SyntheticFundus, SyntheticSet,
//! };
//! let photographs = SyntheticSet::new(SyntheticFundus::square(96), 42, 3)?;
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
//! # Parts that stand alone
//! [`read_photograph`], [`read_mask_with`] and [`PredictionRange`], which say what they read, within bounds on memory; [`detect_fov`], [`examine`]; [`Clahe`], [`wiener`]; [`resize_plane`];
//! [`overlay`]; [`write_png`], which never leaves half a file.
#![forbid(unsafe_code)]

mod augment;
mod batch;
mod clahe;
mod crop;
mod dataset;
mod draw;
mod epoch;
mod error;
mod filter;
mod fov;
mod kept;
mod loader;
mod overlay;
mod prepared;
mod prepared_set;
mod preprocess;
mod raster;
mod read;
mod recolored;
mod resize;
mod sample;
mod sets;
mod synthetic;
mod vesselness;
mod wiener;
mod write;

pub use image;

pub use augment::{Augment, ColorJitter, CropCentre, Elastic, Jitter, Transform};
pub use batch::{Batch, Batcher};
pub use clahe::Clahe;
pub use crop::PixelBox;
pub use dataset::{Concat, Dataset, InMemory};
pub use epoch::Epoch;
pub use error::{Error, Result};
pub use fov::{FundusWarning, detect_fov, equivalent_diameter, examine, full_frame};
pub use loader::{AugmentedSet, Loader, LoaderConfig, Source};
pub use overlay::{mask_image, overlay, probability_image};
pub use prepared::{FovPolicy, Prepared};
pub use prepared_set::PreparedSet;
pub use preprocess::{Channel, Preprocess, Resize};
pub use raster::{Mask, Plane, Raster};
pub use read::{
    FileKind, LabelCheck, LabelReading, LabelValue, MAX_PIXELS, MaskRule, Note, Photograph,
    PredictionRange, PredictionScale, ReadMask, ReadOptions, check_fov, check_label,
    check_orientation, file_kind, read_image, read_mask, read_mask_with, read_photograph,
    read_probability,
};
pub use recolored::RecoloredSet;
pub use resize::{resize_mask, resize_plane};
pub use sample::Sample;
pub use sets::{DatasetKind, DatasetSpec, FolderSet, NamePattern, SampleFiles, Split};
pub use synthetic::{SyntheticFundus, SyntheticSet, synthetic_fundus};
pub use vesselness::vesselness;
pub use wiener::wiener;
pub use write::{write_atomic, write_png};
