use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};
use venule::data::{
    FovPolicy, Mask, MaskRule, ReadOptions, Sample, check_fov, check_orientation, read_mask_with,
    read_photograph,
};
use venule::file::write_atomic;
use venule::{Predict, Segmenter, parse_device, set_threads};
use venule_lab::report::distinct_names;

use crate::output::{AnyResult, check_tables, expect_no_input, say};
use crate::support;

/// Find the vessels in photographs: NAME_mask.png, NAME_probability.png and NAME_overlay.png of each.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  venule segment photo.jpg\n  venule segment --fast --out vessels *.png"
)]
pub struct Args {
    /// Photographs: PNG, JPEG, TIFF, GIF, BMP, PPM, also gzipped
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// Weights that `finetune` wrote, or label-free, those without any human label [default: the bundled ones]
    #[arg(long)]
    weights: Option<PathBuf>,
    /// Of the bundled weights the fast ones: less accurate, in a quarter of the time
    #[arg(long, conflicts_with = "weights")]
    fast: bool,
    /// Folder of the results
    #[arg(long, default_value = "out/segment")]
    out: PathBuf,
    /// Mark pixels above this probability [default: the one chosen in training, stored in the weights]
    #[arg(long)]
    threshold: Option<f32>,
    /// A mask image of the field of view, for all photographs [default: it is detected]
    #[arg(long, conflicts_with = "full_frame")]
    fov: Option<PathBuf>,
    /// Take the whole frame as field of view
    #[arg(long)]
    full_frame: bool,
    /// The page to read of a TIFF that holds several photographs, counted from 1
    #[arg(long)]
    page: Option<usize>,
    /// Write of every photograph its results, vessel share and warnings, or its error, to this JSON file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Take a warning for an error: nothing is written of that photograph
    #[arg(long)]
    strict: bool,
    /// Average over the photograph and its three mirror images: four times the work
    #[arg(long)]
    flips: bool,
    /// CPU threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// cpu, cuda, cuda:N or metal
    #[arg(long, default_value = "cpu")]
    device: String,
}

pub fn run(args: Args) -> AnyResult<ExitCode> {
    set_threads(args.threads)?;
    venule::nn::keep_freed_memory();
    let stem = |path: &PathBuf| {
        let stem = path.file_stem().unwrap_or(path.as_os_str());
        stem.to_string_lossy().into_owned()
    };
    // Photographs of one name in several folders: none may overwrite another's results.
    let names: Vec<String> = distinct_names(args.images.iter().map(stem));
    support::check_pictures(&args.out, names.iter().map(String::as_str))?;
    let _places = check_tables([args.out.as_path()], args.json.as_deref())?;
    let inputs = || args.images.iter().chain(&args.fov).map(PathBuf::as_path);
    for name in &names {
        for kind in support::PICTURES {
            let path = support::picture_path(&args.out, name, kind);
            expect_no_input(&path, inputs())?;
            expect_no_label(&path, &args.images)?;
        }
    }
    let fov = args.fov.as_deref().map(field_of_view).transpose()?;
    let segmenter = segmenter(&args)?;
    let mut failed = 0;
    let mut rows = Vec::new();
    for (path, name) in args.images.iter().zip(names) {
        match segment(&args, &segmenter, fov.as_ref(), path, name) {
            Ok(row) => rows.push(row),
            Err(error) => {
                failed += 1;
                let error = error.to_string();
                // Most errors name the file; some come from further in.
                match error.contains(&*path.to_string_lossy()) {
                    true => eprintln!("error: {error}"),
                    false => eprintln!("error: {}: {error}", path.display()),
                }
                rows.push(json!({"photograph": shown(path), "error": error}));
            }
        }
    }
    if let Some(path) = &args.json {
        write_atomic(path, &serde_json::to_vec_pretty(&rows)?)?;
        say!("all numbers: {}", path.display());
    }
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A path as JSON has it: what is not UTF-8 in it is replaced.
fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Refuses to write over a picture in a photograph's own folder: it may be a label that a human has drawn.
fn expect_no_label(written: &Path, photographs: &[PathBuf]) -> AnyResult<()> {
    let folder = |path: &Path| {
        path.parent()
            .map(|folder| match folder.as_os_str().is_empty() {
                true => Path::new(".").canonicalize(),
                false => folder.canonicalize(),
            })
    };
    let place = folder(written).and_then(Result::ok);
    let beside = |photograph: &PathBuf| folder(photograph).and_then(Result::ok) == place;
    match place.is_some() && written.exists() && photographs.iter().any(beside) {
        true => Err(format!(
            "{} stands beside the photograph already and would be overwritten; give another folder with --out, or remove it",
            written.display()
        )
        .into()),
        false => Ok(()),
    }
}

/// The mask of the field of view, with how it is read said.
fn field_of_view(path: &Path) -> AnyResult<Mask> {
    let read = read_mask_with(path, &MaskRule::AsMeant)?;
    check_fov(&read.mask, path)?;
    if let Some(reading) = read.reading {
        let value = reading.vessel;
        say!(
            "{}: {value} counts as field of view, {} does not",
            path.display(),
            reading.background
        );
    }
    Ok(read.mask)
}

fn segmenter(args: &Args) -> AnyResult<Segmenter> {
    let device = parse_device(&args.device)?;
    let mut segmenter =
        support::segmenter(args.weights.as_deref(), args.fast, &device)?.with_flips(args.flips);
    if let Some(threshold) = args.threshold {
        segmenter = segmenter.with_threshold(threshold)?;
    }
    if args.full_frame {
        segmenter = segmenter.with_fov_policy(FovPolicy::FullFrame);
    }
    if args.fov.is_some() {
        segmenter = segmenter.with_fov_policy(FovPolicy::Given);
    }
    Ok(segmenter)
}

/// Segments one photograph and says so; its row of the JSON file.
fn segment(
    args: &Args,
    segmenter: &Segmenter,
    fov: Option<&Mask>,
    path: &Path,
    name: String,
) -> AnyResult<Value> {
    let mut options = ReadOptions::default();
    options.page = args.page;
    let photograph = read_photograph(path, &options)?;
    if let (Some(fov), Some(fov_path)) = (fov, &args.fov) {
        check_orientation(&photograph, path, fov.size(), fov_path)?;
    }
    for note in &photograph.notes {
        say!("{}: {note}", path.display());
    }
    let notes: Vec<String> = photograph.notes.iter().map(ToString::to_string).collect();
    let mut sample = Sample::unlabelled(name, photograph.image);
    sample.fov = fov.cloned();
    let result = segmenter.segment_sample(&sample)?;
    let warnings: Vec<String> = result.warnings.iter().map(ToString::to_string).collect();
    if args.strict && !warnings.is_empty() {
        return Err(format!("{} (--strict)", warnings.join("; ")).into());
    }
    for warning in &warnings {
        eprintln!("warning: {}: {warning}", path.display());
    }
    let overlay = support::write_pictures(&args.out, &sample, &result)?;
    say!("{} -> {}", path.display(), overlay.display());
    let kinds: Vec<&str> = result.warnings.iter().map(|w| w.name()).collect();
    let output = |kind| shown(&support::picture_path(&args.out, &sample.id, kind));
    Ok(json!({
        "photograph": shown(path),
        "mask": output("mask"),
        "probability": output("probability"),
        "overlay": shown(&overlay),
        "threshold": result.threshold,
        "vessel_pixels": result.mask.count(),
        "fov_pixels": result.fov.count(),
        "vessel_share": result.mask.count() as f64 / result.fov.count().max(1) as f64,
        "notes": notes,
        "warning_kinds": kinds,
        "warnings": warnings,
    }))
}
