//! Draws the learning curves of run folders anew from their logs.
//!
//! `cargo run --release --example plot -- runs/drive`

#[path = "support/mod.rs"]
#[allow(dead_code)]
mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use venule::file::write_atomic;
use venule::train::LOG_FILE;
use venule_lab::{learning_curve_svg, read_log};

/// Draws the learning curves of run folders anew from their logs.
#[derive(Parser)]
struct Args {
    /// Run folders; curve.svg is written into each
    #[arg(required = true)]
    folders: Vec<PathBuf>,
}

fn main() -> ExitCode {
    support::exit(run(Args::parse()))
}

fn run(args: Args) -> support::AnyResult<ExitCode> {
    for folder in &args.folders {
        let lines = read_log(&folder.join(LOG_FILE))?;
        let path = folder.join("curve.svg");
        write_atomic(&path, learning_curve_svg(&lines).as_bytes())?;
        support::say!("{}: {} lines of log", path.display(), lines.len());
    }
    Ok(ExitCode::SUCCESS)
}
