//! Evaluates weights on data sets: in the field of view, at native size, pooled and per image.
//!
//! `cargo run --release --example evaluate -- --dataset drive=data/DRIVE --report out/report`

#[path = "support/mod.rs"]
#[allow(dead_code)]
mod support;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use venule::data::{Dataset, DatasetSpec, FovPolicy, Resize, Split, write_atomic};
use venule::report::{self, Entry, Picture};
use venule::{
    Evaluated, Segmenter, evaluate, evaluate_second_annotator, parse_device, set_threads,
};

/// Evaluates weights on data sets, in the field of view, at native size.
#[derive(Parser)]
struct Args {
    /// Weights that `finetune` wrote; several are compared [default: the bundled ones]
    #[arg(long, num_args = 1..)]
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
    /// Bring each photograph to a square of this side; the maps are brought back [default: what the weights say]
    #[arg(long, conflicts_with = "fov_diameter")]
    resize: Option<usize>,
    /// Bring each photograph to the size at which its field of view is this many pixels wide; the maps are brought
    /// back [default: what the weights say]
    #[arg(long)]
    fov_diameter: Option<f32>,
    /// Evaluate each system once more, averaged over each photograph and its three mirror images
    #[arg(long)]
    flips: bool,
    /// Write all numbers to this JSON file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Write the table to this Markdown file
    #[arg(long)]
    markdown: Option<PathBuf>,
    /// Write every image's metrics to this file of comma-separated values
    #[arg(long)]
    csv: Option<PathBuf>,
    /// Write report.html with table, curves and overlays, and the curves as SVG files, into this folder
    #[arg(long)]
    report: Option<PathBuf>,
    /// Write masks, probabilities and overlays into this folder
    #[arg(long)]
    pictures: Option<PathBuf>,
    /// Seed of the bootstrap intervals
    #[arg(long, default_value_t = 0)]
    seed: u64,
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
    venule::nn::keep_freed_memory();
    let sets = args.dataset.iter();
    let sets = sets.map(|spec| Ok((spec.to_string(), spec.open(args.split)?)));
    let sets = sets.collect::<venule::data::Result<Vec<_>>>()?;
    for folder in [&args.pictures, &args.report].into_iter().flatten() {
        std::fs::create_dir_all(folder)?;
    }
    let (mut entries, mut pictures) = (Vec::new(), Vec::new());
    for (name, segmenter) in systems(&args)? {
        for (dataset, set) in &sets {
            let trained_on = &segmenter.checkpoint().provenance.data;
            if let Some(known) = (0..set.len())
                .map(|i| set.id(i))
                .find(|id| trained_on.iter().any(|t| t == id))
            {
                println!(
                    "note: '{known}' of {dataset} has the name of an image that {name} was trained on"
                );
            }
            let evaluated = evaluate(&segmenter, set, |sample, result| {
                if let Some(folder) = &args.pictures {
                    support::write_pictures(folder, sample, result)?;
                }
                Ok(())
            })?;
            if args.report.is_some() {
                pictures.extend(overlays(
                    &name,
                    dataset,
                    &segmenter,
                    set.as_ref(),
                    &evaluated,
                )?);
            }
            add(&mut entries, &name, dataset, args.split, evaluated)?;
        }
    }
    let policy = match args.full_frame {
        true => FovPolicy::FullFrame,
        false => FovPolicy::GivenOrDetect,
    };
    for (dataset, set) in &sets {
        if let Some(evaluated) = evaluate_second_annotator(set, policy)? {
            add(
                &mut entries,
                "second annotator",
                dataset,
                args.split,
                evaluated,
            )?;
        }
    }
    let table = report::markdown(&entries, args.seed)?;
    println!("\n{table}");
    if let Some(path) = &args.markdown {
        write_atomic(path, table.as_bytes())?;
    }
    if let Some(path) = &args.csv {
        write_atomic(path, report::csv(&entries).as_bytes())?;
    }
    if let Some(path) = &args.json {
        write_atomic(path, &serde_json::to_vec_pretty(&json(&args, &entries)?)?)?;
        println!("all numbers: {}", path.display());
    }
    if let Some(folder) = &args.report {
        write_report(folder, &args, &entries, &pictures)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Every system to evaluate, with its name.
fn systems(args: &Args) -> support::AnyResult<Vec<(String, Segmenter)>> {
    let device = parse_device(&args.device)?;
    let weights: Vec<Option<&Path>> = match args.weights.is_empty() {
        true => vec![None],
        false => args
            .weights
            .iter()
            .map(|path| Some(path.as_path()))
            .collect(),
    };
    let mut systems = Vec::new();
    for path in weights {
        let name = path.map_or("bundled weights".to_owned(), |p| p.display().to_string());
        for flips in [false, true] {
            if flips && !args.flips {
                continue;
            }
            let mut segmenter = support::segmenter(path, &device)?.with_flips(flips);
            if let Some(threshold) = args.threshold {
                segmenter = segmenter.with_threshold(threshold)?;
            }
            if args.full_frame {
                segmenter = segmenter.with_fov_policy(FovPolicy::FullFrame);
            }
            if let Some(side) = args.resize {
                segmenter = segmenter.with_resize(Some(Resize::Square(side)))?;
            }
            if let Some(diameter) = args.fov_diameter {
                segmenter = segmenter.with_resize(Some(Resize::FovDiameter(diameter)))?;
            }
            let suffix = if flips { ", with flips" } else { "" };
            systems.push((format!("{name}{suffix}"), segmenter));
        }
    }
    Ok(systems)
}

/// Says what a system came to, and keeps it.
fn add(
    entries: &mut Vec<Entry>,
    system: &str,
    dataset: &str,
    split: Split,
    evaluated: Evaluated,
) -> venule::Result<()> {
    println!(
        "{system} on {dataset} ({split}, {} images)",
        evaluated.rows.len()
    );
    println!("  pooled: {}", support::summary(&evaluated.report));
    let seconds: Option<f64> = evaluated.rows.iter().map(|row| row.seconds).sum();
    if let Some(seconds) = seconds {
        println!("  {:.3} s an image", seconds / evaluated.rows.len() as f64);
    }
    entries.push(Entry {
        system: system.to_owned(),
        dataset: dataset.to_owned(),
        evaluated,
    });
    Ok(())
}

fn json(args: &Args, entries: &[Entry]) -> venule::Result<Vec<serde_json::Value>> {
    let object = |entry: &Entry| {
        let mut object = support::json(&entry.evaluated, args.seed)?;
        object["system"] = entry.system.as_str().into();
        object["dataset"] = entry.dataset.as_str().into();
        object["split"] = args.split.name().into();
        Ok(object)
    };
    entries.iter().map(object).collect()
}

/// Overlays of the best, the median and the worst image.
fn overlays(
    system: &str,
    dataset: &str,
    segmenter: &Segmenter,
    set: &dyn Dataset,
    evaluated: &Evaluated,
) -> support::AnyResult<Vec<Picture>> {
    let mut pictures = Vec::new();
    for (rank, index) in report::ranked_images(evaluated) {
        let sample = set.load(index)?;
        let result = segmenter.segment_sample(&sample)?;
        let overlay = result.overlay(&sample.image, sample.label.as_ref())?;
        let f1 = evaluated.report.per_image[index].f1.unwrap_or(0.0);
        pictures.push(Picture {
            system: system.to_owned(),
            dataset: dataset.to_owned(),
            caption: format!("{}: {}, F1 {f1:.4}", rank.name(), sample.id),
            png: support::png(&overlay)?,
        });
    }
    Ok(pictures)
}

fn write_report(
    folder: &Path,
    args: &Args,
    entries: &[Entry],
    pictures: &[Picture],
) -> support::AnyResult<()> {
    for (index, spec) in args.dataset.iter().enumerate() {
        let dataset = spec.to_string();
        let here: Vec<&Entry> = entries.iter().filter(|e| e.dataset == dataset).collect();
        let name = format!("{}_{}", index + 1, spec.kind);
        let charts = [
            ("roc", report::roc_svg(&dataset, &here)),
            (
                "precision_recall",
                report::precision_recall_svg(&dataset, &here),
            ),
            ("reliability", report::reliability_svg(&dataset, &here)),
        ];
        for (kind, svg) in charts {
            write_atomic(folder.join(format!("{name}_{kind}.svg")), svg.as_bytes())?;
        }
    }
    let path = folder.join("report.html");
    let page = report::html("Retinal vessel segmentation", entries, pictures, args.seed)?;
    write_atomic(&path, page.as_bytes())?;
    println!("report: {}", path.display());
    Ok(())
}
