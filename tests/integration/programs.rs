//! The programs' own unit tests, which stand beside what they test, are run here.

#[path = "../../examples/ablation.rs"]
#[allow(dead_code)]
mod ablation;
#[path = "../../examples/finetune.rs"]
#[allow(dead_code)]
mod finetune;
#[path = "../../examples/pretrain.rs"]
#[allow(dead_code)]
mod pretrain;
