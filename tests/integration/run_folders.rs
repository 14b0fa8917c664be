//! What trainings leave in their folders, and what they make of what they find there.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use venule::data::{mask_image, write_png};
use venule::train::{BEST_FILE, FINAL_FILE, LOG_FILE, LogLine, Outcome, Report};
use venule::{ImageRecord, Registry, Segmenter};
use venule_lab::{
    DataConfig, FinetuneConfig, Place, PretrainConfig, Purpose, Result, RunFile, read_log,
};

use crate::support::photograph;
use crate::training::assert_same_file;

/// A folder data set of synthetic photographs: six to train and validate on, one to test.
pub fn labelled_folder(root: &Path) {
    for (part, indices) in [("train", 0..6), ("test", 6..7)] {
        for kind in ["images", "masks", "fovs"] {
            fs::create_dir_all(root.join(part).join(kind)).unwrap();
        }
        for index in indices {
            let sample = photograph(96, index);
            let path = |kind: &str| root.join(part).join(kind).join(format!("{index}.png"));
            write_png(path("images"), sample.image.clone()).unwrap();
            for (kind, mask) in [("masks", sample.label), ("fovs", sample.fov)] {
                write_png(path(kind), mask_image(&mask.unwrap()).unwrap()).unwrap();
            }
        }
    }
}

/// A short fine-tuning on such a folder: two epochs of two steps.
pub fn run_on(data: &Path) -> FinetuneConfig {
    let run: FinetuneConfig = "preset = 'tiny'\n[recipe]\ncrop = 64\ncrops_per_image = 1\n\
         loss = { terms = { bce = 1.0, focal = 0.5 } }\n[recipe.train]\nepochs = 2"
        .parse()
        .unwrap();
    let mut data = DataConfig::from(&format!("folder={}", data.display()).parse().unwrap());
    data.test = vec!["test".to_owned()];
    FinetuneConfig {
        data: vec![data],
        ..run
    }
}

#[test]
fn a_data_set_of_its_own_diameter_is_trained_and_tested_at_it() {
    let root = tempfile::tempdir().unwrap();
    labelled_folder(root.path());
    let run = |diameter| {
        let mut run = run_on(root.path());
        run.data[0].fov_diameter = diameter;
        run
    };
    for purpose in Purpose::ALL {
        let files = run(Some(70)).files(purpose).unwrap();
        let diameters = files.files().iter().map(|files| files.fov_diameter);
        assert!(diameters.eq(files.files().iter().map(|_| Some(70))));
    }
    let error = run(Some(4)).validate().unwrap_err().to_string();
    assert!(error.contains("between 16 and 8192 pixels"), "{error}");
    let weights = [None, Some(70)].map(|diameter| {
        let folder = root.path().join(format!("{diameter:?}"));
        finetune_in(&run(diameter), &folder).unwrap();
        fs::read(folder.join(FINAL_FILE)).unwrap()
    });
    assert_ne!(weights[0], weights[1]);
}

fn finetune_in(run: &FinetuneConfig, folder: &Path) -> Result<Report> {
    Place::new(folder, &Registry::built_in()).finetune(run)
}

fn pretrain_in(run: &PretrainConfig, folder: &Path) -> Result<Report> {
    Place::new(folder, &Registry::built_in()).pretrain(run)
}

fn resuming<R: RunFile>(run: &R) -> R {
    let mut run = run.clone();
    run.options_mut().resume = true;
    run
}

struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        let scratch = Self(tempfile::tempdir().unwrap());
        labelled_folder(&scratch.path("data"));
        scratch
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self) -> FinetuneConfig {
        run_on(&self.path("data"))
    }
}

fn text(folder: &Path, file: &str) -> String {
    fs::read_to_string(folder.join(file)).unwrap()
}

#[test]
fn the_record_of_a_run_repeats_it_to_the_byte() {
    let scratch = Scratch::new();
    let (first, again) = (scratch.path("first"), scratch.path("again"));
    finetune_in(&scratch.run(), &first).unwrap();
    let run = FinetuneConfig::load(first.join("run.toml")).unwrap();
    finetune_in(&run, &again).unwrap();
    assert_same_file(FINAL_FILE, &first, &again);
    for record in ["run.toml", "data.tsv", "machine.json", "test.json"] {
        // Seconds are in the numbers of the test.
        let [a, b] = [&first, &again].map(|folder| text(folder, record));
        let same = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| !line.contains("seconds"));
            lines.map(str::to_owned).collect()
        };
        assert_eq!(same(&a), same(&b), "{record}");
    }
    // The weights say what they were trained on and what their threshold was chosen on, with the data set.
    let segmenter = Segmenter::from_file(first.join(FINAL_FILE)).unwrap();
    let provenance = &segmenter.checkpoint().provenance;
    let trained_on = ["folder_0", "folder_1", "folder_2", "folder_3", "folder_4"];
    let names = |images: &[ImageRecord]| -> Vec<String> {
        images.iter().map(|image| image.name.clone()).collect()
    };
    assert_eq!(names(&provenance.images), trained_on);
    assert_eq!(names(&provenance.threshold_images), ["folder_5"]);
    let data = text(&first, "data.tsv");
    assert_eq!(data.lines().count(), 1 + 5 + 1 + 1);
    let test: Vec<&str> = data.lines().last().unwrap().split('\t').collect();
    assert_eq!((test[0], test[1], test.len()), ("test", "6", 8));
    // Image, label and field of view, each with a checksum.
    assert!([3, 5, 7].iter().all(|at| test[*at].len() == 8), "{test:?}");
    assert!(text(&first, "machine.json").contains("\"device\": \"cpu\""));
}

#[test]
fn a_pretraining_is_recorded_repeated_and_handed_on() {
    let scratch = Scratch::new();
    let run: PretrainConfig = "preset = 'tiny'\n[recipe]\ncrop = 64\nbatch_size = 2\nvessel_weight = 1.0\nmask_ratio = 0.6\n\
         [recipe.model.encoder]\ndepth = 2\n[recipe.train]\nepochs = 2\nbase_learning_rate = 0.05"
        .parse()
        .unwrap();
    let run = PretrainConfig {
        data: vec![DataConfig::unlabelled(scratch.path("data/train/images"))],
        ..run
    };
    let (first, again) = (scratch.path("first"), scratch.path("again"));
    let registry = Registry::built_in();
    let watched = |folder| Place {
        tensorboard: true,
        ..Place::new(folder, &registry)
    };
    let report = watched(&first).pretrain(&run).unwrap();
    assert_eq!((report.outcome, report.steps), (Outcome::Completed, 6));
    let run = PretrainConfig::load(first.join("run.toml")).unwrap();
    pretrain_in(&run, &again).unwrap();
    assert_same_file(FINAL_FILE, &first, &again);
    assert_eq!(text(&first, "data.tsv").lines().count(), 1 + 6);
    assert!(first.join("reconstructions.png").is_file());
    let lines = read_log(&first.join(LOG_FILE)).unwrap();
    // 0.05 · 2 / 256 after warm-up, which starts at a hundredth of it.
    let LogLine::Step { lr, clock, .. } = &lines[0] else {
        panic!("{lines:?}");
    };
    assert!((lr - 0.01 * 0.05 * 2.0 / 256.0).abs() < 1e-12, "{lr}");
    assert_eq!(clock.peak_memory_mb.is_some(), cfg!(target_os = "linux"));

    // Pictures for TensorBoard after each epoch.
    let events = fs::read_dir(first.join("tensorboard"))
        .unwrap()
        .next()
        .unwrap();
    let events = fs::read(events.unwrap().path()).unwrap();
    let count = |what: &[u8]| events.windows(what.len()).filter(|w| *w == what).count();
    assert_eq!(count(b"original_masked_reconstructed"), 2);
    assert_eq!(count(b"\x89PNG\r\n"), 2);
    assert_eq!(count(b"epoch/loss"), 2);

    // Its weights are recorded by the fine-tuning that starts from them.
    let weights = first.join(FINAL_FILE);
    let run = FinetuneConfig {
        pretrained: Some(weights.clone()),
        ..scratch
            .run()
            .with("recipe.model.encoder.depth", "2")
            .unwrap()
    };
    let tuned = scratch.path("tuned");
    watched(&tuned).finetune(&run).unwrap();
    let row = text(&tuned, "data.tsv");
    let row = row.lines().last().unwrap();
    assert!(
        row.starts_with(&format!("pretrained\t\t{}\t", weights.display())),
        "{row}"
    );
    let events = fs::read_dir(tuned.join("tensorboard"))
        .unwrap()
        .next()
        .unwrap();
    let events = fs::read(events.unwrap().path()).unwrap();
    let overlays = events
        .windows(19)
        .filter(|w| *w == b"validation/folder_5")
        .count();
    assert_eq!(overlays, 2);
}

#[test]
fn plain_folders_are_recorded_and_repeated() {
    let scratch = Scratch::new();
    let part = |part: &str, kind: &str| scratch.path("data").join(part).join(kind);
    let plain = |name: &str| {
        DataConfig::plain(
            part(name, "images"),
            Some(part(name, "masks")),
            Some(part(name, "fovs")),
        )
    };
    let run = FinetuneConfig {
        data: vec![plain("train"), plain("test").for_test()],
        ..scratch.run()
    };
    run.validate().unwrap();
    let (first, again) = (scratch.path("first"), scratch.path("again"));
    finetune_in(&run, &first).unwrap();
    let data = text(&first, "data.tsv");
    let purposes: Vec<&str> = data
        .lines()
        .skip(1)
        .map(|l| l.split('\t').next().unwrap())
        .collect();
    assert_eq!(
        purposes,
        [
            "train",
            "train",
            "train",
            "train",
            "train",
            "validation",
            "test"
        ]
    );
    let written = FinetuneConfig::load(first.join("run.toml")).unwrap();
    assert_eq!(written, run);
    finetune_in(&written, &again).unwrap();
    assert_same_file(FINAL_FILE, &first, &again);
    assert!(again.join("test.json").is_file());
}

#[test]
fn a_run_goes_on_only_with_the_images_it_was_begun_with() {
    let scratch = Scratch::new();
    let folder = scratch.path("run");
    let mut short = scratch.run();
    short.recipe.train.max_steps = Some(1);
    finetune_in(&short, &folder).unwrap();
    let longer = resuming(&scratch.run());
    // Another label for one of the training images.
    let masks = scratch.path("data/train/masks");
    let old = fs::read(masks.join("2.png")).unwrap();
    fs::copy(masks.join("3.png"), masks.join("2.png")).unwrap();
    let before = text(&folder, "data.tsv");
    let error = finetune_in(&longer, &folder).unwrap_err().to_string();
    assert!(
        error.contains("the label of train image 'folder_2'"),
        "{error}"
    );
    // It names the folder, and no part of the program.
    let named = error.starts_with(&folder.display().to_string());
    assert!(named && !error.contains("callback"), "{error}");
    assert_eq!(text(&folder, "data.tsv"), before);
    fs::write(masks.join("2.png"), old).unwrap();
    // The same images somewhere else, and other settings: the old settings are kept.
    let moved = scratch.path("moved");
    fs::rename(scratch.path("data"), &moved).unwrap();
    let moved = FinetuneConfig {
        data: run_on(&moved).data,
        ..longer
    };
    let report = finetune_in(&moved, &folder).unwrap();
    assert_eq!(report.outcome, Outcome::Completed);
    assert_eq!(
        FinetuneConfig::load(folder.join("run.1.toml")).unwrap(),
        short
    );
    assert_eq!(
        FinetuneConfig::load(folder.join("run.toml")).unwrap(),
        moved.repeatable()
    );
    assert_eq!(text(&folder, "data.1.tsv"), before);
    assert!(!folder.join("machine.1.json").exists());
    // Once more with nothing changed: nothing is written anew.
    finetune_in(&moved, &folder).unwrap();
    assert!(!folder.join("run.2.toml").exists());
}

#[test]
fn without_validation_the_last_weights_are_tested() {
    let scratch = Scratch::new();
    let folder = scratch.path("run");
    let run = scratch
        .run()
        .with("recipe.train.validate_every", "0")
        .unwrap();
    let report = finetune_in(&run, &folder).unwrap();
    assert_eq!(report.best_path, None);
    assert!(!folder.join(BEST_FILE).exists());
    let numbers: serde_json::Value = serde_json::from_str(&text(&folder, "test.json")).unwrap();
    assert_eq!(numbers["per_image"].as_array().unwrap().len(), 1);
    assert_eq!(report.outcome, Outcome::Completed);
}

#[test]
fn a_run_out_of_time_is_not_tested_as_if_it_were_finished() {
    let scratch = Scratch::new();
    let folder = scratch.path("run");
    let run = scratch.run().with("run.max_minutes", "1e-9").unwrap();
    let report = finetune_in(&run, &folder).unwrap();
    assert_eq!(report.outcome, Outcome::TimeUp);
    assert!(!folder.join("test.json").exists());
    let run = resuming(&scratch.run());
    assert_eq!(
        finetune_in(&run, &folder).unwrap().outcome,
        Outcome::Completed
    );
    assert!(folder.join("test.json").exists());
}

#[test]
fn a_photograph_under_two_names_serves_once() {
    let scratch = Scratch::new();
    let folder = scratch.path("run");
    let refused = |run: &FinetuneConfig| {
        let error = finetune_in(run, &folder).unwrap_err().to_string();
        assert!(error.contains("each image may serve once"), "{error}");
        assert!(!folder.exists());
        error
    };
    // One folder by two paths.
    let part = |kind: &str| scratch.path("data/train").join(kind);
    let plain = |images| DataConfig::plain(images, Some(part("masks")), Some(part("fovs")));
    let again = part("masks").join("../images");
    let run = FinetuneConfig {
        data: vec![plain(part("images")), plain(again.clone()).for_test()],
        ..scratch.run()
    };
    run.validate().unwrap();
    let error = refused(&run);
    for file in [part("images").join("0.png"), again.join("0.png")] {
        assert!(error.contains(&file.display().to_string()), "{error}");
    }
    // A copy.
    let copy = scratch.path("data/test/images/6.png");
    fs::copy(part("images").join("3.png"), copy).unwrap();
    let error = refused(&scratch.run());
    assert!(error.contains("3.png serves train"), "{error}");
    assert!(
        error.contains("6.png, the same photograph, serves test"),
        "{error}"
    );
}

#[test]
fn a_run_goes_on_without_the_file_of_the_encoder_it_started_from() {
    let scratch = Scratch::new();
    let pretraining: PretrainConfig =
        "preset = 'tiny'\n[recipe]\ncrop = 64\nbatch_size = 2\n[recipe.train]\nmax_steps = 1"
            .parse()
            .unwrap();
    let pretraining = PretrainConfig {
        data: vec![DataConfig::unlabelled(scratch.path("data/train/images"))],
        ..pretraining
    };
    let mae = scratch.path("mae");
    pretrain_in(&pretraining, &mae).unwrap();
    let encoder = mae.join(FINAL_FILE);
    let run = FinetuneConfig {
        pretrained: Some(encoder.clone()),
        ..scratch.run()
    };
    let (whole, parts) = (scratch.path("whole"), scratch.path("parts"));
    finetune_in(&run, &whole).unwrap();
    let short = run.with("recipe.train.max_steps", "1").unwrap();
    finetune_in(&short, &parts).unwrap();
    let row = |folder: &Path| text(folder, "data.tsv").lines().last().unwrap().to_owned();
    let recorded = row(&parts);
    assert!(recorded.starts_with("pretrained\t"), "{recorded}");
    // First without naming it, then by the command it was begun with.
    fs::remove_file(&encoder).unwrap();
    let without = short.with("recipe.train.max_steps", "2").unwrap();
    let without = without.with("pretrained", "none").unwrap();
    finetune_in(&resuming(&without), &parts).unwrap();
    finetune_in(&resuming(&run), &parts).unwrap();
    assert_eq!(row(&parts), recorded);
    let started = |folder: &Path| FinetuneConfig::load(folder.join("run.toml")).unwrap();
    assert_eq!(started(&parts).pretrained, Some(encoder.clone()));
    let provenance = |folder: &Path| {
        let segmenter = Segmenter::from_file(folder.join(FINAL_FILE)).unwrap();
        segmenter.checkpoint().provenance.clone()
    };
    let named = encoder.display().to_string();
    assert_eq!(provenance(&parts).pretrained, Some(named));
    assert_eq!(provenance(&parts), provenance(&whole));
    // Anew it cannot begin without it.
    assert!(finetune_in(&resuming(&run), &scratch.path("anew")).is_err());
}

#[test]
fn test_images_that_a_start_was_trained_on_are_warned_of() {
    let scratch = Scratch::new();
    let mut first = scratch.run();
    first.data[0].train = vec!["test".to_owned()];
    (first.data[0].validation, first.data[0].test) = (Vec::new(), Vec::new());
    finetune_in(&first, &scratch.path("first")).unwrap();
    let start = scratch.path("first").join(FINAL_FILE);
    let said = |run: &FinetuneConfig, name: &str| {
        let lines = RefCell::new(Vec::new());
        let registry = Registry::built_in();
        let folder = scratch.path(name);
        let place = Place {
            say: &|line: &str| lines.borrow_mut().push(line.to_owned()),
            ..Place::new(&folder, &registry)
        };
        place.finetune(run).unwrap();
        let mut lines = lines.into_inner();
        lines.retain(|line| line.contains("trained on 1 of the 1 images of the test"));
        lines
    };
    assert!(said(&scratch.run(), "alone").is_empty());
    let run = FinetuneConfig {
        from: Some(start.display().to_string()),
        ..scratch.run()
    };
    // Before the training, and beside its numbers.
    assert_eq!(said(&run, "started").len(), 2);
}

#[test]
fn a_run_file_of_ones_own_in_the_folder_is_kept() {
    let scratch = Scratch::new();
    let folder = scratch.path("run");
    fs::create_dir(&folder).unwrap();
    let own = format!("# mine\n{}", scratch.run().to_toml().unwrap());
    fs::write(folder.join("run.toml"), &own).unwrap();
    fs::write(folder.join("test.json"), "mine").unwrap();
    let run = FinetuneConfig::load(folder.join("run.toml")).unwrap();
    finetune_in(&run, &folder).unwrap();
    assert_eq!(text(&folder, "run.1.toml"), own);
    assert_eq!(text(&folder, "test.1.json"), "mine");
    assert!(text(&folder, "test.json").contains("roc_auc"));
    assert_eq!(text(&folder, "run.toml"), run.to_toml().unwrap());
}

#[test]
fn without_an_encoder_nothing_is_frozen() {
    let scratch = Scratch::new();
    let bare = scratch.run().with("recipe.model.encoder", "none").unwrap();
    for (setting, value) in [("freeze", "all"), ("unfreeze_every", "3")] {
        let run = bare.with(setting, value).unwrap();
        let error = finetune_in(&run, &scratch.path("run")).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("only an encoder that has stages"),
            "{error}"
        );
    }
    assert!(!scratch.path("run").exists());
}

#[test]
fn a_corrected_command_is_not_refused() {
    let scratch = Scratch::new();
    let folder = scratch.path("run");
    // Found out before there is a folder.
    let mut wrong = scratch.run();
    wrong.recipe.augment.flip_horizontal = 1.5;
    let error = finetune_in(&wrong, &folder).unwrap_err().to_string();
    assert!(error.contains("Augment::flip_horizontal"), "{error}");
    assert!(!folder.exists());
    // What a run that failed in its first step leaves is no run.
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(LOG_FILE), "").unwrap();
    finetune_in(&scratch.run(), &folder).unwrap();
}
