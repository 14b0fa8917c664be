//! Ctrl-C and termination signals in mid-run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use venule::train::{FINAL_FILE, LOG_FILE, LogLine};
use venule_lab::read_log;

use crate::support::{said, spec, venule, write_set};

/// A fine-tuning of 60 steps, each with a checkpoint, in the folder `run` beside `data`.
fn command(root: &Path, resume: bool) -> Command {
    let mut command = venule(["finetune", "--dataset"]);
    command
        .arg(spec(&root.join("data")))
        .arg("--save-dir")
        .arg(root.join("run"))
        .args(["--preset", "tiny", "--batch-size", "1", "--epochs", "15"])
        .args(["--crops-per-image", "1", "--set", "recipe.crop=64"])
        .args(["--set", "run.checkpoint_every_steps=1"])
        .args(resume.then_some("--resume"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The last step in the log.
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

fn folder() -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    write_set(&root.path().join("data"), 0..5, 5..6);
    let run = root.path().join("run");
    (root, run)
}

#[test]
fn a_signal_ends_the_step_and_the_run_goes_on_as_if_it_had_not_been() {
    let ((root, run), (whole, undisturbed)) = (folder(), folder());
    assert!(
        command(whole.path(), false)
            .output()
            .unwrap()
            .status
            .success()
    );
    for (signal, resume) in [("INT", false), ("TERM", true)] {
        let begun = logged_step(&run);
        let mut child = command(root.path(), resume).spawn().unwrap();
        wait(&mut child, || logged_step(&run) > begun);
        let process = child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &process]).status();
        assert!(sent.unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{output:?}");
        let text = said(&output);
        let saved = "interrupted; everything up to step ";
        assert!(text.contains(saved) && text.contains("--resume"), "{text}");
        assert!(!run.join(FINAL_FILE).exists());
    }
    assert!(
        command(root.path(), true)
            .output()
            .unwrap()
            .status
            .success()
    );
    for file in ["best.safetensors", FINAL_FILE, "curve.svg"] {
        let [one, other] = [&run, &undisturbed].map(|run| fs::read(run.join(file)).unwrap());
        assert!(one.len() > 1000 && one == other, "{file} differs");
    }
}
