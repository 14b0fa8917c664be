//! The subcommands: a file each.

pub mod adapt;
pub mod completions;
pub mod data;
pub mod evaluate;
pub mod export;
pub mod finetune;
pub mod plot;
pub mod pretrain;
pub mod reconstruct;
pub mod runs;
pub mod score;
pub mod segment;
pub mod sweep;
