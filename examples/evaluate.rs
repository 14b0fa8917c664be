//! Evaluates weights on data sets: in the field of view, at native size, pooled and per image.
//!
//! `cargo run --release --example evaluate -- --weights best.safetensors --dataset drive=data/DRIVE`

#[path = "support/mod.rs"]
#[allow(dead_code)]
mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use venule::data::{DatasetSpec, FovPolicy, Resize, Split, write_atomic};
use venule::{
    Evaluated, Segmenter, evaluate, evaluate_second_annotator, parse_device, set_threads,
};

/// Evaluates weights on data sets, in the field of view, at native size.
#[derive(Parser)]
struct Args {
    /// Weights that `finetune` wrote; several are compared
    #[arg(long, required = true, num_args = 1..)]
    weights: Vec<PathBuf>,
    /// Data set as NAME=PATH (drive, chase_db1, stare, hrf, fives, retina_blood_vessel, folder); several are allowed
    #[arg(long, required = true, num_args = 1..)]
    dataset: Vec<DatasetSpec>,
    /// train, validation, test or all
    #[arg(long, default_value = "test")]
    split: Split,
    /// Mark pixels above this probability [default: the one chosen in training, stored in the weights]
    #[arg(long)]
    threshold: Option<f32>,
    /// Evaluate the whole frame instead of the field of view
    #[arg(long)]
    full_frame: bool,
    /// Bring each photograph to the size at which its field of view is this many pixels wide; the maps are brought
    /// back [default: what the weights say]
    #[arg(long)]
    fov_diameter: Option<f32>,
    /// Write all numbers to this JSON file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Write masks, probabilities and overlays into this folder
    #[arg(long)]
    pictures: Option<PathBuf>,
    /// CPU threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// cpu, cuda, cuda:N or metal
    #[arg(long, default_value = "cpu")]
    device: String,
}

fn main() -> ExitCode {
    support::exit(run(Args::parse()))
}

fn run(args: Args) -> support::AnyResult<ExitCode> {
    set_threads(args.threads)?;
    let device = parse_device(&args.device)?;
    let mut rows = Vec::new();
    let mut add =
        |system: &str, set: &DatasetSpec, evaluated: &Evaluated| -> support::AnyResult<()> {
            let report = &evaluated.report;
            let means = report.summaries()?;
            let f1 = means
                .iter()
                .find(|(name, _)| *name == "f1")
                .and_then(|(_, s)| s.as_ref());
            println!(
                "{system} on {set} ({}, {} images)",
                args.split,
                evaluated.rows.len()
            );
            println!("  pooled: {}", support::summary(report));
            if let Some(half) = support::at_half(report) {
                println!("  pooled F1 at 0.5: {half:.4}");
            }
            if let Some(f1) = f1 {
                println!(
                    "  per image: F1 {:.4} ± {:.4}",
                    f1.mean,
                    f1.std.unwrap_or(0.0)
                );
            }
            let seconds: f64 = evaluated.rows.iter().map(|row| row.seconds).sum();
            println!("  {:.3} s an image", seconds / evaluated.rows.len() as f64);
            let mut object = support::json(evaluated);
            object["system"] = system.into();
            object["dataset"] = set.to_string().into();
            object["split"] = args.split.name().into();
            rows.push(object);
            Ok(())
        };
    let sets = args.dataset.iter();
    let sets = sets.map(|spec| Ok((spec, spec.open(args.split)?)));
    let sets = sets.collect::<venule::data::Result<Vec<_>>>()?;
    if let Some(folder) = &args.pictures {
        std::fs::create_dir_all(folder)?;
    }
    for weights in &args.weights {
        let mut segmenter = Segmenter::from_file_on(weights, &device)?;
        if let Some(threshold) = args.threshold {
            segmenter = segmenter.with_threshold(threshold)?;
        }
        if args.full_frame {
            segmenter = segmenter.with_fov_policy(FovPolicy::FullFrame);
        }
        if let Some(diameter) = args.fov_diameter {
            segmenter = segmenter.with_resize(Some(Resize::FovDiameter(diameter)))?;
        }
        for (spec, set) in &sets {
            let evaluated = evaluate(&segmenter, set, |sample, result| {
                if let Some(folder) = &args.pictures {
                    support::write_pictures(folder, sample, result)?;
                }
                Ok(())
            })?;
            add(&weights.display().to_string(), spec, &evaluated)?;
        }
    }
    let policy = if args.full_frame {
        FovPolicy::FullFrame
    } else {
        FovPolicy::GivenOrDetect
    };
    for (spec, set) in &sets {
        if let Some(evaluated) = evaluate_second_annotator(set, policy)? {
            add("second annotator", spec, &evaluated)?;
        }
    }
    if let Some(path) = &args.json {
        write_atomic(path, &serde_json::to_vec_pretty(&rows)?)?;
        println!("all numbers: {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}
