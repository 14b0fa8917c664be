//! Run files: what they may say, and that what they write says everything.

use std::path::Path;

use venule::candle_core::Device;
use venule::data::{CropCentre, Dataset, Jitter, Preprocess, full_frame, mask_image, write_png};
use venule::mae::VitConfig;
use venule::train::{EmaConfig, PlateauConfig, Schedule, Task};
use venule::{ImageRecord, PretrainRecipe, Recipe, Registry};
use venule_lab::{FinetuneConfig, Place, PretrainConfig, Purpose, RunFile};

use crate::support::write_folder;

const PRESETS: [&str; 3] = ["seed", "compact", "tiny"];

/// What it writes reads back as itself, with the same text.
#[track_caller]
fn assert_round_trip<R: RunFile + PartialEq + std::fmt::Debug>(run: &R) {
    let text = run.to_toml().unwrap();
    let again = R::parse_toml(&text).unwrap();
    assert_eq!(&again, run);
    assert_eq!(again.to_toml().unwrap(), text);
}

#[test]
fn every_schedule_can_be_chosen_on_every_preset() {
    let polynomial = Schedule::Polynomial {
        power: 0.9,
        min_lr: 0.0,
    };
    let plateau = Schedule::ReduceOnPlateau(PlateauConfig::default());
    let kinds = [
        ("kind = 'constant'", Schedule::Constant),
        (
            "kind = 'cosine', min_lr = 1e-5",
            Schedule::Cosine { min_lr: 1e-5 },
        ),
        ("kind = 'polynomial', power = 0.9", polynomial),
        ("kind = 'reduce_on_plateau'", plateau),
    ];
    for preset in PRESETS {
        for (settings, expected) in &kinds {
            let file = format!("preset = '{preset}'\n[recipe.train]\nschedule = {{ {settings} }}");
            let run: FinetuneConfig = file.parse().unwrap();
            assert_eq!(&run.recipe.train.schedule, expected, "{preset}: {settings}");
            assert_round_trip(&run);
            let changed = FinetuneConfig::preset(preset).unwrap();
            let changed = changed.with("recipe.train.schedule", &format!("{{ {settings} }}"));
            assert_eq!(changed.unwrap(), run);
            let pretraining: PretrainConfig = file.parse().unwrap();
            assert_eq!(&pretraining.recipe.train.schedule, expected);
            // From any kind to any other.
            for (others, other) in &kinds {
                let next = run.with("recipe.train.schedule", &format!("{{ {others} }}"));
                let found = next.unwrap().recipe.train.schedule;
                // Of the same kind only what is named changes.
                if settings != others {
                    assert_eq!(&found, other, "{settings}, then {others}");
                }
            }
        }
    }
    // A setting of the preset's own kind is changed alone.
    let run: FinetuneConfig = "[recipe.train.schedule]\nmin_lr = 0.25".parse().unwrap();
    let expected = Schedule::Cosine { min_lr: 0.25 };
    assert_eq!(run.recipe.train.schedule, expected);
}

#[test]
fn what_is_optional_can_be_switched_off() {
    let text = "preset = 'compact'\n[recipe.train]\nclip_norm = 'none'\nema = 'none'\n[recipe.preprocess]\nresize = 'none'";
    let run: FinetuneConfig = text.parse().unwrap();
    let preset = FinetuneConfig::preset("compact").unwrap();
    assert!(preset.recipe.train.clip_norm.is_some() && preset.recipe.preprocess.resize.is_some());
    let (train, preprocess) = (&run.recipe.train, &run.recipe.preprocess);
    assert_eq!((train.clip_norm, train.ema), (None, None));
    assert_eq!(*preprocess, Preprocess::default());
    assert_round_trip(&run);
    let written = run.to_toml().unwrap();
    for line in [
        "clip_norm = \"none\"",
        "resize = \"none\"",
        "pretrained = \"none\"",
    ] {
        assert!(written.contains(line), "{written}");
    }
    // On, off and on again, with and without quotes; "none" stays the name of a choice where it is one.
    let on = run.with("recipe.train.ema", "{ decay = 0.5 }").unwrap();
    let decay = |run: &FinetuneConfig| run.recipe.train.ema.map(|ema: EmaConfig| ema.decay);
    assert_eq!(decay(&on), Some(0.5));
    let on = on.with("recipe.train.ema.decay", "0.75").unwrap();
    assert_eq!(decay(&on), Some(0.75));
    assert_round_trip(&on);
    for none in ["none", "\"none\""] {
        assert_eq!(decay(&on.with("recipe.train.ema", none).unwrap()), None);
        let resized = on
            .with("recipe.preprocess.resize", "{ square = 64 }")
            .unwrap();
        assert!(resized.recipe.preprocess.resize.is_some());
        let native = resized.with("recipe.preprocess.resize", none).unwrap();
        assert_eq!(native.recipe.preprocess.resize, None);
        assert_eq!(on.with("freeze", none).unwrap(), on);
    }
}

#[test]
fn every_preset_reads_back_as_itself() {
    for preset in PRESETS {
        assert_round_trip(&FinetuneConfig::preset(preset).unwrap());
        assert_round_trip(&PretrainConfig::preset(preset).unwrap());
    }
    // A preset without an encoder.
    let unet = FinetuneConfig::preset("unet").unwrap();
    assert_round_trip(&unet);
    assert!(PretrainConfig::preset("unet").is_err());
}

#[test]
fn one_setting_is_changed_by_its_path() {
    let run = FinetuneConfig::preset("tiny").unwrap();
    let with = |key: &str, value: &str| run.with(key, value);
    assert_eq!(with("recipe.batch_size", "7").unwrap().recipe.batch_size, 7);
    assert_eq!(with("threshold", "0.25").unwrap().threshold, Some(0.25));
    let pretrained = with("pretrained", "runs/mae/final.safetensors").unwrap();
    assert_eq!(
        pretrained.pretrained.as_deref(),
        Some(Path::new("runs/mae/final.safetensors"))
    );
    let centred = with(
        "recipe.augment.centre",
        "{ vessel = { probability = 0.5 } }",
    )
    .unwrap();
    let expected = CropCentre::Vessel { probability: 0.5 };
    assert_eq!(centred.recipe.augment.centre, expected);
    assert_round_trip(&centred);
    for (key, value) in [
        ("recipe.batch", "7"),
        ("recipe.batch_size", "seven"),
        ("recipe.batch_size", "7\nworkers = 2"),
        ("recipe.batch_size", ""),
        ("recipe.train.ema", "{ decay = "),
        ("", "1"),
        ("recipe..crop", "1"),
        // Everything else has come from the present one.
        ("preset", "unet"),
    ] {
        let error = with(key, value).unwrap_err().to_string();
        assert!(
            error.starts_with("run configuration: "),
            "{key} = {value}: {error}"
        );
    }
    let colored = with(
        "recipe.color.hue",
        "{ probability = 0.5, min = -9.0, max = 9.0 }",
    )
    .unwrap();
    assert_eq!(colored.recipe.color.hue, Jitter::sometimes(0.5, -9.0, 9.0));
    assert_round_trip(&colored);
    let terms = with("recipe.loss", "{ terms = { bce = 0.0 } }").unwrap();
    let registry = Registry::built_in();
    assert!(registry.losses().build(&terms.recipe.loss).is_err());
}

#[test]
fn what_a_run_file_may_not_say() {
    let refused = |text: &str, said: &str| {
        let error = text.parse::<FinetuneConfig>().unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    };
    refused("[recipe.trian]\nepochs = 1", "did you mean 'train'?");
    refused("[recipe.train]\nepochs = -1", "recipe.train.epochs");
    refused(
        "[recipe.train.schedule]\nkind = 'stairs'",
        "recipe.train.schedule",
    );
    refused("preset = \"compcat\"", "compact, unet, tiny, seed");
    refused("preset = 3", "must be a name");
    // Before anything is trained, not when its turn comes.
    refused("threshold = 1.5", "a probability threshold lies in [0, 1]");
    refused("[recipe.train]\nclip_norm = -1.0", "clip_norm");
    refused("[recipe.train]\nema = { decay = 1.5 }", "ema.decay");
    refused(
        "[recipe.preprocess]\nresize = { square = 0 }",
        "Resize::Square",
    );
    refused(
        "[recipe.augment]\nflip_horizontal = 1.5",
        "Augment::flip_horizontal",
    );
    refused(
        "[recipe.color]\nhue = { probability = 1.0, min = 0.0, max = 400.0 }",
        "ColorJitter::hue",
    );
    refused("cache_mib = 1048577", "0 (nothing is kept) to 1048576 MiB");
    refused("cache_mib = -1", "cache_mib");
    refused("preset = ", "TOML");
    refused(
        "[[data]]\nname = \"drvie\"\npath = \"x\"",
        "did you mean 'drive'?",
    );
    let twice = "[[data]]\nname = \"drive\"\npath = \"x\"\ntrain = [\"train\", \"test\"]";
    refused(twice, "each image may serve once");
    let all = "[[data]]\nname = \"drive\"\npath = \"x\"\ntrain = [\"all\"]\nvalidation = []";
    refused(all, "each image may serve once");
    refused("[[data]]\nname = 'drive'", "needs a path");
    refused("[[data]]\npath = 'x'\nimages = 'y'", "exclude each other");
    refused("[[data]]\npath = 'x'\nmasks = 'y'", "go with images");
    refused(
        "[[data]]\nname = 'drive'\nimages = 'y'",
        "have the name 'folder'",
    );
    refused("unlabelled = 'clinic'", r#"write it as a list, ["clinic"]"#);
    refused(
        "unlabelled = ['clinic']\nteachers = ['bundled', 'label-free', 'bundled']",
        "each teacher is asked once",
    );
    refused(
        "[synthetic]\nphotographs = 0",
        "synthetic photographs in an epoch is 0",
    );
    for (range, said) in [
        ("blur = [2, 1]", "synthetic.range.blur is [2, 1]"),
        ("rim = 2", "synthetic.range.rim is 2"),
        ("red = [100, 300]", "synthetic.range.red is 300"),
        ("width = [9000, 9000]", "synthetic.range.width is 9000"),
    ] {
        refused(&format!("[synthetic.range]\n{range}"), said);
    }
    let missing = FinetuneConfig::load("nowhere/run.toml")
        .unwrap_err()
        .to_string();
    assert!(missing.contains("nowhere/run.toml"), "{missing}");
    let pretraining = "[recipe]\nmask_ration = 0.5".parse::<PretrainConfig>();
    let error = pretraining.unwrap_err().to_string();
    assert!(error.contains("did you mean 'mask_ratio'?"), "{error}");
    let pretraining = "[recipe.augment]\nflip_vertical = -1.0".parse::<PretrainConfig>();
    let error = pretraining.unwrap_err().to_string();
    assert!(error.contains("Augment::flip_vertical"), "{error}");
}

#[test]
fn the_reference_recipe_waits_ten_epochs_for_a_better_score() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let train = FinetuneConfig::load(folder.join("seed.toml"))
        .unwrap()
        .recipe
        .train;
    let Schedule::ReduceOnPlateau(plateau) = train.schedule else {
        panic!("{:?}", train.schedule);
    };
    assert_eq!(plateau.factor, 0.5);
    // The patience is borne, and the validation after it lowers the rate.
    assert_eq!((plateau.patience + 1) * train.validate_every, 10);
}

#[test]
fn images_of_several_folders_have_names_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    for set in ["one", "two"] {
        for part in ["train", "test"] {
            let root = folder.path().join(set).join(part);
            write_folder(&root);
        }
    }
    let at = |set: &str| folder.path().join(set).display().to_string();
    let (one, two) = (at("one"), at("two"));
    let registry = Registry::built_in();
    let task = |run: &FinetuneConfig| run.task(&registry, &Device::Cpu).unwrap().0;
    let names = |images: &[ImageRecord]| -> Vec<String> {
        images.iter().map(|image| image.name.clone()).collect()
    };
    let ids = |data: &[(&str, &str)]| {
        let sets = data.iter().map(|(path, train)| {
            format!("[[data]]\npath = {path:?}\ntrain = {train}\nvalidation = []\ntest = []\n")
        });
        let run: FinetuneConfig = sets.collect::<String>().parse().unwrap();
        let files = run.files(Purpose::Train).unwrap();
        let ids = files.files().iter().map(|files| files.id.clone());
        (ids.collect::<Vec<_>>(), run)
    };
    let train = r#"["train"]"#;
    let (both, run) = ids(&[(&one, train), (&two, train)]);
    assert_eq!(both, ["folder_a", "folder-2_a"]);
    assert_eq!(names(&task(&run).checkpoint().provenance.images), both);
    // Images of the two parts have equal numbers.
    let (parts, run) = ids(&[(&one, r#"["train", "validation", "test"]"#)]);
    let expected = ["folder_a", "folder_b", "folder_test_a", "folder_test_b"];
    assert_eq!(parts, expected);
    assert_eq!(names(&task(&run).checkpoint().provenance.images), expected);
    // A folder has one name, whatever it serves.
    let text = format!(
        "preset = 'tiny'\n[[data]]\npath = {one:?}\nvalidation = []\ntest = []\n[[data]]\npath = {two:?}\ntest = []\n"
    );
    let run: FinetuneConfig = text.parse().unwrap();
    let mut task = task(&run);
    task.validate(0).unwrap();
    let provenance = task.checkpoint().provenance;
    assert_eq!(names(&provenance.images), both);
    assert_eq!(names(&provenance.threshold_images), ["folder-2_b"]);
    // One folder, listed twice, is one set.
    let (listed, _) = ids(&[(&one, train), (&one, r#"["test"]"#)]);
    assert_eq!(listed, ["folder_a", "folder_test_a", "folder_test_b"]);
}

#[test]
fn the_cache_has_a_size() {
    let run: FinetuneConfig = "preset = 'tiny'\ncache_mib = 0".parse().unwrap();
    assert_eq!(run.cache_mib, 0);
    let of = |text: &str| text.parse::<PretrainConfig>().unwrap().cache_mib;
    assert_eq!((of(""), of("cache_mib = 7")), (3072, 7));
    assert_eq!(FinetuneConfig::preset("tiny").unwrap().cache_mib, 2048);
}

#[test]
fn two_ways_of_freezing_exclude_each_other() {
    let run = "preset = 'tiny'\nfreeze = 'all'\nunfreeze_every = 2".parse::<FinetuneConfig>();
    let error = run.unwrap_err().to_string();
    assert!(error.contains("either freeze or unfreeze_every"), "{error}");
}

#[test]
fn pretraining_sees_photographs_as_the_fine_tuning_after_it() {
    for preset in PRESETS {
        let (pretraining, finetuning) = (
            PretrainRecipe::preset(preset).unwrap(),
            Recipe::preset(preset).unwrap(),
        );
        assert_eq!(pretraining.preprocess, finetuning.preprocess, "{preset}");
        assert_eq!(pretraining.crop, finetuning.crop, "{preset}");
        let encoder = finetuning.model.encoder;
        assert_eq!(pretraining.model.encoder, encoder, "{preset}");
        let encoder: VitConfig = encoder.settings().unwrap();
        assert!(pretraining.crop.is_multiple_of(encoder.patch_size));
        // The target is the crop itself: a change of its intensity would only change the target.
        let augment = pretraining.augment;
        for jitter in [
            augment.contrast,
            augment.brightness,
            augment.noise,
            augment.gamma,
            augment.jpeg,
        ] {
            assert_eq!(jitter, venule::data::Jitter::NEVER);
        }
        assert!(augment.rotation != venule::data::Jitter::NEVER);
    }
}

#[test]
fn the_files_that_are_shown_and_given_are_understood() {
    let guide = include_str!("../../docs/training.md");
    let blocks: Vec<&str> = guide.split("```toml\n").skip(1).collect();
    let blocks: Vec<&str> = blocks
        .iter()
        .filter_map(|b| b.split("```").next())
        .collect();
    let [finetuning, pretraining, excerpts @ ..] = &blocks[..] else {
        panic!("{} TOML blocks", blocks.len());
    };
    for excerpt in excerpts {
        excerpt.parse::<FinetuneConfig>().unwrap();
    }
    let run: FinetuneConfig = finetuning.parse().unwrap();
    assert_eq!((run.recipe.train.clip_norm, run.data.len()), (None, 2));
    let run: PretrainConfig = pretraining.parse().unwrap();
    assert_eq!(run.recipe.train.base_learning_rate, Some(1.5e-3));
    assert_eq!(run.recipe.model.encoder.config["depth"], 8);

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut read = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        // A grid names run files; the program that trains it reads it.
        if text.contains("[[variant]]") {
            continue;
        }
        let problem = match path.to_string_lossy().contains("pretrain") {
            true => PretrainConfig::load(&path).err(),
            false => FinetuneConfig::load(&path).err(),
        };
        assert!(problem.is_none(), "{problem:?}");
        read += 1;
    }
    assert!(read > 3);
}

#[test]
fn files_of_version_0_1_say_among_the_settings_of_training_where_and_how_long_it_runs() {
    let old = "[recipe.train]\nkeep = 5\nmax_minutes = 3\ncheckpoint_every_steps = 7\ndirectory = 'none'\nresume = false\nseed = 9";
    let run: FinetuneConfig = old.parse().unwrap();
    let options = &run.run;
    assert_eq!((options.keep, options.max_minutes), (5, Some(3.0)));
    assert_eq!(options.checkpoint_every_steps, Some(7));
    assert_eq!((&options.directory, options.resume), (&None, false));
    assert_eq!(run.recipe.train.seed, 9);
    assert_round_trip(&run);
    let run = run.with("recipe.train.keep", "1").unwrap();
    assert_eq!((run.run.keep, run.run.max_minutes), (1, Some(3.0)));
    let run: PretrainConfig = "[recipe.train]\nkeep = 4\n[run]\nmax_minutes = 2"
        .parse()
        .unwrap();
    assert_eq!((run.run.keep, run.run.max_minutes), (4, Some(2.0)));
}

/// Small pictures under these names.
fn write(folder: &Path, names: &[&str]) {
    for name in names {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        write_png(path, mask_image(&full_frame((4, 3))).unwrap()).unwrap();
    }
}

#[test]
fn what_cannot_be_tested_is_trained_on_all_the_same_and_a_wrong_path_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display();
    let registry = Registry::built_in();
    let run = |data: &str| {
        let text = format!("preset = 'tiny'\n[[data]]\n{data}");
        text.parse::<FinetuneConfig>().unwrap()
    };
    let test_images = |run: &FinetuneConfig| Place::new(folder.path(), &registry).test_images(run);
    // DRIVE as its site gives it: test images without labels.
    let part = |part: &str, kind: &str, id: u32| format!("drive/{part}/{kind}/{id:02}.png");
    for id in 21..=40 {
        for kind in ["images", "1st_manual", "mask"] {
            write(folder.path(), &[&part("training", kind, id)]);
        }
    }
    for kind in ["images", "mask"] {
        write(folder.path(), &[&part("test", kind, 1)]);
    }
    let drive = run(&format!("name = 'drive'\npath = '{root}/drive'"));
    assert!(test_images(&drive).unwrap().is_none());
    write(folder.path(), &[&part("test", "1st_manual", 1)]);
    assert_eq!(test_images(&drive).unwrap().unwrap().len(), 1);

    // A folder without a part to test on, and one whose part has no images.
    let names = ["own/train/images/a.png", "own/train/masks/a.png"];
    write(folder.path(), &names);
    let own = run(&format!("name = 'folder'\npath = '{root}/own'"));
    assert!(test_images(&own).unwrap().is_none());

    let wrong = run(&format!("name = 'folder'\npath = '{root}/owm'"));
    assert!(test_images(&wrong).is_err());
    let test = format!("images = '{root}/nowhere'\nmasks = '{root}/nowhere'");
    let roles = "train = []\nvalidation = []\ntest = ['all']";
    assert!(test_images(&run(&format!("{test}\n{roles}"))).is_err());
}
