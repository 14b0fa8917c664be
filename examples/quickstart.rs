//! The whole way of the data, without any file: 24 synthetic photographs, a masked autoencoder pretrained on them, a
//! segmentation model fine-tuned from it, evaluated on photographs it has not seen. Everything is written into `out/quickstart/`.
//!
//! `cargo run --release --example quickstart`

use std::error::Error;
use std::path::{Path, PathBuf};

use venule::candle_core::Device;
use venule::data::{Augment, Dataset, FovPolicy, InMemory, Sample, mask_image, write_png};
use venule::file::{create_folder, write_atomic};
use venule::synthetic::{SyntheticFundus, SyntheticSet};
use venule::tasks::{Finetuning, FinetuningData, Pretraining, PretrainingData};
use venule::train::{
    JsonLines, LOG_FILE, RunOptions, Schedule, Span, Task, TrainConfig, Trainer, Warmup,
};
use venule::{PretrainRecipe, Recipe, Segmenter, evaluate, set_threads};
use venule_lab::{ProgressBar, learning_curve_svg, read_log, report};

type AnyResult<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> AnyResult<()> {
    set_threads(0)?;
    venule::nn::keep_freed_memory();
    let out = Path::new("out/quickstart");

    println!("1. 24 synthetic photographs of 256x256 pixels");
    let set = SyntheticSet::new(SyntheticFundus::square(256), 42, 24)?;
    let samples = InMemory::read(&set)?.samples().to_vec();
    let photographs = out.join("photographs");
    create_folder(&photographs)?;
    for sample in &samples {
        let path = photographs.join(format!("{}.png", sample.id));
        write_png(path, sample.image.clone())?;
    }
    let part = |part: &[Sample]| -> Box<dyn Dataset> { Box::new(InMemory::new(part.to_vec())) };

    println!("2. a masked autoencoder learns 16 of them, without labels");
    let recipe = PretrainRecipe {
        augment: Augment::standard(),
        batch_size: 8,
        crops_per_image: 20,
        train: settings(200, 1e-3),
        ..PretrainRecipe::preset("tiny")?
    };
    let data = PretrainingData {
        photographs: part(&samples[..16]),
        fov: FovPolicy::GivenOrDetect,
        workers: 1,
        cache_bytes: 1 << 30,
    };
    let mut task = Pretraining::new(&recipe, data, &Device::Cpu)?;
    let pretrained = fit(&mut task, &recipe.train, &out.join("pretraining"))?;

    println!("3. it is fine-tuned to segment vessels; 3 images choose the threshold");
    let recipe = Recipe {
        train: settings(500, 2e-3),
        ..Recipe::preset("tiny")?
    };
    let data = FinetuningData {
        unlabelled: None,
        train: part(&samples[..16]),
        validation: part(&samples[16..19]),
        fov: FovPolicy::GivenOrDetect,
        workers: 1,
        cache_bytes: 1 << 30,
    };
    let mut task = Finetuning::new(&recipe, data, &Device::Cpu)?;
    task.load_encoder(&pretrained)?;
    let weights = fit(&mut task, &recipe.train, &out.join("finetuning"))?;
    let curve = learning_curve_svg(&read_log(&out.join("finetuning").join(LOG_FILE))?);
    write_atomic(out.join("learning_curve.svg"), curve.as_bytes())?;

    println!("4. evaluation on the 5 photographs it has not seen");
    let test = InMemory::new(samples[19..].to_vec());
    let evaluated = evaluate(&Segmenter::from_file(&weights)?, &test, |sample, found| {
        let path = |kind: &str| out.join(format!("{}_{kind}.png", sample.id));
        write_png(path("mask"), mask_image(&found.mask)?)?;
        let overlay = found.overlay(&sample.image, sample.label.as_ref())?;
        Ok(write_png(path("overlay"), overlay)?)
    })?;
    let numbers = format!("{:#}", report::json(&evaluated, 0)?);
    write_atomic(out.join("report.json"), numbers.as_bytes())?;
    println!("   {}", report::summary(&evaluated.report));
    println!("   masks, overlays, report, curve: {}", out.display());
    println!("   for `segment --weights`: {}", weights.display());
    Ok(())
}

/// AdamW with a short warm-up and a cosine.
fn settings(steps: usize, learning_rate: f64) -> TrainConfig {
    TrainConfig {
        max_steps: Some(steps),
        learning_rate,
        weight_decay: 0.02,
        schedule: Schedule::Cosine { min_lr: 0.0 },
        warmup: Warmup {
            length: Span::Steps(steps / 12),
            ..Warmup::default()
        },
        seed: 42,
        ..TrainConfig::default()
    }
}

/// Trains in a folder, anew if a quickstart was there; the best weights, or the last where nothing is validated.
fn fit(task: &mut dyn Task, config: &TrainConfig, folder: &Path) -> AnyResult<PathBuf> {
    if folder.join(LOG_FILE).is_file() {
        std::fs::remove_dir_all(folder)?;
    }
    let report = Trainer::new(config.clone())?
        .with_options(RunOptions::in_folder(folder))?
        .with_callback(ProgressBar::new())
        .with_callback(JsonLines::in_folder(folder))
        .fit(task)?;
    let weights = report.best_path.or(report.final_path);
    Ok(weights.ok_or("the training left no weights")?)
}
