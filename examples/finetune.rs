//! Fine-tunes a segmentation model on labelled photographs and evaluates it.
//!
//! `cargo run --release --example finetune -- --dataset drive=data/DRIVE --preset compact --save-dir runs/drive`

#[path = "support/mod.rs"]
#[allow(dead_code)]
mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use venule::data::{Dataset, DatasetSpec, FolderSet, FovPolicy, write_atomic};
use venule::seg::Freeze;
use venule::train::{EmaConfig, Outcome};
use venule::{
    DataConfig, LossChoice, Purpose, RunConfig, RunRecord, Segmenter, evaluate, parse_device,
    set_threads,
};

/// Fine-tunes a segmentation model on labelled photographs and evaluates it on test images.
#[derive(Parser)]
struct Args {
    /// Data set as NAME=PATH, in its official layout and splits (drive, chase_db1, stare, hrf, fives,
    /// retina_blood_vessel, folder); several are joined
    #[arg(long, num_args = 1..)]
    dataset: Vec<DatasetSpec>,
    /// Folder of training photographs; the last fifth is kept for validation
    #[arg(long, requires = "train_masks", conflicts_with = "dataset")]
    train_images: Option<PathBuf>,
    /// Folder of their labels, paired by file name
    #[arg(long)]
    train_masks: Option<PathBuf>,
    /// Folder of their fields of view [default: they are detected]
    #[arg(long, requires = "train_images")]
    train_fovs: Option<PathBuf>,
    /// Folder of test photographs, evaluated at the end
    #[arg(long, requires = "test_masks")]
    test_images: Option<PathBuf>,
    /// Folder of their labels
    #[arg(long)]
    test_masks: Option<PathBuf>,
    /// Folder of their fields of view [default: they are detected]
    #[arg(long, requires = "test_images")]
    test_fovs: Option<PathBuf>,
    /// TOML file that says everything of a run, such as the run.toml of another one; flags go before it
    #[arg(long, conflicts_with = "preset")]
    config: Option<PathBuf>,
    /// seed, compact or tiny: model, input, loss and schedule [default: seed]
    #[arg(long)]
    preset: Option<String>,
    /// Weights of `pretrain`, or public MAE, RETFound or timm weights (.safetensors, .pth), for the encoder
    #[arg(long)]
    pretrained_mae: Option<PathBuf>,
    /// Freeze the encoder: none, all, or the number of last blocks that stay trained [default: none]
    #[arg(long, value_parser = parse_freeze)]
    freeze_encoder: Option<Freeze>,
    /// Start with a frozen encoder and thaw one more block, from the last to the first, after every this many epochs
    #[arg(long, conflicts_with = "freeze_encoder")]
    unfreeze_every: Option<usize>,
    /// Crops in a batch [default: 4 for every preset]
    #[arg(long)]
    batch_size: Option<usize>,
    /// Passes over the data [default: 200 for seed, 86 for the others]
    #[arg(long)]
    epochs: Option<usize>,
    /// Crops taken from each image in an epoch [default: 1 for seed, 10 for the others]
    #[arg(long)]
    crops_per_image: Option<usize>,
    /// Learning rate after warm-up [default: 1e-4 for seed, 1e-3 for the others]
    #[arg(long)]
    learning_rate: Option<f64>,
    /// bce-dice or reference [default: reference for seed, bce-dice for the others]
    #[arg(long)]
    loss: Option<LossChoice>,
    /// Average the weights with this decay, for validation and the saved best and final weights [default: off]
    #[arg(long)]
    ema: Option<f64>,
    /// Mark pixels above this probability [default: the threshold that maximises F1 on the validation images]
    #[arg(long)]
    threshold: Option<f32>,
    /// Take the whole frame as field of view
    #[arg(long)]
    full_frame: bool,
    /// Validate after every this many epochs [default: 1]
    #[arg(long)]
    validate_every: Option<usize>,
    /// Run folder: checkpoints, best weights, log and curve
    #[arg(long, default_value = "runs/finetune")]
    save_dir: PathBuf,
    /// Go on with the run in the folder
    #[arg(long)]
    resume: bool,
    /// Save and stop after this many minutes
    #[arg(long)]
    max_minutes: Option<f64>,
    /// End after this many steps, if that is sooner; the schedule spans them
    #[arg(long)]
    max_steps: Option<usize>,
    /// Seed of weights, order and crops [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// CPU threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Threads that load and augment [default: 1]
    #[arg(long)]
    workers: Option<usize>,
    /// cpu, cuda, cuda:N or metal
    #[arg(long, default_value = "cpu")]
    device: String,
}

fn parse_freeze(text: &str) -> Result<Freeze, String> {
    match text {
        "none" => Ok(Freeze::None),
        "all" => Ok(Freeze::All),
        blocks => blocks
            .parse()
            .map(Freeze::AllBut)
            .map_err(|_| "choose none, all, or a number of blocks".to_owned()),
    }
}

fn main() -> ExitCode {
    support::exit(run(Args::parse()))
}

fn run(args: Args) -> support::AnyResult<ExitCode> {
    set_threads(args.threads)?;
    let device = parse_device(&args.device)?;
    let run = configuration(&args)?;
    let (train, validation) = match (&args.train_images, &args.train_masks) {
        (Some(images), Some(masks)) => support::hold_out(FolderSet::new(
            images,
            Some(masks.clone()),
            args.train_fovs.clone(),
        )?),
        _ if run.data.is_empty() => {
            return Err("nothing to train on; give --dataset NAME=PATH, --train-images and --train-masks, or --config with [[data]]".into());
        }
        _ => (run.files(Purpose::Train)?, run.files(Purpose::Validation)?),
    };
    println!(
        "{} training and {} validation images",
        train.len(),
        validation.len()
    );
    let record = RunRecord::new(&run, &train, &validation)?;
    let mut task = run.task_on(train, validation, &device)?;
    println!("{} parameters", task.model().store().element_count());
    if let Some(path) = &run.pretrained {
        println!("encoder from {}", path.display());
    }
    let report = support::train_with(
        &mut task,
        run.recipe.train.clone(),
        &args.save_dir,
        |trainer| trainer.with_callback(record),
    )?;
    if report.outcome == Outcome::Interrupted {
        return Ok(support::conclude(&report, &args.save_dir));
    }
    let Some(best) = &report.best_path else {
        println!(
            "no validation took place, so there are no best weights; checkpoints: {}",
            args.save_dir.display()
        );
        return Ok(ExitCode::SUCCESS);
    };
    if let Some(score) = &report.best {
        println!(
            "best validation F1 {:.4} after epoch {}",
            score.score,
            score.epoch + 1
        );
    }
    println!("weights: {}", best.display());
    let segmenter = Segmenter::from_file_on(best, &device)?;
    let test = match (&args.test_images, &args.test_masks) {
        (Some(images), Some(masks)) => Some(FolderSet::new(
            images,
            Some(masks.clone()),
            args.test_fovs.clone(),
        )?),
        _ => match run.files(Purpose::Test) {
            Ok(set) => Some(set).filter(|set| !set.is_empty()),
            Err(error) => {
                println!("no test: {error}");
                None
            }
        },
    };
    if let Some(test) = test {
        let evaluated = evaluate(&segmenter, &test, |_, _| Ok(()))?;
        println!(
            "{} test images: {}",
            test.len(),
            support::summary(&evaluated.report)
        );
        let path = args.save_dir.join("test.json");
        write_atomic(
            &path,
            &serde_json::to_vec_pretty(&support::json(&evaluated, run.recipe.train.seed)?)?,
        )?;
        println!("all numbers: {}", path.display());
    }
    Ok(support::conclude(&report, &args.save_dir))
}

/// The configuration file, or the preset, with the flags that were given.
fn configuration(args: &Args) -> venule::Result<RunConfig> {
    let mut run = match &args.config {
        Some(path) => RunConfig::load(path)?,
        None => RunConfig::preset(args.preset.as_deref().unwrap_or("seed"))?,
    };
    if !args.dataset.is_empty() {
        run.data = args.dataset.iter().map(DataConfig::from).collect();
    }
    if args.full_frame {
        run.fov = FovPolicy::FullFrame;
    }
    run.pretrained = args.pretrained_mae.clone().or(run.pretrained);
    run.freeze = args.freeze_encoder.unwrap_or(run.freeze);
    run.unfreeze_every = args.unfreeze_every.or(run.unfreeze_every);
    run.threshold = args.threshold.or(run.threshold);
    run.workers = args.workers.unwrap_or(run.workers);
    let recipe = &mut run.recipe;
    recipe.batch_size = args.batch_size.unwrap_or(recipe.batch_size);
    recipe.crops_per_image = args.crops_per_image.unwrap_or(recipe.crops_per_image);
    recipe.loss = args.loss.unwrap_or(recipe.loss);
    let train = &mut recipe.train;
    train.epochs = args.epochs.unwrap_or(train.epochs);
    train.learning_rate = args.learning_rate.unwrap_or(train.learning_rate);
    if let Some(decay) = args.ema {
        train.ema = Some(EmaConfig {
            decay,
            ..EmaConfig::default()
        });
    }
    train.validate_every = args.validate_every.unwrap_or(train.validate_every);
    train.max_minutes = args.max_minutes.or(train.max_minutes);
    train.max_steps = args.max_steps.or(train.max_steps);
    train.seed = args.seed.unwrap_or(train.seed);
    train.resume = args.resume;
    Ok(run)
}
