use std::path::PathBuf;
use std::process::ExitCode;

use venule::synthetic::SyntheticRange;
use venule::{Registry, set_threads};
use venule_lab::{FinetuneConfig, Place, RUN_FILE, RunFile, SyntheticConfig};

use crate::output::AnyResult;
use crate::run_args::RunArgs;

/// Adapt trained weights to photographs of another camera, without labels.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  venule adapt --data-dir photographs --weights bundled --save-dir runs/adapted\n  venule segment --weights runs/adapted/final.safetensors photographs/1.jpg"
)]
pub struct Args {
    /// Folders of photographs, searched through all their subfolders
    #[arg(long, num_args = 1.., required_unless_present_any = ["config", "resume"])]
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
    let registry = Registry::built_in();
    let run = configuration(&args, &registry)?;
    let train = |place: &Place| place.finetune(&run);
    args.run
        .train(&args.save_dir, &registry, args.verbose, train)
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
            let mut run = fresh.adapting(weights, Vec::new(), registry)?;
            // As many steps as either flag asks for.
            let train = &mut run.recipe.train;
            match (args.run.epochs, args.run.max_steps) {
                (None, Some(steps)) => train.epochs = steps.max(1),
                (Some(_), None) => train.max_steps = None,
                _ => {}
            }
            run
        }
    };
    if let (Some(from), Some(weights)) = (&run.from, &args.weights)
        && from != weights
    {
        return Err(format!("the run in {} goes on with {from}; leave out --weights {weights}, or give another --save-dir", args.save_dir.display()).into());
    }
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
        Some(name) => {
            let range: SyntheticRange = name.parse()?;
            Some(match run.synthetic {
                Some(synthetic) => SyntheticConfig { range, ..synthetic },
                None => SyntheticConfig::beside(range),
            })
        }
    };
    run.skip_unreadable |= args.skip_unreadable;
    let run = args.run.finish(args.run.over(run)?)?;
    // The last word has --set.
    if run.from.is_none() && run.teachers.is_empty() {
        return Err("random weights cannot teach; set `from` or `teachers` in the run file, or train with `finetune` and `recipe.self_training.from_epoch`".into());
    }
    Ok(run)
}
