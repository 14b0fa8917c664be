//! What data sets hold: images, labels, fields of view, sizes and vessel pixels of every split.
//!
//! `cargo run --release --example dataset_info -- --dataset drive=data/DRIVE chase_db1=data/CHASE_DB1`

#[path = "support/mod.rs"]
#[allow(dead_code)]
mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use venule::DatasetSummary;
use venule::data::{DatasetSpec, Error, FovPolicy, Split, write_atomic};

/// What data sets hold: images, labels, fields of view, sizes and vessel pixels of every split.
#[derive(Parser)]
struct Args {
    /// Data set as NAME=PATH (drive, chase_db1, stare, hrf, fives, retina_blood_vessel, folder, unlabelled)
    #[arg(long, required = true, num_args = 1..)]
    dataset: Vec<DatasetSpec>,
    /// Write all numbers to this JSON file
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    support::exit(run(Args::parse()))
}

fn run(args: Args) -> support::AnyResult<ExitCode> {
    let mut rows = Vec::new();
    for spec in &args.dataset {
        println!("{spec}");
        let mut found = false;
        for split in [Split::Train, Split::Validation, Split::Test] {
            let set = match spec.open(split) {
                Err(error @ (Error::EmptySplit { .. } | Error::MissingFolder { .. })) => {
                    println!("  {split}: {error}");
                    continue;
                }
                set => set?,
            };
            found = true;
            let summary = DatasetSummary::of(set.as_ref(), FovPolicy::GivenOrDetect)?;
            let sizes = summary
                .sizes
                .iter()
                .map(|(size, count)| format!("{count} of {size}"));
            println!(
                "  {split}: {} images ({}), {} labels, {} second labels, {} fields of view given",
                summary.images,
                sizes.collect::<Vec<_>>().join(", "),
                summary.labels,
                summary.second_labels,
                summary.fovs
            );
            if let Some(share) = summary.vessel_share() {
                println!(
                    "    {} pixels in the fields of view, {} of them vessel ({:.2} %)",
                    summary.fov_pixels,
                    summary.vessel_pixels,
                    100.0 * share
                );
            }
            let mut row = serde_json::to_value(&summary)?;
            row["dataset"] = spec.to_string().into();
            row["split"] = split.name().into();
            rows.push(row);
        }
        if !found {
            return Err(format!("{spec} holds no split").into());
        }
    }
    if let Some(path) = &args.json {
        write_atomic(path, &serde_json::to_vec_pretty(&rows)?)?;
        println!("all numbers: {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}
