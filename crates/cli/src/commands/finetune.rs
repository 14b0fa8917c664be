use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use venule::data::{DatasetSpec, FovPolicy, LabelValue};
use venule::seg::Freeze;
use venule::synthetic::SyntheticRange;
use venule::train::EmaConfig;
use venule::{Registry, set_threads};
use venule_lab::{
    DataConfig, FinetuneConfig, MissingNormSetting, Place, RUN_FILE, RunFile, SyntheticConfig,
};

use crate::output::{AnyResult, say};
use crate::reading::ReadingArgs;
use crate::run_args::RunArgs;

/// Fine-tune a segmentation model on labelled photographs and evaluate it on test images.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  venule finetune --dataset drive=data/DRIVE --preset compact --save-dir runs/drive\n  venule finetune --train-images photos --train-masks labels --save-dir runs/own"
)]
pub struct Args {
    /// Data set as NAME=PATH, in its official layout and splits (drive, chase_db1, stare, hrf, fives,
    /// retina_blood_vessel, folder); several are joined. They take the place of those of the run file; one that it names too keeps
    /// its splits and scale from there. synthetic=any-camera (or drive-like) draws new photographs for every epoch, without files
    #[arg(long, num_args = 1..)]
    dataset: Vec<Data>,
    /// Folder of training photographs; the last fifth is kept for validation
    #[arg(long, requires = "train_masks", conflicts_with = "dataset")]
    train_images: Option<PathBuf>,
    /// Folder of their labels, paired by file name
    #[arg(long, requires = "train_images")]
    train_masks: Option<PathBuf>,
    /// Folder of their fields of view [default: they are detected]
    #[arg(long, requires = "train_images")]
    train_fovs: Option<PathBuf>,
    /// Folder of test photographs, evaluated at the end
    #[arg(long, requires = "test_masks")]
    test_images: Option<PathBuf>,
    /// Folder of their labels
    #[arg(long, requires = "test_images")]
    test_masks: Option<PathBuf>,
    /// Folder of their fields of view [default: they are detected]
    #[arg(long, requires = "test_images")]
    test_fovs: Option<PathBuf>,
    /// Weights of `pretrain`, or public MAE, RETFound, timm, DINO or Hugging Face weights (.safetensors, .pth), for the encoder;
    /// without --preset and --config the file decides the encoder's architecture
    #[arg(long)]
    pretrained_mae: Option<PathBuf>,
    /// Start from a trained segmentation model: bundled, bundled-fast, label-free, or a file that `finetune` wrote. Without --preset and
    /// --config its architecture and its way of seeing photographs are taken too
    #[arg(long, conflicts_with = "pretrained_mae")]
    from: Option<String>,
    /// Which of its variables are taken: all, all-but-head, encoder or decoder [default: all]
    #[arg(long, requires = "from")]
    from_parts: Option<String>,
    /// The key of these weights' file under which the encoder lies, such as teacher [default: the only one, or model, state_dict,
    /// teacher]
    #[arg(long, value_name = "KEY")]
    pretrained_key: Option<String>,
    /// Attention heads of these weights, which no file says [default: those of the public model of that width]
    #[arg(long, value_name = "HEADS")]
    pretrained_heads: Option<usize>,
    /// List tensors of these weights that find no place, instead of refusing the file
    #[arg(long)]
    allow_unused: bool,
    /// What takes the place of a final norm that these weights lack: refuse, fc-norm (the classifier's) or fresh [default: refuse]
    #[arg(long, value_parser = parse_missing_norm)]
    missing_norm: Option<MissingNormSetting>,
    /// Freeze the encoder: none, all, or the number of last blocks that stay trained [default: none]
    #[arg(long, value_parser = parse_freeze)]
    freeze_encoder: Option<Freeze>,
    /// Start with a frozen encoder and thaw one more block, from the last to the first, after every this many epochs
    #[arg(long, conflicts_with = "freeze_encoder")]
    unfreeze_every: Option<usize>,
    /// A preset of losses (thin-vessels, bce-dice, reference), a single loss, or terms as TOML:
    /// '{ terms = [{ kind = "tversky", weight = 2.5, alpha = 0.2, beta = 0.8 }, { kind = "bce" }] }' [default: the preset's]
    #[arg(long)]
    loss: Option<String>,
    /// Average the weights with this decay, for validation and the saved best and final weights [default: the preset's]
    #[arg(long)]
    ema: Option<f64>,
    /// Mark pixels above this probability [default: the threshold that maximises F1 on the validation images]
    #[arg(long)]
    threshold: Option<f32>,
    /// Take the whole frame as field of view
    #[arg(long)]
    full_frame: bool,
    /// Validate after every this many epochs, which is what a plateau's patience and early stopping count; 0 never does, and the
    /// last weights are tested [default: 1]
    #[arg(long)]
    validate_every: Option<usize>,
    /// Run folder: checkpoints, best weights, log and curve
    #[arg(long, default_value = "runs/finetune")]
    save_dir: PathBuf,
    #[command(flatten)]
    reading: ReadingArgs,
    #[command(flatten)]
    run: RunArgs,
}

/// What `--dataset` names.
#[derive(Clone, Debug)]
enum Data {
    Files(DatasetSpec),
    Synthetic(SyntheticRange),
}

impl FromStr for Data {
    type Err = venule::data::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("synthetic=") {
            Some(range) => range.parse().map(Self::Synthetic),
            None => text.parse().map(Self::Files),
        }
    }
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

fn parse_missing_norm(text: &str) -> Result<MissingNormSetting, String> {
    match text {
        "refuse" => Ok(MissingNormSetting::Refuse),
        "fc-norm" | "fc_norm" => Ok(MissingNormSetting::FcNorm),
        "fresh" => Ok(MissingNormSetting::Fresh),
        _ => Err("choose refuse, fc-norm or fresh".to_owned()),
    }
}

pub fn run(args: Args) -> AnyResult<ExitCode> {
    set_threads(args.run.threads)?;
    let run = configuration(&args)?;
    if run.unlabelled.is_empty()
        && run.synthetic.is_none()
        && run.data.iter().all(|data| data.train.is_empty())
    {
        return Err("nothing to train on; give --dataset NAME=PATH, --dataset synthetic=any-camera, --train-images and --train-masks, or --config with [[data]] or [synthetic]".into());
    }
    let registry = Registry::built_in();
    let train = |place: &Place| place.finetune(&run);
    args.run.train(&args.save_dir, &registry, false, train)
}

/// The data sets given by flags; one that the run file names once keeps its splits and scale.
fn data_sets<'a>(
    file: &[DataConfig],
    given: impl Iterator<Item = &'a DatasetSpec>,
) -> Vec<DataConfig> {
    let data_set = |spec: &DatasetSpec| {
        let is_it = |data: &&DataConfig| data.path.is_some() && data.name == spec.layout.name;
        let mut same = file.iter().filter(is_it);
        match (same.next(), same.next()) {
            (Some(data), None) => DataConfig {
                path: Some(spec.path.clone()),
                ..data.clone()
            },
            _ => DataConfig::from(spec),
        }
    };
    given.map(data_set).collect()
}

/// The synthetic photographs given by flags: how many there are is the run file's.
fn synthetic<'a>(
    file: Option<SyntheticConfig>,
    mut given: impl Iterator<Item = &'a SyntheticRange>,
) -> AnyResult<Option<SyntheticConfig>> {
    match (given.next(), given.next()) {
        (None, _) => Ok(None),
        (Some(range), None) => Ok(Some(SyntheticConfig {
            range: range.clone(),
            ..file.unwrap_or_default()
        })),
        (Some(_), Some(_)) => {
            Err("--dataset names two ranges of synthetic photographs; name one".into())
        }
    }
}

/// Whether a preset or a run file says the architecture.
fn decided(args: &Args) -> bool {
    args.run.preset.is_some() || args.run.config.is_some()
}

/// The configuration file, or the preset, with the flags that were given.
fn configuration(args: &Args) -> AnyResult<FinetuneConfig> {
    let mut run: FinetuneConfig = args.run.configuration()?;
    let import = &mut run.import;
    import.key = args.pretrained_key.clone().or(import.key.take());
    import.heads = args.pretrained_heads.or(import.heads);
    import.allow_unused |= args.allow_unused;
    import.missing_norm = args.missing_norm.unwrap_or(import.missing_norm);
    let begun = args.save_dir.join(RUN_FILE);
    let decides = !decided(args);
    match (&args.from, &args.pretrained_mae) {
        // A run that goes on has its model in its checkpoint, whatever has become of the weights it started from.
        (Some(_), _) | (_, Some(_)) if decides && args.run.resume && begun.is_file() => {
            let begun = FinetuneConfig::load(begun)?;
            (run.recipe.model, run.recipe.preprocess) =
                (begun.recipe.model, begun.recipe.preprocess);
            run.fov = begun.fov;
        }
        (Some(from), _) if decides => run = run.with_model_of(from, &Registry::built_in())?,
        (None, Some(path)) if decides => {
            let (with_encoder, said) = run.with_encoder_of(path)?;
            say!("encoder as in {}: {said}", path.display());
            run = with_encoder;
        }
        _ => {}
    }
    run.from = args.from.clone().or(run.from);
    if let Some(parts) = &args.from_parts {
        run = run.with("from_parts", parts)?;
    }
    if let Some(loss) = &args.loss {
        run = run.with("recipe.loss", loss)?;
    }
    if !args.dataset.is_empty() {
        let files = args.dataset.iter().filter_map(|data| match data {
            Data::Files(spec) => Some(spec),
            Data::Synthetic(_) => None,
        });
        run.data = data_sets(&run.data, files);
        let ranges = args.dataset.iter().filter_map(|data| match data {
            Data::Synthetic(range) => Some(range),
            Data::Files(_) => None,
        });
        run.synthetic = synthetic(run.synthetic, ranges)?;
    }
    if let Some(images) = &args.train_images {
        if !run.data.is_empty() {
            return Err(
                "--train-images stands beside the [[data]] of the run file; leave out one of them"
                    .into(),
            );
        }
        let (masks, fovs) = (args.train_masks.clone(), args.train_fovs.clone());
        run.data = vec![DataConfig::plain(images.clone(), masks, fovs)];
    }
    if let Some(images) = &args.test_images {
        run.data.iter_mut().for_each(|data| data.test.clear());
        let (masks, fovs) = (args.test_masks.clone(), args.test_fovs.clone());
        let test = DataConfig::plain(images.clone(), masks, fovs);
        run.data.push(test.for_test());
    }
    for data in &mut run.data {
        if !args.reading.label_value.is_empty() {
            let values = args.reading.label_value.iter();
            data.label_value = values.map(LabelValue::setting).collect();
        }
        data.allow_empty_labels |= args.reading.allow_empty_labels;
        data.allow_majority_labels |= args.reading.allow_majority_labels;
    }
    if args.full_frame {
        run.fov = FovPolicy::FullFrame;
    }
    run.pretrained = args.pretrained_mae.clone().or(run.pretrained);
    // Either flag takes the place of both settings of the file.
    if args.freeze_encoder.is_some() || args.unfreeze_every.is_some() {
        run.freeze = args.freeze_encoder.unwrap_or_default();
        run.unfreeze_every = args.unfreeze_every;
    }
    run.threshold = args.threshold.or(run.threshold);
    let recipe = &mut run.recipe;
    if let Some(decay) = args.ema {
        recipe.train.ema = Some(EmaConfig {
            decay,
            ..EmaConfig::default()
        });
    }
    let every = &mut recipe.train.validate_every;
    *every = args.validate_every.unwrap_or(*every);
    Ok(args.run.finish(run)?)
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

    /// The run that flags give over a run file.
    fn over(file: &str, flags: &[&str]) -> AnyResult<FinetuneConfig> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("run.toml");
        std::fs::write(&path, file)?;
        let mut all = vec!["finetune".as_ref(), "--config".as_ref(), path.as_os_str()];
        all.extend(flags.iter().map(std::ffi::OsStr::new));
        configuration(&Line::try_parse_from(all)?.args)
    }

    #[test]
    fn a_data_set_that_the_file_names_keeps_its_splits() {
        let file = "[[data]]\nname = 'drive'\npath = 'd'\ntrain = ['all']\nvalidation = []\ntest = []\nfov_diameter = 700";
        let run = over(file, &["--dataset", "drive=e", "stare=s"]).unwrap();
        let [drive, stare] = &run.data[..] else {
            panic!("{:?}", run.data);
        };
        assert_eq!(drive.path, Some("e".into()));
        assert_eq!(
            (&drive.train[..], drive.test.len()),
            (&["all".to_owned()][..], 0)
        );
        assert_eq!((drive.validation.len(), drive.fov_diameter), (0, Some(700)));
        assert_eq!(stare.path, Some("s".into()));
        assert_eq!(stare.train, ["train"]);
        // Which of two is meant cannot be known.
        let twice =
            format!("{file}\n[[data]]\nname = 'drive'\npath = 'f'\ntrain = []\nvalidation = []");
        let run = over(&twice, &["--dataset", "drive=e"]).unwrap();
        assert_eq!((run.data.len(), run.data[0].fov_diameter), (1, None));
    }

    #[test]
    fn synthetic_photographs_are_named_as_a_data_set_is() {
        let file = "[synthetic]\nphotographs = 5";
        let run = over(file, &["--dataset", "synthetic=drive-like", "drive=d"]).unwrap();
        let synthetic = run.synthetic.unwrap();
        assert_eq!(
            (synthetic.range.name(), synthetic.photographs),
            ("drive-like", 5)
        );
        assert_eq!((run.data.len(), run.data[0].name.as_str()), (1, "drive"));
        // Data sets take the place of all that the file names.
        assert_eq!(
            over(file, &["--dataset", "drive=d"]).unwrap().synthetic,
            None
        );
        let two = ["--dataset", "synthetic=drive-like", "synthetic=any-camera"];
        assert!(
            over(file, &two)
                .unwrap_err()
                .to_string()
                .contains("name one")
        );
    }

    #[test]
    fn the_folder_of_a_run_is_a_flag_and_resuming_may_be_a_setting() {
        // Version 0.1 had both among the settings of the training.
        for table in ["run", "recipe.train"] {
            let error = over("", &["--set", &format!("{table}.directory=a")]).unwrap_err();
            assert!(error.to_string().contains("--save-dir"), "{error}");
            let run = over("", &["--set", &format!("{table}.resume=true")]).unwrap();
            assert!(run.run.resume);
        }
        assert!(!over("", &[]).unwrap().run.resume);
    }

    #[test]
    fn a_flag_beats_what_the_file_says_of_freezing() {
        let run = over("unfreeze_every = 3", &["--freeze-encoder", "2"]).unwrap();
        assert_eq!((run.freeze, run.unfreeze_every), (Freeze::AllBut(2), None));
        let run = over("freeze = 'all'", &["--unfreeze-every", "4"]).unwrap();
        assert_eq!((run.freeze, run.unfreeze_every), (Freeze::None, Some(4)));
        let run = over("unfreeze_every = 3", &[]).unwrap();
        assert_eq!((run.freeze, run.unfreeze_every), (Freeze::None, Some(3)));
    }

    #[test]
    fn flags_go_before_the_file_and_settings_before_flags() {
        let file = "preset = 'tiny'\n[recipe.train]\nepochs = 3\nbase_learning_rate = 0.1";
        let flags = [
            "--epochs",
            "4",
            "--batch-size",
            "9",
            "--learning-rate",
            "2e-4",
        ];
        let run = over(file, &flags).unwrap();
        let train = &run.recipe.train;
        assert_eq!((train.epochs, run.recipe.batch_size), (4, 9));
        // A rate given by hand takes the place of the one to be scaled.
        assert_eq!(
            (train.learning_rate, train.base_learning_rate),
            (2e-4, None)
        );
        let set = [
            "--epochs",
            "4",
            "--set",
            "recipe.train.epochs=5",
            "--set",
            "recipe.train.clip_norm=none",
        ];
        let run = over(file, &set).unwrap();
        let train = &run.recipe.train;
        assert_eq!((train.epochs, train.clip_norm), (5, None));
        assert_eq!(train.base_learning_rate, Some(0.1));
        let error = over(file, &["--set", "recipe.train.epoch=5"]).unwrap_err();
        assert!(
            error.to_string().contains("did you mean 'epochs'?"),
            "{error}"
        );
        assert!(over(file, &["--set", "epochs"]).is_err());
    }

    #[test]
    fn folders_of_images_do_not_mix_with_the_data_of_the_file() {
        let plain = ["--train-images", "a", "--train-masks", "b"];
        let run = over("", &plain).unwrap();
        assert_eq!(
            run.data,
            [DataConfig::plain("a".into(), Some("b".into()), None)]
        );
        let drive = "[[data]]\nname = 'drive'\npath = 'd'";
        let error = over(drive, &plain).unwrap_err();
        assert!(
            error.to_string().contains("leave out one of them"),
            "{error}"
        );
        // Test images take the place of the file's test splits.
        let run = over(drive, &["--test-images", "a", "--test-masks", "b"]).unwrap();
        let tests: Vec<_> = run.data.iter().map(|data| data.test.as_slice()).collect();
        assert_eq!(tests, [&[][..], &["all".to_owned()]]);
    }
}
