//! Real trainings in processes of their own that are killed.
#![cfg(unix)]

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use venule::Registry;
use venule::train::{BEST_FILE, FINAL_FILE, LOG_FILE, LogLine, latest_checkpoint};
use venule_lab::{FinetuneConfig, Place, RunFile, read_log};

use crate::run_folders::{labelled_folder, run_on};
use crate::training::assert_same_file;

/// Names the folder of data and run to a child process, which runs this test alone.
const FOLDER: &str = "VENULE_TEST_TRAINING_FOLDER";
const CHILD: &str = "interruption::a_training_in_a_child_process";

/// Kills that a training must survive.
const KILLS: usize = 50;

fn settings(root: &Path) -> FinetuneConfig {
    let run = run_on(&root.join("data"));
    // Averaged weights, accumulation, a checkpoint after each step: as much state as there can be.
    let run = run.with("recipe.train.ema", "{ decay = 0.9 }").unwrap();
    let run = run.with("recipe.train.accumulation", "2").unwrap();
    let run = run.with("run.checkpoint_every_steps", "1").unwrap();
    let run = run.with("recipe.batch_size", "1").unwrap();
    let mut run = run.with("recipe.train.epochs", "40").unwrap();
    run.run.resume = true;
    run
}

/// Not a test by itself: what a child process runs.
#[test]
fn a_training_in_a_child_process() {
    if let Some(root) = std::env::var_os(FOLDER) {
        let (root, registry) = (Path::new(&root), Registry::built_in());
        let report = Place::new(&root.join("run"), &registry).finetune(&settings(root));
        report.unwrap();
    }
}

fn child(root: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--nocapture"])
        .env(FOLDER, root)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn finish(root: &Path) -> Output {
    child(root).wait_with_output().unwrap()
}

/// The step of the newest checkpoint.
fn saved_step(folder: &Path) -> usize {
    let newest = latest_checkpoint(folder).ok().flatten();
    let name = newest.and_then(|path| Some(path.file_stem()?.to_string_lossy().into_owned()));
    let digits = name.and_then(|name| name.rsplit('-').next()?.parse().ok());
    digits.unwrap_or(0)
}

/// The last step in the log, which is ahead of the checkpoint of a process that was killed between the two.
fn logged_step(folder: &Path) -> usize {
    let lines = read_log(&folder.join(LOG_FILE)).unwrap_or_default();
    let step = |line: &LogLine| match line {
        LogLine::Step { step, .. } => Some(*step),
        _ => None,
    };
    lines.iter().filter_map(step).max().unwrap_or(0)
}

/// Waits for what a running process is to do.
fn wait(run: &mut Child, done: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_secs(120);
    while !done() {
        assert!(run.try_wait().unwrap().is_none() && Instant::now() < limit);
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A folder with data, and one in which a training ran undisturbed.
fn folders() -> [tempfile::TempDir; 2] {
    let [root, whole] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    for folder in [&root, &whole] {
        labelled_folder(&folder.path().join("data"));
    }
    assert!(finish(whole.path()).status.success());
    [root, whole]
}

fn assert_same_run(root: &Path, whole: &Path) {
    let [one, other] = [root, whole].map(|root| root.join("run"));
    let newest = |folder: &Path| latest_checkpoint(folder).unwrap().unwrap();
    let newest = newest(&other)
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    let state = newest.replace(".safetensors", ".state.safetensors");
    for file in [BEST_FILE, FINAL_FILE, &newest, &state, "curve.svg"] {
        assert_same_file(file, &one, &other);
    }
}

#[test]
fn a_training_killed_fifty_times_ends_as_an_undisturbed_one() {
    let [root, whole] = folders();
    let folder = root.path().join("run");
    for kill in 0..KILLS {
        let begun = saved_step(&folder);
        let mut run = child(root.path());
        // Now while it starts, now after one or two steps of its own; then somewhere within a step. A fixed sequence, so that
        // a failure can be looked for again.
        let mixed = (kill as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        match kill % 3 {
            0 => std::thread::sleep(Duration::from_micros(mixed % 100_000)),
            steps => wait(&mut run, || logged_step(&folder) >= begun + steps),
        }
        std::thread::sleep(Duration::from_micros(mixed % 20_000));
        assert!(
            run.try_wait().unwrap().is_none(),
            "the training ended before kill {kill}; make it longer"
        );
        run.kill().unwrap();
        run.wait().unwrap();
    }
    assert!(saved_step(&folder) > 0, "no process lived long enough");
    assert!(finish(root.path()).status.success());
    assert_same_run(root.path(), whole.path());
}
