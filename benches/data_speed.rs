//! How long reading, augmenting, equalising and measuring take, one JSON line a task: seconds of each run after a warm-up, and a
//! number that shows what came out. `benches/peers/data_peers.py` makes the inputs and runs it beside other tools.
//!
//! `cargo bench --bench data_speed -- --inputs DIR --drive data/DRIVE --threads 1`

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use rayon::prelude::*;
use venule::candle_core::Device;
use venule::data::{
    AugmentedSet, Batcher, Clahe, Dataset, DatasetSpec, FolderSet, FovPolicy, Loader, LoaderConfig,
    Mask, Prepared, PreparedSet, Raster, Split, read_image, read_mask,
};
use venule::loss::LossTable;
use venule::metrics::{roc_auc, skeletonize, squared_distance};
use venule::nn::Mode;
use venule::train::{AdamW, AdamWConfig, ParamGroup};
use venule::{Recipe, VesselModel, set_threads};

/// Times what happens to images before and after the network.
#[derive(Parser)]
struct Args {
    /// What to time, one after the other
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "decode,augment,clahe,distance,skeleton,auc"
    )]
    tasks: Vec<Work>,
    /// Folder with SIZE.pgm and SIZE_label.pgm for the sizes drive and hrf, scores.f32 and targets.u8 (raw values)
    #[arg(long)]
    inputs: Option<PathBuf>,
    /// DRIVE's folder, for decode, augment and loader
    #[arg(long)]
    drive: Option<PathBuf>,
    /// Timed runs, after one that is not
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// CPU threads
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Training steps of the task loader
    #[arg(long, default_value_t = 60)]
    steps: usize,
    /// Preset that the task loader trains
    #[arg(long, default_value = "tiny")]
    preset: String,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Work {
    /// Reads DRIVE's 20 training photographs with label and field of view
    Decode,
    /// Makes 8 views of 256x256 pixels of each of them
    Augment,
    /// Equalises an 8-bit image, of each size
    Clahe,
    /// Exact squared distances to the background of a label, of each size
    Distance,
    /// Skeleton of a label, of each size
    Skeleton,
    /// ROC AUC of all scores
    Auc,
    /// Trains a preset on DRIVE and tells the share of time spent waiting for batches
    Loader,
}

type AnyResult<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> AnyResult<()> {
    let args = Args::parse();
    set_threads(args.threads)?;
    venule::nn::keep_freed_memory();
    let input = |name: &str| -> AnyResult<PathBuf> {
        let folder = args.inputs.as_ref();
        Ok(folder.ok_or("this task needs --inputs DIR")?.join(name))
    };
    for work in &args.tasks {
        match work {
            Work::Decode => {
                let set = drive(&args)?;
                time(&args, "decode", || {
                    let counts = (0..set.len()).into_par_iter().map(|index| {
                        let label = set.load(index)?.label;
                        Ok(label.map_or(0, |label| label.count()))
                    });
                    counts.sum::<AnyResult<usize>>().map(|sum| sum as f64)
                })?;
            }
            Work::Augment => augment(&args)?,
            Work::Clahe => {
                for size in SIZES {
                    let green = green(&input(&format!("{size}.pgm"))?)?;
                    time(&args, &format!("clahe {size}"), || {
                        let out = Clahe::default().apply(&green)?;
                        Ok(checksum(out.data()))
                    })?;
                }
            }
            Work::Distance => {
                for size in SIZES {
                    let label = read_mask(input(&format!("{size}_label.pgm"))?)?;
                    time(&args, &format!("distance {size}"), || {
                        let out = squared_distance(label.data(), label.width(), label.height())?;
                        Ok(out.iter().map(|&squared| u64::from(squared)).sum::<u64>() as f64)
                    })?;
                }
            }
            Work::Skeleton => {
                for size in SIZES {
                    let label = read_mask(input(&format!("{size}_label.pgm"))?)?;
                    time(&args, &format!("skeleton {size}"), || {
                        let out = skeletonize(label.data(), label.width(), label.height())?;
                        let bytes: Vec<u8> = out.iter().map(|&on| u8::from(on)).collect();
                        Ok(checksum(&bytes))
                    })?;
                }
            }
            Work::Auc => {
                let scores: Vec<f32> = std::fs::read(input("scores.f32")?)?
                    .as_chunks()
                    .0
                    .iter()
                    .map(|&bytes| f32::from_le_bytes(bytes))
                    .collect();
                let targets = std::fs::read(input("targets.u8")?)?;
                let targets: Vec<bool> = targets.iter().map(|&byte| byte != 0).collect();
                time(&args, "auc", || {
                    Ok(roc_auc(&scores, &targets, None)?.ok_or("one class is missing")?)
                })?;
            }
            Work::Loader => loader(&args)?,
        }
    }
    Ok(())
}

const SIZES: [&str; 2] = ["drive", "hrf"];

fn drive(args: &Args) -> AnyResult<FolderSet> {
    let root = args.drive.as_ref().ok_or("this task needs --drive PATH")?;
    // All twenty with which DRIVE is trained: ids 21 to 40.
    let spec: DatasetSpec = format!("drive={}", root.display()).parse()?;
    Ok(spec
        .files(Split::Train)?
        .join(spec.files(Split::Validation)?))
}

fn green(path: &Path) -> AnyResult<Raster<u8>> {
    let image = read_image(path)?;
    let green = image.pixels().map(|pixel| pixel.0[1]).collect();
    Ok(Raster::new(
        image.width() as usize,
        image.height() as usize,
        green,
    )?)
}

/// CRC-32: equal only if every pixel is.
fn checksum(bytes: &[u8]) -> f64 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    f64::from(crc.sum())
}

/// Runs a job once, then as often as asked for, and prints a line.
fn time(args: &Args, task: &str, mut job: impl FnMut() -> AnyResult<f64>) -> AnyResult<()> {
    let result = job()?;
    let mut seconds = Vec::with_capacity(args.runs);
    for _ in 0..args.runs.max(1) {
        let start = Instant::now();
        job()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    let line = serde_json::json!({
        "task": task,
        "threads": args.threads,
        "seconds": seconds,
        "result": result,
    });
    println!("{line}");
    Ok(())
}

fn augment(args: &Args) -> AnyResult<()> {
    let set = drive(args)?;
    let recipe = Recipe::preset("compact")?;
    let prepared: Vec<Prepared> = (0..set.len())
        .map(|index| {
            let sample = set.load(index)?;
            Prepared::from_sample(&sample, &recipe.preprocess, FovPolicy::Given)
        })
        .collect::<Result<_, _>>()?;
    time(args, "augment", || {
        let views = (0..8 * prepared.len()).into_par_iter().map(|view| {
            let source = &prepared[view % prepared.len()];
            let view = recipe
                .augment
                .sample(source, (256, 256), 0, 0, view as u64)?;
            Ok(view.label.as_ref().map_or(0, Mask::count))
        });
        views.sum::<AnyResult<usize>>().map(|sum| sum as f64)
    })
}

/// The share of the training steps' time that goes into waiting for their batches, with one loader thread beside the others.
fn loader(args: &Args) -> AnyResult<()> {
    let recipe = Recipe::preset(&args.preset)?;
    let set = PreparedSet::new(drive(args)?, recipe.preprocess.clone(), FovPolicy::Given);
    for index in 0..set.len() {
        // As before every training: what is timed is the loop, not the first reading.
        set.get(index)?;
    }
    let crop = (recipe.crop, recipe.crop);
    let views = AugmentedSet::new(Arc::new(set), recipe.augment.clone(), crop, 0)?;
    let config = LoaderConfig {
        batch_size: recipe.batch_size,
        repeats: args.steps * recipe.batch_size / 20 + 1,
        ..LoaderConfig::default()
    };
    let loader = Loader::new(Arc::new(views), config)?;
    let batcher = Batcher::new(Device::Cpu);
    let model = VesselModel::new(&recipe.model, 0, &Device::Cpu)?;
    let loss = LossTable::built_in().build(&recipe.loss)?;
    let mut optimizer = AdamW::new(
        vec![ParamGroup {
            params: model.store().trainable(),
            weight_decay: 0.02,
            lr_scale: 1.0,
        }],
        AdamWConfig::default(),
    )?;
    let mut epoch = loader.epoch(0);
    let start = Instant::now();
    for step in 0..args.steps {
        let samples = epoch.next().ok_or("the epoch is too short")??;
        let batch = batcher.batch(&samples)?;
        let labels = batch.labels.ok_or("DRIVE's training images have labels")?;
        let mode = Mode::Train { seed: step as u64 };
        let (images, valid) = (&batch.images, Some(&batch.valid));
        let (value, _) = model.training_loss(&loss, (images, &labels), valid, mode)?;
        optimizer.step(&value.backward()?, 1e-3)?;
    }
    let (total, waited) = (start.elapsed().as_secs_f64(), epoch.waited().as_secs_f64());
    let line = serde_json::json!({
        "task": "loader",
        "preset": args.preset,
        "threads": args.threads,
        "steps": args.steps,
        "seconds_per_step": total / args.steps as f64,
        "waited_per_step": waited / args.steps as f64,
        "share": waited / total,
    });
    println!("{line}");
    Ok(())
}
