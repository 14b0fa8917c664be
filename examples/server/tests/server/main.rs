//! The server behind a real socket: its answers, its refusals, and its bounds.
#![forbid(unsafe_code)]

mod answers;
mod bounds;
mod support;
