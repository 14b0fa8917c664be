use std::path::PathBuf;
use std::process::ExitCode;

use venule::file::write_atomic;
use venule::train::Outcome;
use venule::{Registry, set_threads};
use venule_lab::{Sweep, SweepEnd, SweepPlace};

use crate::output::{AnyResult, INTERRUPTED, check_tables, say};
use crate::support::stop_flag;

/// Train and test every variant of a run with several seeds, one after the other, and make the table.
#[derive(clap::Args)]
#[command(
    after_help = "Example:  venule sweep --grid configs/ablation.toml --save-dir runs/ablation"
)]
pub struct Args {
    /// TOML file with the run, its seeds and its variants
    #[arg(long)]
    grid: PathBuf,
    /// Folder of the runs and of table.md and table.csv; what is finished there is not done again
    #[arg(long, default_value = "runs/sweep")]
    save_dir: PathBuf,
    /// CPU threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Write the table to this JSON file too
    #[arg(long)]
    json: Option<PathBuf>,
}

pub fn run(args: Args) -> AnyResult<ExitCode> {
    crate::ranks::alone()?;
    set_threads(args.threads)?;
    let _places = check_tables([], args.json.as_deref())?;
    let end = Sweep::load(&args.grid)?.run(&SweepPlace {
        folder: &args.save_dir,
        registry: &Registry::built_in(),
        stop: stop_flag("step")?,
        say: &|line| say!("{line}"),
    })?;
    match end {
        SweepEnd::Done(table) => {
            say!("{}", table.markdown().trim_end());
            if let Some(path) = &args.json {
                write_atomic(path, &serde_json::to_vec_pretty(&table.json())?)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        SweepEnd::Stopped(report) => {
            let (why, status) = match report.outcome {
                Outcome::Interrupted => ("interrupted", INTERRUPTED),
                _ => ("out of time", 0),
            };
            say!(
                "{why} after step {}; the sweep is not finished: the same command goes on, within this run too",
                report.steps
            );
            Ok(ExitCode::from(status))
        }
    }
}
