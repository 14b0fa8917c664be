//! What a run is: its file, its record, the trainings, and sweeps of them.

mod data_config;
mod finetune_config;
mod hints;
mod pretrain_config;
mod record;
mod run_file;
mod start;
mod sweep;
mod sweep_table;
mod synthetic_config;
mod training;

pub use data_config::{DataConfig, Purpose};
pub use finetune_config::{FinetuneConfig, ImportSettings, MissingNormSetting, TrainingFiles};
pub use pretrain_config::PretrainConfig;
pub use record::{RUN_FILE, RunRecord, TEST_FILE};
pub use run_file::RunFile;
pub use start::{weights, weights_checksum};
pub use sweep::{Sweep, SweepEnd, SweepPlace, Variant};
pub use sweep_table::{SweepRow, SweepTable};
pub use synthetic_config::SyntheticConfig;
pub use training::{Place, finetuning_record, pretraining_record};
