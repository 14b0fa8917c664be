use std::path::PathBuf;
use std::process::ExitCode;

use venule::file::write_atomic;
use venule::train::LOG_FILE;
use venule_lab::{learning_curve_svg, read_log};

use crate::output::{AnyResult, say};

/// Draw the learning curves of run folders anew from their logs.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  venule plot runs/drive")]
pub struct Args {
    /// Run folders; curve.svg is written into each
    #[arg(required = true)]
    folders: Vec<PathBuf>,
}

pub fn run(args: Args) -> AnyResult<ExitCode> {
    for folder in &args.folders {
        let lines = read_log(&folder.join(LOG_FILE))?;
        let path = folder.join("curve.svg");
        write_atomic(&path, learning_curve_svg(&lines).as_bytes())?;
        say!("{}: {} lines of log", path.display(), lines.len());
    }
    Ok(ExitCode::SUCCESS)
}
