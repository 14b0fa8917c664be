use std::path::PathBuf;
use std::process::ExitCode;

use venule::candle_core::Device;
use venule::data::write_png;
use venule::file::load_weights;
use venule::train::{FINAL_FILE, latest_checkpoint};
use venule::{Registry, set_threads};
use venule_lab::{DataConfig, FinetuneConfig, PretrainConfig, RUN_FILE, RunFile};

use crate::output::{AnyResult, check_places, say};

/// Draw crops of photographs as they are, masked, and as a pretrained autoencoder reconstructs them.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  venule reconstruct --run runs/mae --data-dir photographs --out reconstructions.png"
)]
pub struct Args {
    /// Run folder of `pretrain`; its last weights are used
    #[arg(long)]
    run: PathBuf,
    /// Folder of photographs, searched through all its subfolders [default: those it was trained on]
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// The picture: up to four crops, one a row
    #[arg(long, default_value = "reconstructions.png")]
    out: PathBuf,
    /// Seed of the crops and the masks
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// CPU threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

pub fn run(args: Args) -> AnyResult<ExitCode> {
    set_threads(args.threads)?;
    let _places = check_places([], [args.out.as_path()])?;
    let file = args.run.join(RUN_FILE);
    let mut run = match PretrainConfig::load(&file) {
        Ok(run) => run,
        Err(_) if FinetuneConfig::load(&file).is_ok() => {
            return Err(format!(
                "{} is a fine-tuning, which masks nothing; name the folder of a pretraining",
                args.run.display()
            )
            .into());
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(folder) = args.data_dir {
        run.data = vec![DataConfig::unlabelled(folder)];
    }
    run.recipe.train.seed = args.seed;
    let finished = args.run.join(FINAL_FILE);
    let weights = match finished.is_file() {
        true => finished,
        false => latest_checkpoint(&args.run)?
            .ok_or_else(|| format!("{} holds no weights yet", args.run.display()))?,
    };
    let (photographs, left_out) = run.files()?;
    left_out
        .iter()
        .for_each(|error| eprintln!("left out: {error}"));
    let mut task = run.task_on(&Registry::built_in(), photographs, &Device::Cpu)?;
    let tensors = load_weights(&weights)?.tensors.into_iter().collect();
    task.store().load_tensors(&tensors)?;
    write_png(&args.out, task.reconstruction_picture()?)?;
    say!("{} by {}", args.out.display(), weights.display());
    Ok(ExitCode::SUCCESS)
}
