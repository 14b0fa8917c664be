//! Runs in processes of their own, killed at any moment or out of space, and gone on with.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use venule_train::*;

use crate::resume::{StopAt, assert_equal_folders, config, toy};

/// Names the run folder to a child process, which runs this test alone.
const FOLDER: &str = "VENULE_TEST_RUN_FOLDER";
const CHILD: &str = "survival::a_run_in_a_child_process";
const SHORT_CHILD: &str = "survival::an_epoch_in_a_child_process";

/// Kills that the run must survive.
const KILLS: usize = 50;

/// Long enough not to end before the last kill; a checkpoint after each step, so that most kills meet one being written.
fn settings() -> TrainConfig {
    TrainConfig {
        epochs: 300,
        schedule: Schedule::Cosine { min_lr: 0.0 },
        ..config()
    }
}

fn train(folder: &Path) -> Result<Report> {
    let mut task = toy();
    // A score that rises and falls, so that best weights are written throughout the run.
    let scores = (0..settings().epochs).map(|epoch| (epoch * 37 % 101) as f64);
    task.scores = Some(scores.collect());
    let options = RunOptions {
        checkpoint_every_steps: Some(1),
        resume: true,
        ..RunOptions::in_folder(folder)
    };
    Trainer::new(settings())?
        .with_options(options)?
        .with_callback(JsonLines::in_folder(folder))
        .fit(&mut task)
}

/// Not a test by itself: what a child process runs.
#[test]
fn a_run_in_a_child_process() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let report = train(Path::new(&folder)).unwrap();
        assert_eq!(report.outcome, Outcome::Completed);
    }
}

fn child(folder: &Path, command: Command) -> Child {
    child_test(CHILD, folder, command)
}

fn child_test(test: &str, folder: &Path, mut command: Command) -> Child {
    command
        .args(["--exact", test])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn this_program() -> Command {
    Command::new(std::env::current_exe().unwrap())
}

/// A fixed sequence of waits, so that a failure can be looked for again.
fn wait_before_kill(kill: usize) -> Duration {
    let mixed = (kill as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    Duration::from_micros(3_000 + mixed % 40_000)
}

#[test]
fn a_run_killed_fifty_times_ends_as_an_undisturbed_one() {
    let (whole, broken) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    train(whole.path()).unwrap();
    let mut kills = 0;
    while kills < KILLS {
        let mut run = child(broken.path(), this_program());
        std::thread::sleep(wait_before_kill(kills));
        assert!(
            run.try_wait().unwrap().is_none(),
            "the run ended before kill {kills}; make it longer"
        );
        run.kill().unwrap();
        run.wait().unwrap();
        kills += 1;
    }
    let begun = latest_checkpoint(broken.path()).unwrap();
    assert!(
        begun.is_some(),
        "no run lived long enough to save a checkpoint"
    );
    let status = child(broken.path(), this_program()).wait().unwrap();
    assert!(status.success());
    assert_equal_folders(broken.path(), whole.path(), "after fifty kills");
}

/// A limit on the size of files stands for a full disk: writing beyond it fails in the same way.
#[cfg(unix)]
fn limited_to(blocks: usize) -> Command {
    let mut shell = Command::new("sh");
    let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    shell
        .arg("-c")
        .arg(limited)
        .arg(std::env::current_exe().unwrap());
    shell
}

#[cfg(unix)]
#[test]
fn a_full_disk_loses_nothing_that_was_saved() {
    let (whole, full) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    train(whole.path()).unwrap();
    let mut run = child(full.path(), this_program());
    while latest_checkpoint(full.path()).unwrap().is_none() {
        assert!(run.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(1));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    for blocks in [0, 1, 2, 4, 8] {
        let before = latest_checkpoint(full.path()).unwrap().unwrap();
        let status = child(full.path(), limited_to(blocks)).wait().unwrap();
        assert_eq!(
            status.code(),
            Some(101),
            "{blocks} blocks: an error, no signal"
        );
        let after = latest_checkpoint(full.path()).unwrap().unwrap();
        assert!(after >= before, "{after:?} {before:?}");
    }
    let status = child(full.path(), this_program()).wait().unwrap();
    assert!(status.success());
    assert_equal_folders(full.path(), whole.path(), "after a full disk");
}

/// One epoch without anything else that is written, of which one checkpoint is kept.
fn one_checkpoint(folder: &Path, stop: bool) -> Result<Report> {
    let settings = TrainConfig {
        epochs: 1,
        validate_every: 0,
        ..config()
    };
    let options = RunOptions {
        keep: 1,
        resume: true,
        ..RunOptions::in_folder(folder)
    };
    let flag = Arc::new(AtomicBool::new(false));
    let mut trainer = Trainer::new(settings)?.with_options(options)?;
    trainer = trainer.with_stop_flag(flag.clone());
    if stop {
        trainer = trainer.with_callback(StopAt { at: 3, flag });
    }
    trainer.fit(&mut toy())
}

/// Not a test by itself: what a child process goes on with.
#[test]
fn an_epoch_in_a_child_process() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        one_checkpoint(Path::new(&folder), false).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn the_only_checkpoint_outlives_a_failed_write_of_its_own_step() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Stopped behind the last step, before the epoch's end: the next checkpoint is of the same step.
    let report = one_checkpoint(folder, true).unwrap();
    assert_eq!((report.outcome, report.steps), (Outcome::Interrupted, 3));
    let files = ["safetensors", "state.safetensors"]
        .map(|suffix| folder.join(format!("checkpoint-000000003.{suffix}")));
    let before = files.each_ref().map(|file| std::fs::read(file).unwrap());
    // Too small for the weights; then for the state alone, which is larger.
    let [weights, state] = before.each_ref().map(Vec::len);
    assert!(weights < 3 * 1024 && state > 3 * 1024, "{weights}, {state}");
    for bytes in [1024, 3 * 1024] {
        // In blocks of 512 bytes, or of 1024 where the shell is bash.
        let status = child_test(SHORT_CHILD, folder, limited_to(bytes / 1024))
            .wait()
            .unwrap();
        assert_eq!(
            status.code(),
            Some(101),
            "{bytes} bytes: an error, no signal"
        );
        assert_eq!(
            files.each_ref().map(|file| std::fs::read(file).unwrap()),
            before
        );
    }
    let report = one_checkpoint(folder, false).unwrap();
    assert_eq!((report.outcome, report.steps), (Outcome::Completed, 3));
    assert_ne!(std::fs::read(&files[1]).unwrap(), before[1]);
}
