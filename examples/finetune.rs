//! Fine-tunes a segmentation model on labelled photographs and evaluates it.
//!
//! `cargo run --release --example finetune -- --dataset drive=data/DRIVE --preset compact --save-dir runs/drive`

#[path = "support/mod.rs"]
#[allow(dead_code)]
mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use venule::data::{Dataset, DatasetSpec, Error, FolderSet, FovPolicy, Split, write_atomic};
use venule::seg::Freeze;
use venule::tasks::{Finetuning, FinetuningData};
use venule::train::{EmaConfig, Outcome};
use venule::{LossChoice, Recipe, Segmenter, evaluate, parse_device, set_threads};

/// Fine-tunes a segmentation model on labelled photographs and evaluates it on test images.
#[derive(Parser)]
struct Args {
    /// Data set as NAME=PATH, in its official layout and splits (drive, chase_db1, stare, hrf, fives,
    /// retina_blood_vessel, folder); several are joined
    #[arg(long, num_args = 1.., required_unless_present = "train_images")]
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
    /// Train on the test images of the data sets as well: for weights that are given away. There is no test at the end, and no
    /// figure of these data sets may be quoted for the weights
    #[arg(long, requires = "dataset")]
    train_on_test: bool,
    /// seed, compact or tiny: model, input, loss and schedule
    #[arg(long, default_value = "seed")]
    preset: String,
    /// Weights of `pretrain`, or public MAE, RETFound or timm weights (.safetensors, .pth), for the encoder
    #[arg(long)]
    pretrained_mae: Option<PathBuf>,
    /// Freeze the encoder: none, all, or the number of last blocks that stay trained
    #[arg(long, default_value = "none", value_parser = parse_freeze)]
    freeze_encoder: Freeze,
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
    /// Validate after every this many epochs
    #[arg(long, default_value_t = 1)]
    validate_every: usize,
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
    /// Seed of weights, order and crops
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
    let recipe = recipe(&args)?;
    let fov = if args.full_frame {
        FovPolicy::FullFrame
    } else {
        FovPolicy::GivenOrDetect
    };
    let (train, validation) = match (&args.train_images, &args.train_masks) {
        (Some(images), Some(masks)) => support::hold_out(FolderSet::new(
            images,
            Some(masks.clone()),
            args.train_fovs.clone(),
        )?),
        _ => (
            training_set(&args)?,
            DatasetSpec::open_joined(&args.dataset, &[Split::Validation])?,
        ),
    };
    println!(
        "{} training and {} validation images",
        train.len(),
        validation.len()
    );
    let data = FinetuningData {
        train: Box::new(train),
        validation: Box::new(validation),
        fov,
        workers: args.workers,
    };
    let mut task = Finetuning::new(&recipe, data, args.seed, &device)?;
    println!("{} parameters", task.model().store().element_count());
    if let Some(threshold) = args.threshold {
        task = task.with_threshold(threshold)?;
    }
    if let Some(path) = &args.pretrained_mae {
        let imported = task.load_encoder(path)?;
        println!(
            "{} encoder variables from {}; {} others in the file left aside",
            imported.loaded.len(),
            path.display(),
            imported.unexpected.len()
        );
        for item in &imported.reshaped {
            println!(
                "  {} {:?} -> {:?} ({})",
                item.name, item.from, item.to, item.how
            );
        }
    }
    match args.unfreeze_every {
        Some(epochs) => task = task.with_gradual_unfreezing(epochs)?,
        None => task.freeze(args.freeze_encoder)?,
    }
    let report = support::train(&mut task, recipe.train, &args.save_dir)?;
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
    let test: Option<Box<dyn Dataset>> = match (&args.test_images, &args.test_masks) {
        (Some(images), Some(masks)) => Some(Box::new(FolderSet::new(
            images,
            Some(masks.clone()),
            args.test_fovs.clone(),
        )?)),
        _ if !args.dataset.is_empty() && !args.train_on_test => {
            match DatasetSpec::open_joined(&args.dataset, &[Split::Test]) {
                Ok(set) => Some(Box::new(set)),
                Err(error) => {
                    println!("no test: {error}");
                    None
                }
            }
        }
        _ => None,
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
            &serde_json::to_vec_pretty(&support::json(&evaluated, args.seed)?)?,
        )?;
        println!("all numbers: {}", path.display());
    }
    Ok(support::conclude(&report, &args.save_dir))
}

/// The training images of the data sets, with `--train-on-test` those test images that are there as well.
fn training_set(args: &Args) -> venule::data::Result<FolderSet> {
    let mut train = DatasetSpec::open_joined(&args.dataset, &[Split::Train])?;
    if !args.train_on_test {
        return Ok(train);
    }
    for spec in &args.dataset {
        let test = match spec.files(Split::Test) {
            Err(error @ Error::EmptySplit { .. }) => {
                println!("{spec}: {error}");
                continue;
            }
            files => files?,
        };
        // As the joined training images: a prefix tells the ids of several data sets apart.
        let prefix = match args.dataset.len() {
            1 => String::new(),
            _ => format!("{}_", spec.kind),
        };
        train = train.join(test.with_id_prefix(&prefix));
    }
    Ok(train)
}

/// The preset's recipe with the flags that were given.
fn recipe(args: &Args) -> venule::Result<Recipe> {
    let mut recipe = Recipe::preset(&args.preset)?;
    recipe.batch_size = args.batch_size.unwrap_or(recipe.batch_size);
    recipe.crops_per_image = args.crops_per_image.unwrap_or(recipe.crops_per_image);
    recipe.loss = args.loss.unwrap_or(recipe.loss);
    let train = &mut recipe.train;
    train.epochs = args.epochs.unwrap_or(train.epochs);
    train.learning_rate = args.learning_rate.unwrap_or(train.learning_rate);
    train.ema = args.ema.map(|decay| EmaConfig {
        decay,
        ..EmaConfig::default()
    });
    train.validate_every = args.validate_every;
    train.max_minutes = args.max_minutes;
    train.max_steps = args.max_steps;
    train.resume = args.resume;
    train.seed = args.seed;
    Ok(recipe)
}
