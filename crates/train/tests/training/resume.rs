//! Interrupted, damaged and protected runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use venule_file::{Error as FileError, load_weights, save_weights};
use venule_train::*;

use crate::toy::{Toy, read_log};

/// Everything that has state is on: accumulation, averages, warm-up, plateau, steps saved within.
pub fn config() -> TrainConfig {
    TrainConfig {
        epochs: 4,
        learning_rate: 0.02,
        accumulation: 2,
        ema: Some(EmaConfig::default()),
        warmup: Warmup {
            length: Span::Steps(3),
            ..Default::default()
        },
        schedule: Schedule::ReduceOnPlateau(PlateauConfig {
            patience: 0,
            ..Default::default()
        }),
        seed: 3,
        ..Default::default()
    }
}

/// Three checkpoints are kept.
fn options(directory: &Path) -> RunOptions {
    RunOptions {
        keep: 3,
        ..RunOptions::in_folder(directory)
    }
}

/// Sets the flag when `at` steps are taken.
pub struct StopAt {
    pub at: usize,
    pub flag: Arc<AtomicBool>,
}

impl Callback for StopAt {
    fn name(&self) -> &str {
        "stop"
    }
    fn on_step(&mut self, info: &StepInfo<'_>) -> Result<(), BoxError> {
        if info.step == self.at {
            self.flag.store(true, Ordering::SeqCst);
        }
        Ok(())
    }
}

pub fn toy() -> Toy {
    let mut task = Toy::new();
    task.scores = Some(vec![0.5, 0.7, 0.6, 0.65]);
    task
}

fn run_with(config: TrainConfig, options: RunOptions, stop_at: usize) -> Result<Report> {
    let directory = options.directory.clone().unwrap();
    let flag = Arc::new(AtomicBool::new(false));
    let stop = StopAt {
        at: stop_at,
        flag: flag.clone(),
    };
    Trainer::new(config)?
        .with_options(options)?
        .with_callback(stop)
        .with_callback(JsonLines::in_folder(&directory))
        .with_stop_flag(flag)
        .fit(&mut toy())
}

fn run(options: &RunOptions, stop_at: usize) -> Result<Report> {
    run_with(config(), options.clone(), stop_at)
}

const NEVER: usize = usize::MAX;

fn resuming(options: &RunOptions) -> RunOptions {
    RunOptions {
        resume: true,
        ..options.clone()
    }
}

/// All files but the lock, the log's clock apart.
fn content(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("run.lock"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let bytes = fs::read(&path).unwrap();
            (name, bytes)
        })
        .collect();
    for (name, bytes) in &mut files {
        if name == LOG_FILE {
            let text = String::from_utf8(std::mem::take(bytes)).unwrap();
            for line in text.lines() {
                let mut line: Value = serde_json::from_str(line).unwrap();
                line.as_object_mut().unwrap().remove("clock").unwrap();
                bytes.extend(format!("{line}\n").into_bytes());
            }
        }
    }
    files.sort();
    files
}

#[track_caller]
pub fn assert_equal_folders(found: &Path, expected: &Path, what: &str) {
    let names = |files: &[(String, Vec<u8>)]| -> Vec<String> {
        files.iter().map(|(name, _)| name.clone()).collect()
    };
    let (found, expected) = (content(found), content(expected));
    assert_eq!(names(&found), names(&expected), "{what}");
    for ((name, a), (_, b)) in found.iter().zip(&expected) {
        assert!(a == b, "{what}: {name} differs");
    }
}

fn undisturbed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let report = run(&options(dir.path()), NEVER).unwrap();
    assert_eq!((report.outcome, report.steps), (Outcome::Completed, 12));
    dir
}

/// Twelve steps of three to an epoch, stopped after each of them in turn.
#[test]
fn interrupted_and_resumed_equals_undisturbed_bit_for_bit() {
    let whole = undisturbed();
    for stop_at in 1..12 {
        let dir = tempfile::tempdir().unwrap();
        let options = options(dir.path());
        let report = run(&options, stop_at).unwrap();
        assert_eq!(
            (report.outcome, report.steps),
            (Outcome::Interrupted, stop_at)
        );
        assert_eq!(report.final_path, None);
        let report = run(&resuming(&options), NEVER).unwrap();
        assert_eq!((report.outcome, report.steps), (Outcome::Completed, 12));
        assert_eq!(report.best.map(|best| best.score), Some(0.7));
        // A checkpoint within an epoch takes the place of an older one: compare what both keep.
        let mine: Vec<PathBuf> = fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        for path in mine {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with("checkpoint-") && !whole.path().join(&name).exists() {
                fs::remove_file(path).unwrap();
            }
        }
        for name in [
            "checkpoint-000000006",
            "checkpoint-000000009",
            "checkpoint-000000012",
        ] {
            for suffix in ["safetensors", "state.safetensors"] {
                let name = format!("{name}.{suffix}");
                // Displaced by the interruption's own checkpoint.
                if !dir.path().join(&name).exists() && !name.contains("12") {
                    fs::copy(whole.path().join(&name), dir.path().join(&name)).unwrap();
                }
            }
        }
        assert_equal_folders(
            dir.path(),
            whole.path(),
            &format!("stopped after step {stop_at}"),
        );
    }
}

#[test]
fn a_run_killed_between_checkpoints_repeats_the_lost_steps() {
    let whole = undisturbed();
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    // A kill leaves the folder as it was at some moment: here after a later step was logged, with
    // half a line, a temporary, and weights whose state was never written.
    run(&options, 7).unwrap();
    for suffix in ["safetensors", "state.safetensors"] {
        fs::remove_file(dir.path().join(format!("checkpoint-000000007.{suffix}"))).unwrap();
    }
    fs::copy(
        dir.path().join("checkpoint-000000006.safetensors"),
        dir.path().join("checkpoint-000000008.safetensors"),
    )
    .unwrap();
    fs::write(dir.path().join(".venule-x.tmp"), "half").unwrap();
    let mut log = fs::read(dir.path().join(LOG_FILE)).unwrap();
    log.extend(b"{\"event\":\"st");
    fs::write(dir.path().join(LOG_FILE), log).unwrap();
    run(&resuming(&options), NEVER).unwrap();
    assert_equal_folders(dir.path(), whole.path(), "killed");
}

#[test]
fn checkpoints_within_an_epoch_can_be_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let config = TrainConfig {
        max_steps: Some(4),
        ..config()
    };
    let options = RunOptions {
        checkpoint_every_steps: Some(2),
        ..options(dir.path())
    };
    run_with(config, options, NEVER).unwrap();
    let names: Vec<String> = content(dir.path())
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    // Steps 2 and 3 (the end of the first epoch) and 4 (the end of the run).
    for step in [2, 3, 4] {
        assert!(
            names.contains(&format!("checkpoint-{step:09}.state.safetensors")),
            "{names:?}"
        );
    }
}

#[test]
fn a_run_out_of_time_is_saved_and_goes_on() {
    let whole = undisturbed();
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    let hurried = RunOptions {
        max_minutes: Some(1e-9),
        ..options.clone()
    };
    let report = run(&hurried, NEVER).unwrap();
    assert_eq!((report.outcome, report.steps), (Outcome::TimeUp, 0));
    run(&resuming(&options), NEVER).unwrap();
    assert_equal_folders(dir.path(), whole.path(), "out of time");
}

#[test]
fn an_existing_run_is_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    run(&options, 4).unwrap();
    let before = content(dir.path());
    let error = run(&options, NEVER).unwrap_err();
    assert!(matches!(&error, Error::RunExists { found, .. } if found.starts_with("checkpoint-")));
    assert_eq!(content(dir.path()), before);
    // A log alone is somebody's run too, unless there is nothing in it.
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(LOG_FILE), "{}\n").unwrap();
    let fresh = self::options(dir.path());
    let error = run(&fresh, NEVER).unwrap_err();
    assert!(matches!(error, Error::RunExists { .. }));
    let said = error.to_string();
    assert!(said.contains("starts afresh where nothing"), "{said}");
    fs::write(dir.path().join(LOG_FILE), "").unwrap();
    assert_eq!(run(&fresh, NEVER).unwrap().steps, 12);
}

#[test]
fn resuming_where_nothing_was_saved_starts_afresh() {
    let whole = undisturbed();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(LOG_FILE), "{\"event\":\"step\"").unwrap();
    let report = run(&resuming(&options(dir.path())), NEVER).unwrap();
    assert_eq!(report.steps, 12);
    assert_equal_folders(dir.path(), whole.path(), "afresh");
}

#[test]
fn a_finished_run_without_checkpoints_is_not_overwritten_on_resuming() {
    let whole = undisturbed();
    for entry in fs::read_dir(whole.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains("checkpoint-") {
            fs::remove_file(path).unwrap();
        }
    }
    // The best weights are there too, which alone do not keep an interrupted first epoch from starting afresh.
    assert!(whole.path().join(BEST_FILE).exists());
    let before = content(whole.path());
    let error = run(&resuming(&options(whole.path())), NEVER).unwrap_err();
    assert!(matches!(&error, Error::RunExists { found, .. } if found.starts_with(FINAL_FILE)));
    let said = error.to_string();
    assert!(said.contains("from); choose another folder"), "{said}");
    assert_eq!(content(whole.path()), before);
}

#[test]
fn a_finished_run_resumes_to_the_same() {
    let whole = undisturbed();
    let before = content(whole.path());
    let report = run(&resuming(&options(whole.path())), NEVER).unwrap();
    assert_eq!((report.outcome, report.steps), (Outcome::Completed, 12));
    assert_eq!(content(whole.path()), before);
}

struct Notices(Arc<std::sync::Mutex<Vec<String>>>);

impl Callback for Notices {
    fn name(&self) -> &str {
        "notices"
    }
    fn on_notice(&mut self, message: &str) -> Result<(), BoxError> {
        self.0.lock().unwrap().push(message.to_string());
        Ok(())
    }
}

#[test]
fn a_damaged_checkpoint_is_passed_over_aloud() {
    let whole = undisturbed();
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 4] = [
        ("checkpoint-000000012.safetensors", |path| {
            let length = fs::metadata(path).unwrap().len();
            fs::OpenOptions::new()
                .write(true)
                .open(path)
                .unwrap()
                .set_len(length - 1)
                .unwrap();
        }),
        ("checkpoint-000000012.state.safetensors", |path| {
            let mut bytes = fs::read(path).unwrap();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("checkpoint-000000012.state.safetensors", |path| {
            fs::write(path, "nonsense").unwrap()
        }),
        // Intact, but of another step.
        ("checkpoint-000000012.safetensors", |path| {
            let other = path.with_file_name("checkpoint-000000009.safetensors");
            fs::copy(other, path).unwrap();
        }),
    ];
    for (name, damage) in damages {
        let dir = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(whole.path()).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
        }
        damage(&dir.path().join(name));
        let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
        let directory = dir.path();
        let report = Trainer::new(config())
            .unwrap()
            .with_options(resuming(&options(directory)))
            .unwrap()
            .with_callback(Notices(heard.clone()))
            .with_callback(JsonLines::in_folder(directory))
            .fit(&mut toy())
            .unwrap();
        assert_eq!(report.steps, 12);
        let heard = heard.lock().unwrap();
        let named = heard
            .iter()
            .any(|text| text.contains("checkpoint-000000012"));
        assert!(named, "{name}: {heard:?}");
        // The lost epoch was repeated: the weights are those of the undisturbed run.
        for file in ["checkpoint-000000012.safetensors", FINAL_FILE, BEST_FILE] {
            let (a, b) = (
                fs::read(directory.join(file)),
                fs::read(whole.path().join(file)),
            );
            assert!(a.unwrap() == b.unwrap(), "{name}: {file}");
        }
    }
}

#[test]
fn a_damaged_later_checkpoint_pushes_out_no_intact_one() {
    // From step 9 to step 10, which is saved; the damaged one is neither counted nor removed.
    for (keep, kept) in [(2, vec![9, 10, 12]), (1, vec![10, 12])] {
        let whole = undisturbed();
        let directory = whole.path();
        let damaged = directory.join("checkpoint-000000012.state.safetensors");
        fs::write(damaged, "nonsense").unwrap();
        let options = RunOptions {
            keep,
            ..resuming(&options(directory))
        };
        let report = run(&options, 10).unwrap();
        assert_eq!((report.outcome, report.steps), (Outcome::Interrupted, 10));
        let names = content(directory).into_iter().map(|(name, _)| name);
        let states: Vec<String> = names
            .filter(|name| name.ends_with(".state.safetensors"))
            .collect();
        let expected: Vec<String> = kept
            .into_iter()
            .map(|step| format!("checkpoint-{step:09}.state.safetensors"))
            .collect();
        assert_eq!(states, expected, "{keep}");
        let report = run(&options, NEVER).unwrap();
        assert_eq!((report.outcome, report.steps), (Outcome::Completed, 12));
    }
}

#[test]
fn a_finished_run_that_goes_on_is_not_finished() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    let shorter = TrainConfig {
        epochs: 3,
        ..config()
    };
    run_with(shorter, options.clone(), NEVER).unwrap();
    let end = dir.path().join(FINAL_FILE);
    assert!(end.exists());
    run(&resuming(&options), 10).unwrap();
    assert!(!end.exists());
    run(&resuming(&options), NEVER).unwrap();
    assert!(end.exists());
}

#[test]
fn another_learning_rate_holds_from_the_step_resumed_at() {
    let dir = tempfile::tempdir().unwrap();
    run(&options(dir.path()), 6).unwrap();
    let slower = TrainConfig {
        learning_rate: 1e-5,
        ..config()
    };
    run_with(slower, resuming(&options(dir.path())), NEVER).unwrap();
    for line in read_log(dir.path()) {
        if let LogLine::Step { step, lr, .. } = line {
            // The first three warm up; a plateau only lowers the rate.
            assert!(
                if step > 6 { lr <= 1e-5 } else { lr > 1e-4 },
                "{step}: {lr}"
            );
        }
    }
}

/// The same state as version 0.1 wrote it, with the settings that have moved since among its own.
#[test]
fn a_run_of_version_0_1_is_resumed() {
    let whole = undisturbed();
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    run(&options, 9).unwrap();
    let path = dir.path().join("checkpoint-000000009.state.safetensors");
    let state = load_weights(&path).unwrap();
    let mut document: Value = serde_json::from_str(&state.metadata["state"]).unwrap();
    for (key, value) in [
        ("directory", Value::Null),
        ("resume", false.into()),
        ("max_minutes", Value::Null),
        ("keep", 1.into()),
        ("checkpoint_every_steps", Value::Null),
    ] {
        assert!(RunOptions::OF_TRAIN_CONFIG_0_1.contains(&key));
        document["config"][key] = value;
    }
    document["config"]["schedule"]["mode"] = "max".into();
    document["config"]["schedule"]["threshold_mode"] = "relative".into();
    let tensors: Vec<_> = state.tensors.into_iter().collect();
    let metadata = [("state".to_string(), document.to_string())].into();
    save_weights(&path, &tensors, &metadata).unwrap();
    let report = run(&resuming(&options), NEVER).unwrap();
    assert_eq!((report.outcome, report.steps), (Outcome::Completed, 12));
    let end = |dir: &Path| fs::read(dir.join(FINAL_FILE)).unwrap();
    assert!(end(dir.path()) == end(whole.path()));
}

#[test]
fn no_intact_checkpoint_is_an_error_that_lists_them() {
    let whole = undisturbed();
    for entry in fs::read_dir(whole.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with(".state.safetensors") {
            fs::write(path, "nonsense").unwrap();
        }
    }
    match run(&resuming(&options(whole.path())), NEVER) {
        Err(Error::NoIntactCheckpoint { tried, .. }) => assert_eq!(tried.len(), 3),
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_seed_or_architecture_is_not_resumed() {
    let whole = undisturbed();
    let options = resuming(&options(whole.path()));
    let other_seed = TrainConfig {
        seed: 4,
        ..config()
    };
    let error = run_with(other_seed, options.clone(), NEVER).unwrap_err();
    assert!(
        matches!(error, Error::RunMismatch { what: "seed", .. }),
        "{error}"
    );

    struct Other(candle_core::Var);
    impl Task for Other {
        fn name(&self) -> &str {
            "other"
        }
        fn parameters(&self) -> Vec<Parameter> {
            vec![Parameter::new("x", self.0.clone())]
        }
        fn batches_per_epoch(&self) -> usize {
            crate::toy::BATCHES
        }
        fn step(&mut self, _: Position) -> Result<StepOutput, BoxError> {
            Err("never called".into())
        }
    }
    let var = candle_core::Var::new(0f32, &candle_core::Device::Cpu).unwrap();
    let trainer = Trainer::new(config()).unwrap().with_options(options);
    let error = trainer.unwrap().fit(&mut Other(var)).unwrap_err();
    let architecture = matches!(error, Error::File(FileError::Architecture { .. }));
    assert!(architecture, "{error}");
}

#[test]
fn a_running_folder_refuses_a_second_trainer() {
    struct Second(RunOptions, Arc<AtomicBool>);
    impl Callback for Second {
        fn name(&self) -> &str {
            "second"
        }
        fn on_epoch(&mut self, _: &EpochInfo<'_>) -> Result<(), BoxError> {
            let refused = matches!(run(&self.0, NEVER), Err(Error::Locked { .. }));
            self.1.store(refused, Ordering::SeqCst);
            Ok(())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    let refused = Arc::new(AtomicBool::new(false));
    let second = Second(resuming(&options), refused.clone());
    let trainer = Trainer::new(config()).unwrap().with_callback(second);
    let trainer = trainer.with_options(options).unwrap();
    trainer.fit(&mut toy()).unwrap();
    assert!(refused.load(Ordering::SeqCst));
}

#[test]
fn the_weights_file_tells_how_it_came_about() {
    let dir = undisturbed();
    let weights = load_weights(&dir.path().join(BEST_FILE)).unwrap();
    assert_eq!(weights.metadata["config"], r#"{"size":6}"#);
    // Saved after the second validation, the best of the four.
    assert_eq!(
        weights.metadata["threshold"],
        r#"{"threshold":0.5,"validations":2}"#
    );
    let training: Value = serde_json::from_str(&weights.metadata["training"]).unwrap();
    assert_eq!(
        (&training["epochs"], &training["best"]["score"]),
        (&2.into(), &0.7.into())
    );
    let names: Vec<_> = weights.tensors.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "conv.bias",
            "conv.weight",
            "frozen.weight",
            "head.bias",
            "head.weight"
        ]
    );
}

#[test]
fn an_old_checkpoint_survives_a_failed_write() {
    // A folder where the next weights file should be: the rename fails, as a full disk would.
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    run(&options, 4).unwrap();
    let obstacle = dir.path().join("checkpoint-000000006.safetensors");
    fs::create_dir(&obstacle).unwrap();
    let error = run(&resuming(&options), NEVER).unwrap_err();
    let refused = matches!(error, Error::File(FileError::Write { .. }));
    assert!(refused, "{error}");
    fs::remove_dir(&obstacle).unwrap();
    let report = run(&resuming(&options), NEVER).unwrap();
    assert_eq!(report.steps, 12);
    let whole = undisturbed();
    let last = "checkpoint-000000012.safetensors";
    assert!(fs::read(dir.path().join(last)).unwrap() == fs::read(whole.path().join(last)).unwrap());
}
