//! The whole way of the data in a few minutes, without any file: makes 24 synthetic photographs, pretrains a tiny masked
//! autoencoder on them, fine-tunes it, evaluates on held-out ones, and writes everything into `out/quickstart/`.
//!
//! `cargo run --release --example quickstart`

#[path = "support/mod.rs"]
#[allow(dead_code)]
mod support;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use venule::candle_core::Device;
use venule::data::{Augment, Dataset, FovPolicy, InMemory, Sample, write_atomic, write_png};
use venule::mae::MaeConfig;
use venule::synthetic::{SyntheticFundus, SyntheticSet};
use venule::tasks::{Finetuning, FinetuningData, Pretraining, PretrainingData};
use venule::train::{
    JsonLines, LOG_FILE, Outcome, ProgressBar, Schedule, Span, Task, TrainConfig, Trainer, Warmup,
    learning_curve_svg, read_log,
};
use venule::{Recipe, Segmenter, evaluate, set_threads};

/// Pretrains, fine-tunes and evaluates on synthetic photographs.
#[derive(Parser)]
struct Args {
    /// Folder of the results; its earlier content is replaced
    #[arg(long, default_value = "out/quickstart")]
    out: PathBuf,
    /// Side of the photographs in pixels
    #[arg(long, default_value_t = 256)]
    size: usize,
    /// Steps of pretraining
    #[arg(long, default_value_t = 200)]
    pretrain_steps: usize,
    /// Steps of fine-tuning
    #[arg(long, default_value_t = 500)]
    finetune_steps: usize,
    /// Seed of photographs, weights and crops
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// CPU threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

const PHOTOGRAPHS: usize = 24;
const TRAINING: usize = 16;
const VALIDATION: usize = 3;

fn main() -> ExitCode {
    support::exit(run(Args::parse()))
}

fn run(args: Args) -> support::AnyResult<ExitCode> {
    set_threads(args.threads)?;
    venule::nn::keep_freed_memory();
    let start = Instant::now();
    clear(&args.out)?;
    support::say!(
        "1. {PHOTOGRAPHS} synthetic photographs of {0}x{0} pixels",
        args.size
    );
    let set = SyntheticSet::new(SyntheticFundus::square(args.size), args.seed, PHOTOGRAPHS)?;
    let samples = InMemory::read(&set)?.samples().to_vec();
    let folder = args.out.join("photographs");
    std::fs::create_dir_all(&folder)?;
    for sample in &samples {
        write_png(
            folder.join(format!("{}.png", sample.id)),
            sample.image.clone(),
        )?;
    }
    let (train, rest) = samples.split_at(TRAINING);
    let (validation, test) = rest.split_at(VALIDATION);
    let boxed = |part: &[Sample]| -> Box<dyn Dataset> { Box::new(InMemory::new(part.to_vec())) };

    support::say!("2. pretraining a masked autoencoder on {TRAINING} of them, without labels");
    let recipe = Recipe::preset("tiny")?;
    let stop = support::stop_flag()?;
    let fit = |task: &mut dyn Task, folder: &Path, steps: usize, rate: f64| {
        let config = TrainConfig {
            epochs: steps.div_ceil(task.batches_per_epoch()).max(1),
            max_steps: Some(steps),
            learning_rate: rate,
            weight_decay: 0.02,
            schedule: Schedule::Cosine { min_lr: 0.0 },
            warmup: Warmup {
                length: Span::Steps(steps / 12),
                ..Warmup::default()
            },
            seed: args.seed,
            keep: 1,
            directory: Some(folder.to_owned()),
            ..TrainConfig::default()
        };
        Trainer::new(config)?
            .with_callback(ProgressBar::new())
            .with_callback(JsonLines::in_folder(folder))
            .with_stop_flag(stop.clone())
            .fit(task)
    };
    let folder = args.out.join("pretraining");
    let data = PretrainingData {
        photographs: boxed(train),
        preprocess: recipe.preprocess.clone(),
        fov: FovPolicy::GivenOrDetect,
        augment: Augment::standard(),
        crop: recipe.crop,
        batch_size: 8,
        crops_per_image: 20,
        workers: 1,
        cache_bytes: 1 << 30,
        vessel_weight: 0.0,
    };
    let mut task = Pretraining::new(&MaeConfig::tiny(), data, 0.75, args.seed, &Device::Cpu)?;
    let pretraining = fit(&mut task, &folder, args.pretrain_steps, 1e-3)?;
    if let Some(code) = interrupted(pretraining.outcome) {
        return Ok(code);
    }
    let encoder = pretraining
        .final_path
        .clone()
        .ok_or("pretraining left no weights")?;

    support::say!("3. fine-tuning it to segment vessels; {VALIDATION} images choose the threshold");
    let folder = args.out.join("finetuning");
    let data = FinetuningData {
        train: boxed(train),
        validation: boxed(validation),
        fov: FovPolicy::GivenOrDetect,
        workers: 1,
        cache_bytes: 1 << 30,
    };
    let mut task = Finetuning::new(&recipe, data, args.seed, &Device::Cpu)?;
    task.load_encoder(&encoder)?;
    let finetuning = fit(&mut task, &folder, args.finetune_steps, 2e-3)?;
    if let Some(code) = interrupted(finetuning.outcome) {
        return Ok(code);
    }
    let weights = finetuning
        .best_path
        .clone()
        .ok_or("fine-tuning left no weights")?;
    let curve = args.out.join("learning_curve.svg");
    write_atomic(
        &curve,
        learning_curve_svg(&read_log(&folder.join(LOG_FILE))?).as_bytes(),
    )?;

    support::say!("4. evaluating on the {} held-out photographs", test.len());
    let segmenter = Segmenter::from_file(&weights)?;
    let test = InMemory::new(test.to_vec());
    let mut overlays = Vec::new();
    let evaluated = evaluate(&segmenter, &test, |sample, result| {
        overlays.push(support::write_pictures(&args.out, sample, result)?);
        Ok(())
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let mut report = support::json(&evaluated, 0)?;
    report["seconds"] = seconds.into();
    report["pretraining_loss"] = serde_json::json!(pretraining.loss);
    report["validation_f1"] = serde_json::json!(finetuning.best.map(|best| best.score));
    let path = args.out.join("report.json");
    write_atomic(&path, &serde_json::to_vec_pretty(&report)?)?;
    support::say!("   {}", support::summary(&evaluated.report));
    support::say!(
        "done in {seconds:.0} s. Look at {}",
        overlays.first().unwrap_or(&path).display()
    );
    support::say!("   learning curve: {}", curve.display());
    support::say!("   all numbers: {}", path.display());
    support::say!("   weights, for `segment --weights`: {}", weights.display());
    Ok(ExitCode::SUCCESS)
}

/// The exit code, if a training was interrupted.
fn interrupted(outcome: Outcome) -> Option<ExitCode> {
    let (why, status) = support::training::stopped(outcome)?;
    support::say!("{why}; the next quickstart begins anew");
    Some(ExitCode::from(status))
}

/// Says that the folders beside it are a quickstart's.
const MARK: &str = "quickstart.txt";

/// Removes what an earlier quickstart wrote, and nothing else.
fn clear(out: &Path) -> support::AnyResult<()> {
    let parts = ["photographs", "pretraining", "finetuning"].map(|part| out.join(part));
    let mark = out.join(MARK);
    for part in parts.iter().filter(|part| part.exists()) {
        if !mark.is_file() {
            return Err(format!(
                "{} is there, and nothing says that a quickstart wrote it ({MARK} is missing); give another folder with --out",
                part.display()
            )
            .into());
        }
        std::fs::remove_dir_all(part)?;
    }
    std::fs::create_dir_all(out)?;
    let text = "The folders photographs, pretraining and finetuning are replaced by the next quickstart.\n";
    Ok(std::fs::write(mark, text)?)
}
