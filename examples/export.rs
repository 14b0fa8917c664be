//! Writes weights in half precision, with all that is needed to use them: a file to give away.
//!
//! `cargo run --release --example export -- --weights best.safetensors --out vessels.safetensors`

#[path = "support/mod.rs"]
#[allow(dead_code)]
mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use venule::Checkpoint;
use venule::candle_core::{DType, Device};

/// Writes weights in half precision, with all that is needed to use them.
#[derive(Parser)]
struct Args {
    /// Weights that `finetune` wrote
    #[arg(long)]
    weights: PathBuf,
    /// The file to write
    #[arg(long)]
    out: PathBuf,
}

fn main() -> ExitCode {
    support::exit(run(Args::parse()))
}

fn run(args: Args) -> support::AnyResult<ExitCode> {
    let (checkpoint, model) = Checkpoint::load(&args.weights, &Device::Cpu)?;
    checkpoint.save(&args.out, &model, DType::F16)?;
    println!(
        "{}: {} bytes, trained on {} images",
        args.out.display(),
        std::fs::metadata(&args.out)?.len(),
        checkpoint.provenance.data.len()
    );
    Ok(ExitCode::SUCCESS)
}
