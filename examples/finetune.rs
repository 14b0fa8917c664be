//! Fine-tunes a segmentation model on two folders, photographs and their labels, and tests it on two others, by library calls alone.
//!
//! `cargo run --release --example finetune -- --train-images photos --train-masks labels --save-dir runs/own`
//!
//! The program `venule finetune` does the same with data sets by name, run files, resuming, records and curves.

use std::path::PathBuf;

use clap::Parser;
use venule::candle_core::Device;
use venule::data::{Dataset, FolderSet, FovPolicy, Split};
use venule::tasks::{Finetuning, FinetuningData};
use venule::train::{JsonLines, RunOptions, Trainer};
use venule::{Recipe, Segmenter, evaluate, set_threads};
use venule_lab::{ProgressBar, report};

/// Fine-tunes a segmentation model on labelled photographs.
#[derive(Parser)]
struct Args {
    /// Folder of training photographs; the last fifth is kept for validation
    #[arg(long)]
    train_images: PathBuf,
    /// Folder of their labels, paired by file name
    #[arg(long)]
    train_masks: PathBuf,
    /// Folder of test photographs
    #[arg(long, requires = "test_masks")]
    test_images: Option<PathBuf>,
    /// Folder of their labels
    #[arg(long)]
    test_masks: Option<PathBuf>,
    /// Weights for the encoder, as `pretrain` writes them
    #[arg(long)]
    pretrained_mae: Option<PathBuf>,
    /// Preset of model and recipe
    #[arg(long, default_value = "compact")]
    preset: String,
    /// Crops in a batch [default: the preset's]
    #[arg(long)]
    batch_size: Option<usize>,
    /// Passes over the data [default: the preset's]
    #[arg(long)]
    epochs: Option<usize>,
    /// End after this many steps, if that is sooner
    #[arg(long)]
    max_steps: Option<usize>,
    /// Learning rate after warm-up [default: the preset's]
    #[arg(long)]
    learning_rate: Option<f64>,
    /// Run folder: checkpoints, best weights, log
    #[arg(long, default_value = "runs/finetune")]
    save_dir: PathBuf,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    set_threads(0)?;
    venule::nn::keep_freed_memory();

    // What is trained, and how: a preset and what differs from it.
    let mut recipe = Recipe::preset(&args.preset)?;
    recipe.batch_size = args.batch_size.unwrap_or(recipe.batch_size);
    recipe.train.epochs = args.epochs.unwrap_or(recipe.train.epochs);
    recipe.train.max_steps = args.max_steps;
    recipe.train.learning_rate = args.learning_rate.unwrap_or(recipe.train.learning_rate);

    // On what.
    let all = FolderSet::new(&args.train_images, Some(args.train_masks), None)?;
    let (train, validation) = (
        all.clone().train_part(Split::Train),
        all.train_part(Split::Validation),
    );
    println!(
        "{} training, {} validation images",
        train.len(),
        validation.len()
    );
    let data = FinetuningData {
        unlabelled: None,
        train: Box::new(train),
        validation: Box::new(validation),
        fov: FovPolicy::GivenOrDetect,
        workers: 1,
        cache_bytes: 2 << 30,
    };
    let mut task = Finetuning::new(&recipe, data, &Device::Cpu)?;
    if let Some(path) = &args.pretrained_mae {
        println!("{}", task.load_encoder(path)?);
    }

    let trained = Trainer::new(recipe.train)?
        .with_options(RunOptions::in_folder(&args.save_dir))?
        .with_callback(ProgressBar::new())
        .with_callback(JsonLines::in_folder(&args.save_dir))
        .fit(&mut task)?;
    let weights = trained.best_path.or(trained.final_path);
    let weights = weights.ok_or("the training left no weights")?;
    println!("weights: {}", weights.display());

    // The test: with the threshold that validation chose.
    if let Some(images) = args.test_images {
        let test = FolderSet::new(&images, args.test_masks, None)?;
        let segmenter = Segmenter::from_file(&weights)?;
        let evaluated = evaluate(&segmenter, &test, |_, _| Ok(()))?;
        println!(
            "{} test images: {}",
            test.len(),
            report::summary(&evaluated.report)
        );
    }
    Ok(())
}
