//! Pretrains a masked autoencoder on a folder of photographs, by library calls alone.
//!
//! `cargo run --release --example pretrain -- --data-dir photographs --save-dir runs/mae --epochs 200`
//!
//! The program `venule pretrain` does the same with run files, resuming, records and curves.

use std::path::PathBuf;

use clap::Parser;
use venule::candle_core::Device;
use venule::data::{FolderSet, FovPolicy, write_png};
use venule::tasks::{Pretraining, PretrainingData};
use venule::train::{JsonLines, RunOptions, Trainer};
use venule::{PretrainRecipe, set_threads};
use venule_lab::ProgressBar;

/// Pretrains a masked autoencoder on unlabelled photographs.
#[derive(Parser)]
struct Args {
    /// Folder of photographs, searched through all its subfolders
    #[arg(long)]
    data_dir: PathBuf,
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
    /// Share of patches that is masked [default: the preset's]
    #[arg(long)]
    mask_ratio: Option<f64>,
    /// Run folder: checkpoints, weights, log
    #[arg(long, default_value = "runs/pretrain")]
    save_dir: PathBuf,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    set_threads(0)?;
    venule::nn::keep_freed_memory();

    // What is trained, and how: a preset and what differs from it.
    let mut recipe = PretrainRecipe::preset(&args.preset)?;
    recipe.batch_size = args.batch_size.unwrap_or(recipe.batch_size);
    recipe.mask_ratio = args.mask_ratio.unwrap_or(recipe.mask_ratio);
    recipe.train.epochs = args.epochs.unwrap_or(recipe.train.epochs);
    recipe.train.max_steps = args.max_steps;
    recipe.train.learning_rate = args.learning_rate.unwrap_or(recipe.train.learning_rate);

    // On what: photographs alone; labels and masks beside them are left out.
    let photographs = FolderSet::unlabelled(&args.data_dir)?;
    println!("{photographs}");
    let data = PretrainingData {
        photographs: Box::new(photographs),
        fov: FovPolicy::GivenOrDetect,
        workers: 1,
        cache_bytes: 2 << 30,
    };
    let mut task = Pretraining::new(&recipe, data, &Device::Cpu)?;

    let report = Trainer::new(recipe.train)?
        .with_options(RunOptions::in_folder(&args.save_dir))?
        .with_callback(ProgressBar::new())
        .with_callback(JsonLines::in_folder(&args.save_dir))
        .fit(&mut task)?;

    let picture = args.save_dir.join("reconstructions.png");
    write_png(&picture, task.reconstruction_picture()?)?;
    println!("original, masked, reconstructed: {}", picture.display());
    if let Some(weights) = report.final_path {
        println!(
            "weights, for `finetune --pretrained-mae`: {}",
            weights.display()
        );
    }
    Ok(())
}
