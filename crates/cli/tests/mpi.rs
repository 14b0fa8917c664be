//! Training by the processes that `mpirun` starts.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use venule::data::write_png;
use venule::file::load_weights;
use venule::synthetic::{SyntheticFundus, synthetic_fundus};
use venule::train::{FINAL_FILE, latest_checkpoint};

/// A pretraining in the folder `save` by so many processes, of one thread each.
fn pretraining(processes: usize, root: &Path, save: &str, further: &[&str]) -> Command {
    let mut command = Command::new("mpirun");
    command
        .args(["-n", &processes.to_string()])
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .env("OMPI_MCA_rmaps_base_oversubscribe", "1")
        .arg(env!("CARGO_BIN_EXE_venule"))
        .args(["pretrain", "--preset", "tiny", "--crop", "64"])
        .args(["--threads", "1", "--batch-size", "2", "--seed", "3"])
        .arg("--data-dir")
        .arg(root.join("photographs"))
        .arg("--save-dir")
        .arg(root.join(save))
        .args(further)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("photographs")).unwrap();
    for index in 0..5 {
        let photograph = synthetic_fundus(&SyntheticFundus::square(96), 5, index).unwrap();
        let path = folder.path().join(format!("photographs/{index}.png"));
        write_png(path, photograph.image).unwrap();
    }
    folder
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&text).into_owned()
}

fn weights(folder: &Path) -> BTreeMap<String, Vec<f32>> {
    let weights = load_weights(&folder.join(FINAL_FILE)).unwrap();
    let tensors = weights.tensors.iter();
    tensors
        .map(|(name, tensor)| {
            let values = tensor.flatten_all().unwrap().to_vec1().unwrap();
            (name.clone(), values)
        })
        .collect()
}

fn assert_close(one: &Path, other: &Path) {
    let (one, other) = (weights(one), weights(other));
    assert_eq!(one.len(), other.len());
    for (name, values) in one {
        for (a, b) in values.iter().zip(&other[&name]) {
            assert!((a - b).abs() <= 1e-5, "{name}: {a}, {b}");
        }
    }
}

#[test]
fn two_processes_come_to_what_one_comes_to() {
    let folder = folder();
    let root = folder.path();
    let flags = ["--accumulation", "2", "--epochs", "3"];
    for (processes, save) in [(1, "one"), (2, "two")] {
        let output = pretraining(processes, root, save, &flags).output().unwrap();
        let text = said(&output);
        assert!(output.status.success(), "{text}");
        assert_eq!(text.matches("weights: ").count(), 1, "{text}");
        let shared = text.contains("2 processes; ");
        assert_eq!(shared, processes == 2, "{text}");
    }
    assert_close(&root.join("one"), &root.join("two"));
    // A step of one batch is no work for two.
    let output = pretraining(2, root, "none", &["--epochs", "1"]).output();
    let output = output.unwrap();
    assert!(!output.status.success());
    let text = said(&output);
    assert!(text.contains("multiple of 2"), "{text}");
}

/// The process of this rank among those that `mpirun` has started for a folder.
fn process_of_rank(rank: usize, save: &Path) -> Option<u32> {
    let variable = format!("OMPI_COMM_WORLD_RANK={rank}");
    let holds = |file: &Path, text: &str| {
        let bytes = fs::read(file).unwrap_or_default();
        bytes
            .split(|byte| *byte == 0)
            .any(|part| part == text.as_bytes())
    };
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut own = processes.filter(|process| {
        let path = process.path();
        holds(&path.join("environ"), &variable)
            && holds(&path.join("cmdline"), &save.display().to_string())
    });
    own.next()?.file_name().to_str()?.parse().ok()
}

#[test]
fn a_process_that_dies_ends_all_and_the_run_goes_on_with_another_number() {
    let folder = folder();
    let root = folder.path();
    let flags = [
        "--accumulation",
        "2",
        "--epochs",
        "40",
        "--set",
        "run.checkpoint_every_steps=1",
    ];
    let undisturbed = pretraining(1, root, "whole", &flags).output().unwrap();
    assert!(undisturbed.status.success(), "{}", said(&undisturbed));

    let save = root.join("run");
    let mut run = pretraining(2, root, "run", &flags).spawn().unwrap();
    let limit = Instant::now() + Duration::from_secs(120);
    while latest_checkpoint(&save).ok().flatten().is_none() {
        assert!(run.try_wait().unwrap().is_none() && Instant::now() < limit);
        thread::sleep(Duration::from_millis(2));
    }
    let process = process_of_rank(1, &save).expect("rank 1 runs");
    let killed = Command::new("kill")
        .args(["-9", &process.to_string()])
        .status();
    assert!(killed.unwrap().success());
    let output = run.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert!(said(&output).contains("signal 9"), "{}", said(&output));
    assert!(!save.join(FINAL_FILE).exists());
    load_weights(&latest_checkpoint(&save).unwrap().unwrap()).unwrap();

    let resume = [&flags[..], &["--resume"]].concat();
    let resumed = pretraining(1, root, "run", &resume).output().unwrap();
    assert!(resumed.status.success(), "{}", said(&resumed));
    assert_close(&save, &root.join("whole"));
}
