use std::path::PathBuf;
use std::process::ExitCode;

use venule::data::{FolderSet, NamePattern};
use venule::evaluate_predictions;
use venule::file::write_atomic;
use venule_lab::report::{ThresholdOrigin, json};

use crate::output::{AnyResult, check_tables, number, say};
use crate::reading::{ReadingArgs, say_left_out, say_notes};

/// Score prediction images of any program against the truth, with no model.
///
/// Files are paired by name: equal names, or equal but for words such as _manual1, _mask, _test at their ends, or equal
/// up to the first separator; or by patterns.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  venule score --predictions maps --truth labels --fov masks --json scores.json"
)]
pub struct Args {
    /// Folder of predictions: 8- or 16-bit gray images, black for 0 and white for 1
    #[arg(long)]
    predictions: PathBuf,
    /// Folder of labels
    #[arg(long)]
    truth: PathBuf,
    /// Folder of fields of view [default: the whole frame]
    #[arg(long)]
    fov: Option<PathBuf>,
    /// Names of the predictions without extension, such as '{id}_prediction'; files of other names are left out
    #[arg(long)]
    pattern: Option<NamePattern>,
    /// Names of the labels [default: '{id}']
    #[arg(long, requires = "pattern")]
    truth_pattern: Option<NamePattern>,
    /// Names of the fields of view [default: '{id}']
    #[arg(long, requires_all = ["pattern", "fov"])]
    fov_pattern: Option<NamePattern>,
    /// Pixels above this are vessels
    #[arg(long, default_value_t = 0.5)]
    threshold: f32,
    /// Seed of the bootstrap intervals
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write all numbers to this JSON file
    #[arg(long)]
    json: Option<PathBuf>,
    #[command(flatten)]
    reading: ReadingArgs,
}

pub fn run(args: Args) -> AnyResult<ExitCode> {
    let _places = check_tables([], args.json.as_deref())?;
    let files = match &args.pattern {
        Some(pattern) => {
            let truth = args.truth_pattern.clone().unwrap_or_default();
            let fov_names = args.fov_pattern.clone().unwrap_or_default();
            let fov = args.fov.as_deref().map(|folder| (folder, &fov_names));
            FolderSet::by_patterns((&args.predictions, pattern), (&args.truth, &truth), fov)?
        }
        None => FolderSet::new(&args.predictions, Some(args.truth), args.fov)?,
    };
    let files = files.with_reading(&args.reading.reading());
    say_left_out("", &files);
    let scored = evaluate_predictions(&files, args.threshold)?;
    let notes = say_notes("", &files);
    let predictions = scored.predictions.map(|scale| scale.to_string());
    if let Some(predictions) = &predictions {
        say!("{predictions}");
    }
    scored
        .warnings
        .iter()
        .for_each(|warning| eprintln!("warning: {warning}"));
    let (intervals, means) = (scored.intervals(args.seed)?, scored.report.summaries()?);
    say!(
        "protocol: {}, threshold {}",
        scored.protocol,
        args.threshold
    );
    say!("{} images", scored.rows.len());
    say!(
        "{:28}{:>10}{:>10}   95 % interval of the mean",
        "",
        "pooled",
        "mean"
    );
    for (name, pooled) in scored.report.pooled.entries() {
        let interval = intervals.iter().find(|(key, _)| *key == name);
        let interval = interval.and_then(|(_, interval)| *interval);
        let span = interval.map_or(String::new(), |i| format!("{:.4} to {:.4}", i.low, i.high));
        let mean = means.iter().find(|(key, _)| *key == name);
        let mean = number(mean.and_then(|(_, summary)| Some(summary.as_ref()?.mean)));
        say!("{name:28}{:>10}{mean:>10}   {span}", number(pooled));
    }
    for class in &scored.report.width_recall {
        let recall = number(class.recall());
        say!("{:28}{recall:>10}", format!("recall, {}", class.name()));
    }
    if let Some(path) = &args.json {
        let mut numbers = json(&scored, args.seed)?;
        numbers["predictions"] = predictions.into();
        numbers["notes"] = notes.into();
        numbers["threshold_from"] = ThresholdOrigin::Given.to_string().into();
        write_atomic(path, &serde_json::to_vec_pretty(&numbers)?)?;
        say!("all numbers: {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}
