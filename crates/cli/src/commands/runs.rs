use std::path::PathBuf;
use std::process::ExitCode;

use venule_lab::runs_below;

use crate::output::{AnyResult, number, say};

/// List the runs below a folder, best score first: steps, loss, and whether they are finished.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  venule runs runs")]
pub struct Args {
    /// The folder
    #[arg(default_value = "runs")]
    folder: PathBuf,
}

pub fn run(args: Args) -> AnyResult<ExitCode> {
    let (runs, errors) = runs_below(&args.folder)?;
    say!(
        "{:>10} {:>7} {:>8} {:>8} {:>10}  {:10} folder",
        "best score",
        "epoch",
        "epochs",
        "steps",
        "loss",
        "state"
    );
    for run in &runs {
        let (score, epoch) = match run.best {
            Some((score, epoch)) => (number(Some(score)), (epoch + 1).to_string()),
            None => ("-".to_owned(), "-".to_owned()),
        };
        let state = match (run.finished, run.resumable) {
            (true, _) => "finished",
            (false, true) => "resumable",
            (false, false) => "begun",
        };
        say!(
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
