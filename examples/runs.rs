//! Lists the runs below a folder: steps, loss, best score, and whether they are finished.
//!
//! `cargo run --release --example runs -- runs`

#[path = "support/mod.rs"]
#[allow(dead_code)]
mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use venule_lab::runs_below;

/// Lists the runs below a folder, best score first.
#[derive(Parser)]
struct Args {
    /// The folder
    #[arg(default_value = "runs")]
    folder: PathBuf,
}

fn main() -> ExitCode {
    support::exit(run(Args::parse()))
}

fn run(args: Args) -> support::AnyResult<ExitCode> {
    let (runs, errors) = runs_below(&args.folder)?;
    support::say!(
        "{:>10} {:>7} {:>8} {:>8} {:>10}  {:10} folder",
        "best score",
        "epoch",
        "epochs",
        "steps",
        "loss",
        "state"
    );
    for run in &runs {
        let number = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:.4}"));
        let (score, epoch) = match run.best {
            Some((score, epoch)) => (number(Some(score)), (epoch + 1).to_string()),
            None => ("-".to_owned(), "-".to_owned()),
        };
        let state = match (run.finished, run.resumable) {
            (true, _) => "finished",
            (false, true) => "resumable",
            (false, false) => "begun",
        };
        support::say!(
            "{score:>10} {epoch:>7} {:>8} {:>8} {:>10}  {state:10} {}",
            run.epochs,
            run.steps,
            number(run.loss),
            run.folder.display()
        );
    }
    errors
        .iter()
        .for_each(|error| eprintln!("left out: {error}"));
    if runs.is_empty() {
        return Err(format!("there is no run below {}", args.folder.display()).into());
    }
    Ok(ExitCode::SUCCESS)
}
