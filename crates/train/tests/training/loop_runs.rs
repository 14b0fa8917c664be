//! Whole runs of the loop.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use venule_file::load_weights;
use venule_train::*;

use crate::toy::{BATCHES, Toy, fit, read_log};

pub fn config(epochs: usize) -> TrainConfig {
    TrainConfig {
        epochs,
        learning_rate: 0.02,
        seed: 7,
        ..Default::default()
    }
}

/// A run into a folder, with its log.
fn logged(folder: &Path, config: TrainConfig, task: &mut Toy) -> Report {
    let trainer = Trainer::new(config).unwrap();
    let trainer = trainer.with_options(RunOptions::in_folder(folder)).unwrap();
    let log = JsonLines::in_folder(folder);
    trainer.with_callback(log).fit(task).unwrap()
}

/// Records what the loop says.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<Vec<String>>>);

impl Recorder {
    fn push(&self, text: String) -> Result<(), BoxError> {
        self.0.lock().unwrap().push(text);
        Ok(())
    }

    pub fn events(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Callback for Recorder {
    fn name(&self) -> &str {
        "recorder"
    }
    fn on_start(&mut self, info: &StartInfo<'_>) -> Result<(), BoxError> {
        self.push(format!("start {} of {}", info.step, info.total_steps))
    }
    fn on_step(&mut self, info: &StepInfo<'_>) -> Result<(), BoxError> {
        let skipped = if info.skipped { " skipped" } else { "" };
        self.push(format!("step {}{skipped}", info.step))
    }
    fn on_epoch(&mut self, info: &EpochInfo<'_>) -> Result<(), BoxError> {
        self.push(format!("epoch {}", info.epoch))
    }
    fn on_validation(&mut self, info: &ValidationInfo<'_>) -> Result<(), BoxError> {
        self.push(format!(
            "validation {}{}",
            info.epoch,
            if info.is_best { " best" } else { "" }
        ))
    }
    fn on_notice(&mut self, message: &str) -> Result<(), BoxError> {
        self.push(format!("notice {message}"))
    }
    fn before_checkpoint(&mut self) -> Result<(), BoxError> {
        self.push("before checkpoint".into())
    }
    fn on_checkpoint(&mut self, info: &CheckpointInfo<'_>) -> Result<(), BoxError> {
        self.push(format!("{:?} {}", info.kind, info.step))
    }
    fn on_end(&mut self, info: &EndInfo) -> Result<(), BoxError> {
        self.push(format!("end {:?}", info.outcome))
    }
}

#[test]
fn a_small_network_learns() {
    let mut task = Toy::new();
    let frozen = task.var("frozen.weight").to_vec2::<f32>().unwrap();
    let report = fit(&mut task, &config(12)).unwrap();
    assert_eq!(
        (report.outcome, report.steps, report.epochs),
        (Outcome::Completed, 60, 12)
    );
    // ln 2 = 0.69 is what guessing costs.
    assert!(report.loss.unwrap() < 0.1, "{report:?}");
    let score = report.best.unwrap().score;
    assert!(score > -0.1, "{score}");
    assert_eq!(task.var("frozen.weight").to_vec2::<f32>().unwrap(), frozen);
}

#[test]
fn callbacks_are_told_in_order() {
    let recorder = Recorder::default();
    let mut task = Toy::new();
    task.scores = Some(vec![0.5, 0.4]);
    let config = TrainConfig {
        max_steps: Some(7),
        ..config(5)
    };
    let trainer = Trainer::new(config)
        .unwrap()
        .with_callback(recorder.clone());
    trainer.fit(&mut task).unwrap();
    // Seven steps: an epoch of five, and a last one cut to two.
    let expected = [
        "start 0 of 7",
        "step 1",
        "step 2",
        "step 3",
        "step 4",
        "step 5",
        "epoch 0",
        "validation 0 best",
        "step 6",
        "step 7",
        "epoch 1",
        "validation 1",
        "end Completed",
    ];
    assert_eq!(recorder.events(), expected);
}

#[test]
fn logs_are_synced_before_every_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::default();
    let mut task = Toy::new();
    task.scores = Some(vec![0.5]);
    let options = RunOptions {
        checkpoint_every_steps: Some(2),
        ..RunOptions::in_folder(dir.path())
    };
    let trainer = Trainer::new(config(1)).unwrap();
    trainer
        .with_options(options)
        .unwrap()
        .with_callback(recorder.clone())
        .fit(&mut task)
        .unwrap();
    let events = recorder.events();
    let saving = |event: &&String| !event.starts_with("step");
    let expected = [
        "start 0 of 5",
        "before checkpoint",
        "Resumable 2",
        "before checkpoint",
        "Resumable 4",
        "epoch 0",
        "validation 0 best",
        "Best 5",
        "before checkpoint",
        "Resumable 5",
        "Final 5",
        "end Completed",
    ];
    assert_eq!(events.iter().filter(saving).collect::<Vec<_>>(), expected);
}

#[test]
fn nothing_is_saved_twice() {
    let dir = tempfile::tempdir().unwrap();
    let saved = |resume, stopped| {
        let recorder = Recorder::default();
        let options = RunOptions {
            checkpoint_every_steps: Some(2),
            resume,
            ..RunOptions::in_folder(dir.path())
        };
        let mut trainer = Trainer::new(config(1)).unwrap();
        trainer = trainer.with_options(options).unwrap();
        trainer = trainer.with_callback(recorder.clone());
        let flag = Arc::new(AtomicBool::new(stopped));
        trainer = trainer.with_stop_flag(flag.clone());
        if !stopped {
            trainer = trainer.with_callback(StopAtCheckpoint(flag));
        }
        let report = trainer.fit(&mut Toy::new()).unwrap();
        assert_eq!((report.outcome, report.steps), (Outcome::Interrupted, 2));
        let events = recorder.events().into_iter();
        events.filter(|event| event == "Resumable 2").count()
    };
    // Stopped right behind the checkpoint of step 2; and gone on from it, but stopped before the next step.
    assert_eq!(saved(false, false), 1);
    assert_eq!(saved(true, true), 0);
}

/// Sets the flag once a checkpoint is saved.
struct StopAtCheckpoint(Arc<AtomicBool>);

impl Callback for StopAtCheckpoint {
    fn name(&self) -> &str {
        "stop at checkpoint"
    }
    fn on_checkpoint(&mut self, _: &CheckpointInfo<'_>) -> Result<(), BoxError> {
        self.0.store(true, Ordering::SeqCst);
        Ok(())
    }
}

/// Keeps the pictures it is shown.
#[derive(Clone, Default)]
struct Album(Arc<Mutex<Vec<(usize, String)>>>);

impl Callback for Album {
    fn name(&self) -> &str {
        "album"
    }
    fn wants_pictures(&self) -> bool {
        true
    }
    fn on_pictures(&mut self, info: &PicturesInfo<'_>) -> Result<(), BoxError> {
        let names = info.pictures.iter().map(|p| (info.step, p.name.clone()));
        self.0.lock().unwrap().extend(names);
        Ok(())
    }
}

#[test]
fn pictures_are_made_where_they_are_wanted_and_change_nothing() {
    let album = Album::default();
    let config = TrainConfig {
        validate_every: 2,
        ema: Some(EmaConfig::default()),
        ..config(3)
    };
    let mut task = Toy::new();
    let trainer = Trainer::new(config.clone()).unwrap();
    trainer.with_callback(album.clone()).fit(&mut task).unwrap();
    let expected = [(10, "after epoch 1"), (15, "after epoch 2")];
    let found = album.0.lock().unwrap().clone();
    assert_eq!(found, expected.map(|(step, name)| (step, name.to_string())));
    let mut without = Toy::new();
    fit(&mut without, &config).unwrap();
    assert_eq!(task.values(), without.values());
}

#[test]
fn the_base_learning_rate_is_scaled_to_the_samples_of_a_step() {
    let rates = |config: TrainConfig| {
        let dir = tempfile::tempdir().unwrap();
        logged(dir.path(), config, &mut Toy::new());
        let lines = read_log(dir.path());
        let rate = |line: &LogLine| match line {
            LogLine::Step { lr, .. } => Some(*lr),
            _ => None,
        };
        lines.iter().filter_map(rate).collect::<Vec<f64>>()
    };
    let base = |accumulation| TrainConfig {
        base_learning_rate: Some(0.64),
        accumulation,
        ..config(1)
    };
    // 4 samples a batch: 0.64 · 4 / 256, and twice that with two batches a step.
    assert_eq!(rates(base(1)), [0.01; 5]);
    assert_eq!(rates(base(2)), [0.02; 3]);
    assert_eq!(rates(config(1)), [0.02; 5]);

    // A task that does not say how many samples a batch holds.
    let mut task = crate::not_finite::Steep::at(1.0);
    let error = fit(&mut task, &base(1)).unwrap_err();
    assert!(error.to_string().contains("set learning_rate"), "{error}");
}

#[test]
fn accumulated_batches_equal_the_large_batch() {
    let run = |joined, accumulation| {
        let mut task = Toy::new();
        task.joined = joined;
        let config = TrainConfig {
            accumulation,
            ..config(4)
        };
        let report = fit(&mut task, &config).unwrap();
        assert_eq!(report.steps, 12);
        (task.values(), report)
    };
    // Steps of 8, 8 and 4 samples: as batches of 4, and as batches of 8.
    let ((small, a), (large, b)) = (run(1, 2), run(2, 1));
    for (x, y) in small.iter().flatten().zip(large.iter().flatten()) {
        assert!((x - y).abs() <= 1e-5 * y.abs().max(0.1), "{x} {y}");
    }
    let (a, b) = (a.loss.unwrap(), b.loss.unwrap());
    assert!((a - b).abs() <= 1e-5 * b, "{a} {b}");
}

#[test]
fn positions_count_batches_and_steps() {
    let mut task = Toy::new();
    let config = TrainConfig {
        accumulation: 2,
        ..config(2)
    };
    let report = fit(&mut task, &config).unwrap();
    // Five batches in pairs: steps over (0, 1), (2, 3) and (4).
    let found: Vec<_> = task
        .seen
        .iter()
        .map(|p| (p.epoch, p.batch, p.step, p.seed))
        .collect();
    let expected: Vec<_> = (0..2 * BATCHES)
        .map(|i| {
            (
                i / BATCHES,
                i % BATCHES,
                i / BATCHES * 3 + i % BATCHES / 2,
                7,
            )
        })
        .collect();
    assert_eq!(found, expected);
    assert_eq!(report.steps, 6);
}

#[test]
fn two_runs_are_equal() {
    let run = || {
        let mut task = Toy::new();
        fit(&mut task, &config(3)).unwrap();
        task.values()
    };
    assert_eq!(run(), run());
}

#[test]
fn early_stopping_counts_validations_without_improvement() {
    let mut task = Toy::new();
    task.scores = Some(vec![0.1, 0.3, 0.2, 0.3, 0.25, 0.9]);
    let config = TrainConfig {
        early_stopping: Some(3),
        ..config(6)
    };
    let report = fit(&mut task, &config).unwrap();
    // Best after the second epoch; an equal score is no improvement; three more, then the end.
    assert_eq!((report.outcome, report.epochs), (Outcome::EarlyStopped, 5));
    assert_eq!(
        report.best,
        Some(Best {
            score: 0.3,
            epoch: 1,
            step: 10
        })
    );
}

#[test]
fn validation_happens_every_k_epochs_and_last() {
    let recorder = Recorder::default();
    let config = TrainConfig {
        validate_every: 2,
        ..config(5)
    };
    let trainer = Trainer::new(config)
        .unwrap()
        .with_callback(recorder.clone());
    trainer.fit(&mut Toy::new()).unwrap();
    let epochs: Vec<_> = recorder
        .events()
        .iter()
        .filter_map(|event| {
            event
                .strip_prefix("validation ")?
                .split(' ')
                .next()?
                .parse::<usize>()
                .ok()
        })
        .collect();
    assert_eq!(epochs, [1, 3, 4]);
}

#[test]
fn averaged_weights_are_validated_and_saved() {
    let dir = tempfile::tempdir().unwrap();
    let config = TrainConfig {
        ema: Some(EmaConfig {
            decay: 0.5,
            warmup: false,
        }),
        ..config(2)
    };
    let mut task = Toy::new();
    let report = logged(dir.path(), config, &mut task);
    let final_weights = load_weights(&report.final_path.unwrap()).unwrap();
    let own = task
        .var("head.weight")
        .flatten_all()
        .unwrap()
        .to_vec1::<f32>()
        .unwrap();
    let averaged = final_weights.tensors["head.weight"].flatten_all().unwrap();
    assert_ne!(averaged.to_vec1::<f32>().unwrap(), own);
    assert!(final_weights.metadata["training"].contains("\"averaged\":true"));
    // The checkpoint holds the weights that training goes on with.
    let checkpoint = latest_checkpoint(dir.path()).unwrap().unwrap();
    let checkpoint = load_weights(&checkpoint).unwrap();
    let resumable = checkpoint.tensors["head.weight"].flatten_all().unwrap();
    assert_eq!(resumable.to_vec1::<f32>().unwrap(), own);
}

#[test]
fn plateau_watches_the_validation_score() {
    let mut task = Toy::new();
    task.scores = Some(vec![0.5; 6]);
    let plateau = PlateauConfig {
        patience: 1,
        ..Default::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let config = TrainConfig {
        schedule: Schedule::ReduceOnPlateau(plateau),
        ..config(6)
    };
    logged(dir.path(), config, &mut task);
    let lines = read_log(dir.path());
    let rates: Vec<f64> = lines
        .iter()
        .filter_map(|line| match line {
            LogLine::Epoch { lr, .. } => Some(*lr),
            _ => None,
        })
        .collect();
    // Better once, then worse twice at a patience of one: halved after epochs 3 and 5.
    assert_eq!(rates, [0.02, 0.02, 0.02, 0.01, 0.01, 0.005]);
}

#[test]
fn impossible_tasks_are_refused_and_leave_no_folder() {
    struct Empty(usize);
    impl Task for Empty {
        fn name(&self) -> &str {
            "empty"
        }
        fn parameters(&self) -> Vec<Parameter> {
            let var = || candle_core::Var::new(0f32, &candle_core::Device::Cpu).unwrap();
            (0..self.0).map(|_| Parameter::new("same", var())).collect()
        }
        fn batches_per_epoch(&self) -> usize {
            0
        }
        fn step(&mut self, _: Position) -> Result<StepOutput, BoxError> {
            Err("never called".into())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    let run = |n| {
        let trainer = Trainer::new(config(1)).unwrap();
        let trainer = trainer.with_options(RunOptions::in_folder(&folder));
        trainer.unwrap().fit(&mut Empty(n))
    };
    assert!(matches!(run(0), Err(Error::NoParameters { .. })));
    assert!(matches!(run(1), Err(Error::NoBatches { .. })));
    assert!(matches!(run(2), Err(Error::DuplicateParameter { .. })));
    assert!(!folder.exists());
}

#[test]
fn errors_of_tasks_and_callbacks_are_named() {
    struct Broken;
    impl Callback for Broken {
        fn name(&self) -> &str {
            "broken"
        }
        fn on_epoch(&mut self, _: &EpochInfo<'_>) -> Result<(), BoxError> {
            Err("no ink".into())
        }
    }
    let trainer = Trainer::new(config(1)).unwrap().with_callback(Broken);
    let error = trainer.fit(&mut Toy::new()).unwrap_err();
    assert_eq!(error.to_string(), "the callback `broken` failed: no ink");
}
