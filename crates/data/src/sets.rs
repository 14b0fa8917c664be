//! Data sets in the folder layouts that their makers publish, and plain folders.
//!
//! A built-in layout is one file (`drive.rs`, …) and one row in `table.rs`. The others serve them all.

mod assemble;
mod chase_db1;
mod contents;
mod drive;
mod fives;
mod folder;
mod folder_set;
mod hrf;
mod layout;
mod left_out;
mod listing;
mod litter;
mod name;
mod notes;
mod order;
mod pairing;
mod parts;
mod pattern;
mod probes;
mod reading;
mod retina_blood_vessel;
mod roles;
mod sample_files;
mod spec;
mod split;
mod stare;
mod stem;
mod table;
mod unlabelled;

pub use folder_set::FolderSet;
pub use layout::Layout;
pub use left_out::{LeftOut, LeftOutReason};
pub use notes::{FolderNote, Understood};
pub use pattern::NamePattern;
pub use reading::Reading;
pub use sample_files::{SampleFiles, SampleMaps};
pub use spec::DatasetSpec;
pub use split::Split;
