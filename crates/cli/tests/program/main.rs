//! The program as a process: what it says, what it writes, and its exit codes.
#![forbid(unsafe_code)]

mod data;
mod evaluate;
mod export;
mod help;
#[cfg(unix)]
mod interruption;
mod segment;
mod support;
mod sweep;
mod training;
