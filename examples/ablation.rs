//! Trains and tests every variant of a run with several seeds, and makes the table.
//!
//! `cargo run --release --example ablation -- --grid configs/ablation.toml --save-dir runs/ablation`

#[path = "support/mod.rs"]
#[allow(dead_code)]
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use serde::Deserialize;
use venule::candle_core::Device;
use venule::data::write_atomic;
use venule::metrics::summarize;
use venule::train::{Outcome, TrainConfig};
use venule::{Purpose, RunConfig, RunRecord, Segmenter, evaluate, set_threads};

/// Trains and tests every variant of a run with several seeds, one after the other, and makes the table.
#[derive(Parser)]
struct Args {
    /// TOML file with the run, its seeds and its variants
    #[arg(long)]
    grid: PathBuf,
    /// Folder of the runs and of table.md and table.csv; what is finished there is not done again
    #[arg(long, default_value = "runs/ablation")]
    save_dir: PathBuf,
    /// CPU threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Grid {
    /// A run configuration beside this file, which every variant starts from.
    run: PathBuf,
    seeds: Vec<u64>,
    variant: Vec<Variant>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variant {
    name: String,
    /// Dotted paths of settings and their values as TOML.
    #[serde(default)]
    set: BTreeMap<String, String>,
}

/// Columns of the table.
const METRICS: [&str; 6] = [
    "f1",
    "f1_at_0.5",
    "recall",
    "thin_recall",
    "cl_dice",
    "roc_auc",
];

fn main() -> ExitCode {
    support::exit(run(Args::parse()))
}

fn run(args: Args) -> support::AnyResult<ExitCode> {
    set_threads(args.threads)?;
    let text = std::fs::read_to_string(&args.grid)
        .map_err(|error| format!("{}: {error}", args.grid.display()))?;
    let grid: Grid =
        toml::from_str(&text).map_err(|error| format!("{}: {error}", args.grid.display()))?;
    let base = RunConfig::load(args.grid.with_file_name(&grid.run))?;
    // Every variant is understood before the first one is trained.
    let mut runs = Vec::new();
    for variant in &grid.variant {
        for &seed in &grid.seeds {
            let mut run = base.clone();
            for (key, value) in &variant.set {
                run = run.with(key, value)?;
            }
            run.recipe.train.seed = seed;
            run.recipe.train.resume = true;
            let folder = format!("{}_{seed}", variant.name.replace(['/', '\\', ' '], "_"));
            runs.push((variant.name.as_str(), run, args.save_dir.join(folder)));
        }
    }
    let stop = support::stop_flag()?;
    let mut results: Vec<(&str, BTreeMap<String, f64>)> = Vec::new();
    for (index, (name, run, folder)) in runs.iter().enumerate() {
        println!("{} of {}: {}", index + 1, runs.len(), folder.display());
        let scores = folder.join("test.json");
        if !scores.is_file() && !train(run, folder, &stop)? {
            println!("interrupted; the same command goes on");
            return Ok(ExitCode::from(support::INTERRUPTED));
        }
        let scores: serde_json::Value = serde_json::from_slice(&std::fs::read(&scores)?)?;
        let value = |key: &str| match key {
            "f1_at_0.5" => scores[key].as_f64(),
            key => scores["pooled"][key].as_f64(),
        };
        let values = METRICS
            .iter()
            .filter_map(|&key| Some((key.to_owned(), value(key)?)));
        results.push((name, values.collect()));
        write_tables(&args.save_dir, &grid, &results)?;
    }
    print!(
        "{}",
        std::fs::read_to_string(args.save_dir.join("table.md"))?
    );
    Ok(ExitCode::SUCCESS)
}

/// Trains one run and writes its test.json; false if it was interrupted.
fn train(
    run: &RunConfig,
    folder: &Path,
    stop: &std::sync::Arc<std::sync::atomic::AtomicBool>,
) -> support::AnyResult<bool> {
    let (train, validation) = (run.files(Purpose::Train)?, run.files(Purpose::Validation)?);
    let test = run.files(Purpose::Test)?;
    let record = RunRecord::new(run, &train, &validation)?;
    let mut task = run.task_on(train, validation, &Device::Cpu)?;
    let config = TrainConfig {
        directory: Some(folder.to_owned()),
        ..run.recipe.train.clone()
    };
    venule::nn::keep_freed_memory();
    let report = venule::train::Trainer::new(config)?
        .with_callback(venule::train::ProgressBar::new())
        .with_callback(venule::train::JsonLines::in_folder(folder))
        .with_callback(record)
        .with_stop_flag(stop.clone())
        .fit(&mut task)?;
    if report.outcome == Outcome::Interrupted {
        return Ok(false);
    }
    let Some(weights) = report.best_path.or(report.final_path) else {
        return Err(format!("the run in {} left no weights", folder.display()).into());
    };
    let evaluated = evaluate(&Segmenter::from_file(weights)?, &test, |_, _| Ok(()))?;
    let numbers = support::json(&evaluated, run.recipe.train.seed)?;
    write_atomic(
        folder.join("test.json"),
        &serde_json::to_vec_pretty(&numbers)?,
    )?;
    Ok(true)
}

/// Mean and standard deviation over the seeds that are done, as table.md and table.csv.
fn write_tables(
    folder: &Path,
    grid: &Grid,
    results: &[(&str, BTreeMap<String, f64>)],
) -> support::AnyResult<()> {
    let mut markdown = format!("| variant | seeds | {} |\n", METRICS.join(" | "));
    markdown.push_str(&format!("|{}\n", " --- |".repeat(METRICS.len() + 2)));
    let mut csv = format!("variant,metric,{}\n", ["seeds", "mean", "std"].join(","));
    for variant in &grid.variant {
        let own: Vec<_> = results
            .iter()
            .filter(|(name, _)| *name == variant.name)
            .collect();
        markdown.push_str(&format!("| {} | {} |", variant.name, own.len()));
        for metric in METRICS {
            let values = own.iter().map(|(_, scores)| scores.get(metric).copied());
            let cell = match summarize(values)? {
                Some(summary) => {
                    let std = summary.std.map_or(String::new(), |std| format!("{std}"));
                    csv.push_str(&format!(
                        "\"{}\",{metric},{},{},{std}\n",
                        variant.name.replace('"', "\"\""),
                        own.len(),
                        summary.mean
                    ));
                    match summary.std {
                        Some(std) => format!("{:.4} ± {std:.4}", summary.mean),
                        None => format!("{:.4}", summary.mean),
                    }
                }
                None => "–".to_owned(),
            };
            markdown.push_str(&format!(" {cell} |"));
        }
        markdown.push('\n');
    }
    write_atomic(folder.join("table.md"), markdown.as_bytes())?;
    write_atomic(folder.join("table.csv"), csv.as_bytes())?;
    Ok(())
}
