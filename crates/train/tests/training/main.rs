//! Tests of the crate from outside: against PyTorch, and of whole runs.

mod golden;
mod loop_runs;
mod resume;
mod survival;
mod toy;
