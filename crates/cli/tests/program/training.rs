//! `venule pretrain` and `venule finetune`.

use std::fs;
use std::path::Path;

use venule::Segmenter;
use venule_lab::{FinetuneConfig, PretrainConfig, RunFile};

use crate::support::{done, failed, read_json, said, spec, venule, write_set};

/// Of the preset `tiny` two steps of two crops of 64² pixels.
const SHORT: [&str; 10] = [
    "--preset",
    "tiny",
    "--batch-size",
    "2",
    "--crops-per-image",
    "1",
    "--max-steps",
    "2",
    "--seed",
    "3",
];

fn path(root: &Path, name: &str) -> String {
    root.join(name).display().to_string()
}

#[test]
fn a_pretraining_is_fine_tuned_tested_and_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_set(&root.join("data"), 0..5, 5..6);
    let photographs = path(root, "data/train/images");
    let (mae, vessels) = (path(root, "mae"), path(root, "vessels"));
    let arguments = [
        "pretrain",
        "--data-dir",
        &photographs,
        "--crop",
        "64",
        "--save-dir",
        &mae,
    ];
    let text = done(arguments.iter().chain(&SHORT));
    assert!(text.contains("original, masked, reconstructed: "), "{text}");
    assert!(text.contains("weights: "), "{text}");
    let run = PretrainConfig::load(root.join("mae/run.toml")).unwrap();
    assert_eq!((run.recipe.crop, run.recipe.train.seed), (64, 3));

    let weights = path(root, "mae/final.safetensors");
    let set = spec(&root.join("data"));
    let arguments = [
        "finetune",
        "--dataset",
        &set,
        "--pretrained-mae",
        &weights,
        "--set",
        "recipe.crop=64",
        "--save-dir",
        &vessels,
    ];
    let text = done(arguments.iter().chain(&SHORT));
    for part in [
        "4 training and 1 validation images",
        "encoder from ",
        "best validation F1 ",
        "1 test images: F1 ",
    ] {
        assert!(text.contains(part), "'{part}' is not in {text}");
    }
    let numbers = read_json(&root.join("vessels/test.json"));
    assert_eq!(numbers["per_image"].as_array().unwrap().len(), 1);
    let best = root.join("vessels/best.safetensors");
    let provenance = Segmenter::from_file(&best).unwrap();
    let provenance = &provenance.checkpoint().provenance;
    assert_eq!(provenance.pretrained.as_deref(), Some(weights.as_str()));

    // The same command is refused, and with --resume goes on.
    let all: Vec<&str> = arguments.iter().chain(&SHORT).copied().collect();
    assert!(failed(&all).contains("resume it"));
    let longer = ["--resume", "--set", "recipe.train.max_steps=3"];
    let output = venule(all.iter().chain(&longer)).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let run = FinetuneConfig::load(root.join("vessels/run.toml")).unwrap();
    assert_eq!(run.recipe.train.max_steps, Some(3));
}

#[test]
fn a_training_out_of_time_before_any_validation_says_that_there_is_nothing_to_test() {
    let folder = tempfile::tempdir().unwrap();
    write_set(&folder.path().join("data"), 0..5, 5..6);
    let set = spec(&folder.path().join("data"));
    let run = path(folder.path(), "run");
    let arguments = ["finetune", "--dataset", &set, "--save-dir", &run];
    let late = ["--max-minutes", "1e-9"];
    let text = done(arguments.iter().chain(&SHORT).chain(&late));
    assert!(text.contains("nothing to test yet"), "{text}");
    assert!(text.contains("out of time"), "{text}");
    assert!(text.contains("--resume"), "{text}");
}

#[test]
fn what_is_missing_or_mistaken_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let run = path(folder.path(), "run");
    let error = failed(["finetune", "--save-dir", &run]);
    assert!(
        error.contains("nothing to train on; give --dataset"),
        "{error}"
    );
    let typo = ["--set", "recipe.train.epoch=5"];
    let error = failed(["finetune", "--save-dir", &run].iter().chain(&typo));
    assert!(error.contains("did you mean 'epochs'?"), "{error}");
    let output = venule(["pretrain"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(said(&output), "");
    assert!(!fs::exists(&run).unwrap());
}

#[test]
fn weights_are_adapted_to_photographs_without_labels() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_set(&root.join("data"), 0..3, 3..4);
    let photographs = path(root, "data/train/images");
    let run = path(root, "adapted");
    let arguments = [
        "adapt",
        "--weights",
        "bundled-fast",
        "--data-dir",
        &photographs,
    ];
    let small = [
        "--max-steps",
        "2",
        "--batch-size",
        "1",
        "--set",
        "recipe.crop=64",
        "--set",
        "recipe.preprocess.resize=none",
        "--set",
        "synthetic.photographs=1",
        "--set",
        "synthetic.range={ width = [96, 96] }",
        "--save-dir",
        &run,
    ];
    let text = done(arguments.iter().chain(&small));
    assert!(
        text.contains("3 photographs to learn from without labels"),
        "{text}"
    );
    let weights = path(root, "adapted/final.safetensors");
    let photograph = path(root, "data/train/images/0.png");
    let out = path(root, "out");
    done(["segment", "--weights", &weights, "--out", &out, &photograph]);
    let set = spec(&root.join("data"));
    let text = done(["evaluate", "--weights", &weights, "--dataset", &set]);
    assert!(
        text.contains("3 images (unlabelled_0 to unlabelled_2) without labels"),
        "{text}"
    );
    // To the end once more: there is nothing left to do, and nothing is lost.
    let again = done(arguments.iter().chain(&small).chain(&["--resume"]));
    assert!(again.contains("2 steps"), "{again}");

    assert!(
        again.contains("weights: ") && again.contains("final.safetensors"),
        "{again}"
    );
    let other = [
        "adapt",
        "--weights",
        "label-free",
        "--resume",
        "--save-dir",
        &run,
    ];
    assert!(failed(other).contains("goes on with bundled-fast"));

    // The same run file, and one of photographs without labels alone, are fine-tunings too.
    let alone = [
        "finetune",
        "--config",
        &path(root, "adapted/run.toml"),
        "--set",
        "synthetic=none",
        "--save-dir",
        &path(root, "alone"),
    ];
    assert!(done(alone).contains("2 steps"));
    fs::write(root.join("fresh.toml"), "unlabelled = [\"data\"]").unwrap();
    let fresh = [
        "adapt",
        "--config",
        &path(root, "fresh.toml"),
        "--save-dir",
        &path(root, "none"),
    ];
    assert!(failed(fresh).contains("random weights cannot teach"));

    // What does not go together, or is not there.
    let preset = ["adapt", "--data-dir", &photographs, "--preset", "tiny"];
    assert!(failed(preset).contains("leave out --preset"));
    let missing = path(root, "nowhere");
    let error = failed([
        "adapt",
        "--data-dir",
        &missing,
        "--save-dir",
        &path(root, "none"),
    ]);
    assert!(error.contains(&missing), "{error}");
    fs::create_dir(root.join("empty")).unwrap();
    let empty = path(root, "empty");
    let error = failed([
        "adapt",
        "--data-dir",
        &empty,
        "--save-dir",
        &path(root, "none"),
    ]);
    assert!(error.contains("empty"), "{error}");
    let error = failed([
        "adapt",
        "--data-dir",
        &photographs,
        "--weights",
        &missing,
        "--save-dir",
        &path(root, "none"),
    ]);
    assert!(error.contains(&missing), "{error}");
    let error = failed([
        "adapt",
        "--data-dir",
        &photographs,
        "--synthetic",
        "any-camra",
        "--save-dir",
        &path(root, "none"),
    ]);
    assert!(error.contains("any-camera"), "{error}");
    assert!(!fs::exists(root.join("none")).unwrap());
}

#[cfg(not(feature = "mpi"))]
#[test]
fn processes_started_together_do_not_each_train_alone() {
    for subcommand in ["pretrain", "sweep"] {
        let mut command = match subcommand {
            "pretrain" => venule(["pretrain", "--data-dir", "photographs"]),
            _ => venule(["sweep", "--grid", "grid.toml"]),
        };
        let output = command.env("OMPI_COMM_WORLD_SIZE", "2").output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(
            errors.contains("2 processes were started together"),
            "{errors}"
        );
    }
}
