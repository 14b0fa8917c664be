//! Pretrains a masked autoencoder on a folder of unlabelled photographs.
//!
//! `cargo run --release --example pretrain -- --data-dir photographs --preset compact --save-dir runs/mae`

#[path = "support/mod.rs"]
#[allow(dead_code)]
mod support;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use image::GrayImage;
use venule::candle_core::{IndexOp, Tensor};
use venule::data::{Augment, Dataset, FolderSet, FovPolicy, Preprocess, write_png};
use venule::mae::MaeConfig;
use venule::tasks::{Pretraining, PretrainingData};
use venule::train::{Outcome, Schedule, Span, TrainConfig, Warmup};
use venule::{parse_device, set_threads};

/// Pretrains a masked autoencoder on unlabelled photographs.
#[derive(Parser)]
struct Args {
    /// Folder of photographs, searched through all its subfolders
    #[arg(long)]
    data_dir: PathBuf,
    /// seed, compact or tiny
    #[arg(long, default_value = "seed")]
    preset: String,
    /// Crops in a batch
    #[arg(long, default_value_t = 16)]
    batch_size: usize,
    /// Passes over the photographs
    #[arg(long, default_value_t = 200)]
    epochs: usize,
    /// Learning rate after warm-up; it then falls as a cosine
    #[arg(long, default_value_t = 1e-4)]
    learning_rate: f64,
    /// Weight decay
    #[arg(long, default_value_t = 0.05)]
    weight_decay: f64,
    /// Share of patches that is masked, above 0 and below 1
    #[arg(long, default_value_t = 0.75)]
    mask_ratio: f64,
    /// Side of the crops [default: the preset's image size for seed, 256 for compact, 128 for tiny]
    #[arg(long)]
    crop: Option<usize>,
    /// Bring each target patch to mean 0 and variance 1
    #[arg(long)]
    normalize_targets: bool,
    /// Multiply the error by 1 + this · vesselness
    #[arg(long, default_value_t = 0.0)]
    vessel_weight: f64,
    /// Run folder: checkpoints, log, curve and a picture of reconstructions
    #[arg(long, default_value = "runs/pretrain")]
    save_dir: PathBuf,
    /// Go on with the run in the folder
    #[arg(long)]
    resume: bool,
    /// Leave out photographs that cannot be read, and say which
    #[arg(long)]
    skip_unreadable: bool,
    /// Save and stop after this many minutes
    #[arg(long)]
    max_minutes: Option<f64>,
    /// End after this many steps, if that is sooner
    #[arg(long)]
    max_steps: Option<usize>,
    /// Seed of weights, order, crops and masks
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// CPU threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Threads that load and augment
    #[arg(long, default_value_t = 1)]
    workers: usize,
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
    let mut config = MaeConfig::preset(&args.preset)?;
    config.normalize_targets |= args.normalize_targets;
    let mut photographs = FolderSet::unlabelled(&args.data_dir)?;
    if args.skip_unreadable {
        let (readable, errors) = photographs.without_unreadable();
        errors
            .iter()
            .for_each(|error| eprintln!("left out: {error}"));
        photographs = readable;
    }
    println!(
        "{} photographs in {}",
        photographs.len(),
        args.data_dir.display()
    );
    let crop = args.crop.unwrap_or(match args.preset.as_str() {
        "compact" => 256,
        "tiny" => 128,
        _ => config.encoder.image_size[0],
    });
    let data = PretrainingData {
        photographs: Box::new(photographs),
        preprocess: Preprocess::default(),
        fov: FovPolicy::GivenOrDetect,
        augment: Augment::standard(),
        crop,
        batch_size: args.batch_size,
        crops_per_image: 1,
        workers: args.workers,
        vessel_weight: args.vessel_weight,
    };
    let mut task = Pretraining::new(&config, data, args.mask_ratio, args.seed, &device)?;
    println!("{} parameters", task.store().element_count());
    let train = TrainConfig {
        epochs: args.epochs,
        max_steps: args.max_steps,
        max_minutes: args.max_minutes,
        learning_rate: args.learning_rate,
        weight_decay: args.weight_decay,
        schedule: Schedule::Cosine { min_lr: 0.0 },
        warmup: Warmup {
            length: Span::Steps(100),
            ..Warmup::default()
        },
        seed: args.seed,
        resume: args.resume,
        ..TrainConfig::default()
    };
    let report = support::train(&mut task, train, &args.save_dir)?;
    if report.outcome != Outcome::Interrupted {
        let picture = args.save_dir.join("reconstructions.png");
        write_reconstructions(&mut task, args.seed, &picture)?;
        println!("original, masked, reconstructed: {}", picture.display());
        // A run that ran out of time has checkpoints alone.
        let weights = match report.final_path.clone() {
            Some(path) => path,
            None => venule::train::latest_checkpoint(&args.save_dir)?.unwrap_or_default(),
        };
        println!("weights: {}", weights.display());
    }
    Ok(support::conclude(&report, &args.save_dir))
}

/// Original, masked and reconstructed crops side by side, one image a row, up to four rows.
fn write_reconstructions(task: &mut Pretraining, seed: u64, path: &Path) -> support::AnyResult<()> {
    let (images, pictures) = task.reconstruct(seed)?;
    let columns = [&images, &pictures.masked, &pictures.combined];
    let (batch, _, height, width) = images.dims4()?;
    let rows = batch.min(4);
    let mut canvas = GrayImage::new((3 * width) as u32, (rows * height) as u32);
    for row in 0..rows {
        for (column, maps) in columns.into_iter().enumerate() {
            let values = gray(&maps.i((row, 0))?)?;
            for (at, value) in values.into_iter().enumerate() {
                let (x, y) = (column * width + at % width, row * height + at / width);
                canvas.put_pixel(x as u32, y as u32, image::Luma([value]));
            }
        }
    }
    Ok(write_png(path, canvas)?)
}

/// Standardised values to gray levels: ±2.5 standard deviations span the range.
fn gray(map: &Tensor) -> support::AnyResult<Vec<u8>> {
    let values = map.flatten_all()?.to_vec1::<f32>()?;
    let level = |v: f32| ((v / 5.0 + 0.5).clamp(0.0, 1.0) * 255.0) as u8;
    Ok(values.into_iter().map(level).collect())
}
