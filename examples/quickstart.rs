//! The whole way of the data in a minute, without any file: 24 synthetic photographs, a masked autoencoder pretrained on them, a
//! segmentation model fine-tuned from it, evaluated on photographs it has not seen. Everything is written into `out/quickstart/`.
//!
//! `cargo run --release --example quickstart`

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::Parser;
use venule::candle_core::Device;
use venule::data::{
    Augment, Dataset, FovPolicy, InMemory, Sample, mask_image, probability_image, write_png,
};
use venule::file::{check_writable, create_folder, write_atomic};
use venule::synthetic::{SyntheticFundus, SyntheticSet};
use venule::tasks::{Finetuning, FinetuningData, Pretraining, PretrainingData};
use venule::train::{
    AdamWConfig, JsonLines, LOG_FILE, RunOptions, Schedule, Span, Task, TrainConfig, Trainer,
    Warmup,
};
use venule::{PretrainRecipe, Recipe, Segmenter, evaluate, set_threads};
use venule_lab::{ProgressBar, learning_curve_svg, read_log, report};

/// Pretrains, fine-tunes and evaluates on synthetic photographs.
#[derive(Parser)]
struct Args {
    /// Folder of the results; its runs are replaced
    #[arg(long, default_value = "out/quickstart")]
    out: PathBuf,
    /// Seed of photographs, weights and crops
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// CPU threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let args = Args::parse();
    set_threads(args.threads)?;
    venule::nn::keep_freed_memory();
    check_writable(&args.out)?;
    let seed = args.seed;

    println!("1. 24 synthetic photographs of 256x256 pixels");
    let set = SyntheticSet::new(SyntheticFundus::square(256), seed, 24)?;
    let samples = InMemory::read(&set)?.samples().to_vec();
    let photographs = args.out.join("photographs");
    create_folder(&photographs)?;
    for sample in &samples {
        write_png(
            photographs.join(format!("{}.png", sample.id)),
            sample.image.clone(),
        )?;
    }
    let part = |part: &[Sample]| -> Box<dyn Dataset> { Box::new(InMemory::new(part.to_vec())) };
    let (train, validation, test) = (&samples[..16], &samples[16..19], &samples[19..]);
    let settings = |steps: usize, learning_rate: f64| TrainConfig {
        max_steps: Some(steps),
        learning_rate,
        weight_decay: 0.02,
        schedule: Schedule::Cosine { min_lr: 0.0 },
        warmup: Warmup {
            length: Span::Steps(steps / 12),
            ..Warmup::default()
        },
        adamw: AdamWConfig::default(),
        ema: None,
        seed,
        ..TrainConfig::default()
    };

    println!("2. a masked autoencoder learns 16 of them, without labels");
    let recipe = PretrainRecipe {
        augment: Augment::standard(),
        batch_size: 8,
        crops_per_image: 20,
        train: settings(200, 1e-3),
        ..PretrainRecipe::preset("tiny")?
    };
    let (fov, workers, cache_bytes) = (FovPolicy::GivenOrDetect, 1, 1 << 30);
    let data = PretrainingData {
        photographs: part(train),
        fov,
        workers,
        cache_bytes,
    };
    let mut task = Pretraining::new(&recipe, data, &Device::Cpu)?;
    let pretrained = fit(&mut task, &recipe.train, &args.out.join("pretraining"))?;

    println!("3. it is fine-tuned to segment vessels; 3 images choose the threshold");
    let recipe = Recipe {
        train: settings(500, 2e-3),
        ..Recipe::preset("tiny")?
    };
    let (train, validation) = (part(train), part(validation));
    let data = FinetuningData {
        train,
        validation,
        fov,
        workers,
        cache_bytes,
    };
    let mut task = Finetuning::new(&recipe, data, &Device::Cpu)?;
    task.load_encoder(&pretrained)?;
    let folder = args.out.join("finetuning");
    let weights = fit(&mut task, &recipe.train, &folder)?;
    let curve = learning_curve_svg(&read_log(&folder.join(LOG_FILE))?);
    write_atomic(args.out.join("learning_curve.svg"), curve.as_bytes())?;

    println!("4. evaluation on the 5 photographs it has not seen");
    let segmenter = Segmenter::from_file(&weights)?;
    let evaluated = evaluate(
        &segmenter,
        &InMemory::new(test.to_vec()),
        |sample, found| {
            let path = |kind: &str| args.out.join(format!("{}_{kind}.png", sample.id));
            write_png(path("mask"), mask_image(&found.mask)?)?;
            write_png(path("probability"), probability_image(&found.probability)?)?;
            Ok(write_png(
                path("overlay"),
                found.overlay(&sample.image, sample.label.as_ref())?,
            )?)
        },
    )?;
    let numbers = report::json(&evaluated, 0)?;
    write_atomic(
        args.out.join("report.json"),
        format!("{numbers:#}").as_bytes(),
    )?;
    println!("   {}", report::summary(&evaluated.report));
    println!(
        "   pictures, report.json and learning_curve.svg: {}",
        args.out.display()
    );
    println!(
        "   weights, for `venule segment --weights`: {}",
        weights.display()
    );
    Ok(())
}

/// Trains in a run folder, in place of what an earlier quickstart left there; the best weights, or the last where nothing is validated.
fn fit(
    task: &mut dyn Task,
    config: &TrainConfig,
    folder: &Path,
) -> Result<PathBuf, Box<dyn Error + Send + Sync>> {
    if folder.join(LOG_FILE).is_file() {
        std::fs::remove_dir_all(folder)?;
    }
    let report = Trainer::new(config.clone())?
        .with_options(RunOptions {
            keep: 1,
            ..RunOptions::in_folder(folder)
        })?
        .with_callback(ProgressBar::new())
        .with_callback(JsonLines::in_folder(folder))
        .fit(task)?;
    Ok(report
        .best_path
        .or(report.final_path)
        .ok_or("the training left no weights")?)
}
