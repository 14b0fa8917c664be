use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use venule::file::write_atomic;
use venule_lab::{RunSummary, runs_below};

use crate::output::{AnyResult, check_tables, number, say};

/// List the runs below a folder, best score first: steps, loss, and whether they are finished.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  venule runs runs\n  venule runs --json runs.json")]
pub struct Args {
    /// The folder
    #[arg(default_value = "runs")]
    folder: PathBuf,
    /// Write the list to this JSON file
    #[arg(long)]
    json: Option<PathBuf>,
}

pub fn run(args: Args) -> AnyResult<ExitCode> {
    let _places = check_tables([], args.json.as_deref())?;
    let (runs, errors) = runs_below(&args.folder)?;
    say!(
        "{:>10} {:9} {:>7} {:>8} {:>8} {:>10}  {:10} folder",
        "best score",
        "of",
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
        let state = state(run);
        say!(
            "{score:>10} {:9} {epoch:>7} {:>8} {:>8} {:>10}  {state:10} {}",
            run.score.unwrap_or("-"),
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
    if let Some(path) = &args.json {
        let rows: Vec<_> = runs.iter().map(row).collect();
        write_atomic(path, &serde_json::to_vec_pretty(&rows)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn state(run: &RunSummary) -> &'static str {
    match (run.finished, run.resumable) {
        (true, _) => "finished",
        (false, true) => "resumable",
        (false, false) => "begun",
    }
}

/// A line of the list, epochs counted from 1 as in the list.
fn row(run: &RunSummary) -> serde_json::Value {
    json!({
        "folder": run.folder,
        "best_score": run.best.map(|(score, _)| score),
        "score": run.score,
        "best_epoch": run.best.map(|(_, epoch)| epoch + 1),
        "epochs": run.epochs,
        "steps": run.steps,
        "loss": run.loss,
        "state": state(run),
    })
}
