//! The programs' own unit tests, which stand beside what they test, are run here.

#[path = "../../examples/ablation.rs"]
#[allow(dead_code)]
mod ablation;
#[path = "../../examples/dataset_info.rs"]
#[allow(dead_code)]
pub mod dataset_info;
#[path = "../../examples/evaluate.rs"]
#[allow(dead_code)]
pub mod evaluate;
#[path = "../../examples/finetune.rs"]
#[allow(dead_code)]
mod finetune;
#[path = "../../examples/pretrain.rs"]
#[allow(dead_code)]
mod pretrain;
