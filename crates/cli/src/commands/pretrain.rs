use std::path::PathBuf;
use std::process::ExitCode;

use venule::{Registry, set_threads};
use venule_lab::{DataConfig, Place, PretrainConfig};

use crate::output::AnyResult;
use crate::run_args::RunArgs;

/// Pretrain a masked autoencoder on a folder of unlabelled photographs.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  venule pretrain --data-dir photographs --preset compact --save-dir runs/mae"
)]
pub struct Args {
    /// Folder of photographs, searched through all its subfolders
    #[arg(long, required_unless_present = "config")]
    data_dir: Option<PathBuf>,
    /// Weight decay [default: 0.05]
    #[arg(long)]
    weight_decay: Option<f64>,
    /// Share of patches that is masked, above 0 and below 1 [default: 0.75]
    #[arg(long)]
    mask_ratio: Option<f64>,
    /// Side of the crops [default: 512 for seed, 256 for compact, 128 for tiny]
    #[arg(long)]
    crop: Option<usize>,
    /// Bring each target patch to mean 0 and variance 1
    #[arg(long)]
    normalize_targets: bool,
    /// Multiply the error by 1 + this · vesselness [default: 0]
    #[arg(long)]
    vessel_weight: Option<f64>,
    /// Leave out photographs that cannot be read, and say which
    #[arg(long)]
    skip_unreadable: bool,
    /// Name every file and folder that is left out, instead of the first four
    #[arg(long)]
    verbose: bool,
    /// Run folder: checkpoints, log, curve and a picture of reconstructions
    #[arg(long, default_value = "runs/pretrain")]
    save_dir: PathBuf,
    #[command(flatten)]
    run: RunArgs,
}

pub fn run(args: Args) -> AnyResult<ExitCode> {
    set_threads(args.run.threads)?;
    let run = configuration(&args)?;
    if run.data.is_empty() {
        return Err("nothing to train on; give --data-dir, or --config with [[data]]".into());
    }
    let registry = Registry::built_in();
    let train = |place: &Place| place.pretrain(&run);
    args.run
        .train(&args.save_dir, &registry, args.verbose, train)
}

/// The configuration file, or the preset, with the flags that were given.
fn configuration(args: &Args) -> venule_lab::Result<PretrainConfig> {
    let mut run: PretrainConfig = args.run.configuration()?;
    if let Some(folder) = &args.data_dir {
        run.data = vec![DataConfig::unlabelled(folder.clone())];
    }
    run.skip_unreadable |= args.skip_unreadable;
    let recipe = &mut run.recipe;
    recipe.model.decoder.normalize_targets |= args.normalize_targets;
    recipe.mask_ratio = args.mask_ratio.unwrap_or(recipe.mask_ratio);
    recipe.crop = args.crop.unwrap_or(recipe.crop);
    recipe.vessel_weight = args.vessel_weight.unwrap_or(recipe.vessel_weight);
    recipe.train.weight_decay = args.weight_decay.unwrap_or(recipe.train.weight_decay);
    args.run.finish(run)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn given(flags: &[&str]) -> venule_lab::Result<PretrainConfig> {
        let flags = ["pretrain"].iter().chain(flags);
        configuration(&Line::try_parse_from(flags).unwrap().args)
    }

    #[test]
    fn flags_change_the_preset() {
        let run = given(&[
            "--data-dir",
            "a",
            "--preset",
            "compact",
            "--mask-ratio",
            "0.5",
            "--crop",
            "128",
            "--normalize-targets",
            "--vessel-weight",
            "2",
            "--base-learning-rate",
            "1.5e-4",
            "--set",
            "recipe.model.encoder.depth=4",
        ])
        .unwrap();
        let recipe = &run.recipe;
        assert_eq!(
            (recipe.mask_ratio, recipe.crop, recipe.vessel_weight),
            (0.5, 128, 2.0)
        );
        assert!(recipe.model.decoder.normalize_targets);
        let encoder = &recipe.model.encoder.config;
        assert_eq!(
            (&encoder["depth"], &encoder["width"]),
            (&4.into(), &192.into())
        );
        assert_eq!(recipe.train.base_learning_rate, Some(1.5e-4));
        assert_eq!(recipe.train.adamw.beta2, 0.95);
        assert_eq!(run.data, [DataConfig::unlabelled("a".into())]);
        assert!(Line::try_parse_from(["pretrain"]).is_err());
    }
}
