//! The two trainings as [`venule_train::Task`]s: [`Pretraining`] of a masked autoencoder and [`Finetuning`] of a segmentation
//! model. Run them with [`venule_train::Trainer`].

mod batches;
mod finetuning;
mod parameters;
mod pictures;
mod pretraining;

pub use finetuning::{Finetuning, FinetuningData, StartParts};
pub use pretraining::{Pretraining, PretrainingData};
