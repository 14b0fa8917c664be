use std::path::{Path, PathBuf};
use std::process::ExitCode;

use venule::data::{DatasetSpec, FolderSet, FovPolicy, Resize, Split};
use venule::file::{create_folder, write_atomic};
use venule::{Evaluated, ImageRecord, Predict, Protocol, parse_device, set_threads};
use venule_lab::known_images;
use venule_lab::report::{self, Entry, KeptMasks, Picture, ThresholdOrigin};

use crate::output::{AnyResult, check_tables, say};
use crate::reading::{ReadingArgs, say_left_out, say_notes};
use crate::support::{self, PictureKind};
use crate::system::{OnnxArgs, System};

/// Evaluate weights on data sets: in the field of view, at native size, pooled and per image.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  venule evaluate --dataset drive=data/DRIVE\n  venule evaluate --weights best.safetensors --dataset drive=data/DRIVE stare=data/STARE --report out/report"
)]
pub struct Args {
    /// Weights that `finetune` wrote, or bundled, bundled-fast or label-free, or ONNX files; several are compared [default: bundled]
    #[arg(long, num_args = 1..)]
    weights: Vec<PathBuf>,
    /// Of the bundled weights the fast ones: less accurate, in a quarter of the time
    #[arg(long, conflicts_with = "weights")]
    fast: bool,
    /// Data set as NAME=PATH (drive, chase_db1, stare, hrf, fives, retina_blood_vessel, folder); several are allowed
    #[arg(long, required = true, num_args = 1..)]
    dataset: Vec<DatasetSpec>,
    /// train, validation, test, all, or one fold of leave-one-out: fold:K, counted from 1
    #[arg(long, default_value = "test")]
    split: Split,
    /// Mark pixels above this probability [default: the one chosen in training, stored in the weights]
    #[arg(long)]
    threshold: Option<f32>,
    /// Choose the threshold of each system for each data set, by maximal F1 on this split of it (train or validation)
    #[arg(long, conflicts_with = "threshold", value_name = "SPLIT")]
    choose_threshold: Option<Split>,
    /// Count the whole frame instead of the field of view; the network sees what it always sees
    #[arg(long)]
    full_frame: bool,
    /// Photographs without a dark border: take the whole frame for the field of view, for the network too
    #[arg(long)]
    no_fov: bool,
    /// The published square protocol: bring each photograph to a square of this side, and compare there, with labels
    /// resampled to the nearest pixel
    #[arg(long, conflicts_with = "fov_diameter")]
    resize: Option<usize>,
    /// Bring each photograph to the size at which its field of view is this many pixels wide; the maps are brought
    /// back [default: what the weights say]
    #[arg(long)]
    fov_diameter: Option<f32>,
    /// Let the encoder see windows of at most this many patches a side; 0: each photograph at once [default: what the weights
    /// say]
    #[arg(long)]
    window: Option<usize>,
    /// Evaluate each system once more, averaged over each photograph and its three mirror images
    #[arg(long)]
    flips: bool,
    /// Write all numbers to this JSON file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Write the tables to this Markdown file
    #[arg(long)]
    markdown: Option<PathBuf>,
    /// Write every image's metrics to this file of comma-separated values, NAME.csv; beside it those of every system to
    /// NAME_systems.csv and F1 of systems by data sets to NAME_matrix.csv
    #[arg(long)]
    csv: Option<PathBuf>,
    /// Write report.html with tables, curves and overlays, and the curves as SVG files, into this folder
    #[arg(long)]
    report: Option<PathBuf>,
    /// Write masks, probabilities and overlays into SYSTEM/DATASET of this folder
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
    #[command(flatten)]
    reading: ReadingArgs,
    #[command(flatten)]
    onnx: OnnxArgs,
}

/// A data set to evaluate on.
struct Set {
    name: String,
    spec: DatasetSpec,
    images: FolderSet,
    /// The images that choose the threshold.
    choosing: Option<FolderSet>,
}

pub fn run(args: Args) -> AnyResult<ExitCode> {
    set_threads(args.threads)?;
    venule::nn::keep_freed_memory();
    evaluate(&args)?;
    Ok(ExitCode::SUCCESS)
}

/// Evaluates, prints and writes the reports.
fn evaluate(args: &Args) -> AnyResult<()> {
    let protocol = protocol(args);
    let sets = sets(args)?;
    let names: Vec<&str> = sets.iter().map(|set| set.name.as_str()).collect();
    let folders = report::folder_names(&names);
    let places = [&args.pictures, &args.report].into_iter().flatten();
    let files = [&args.json, &args.markdown, &args.csv]
        .into_iter()
        .flatten();
    let _places = check_tables(places.map(AsRef::as_ref), files.map(AsRef::as_ref))?;
    for set in &sets {
        if let Some(folder) = &args.pictures {
            support::check_pictures(folder, support::ids(&set.images))?;
        }
        say_left_out(&format!("{}: ", set.name), &set.images);
    }
    say!("protocol: {protocol}");
    let (mut entries, mut pictures) = (Vec::new(), Vec::new());
    let systems = systems(args)?;
    let names: Vec<&str> = systems.iter().map(|(name, _)| name.as_str()).collect();
    let system_folders = report::folder_names(&names);
    for ((name, mut segmenter), system_folder) in systems.into_iter().zip(&system_folders) {
        for (set, set_folder) in sets.iter().zip(&folders) {
            let (threshold, origin) = threshold(args, &protocol, &segmenter, set)?;
            warn_of_known_images(&name, &segmenter, origin, set)?;
            if origin != ThresholdOrigin::Stored {
                segmenter = segmenter.with_threshold(threshold)?;
            }
            say!("threshold {threshold:.4}: {}", explain(origin, &segmenter));
            let folder = args.pictures.as_ref();
            let folder = folder.map(|root| root.join(system_folder).join(set_folder));
            if let Some(folder) = &folder {
                create_folder(folder)?;
            }
            let mut kept = KeptMasks::default();
            let evaluated = protocol.evaluate(&segmenter, &set.images, |sample, result| {
                if let Some(folder) = &folder {
                    support::write_pictures(folder, sample, result, &PictureKind::ALL)?;
                }
                if args.report.is_some() {
                    kept.keep(result);
                }
                Ok(())
            })?;
            if args.report.is_some() {
                pictures.extend(kept.pictures(&name, &set.name, &set.images, &evaluated)?);
            }
            entries.push(entry(&name, set, args.split, origin, evaluated));
        }
    }
    for set in &sets {
        say_notes(&format!("{}: ", set.name), &set.images);
        if let Some(evaluated) = protocol.evaluate_second_annotator(&set.images)? {
            let name = "second annotator";
            entries.push(entry(
                name,
                set,
                args.split,
                ThresholdOrigin::Mask,
                evaluated,
            ));
        }
    }
    write(args, &sets, &entries, &pictures)
}

fn protocol(args: &Args) -> Protocol {
    Protocol {
        fov: match args.no_fov {
            true => FovPolicy::FullFrame,
            false => FovPolicy::GivenOrDetect,
        },
        full_frame: args.full_frame,
        square: args.resize,
    }
}

fn sets(args: &Args) -> AnyResult<Vec<Set>> {
    let reading = args.reading.reading();
    let mut sets: Vec<Set> = Vec::new();
    if let Some(choosing) = args.choose_threshold.filter(|s| s.overlaps(args.split)) {
        let split = args.split;
        return Err(format!(
            "--choose-threshold {choosing} may share images with --split {split}; what is tested on may not choose"
        )
        .into());
    }
    for spec in &args.dataset {
        let name = spec.to_string();
        if sets.iter().any(|set| set.name == name) {
            return Err(format!("data set {name} is given twice").into());
        }
        let files = |split| -> venule::data::Result<FolderSet> {
            Ok(spec.files(split)?.with_reading(&reading))
        };
        sets.push(Set {
            name,
            spec: spec.clone(),
            images: files(args.split)?,
            choosing: args.choose_threshold.map(files).transpose()?,
        });
    }
    Ok(sets)
}

/// Every system to evaluate, with its name.
fn systems(args: &Args) -> AnyResult<Vec<(String, System)>> {
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
    for (index, path) in weights.iter().copied().enumerate() {
        let name = match (path, args.fast) {
            (Some(path), _) => path.display().to_string(),
            (None, false) => "bundled weights".to_owned(),
            (None, true) => "fast bundled weights".to_owned(),
        };
        if weights[..index].contains(&path) {
            return Err(format!("weights {name} are given twice").into());
        }
        for flips in [false, true] {
            if flips && !args.flips {
                continue;
            }
            let system = System::open(path, args.fast, &device, &args.onnx)?;
            let mut segmenter = system.with_flips(flips);
            if args.no_fov {
                segmenter = segmenter.with_fov_policy(FovPolicy::FullFrame);
            }
            if let Some(side) = args.resize {
                segmenter = segmenter.with_resize(Resize::Square(side))?;
            }
            if let Some(diameter) = args.fov_diameter {
                segmenter = segmenter.with_resize(Resize::FovDiameter(diameter))?;
            }
            segmenter = segmenter.with_window(args.window)?;
            let suffix = if flips { ", with flips" } else { "" };
            systems.push((format!("{name}{}{suffix}", seen(args)), segmenter));
        }
    }
    let all: Vec<&System> = systems.iter().map(|(_, system)| system).collect();
    args.onnx.expect_use(&all)?;
    Ok(systems)
}

/// What the flags say of how the systems see photographs.
fn seen(args: &Args) -> String {
    let mut seen = String::new();
    if let Some(diameter) = args.fov_diameter {
        seen += &format!(", field of view of {diameter} pixels");
    }
    match args.window {
        None => {}
        Some(0) => seen += ", without windows",
        Some(side) => seen += &format!(", windows of {side} patches"),
    }
    seen
}

/// Says which images a system was trained on, or had its threshold chosen on.
fn warn_of_known_images(
    name: &str,
    segmenter: &System,
    origin: ThresholdOrigin,
    set: &Set,
) -> AnyResult<()> {
    let records = ImageRecord::of(&set.images, &format!("{}_", set.spec.layout))?;
    let stored = origin == ThresholdOrigin::Stored;
    let provenance = segmenter.provenance();
    for note in known_images(provenance, &records, &set.name, stored) {
        say!("note: {name} {note}");
    }
    Ok(())
}

/// The threshold of a system on a data set, and where it comes from.
fn threshold(
    args: &Args,
    protocol: &Protocol,
    segmenter: &System,
    set: &Set,
) -> AnyResult<(f32, ThresholdOrigin)> {
    Ok(
        match (args.threshold, &set.choosing, args.choose_threshold) {
            (Some(given), ..) => (given, ThresholdOrigin::Given),
            (None, Some(images), Some(split)) => {
                let best = protocol.choose_threshold(segmenter, images)?;
                say!("{}: F1 {:.4} on {split}", set.name, best.f1);
                (best.threshold, ThresholdOrigin::Chosen(split))
            }
            _ if !segmenter.has_threshold() => {
                say!("note: the file names no threshold; --choose-threshold would choose one");
                (segmenter.threshold(), ThresholdOrigin::Given)
            }
            _ => (segmenter.threshold(), ThresholdOrigin::Stored),
        },
    )
}

/// Where a threshold comes from; of a stored one what the weights say of their training.
fn explain(origin: ThresholdOrigin, segmenter: &System) -> String {
    let provenance = segmenter.provenance();
    if origin != ThresholdOrigin::Stored {
        return origin.to_string();
    }
    let chosen = match provenance.threshold_images.as_slice() {
        [] => String::new(),
        images => format!(", where it was chosen on {}", named(images)),
    };
    let mut trained_on: Vec<String> = provenance.drawn.clone();
    if !provenance.unlabelled.is_empty() {
        let unlabelled = named(&provenance.unlabelled);
        trained_on.push(format!("{unlabelled} without labels"));
    }
    if !provenance.images.is_empty() || trained_on.is_empty() {
        trained_on.insert(0, named(&provenance.images));
    }
    format!(
        "{origin}{chosen}; they were trained on {} with seed {} by version {}",
        trained_on.join(" and "),
        provenance.seed,
        provenance.version
    )
}

/// How many images, and the first and the last of them.
fn named(images: &[ImageRecord]) -> String {
    match images {
        [] => "images they do not name".to_owned(),
        [only] => format!("image {only}"),
        [first, .., last] => format!("{} images ({first} to {last})", images.len()),
    }
}

/// Says what a system came to.
fn entry(
    system: &str,
    set: &Set,
    split: Split,
    threshold_from: ThresholdOrigin,
    evaluated: Evaluated,
) -> Entry {
    let (count, all) = (evaluated.rows.len(), evaluated.set_size);
    let of = if count == all {
        String::new()
    } else {
        format!(" of {all}")
    };
    say!("{system} on {} ({split}, {count}{of} images)", set.name);
    say!("  pooled: {}", report::summary(&evaluated.report));
    for warning in &evaluated.warnings {
        eprintln!("warning: {system} on {}: {warning}", set.name);
    }
    if let Some(seconds) = evaluated.seconds() {
        say!("  {seconds:.3} s an image");
    }
    Entry {
        system: system.to_owned(),
        dataset: set.name.clone(),
        split,
        threshold_from,
        evaluated,
    }
}

fn write(args: &Args, sets: &[Set], entries: &[Entry], pictures: &[Picture]) -> AnyResult<()> {
    let tables = report::markdown(entries, args.seed)?;
    say!("\n{tables}");
    if let Some(path) = &args.markdown {
        write_atomic(path, tables.as_bytes())?;
    }
    if let Some(path) = &args.csv {
        write_atomic(path, report::images_csv(entries).as_bytes())?;
        let beside = |kind: &str| {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            path.with_file_name(format!("{stem}_{kind}.csv"))
        };
        let systems = report::systems_csv(entries, args.seed)?;
        write_atomic(beside("systems"), systems.as_bytes())?;
        write_atomic(beside("matrix"), report::matrix_csv(entries).as_bytes())?;
    }
    if let Some(path) = &args.json {
        let numbers = report::entries_json(entries, args.seed)?;
        write_atomic(path, &serde_json::to_vec_pretty(&numbers)?)?;
        say!("all numbers: {}", path.display());
    }
    if let Some(folder) = &args.report {
        write_report(folder, args, sets, entries, pictures)?;
    }
    Ok(())
}

fn write_report(
    folder: &Path,
    args: &Args,
    sets: &[Set],
    entries: &[Entry],
    pictures: &[Picture],
) -> AnyResult<()> {
    for (index, set) in sets.iter().enumerate() {
        let here: Vec<&Entry> = entries.iter().filter(|e| e.dataset == set.name).collect();
        let name = format!("{}_{}", index + 1, set.spec.layout);
        let charts = [
            ("roc", report::roc_svg(&set.name, &here)),
            (
                "precision_recall",
                report::precision_recall_svg(&set.name, &here),
            ),
            ("reliability", report::reliability_svg(&set.name, &here)),
        ];
        for (kind, svg) in charts {
            write_atomic(folder.join(format!("{name}_{kind}.svg")), svg.as_bytes())?;
        }
    }
    let path = folder.join("report.html");
    let page = report::html("Retinal vessel segmentation", entries, pictures, args.seed)?;
    write_atomic(&path, page.as_bytes())?;
    say!("report: {}", path.display());
    Ok(())
}
