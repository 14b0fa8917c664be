use std::path::PathBuf;
use std::process::ExitCode;

use venule::synthetic::SyntheticRange;
use venule::{Registry, parse_device, set_threads};
use venule_lab::{FinetuneConfig, Place, RUN_FILE, RunFile, SyntheticConfig};

use crate::output::{AnyResult, say};
use crate::run_args::{RunArgs, conclude};
use crate::support::stop_flag;

/// Adapt trained weights to photographs of another camera, without labels.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  venule adapt --data-dir photographs --weights bundled --save-dir runs/adapted\n  venule segment --weights runs/adapted/final.safetensors photographs/1.jpg"
)]
pub struct Args {
    /// Folders of photographs, searched through all their subfolders
    #[arg(long, num_args = 1.., required_unless_present = "config")]
    data_dir: Vec<PathBuf>,
    /// The weights to adapt: bundled, bundled-fast, label-free, or a file of a training [default: bundled]
    #[arg(long, conflicts_with = "config")]
    weights: Option<String>,
    /// Synthetic photographs to learn from beside them: any-camera, drive-like, or none [default: any-camera]
    #[arg(long)]
    synthetic: Option<String>,
    /// Leave out photographs that cannot be read, and say which
    #[arg(long)]
    skip_unreadable: bool,
    /// Name every file and folder that is left out, instead of the first four
    #[arg(long)]
    verbose: bool,
    /// Run folder: checkpoints, the adapted weights (final.safetensors), log and curve
    #[arg(long, default_value = "runs/adapt")]
    save_dir: PathBuf,
    #[command(flatten)]
    run: RunArgs,
}

pub fn run(args: Args) -> AnyResult<ExitCode> {
    set_threads(args.run.threads)?;
    let device = parse_device(&args.run.device)?;
    let registry = Registry::built_in();
    let run = configuration(&args, &registry)?;
    let place = Place {
        device,
        tensorboard: args.run.tensorboard,
        stop: stop_flag()?,
        verbose: args.verbose,
        say: &|line| say!("{line}"),
        ..Place::new(&args.save_dir, &registry)
    };
    let report = place.finetune(&run)?;
    Ok(conclude(&report, &args.save_dir))
}

/// The configuration file, or the adaptation of the weights, with the flags that were given.
fn configuration(args: &Args, registry: &Registry) -> AnyResult<FinetuneConfig> {
    if args.run.preset.is_some() {
        return Err("weights have an architecture of their own; leave out --preset".into());
    }
    let begun = args.save_dir.join(RUN_FILE);
    let mut run = match &args.run.config {
        Some(path) => FinetuneConfig::load(path)?,
        // A run that goes on has its model in its checkpoint, whatever has become of the weights it started from.
        None if args.run.resume && begun.is_file() => FinetuneConfig::load(begun)?,
        None => {
            let fresh = FinetuneConfig::preset(FinetuneConfig::DEFAULT_PRESET)?;
            let weights = args.weights.as_deref().unwrap_or("bundled");
            fresh.adapting(weights, Vec::new(), registry)?
        }
    };
    if !args.data_dir.is_empty() {
        run.unlabelled.clone_from(&args.data_dir);
    }
    if run.unlabelled.is_empty() {
        return Err(
            "nothing to adapt to; give --data-dir, or --config with unlabelled = [\"FOLDER\"]"
                .into(),
        );
    }
    run.synthetic = match args.synthetic.as_deref() {
        None => run.synthetic,
        Some("none") => None,
        Some(name) => Some(SyntheticConfig {
            range: name.parse::<SyntheticRange>()?,
            ..run.synthetic.unwrap_or_default()
        }),
    };
    run.skip_unreadable |= args.skip_unreadable;
    Ok(args.run.finish(args.run.over(run)?)?)
}
