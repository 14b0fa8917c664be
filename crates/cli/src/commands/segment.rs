use std::path::PathBuf;
use std::process::ExitCode;

use venule::data::{FovPolicy, Sample, read_image, read_mask};
use venule::{Predict, parse_device, set_threads};
use venule_lab::report::distinct_names;

use crate::output::{AnyResult, say};
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
    /// Weights that `finetune` wrote [default: the bundled ones]
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
    let mut segmenter = support::segmenter(
        args.weights.as_deref(),
        args.fast,
        &parse_device(&args.device)?,
    )?
    .with_flips(args.flips);
    if let Some(threshold) = args.threshold {
        segmenter = segmenter.with_threshold(threshold)?;
    }
    if args.full_frame {
        segmenter = segmenter.with_fov_policy(FovPolicy::FullFrame);
    }
    let fov = args.fov.as_ref().map(read_mask).transpose()?;
    if fov.is_some() {
        segmenter = segmenter.with_fov_policy(FovPolicy::Given);
    }
    std::fs::create_dir_all(&args.out)?;
    let mut failed = 0;
    let stem = |path: &PathBuf| {
        let stem = path.file_stem().unwrap_or(path.as_os_str());
        stem.to_string_lossy().into_owned()
    };
    // Photographs of one name in several folders: none may overwrite another's results.
    let names = distinct_names(args.images.iter().map(stem));
    for (path, name) in args.images.iter().zip(names) {
        let segment = || -> AnyResult<PathBuf> {
            let mut sample = Sample::unlabelled(name.clone(), read_image(path)?);
            sample.fov = fov.clone();
            let result = segmenter.segment_sample(&sample)?;
            Ok(support::write_pictures(&args.out, &sample, &result)?)
        };
        match segment() {
            Ok(overlay) => say!("{} -> {}", path.display(), overlay.display()),
            Err(error) => {
                failed += 1;
                eprintln!("error: {}: {error}", path.display());
            }
        }
    }
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
