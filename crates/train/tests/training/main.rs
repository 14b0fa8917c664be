//! Tests of the crate from outside: against PyTorch, and of whole runs.

mod cut_graphs;
mod golden;
mod loop_runs;
mod not_finite;
mod ranks;
mod resume;
mod survival;
mod teacher;
mod toy;
