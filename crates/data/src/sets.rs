//! Data sets in the folder layouts that their makers publish, and plain folders.

mod chase_db1;
mod drive;
mod fives;
mod folder;
mod folder_set;
mod hrf;
mod listing;
mod name;
mod pairing;
mod pattern;
mod retina_blood_vessel;
mod spec;
mod split;
mod stare;
mod unlabelled;

pub use folder_set::{FolderSet, SampleFiles};
pub use pattern::NamePattern;
pub use spec::{DatasetKind, DatasetSpec};
pub use split::Split;
