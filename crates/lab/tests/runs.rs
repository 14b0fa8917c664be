//! Whole runs that are watched, resumed and listed.

use std::fs;
use std::path::Path;

use venule::candle_core::{Device, Var};
use venule::train::{
    BoxError, FINAL_FILE, JsonLines, LOG_FILE, Outcome, Parameter, Picture, Position, Report,
    RunOptions, StepOutput, Task, TrainConfig, Trainer, Validation,
};
use venule_lab::{
    LearningCurve, ProgressBar, RunSummary, TensorBoard, learning_curve_svg, read_log, runs_below,
};

/// Brings a number to 0; its scores are given.
struct Toy(Var);

const SCORES: [f64; 4] = [0.5, 0.7, 0.6, 0.65];

impl Task for Toy {
    fn name(&self) -> &str {
        "toy"
    }
    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::new("x", self.0.clone())]
    }
    fn batches_per_epoch(&self) -> usize {
        3
    }
    fn step(&mut self, _: Position) -> Result<StepOutput, BoxError> {
        Ok(StepOutput {
            loss: self.0.sqr()?,
            terms: vec![],
            samples: 1,
        })
    }
    fn validate(&mut self, epoch: usize) -> Result<Option<Validation>, BoxError> {
        let (score, metrics) = (SCORES[epoch], Vec::new());
        Ok(Some(Validation { score, metrics }))
    }
    fn pictures(&mut self, epoch: usize) -> Result<Vec<Picture>, BoxError> {
        Ok(vec![Picture {
            name: format!("after epoch {epoch}"),
            width: 2,
            height: 1,
            png: b"\x89PNG".to_vec(),
        }])
    }
}

/// Four epochs of three steps, stopped when the time is up.
fn run(folder: &Path, epochs: usize, options: RunOptions) -> Report {
    let config = TrainConfig {
        epochs,
        ..TrainConfig::default()
    };
    let trainer = Trainer::new(config).unwrap().with_options(options).unwrap();
    trainer
        .with_callback(ProgressBar::new())
        .with_callback(JsonLines::in_folder(folder))
        .with_callback(LearningCurve::new(folder.join("curve.svg")))
        .with_callback(TensorBoard::new(folder.join("tensorboard")))
        .fit(&mut Toy(Var::new(1f32, &Device::Cpu).unwrap()))
        .unwrap()
}

#[test]
fn a_resumed_curve_is_that_of_an_undisturbed_run() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    run(whole.path(), 4, RunOptions::in_folder(whole.path()));
    run(parts.path(), 2, RunOptions::in_folder(parts.path()));
    let resuming = RunOptions {
        resume: true,
        ..RunOptions::in_folder(parts.path())
    };
    run(parts.path(), 4, resuming);
    let curve = |folder: &Path| fs::read_to_string(folder.join("curve.svg")).unwrap();
    let svg = curve(parts.path());
    assert_eq!(svg, curve(whole.path()));
    // Loss and score; and the same from the log.
    assert_eq!(svg.matches("<polyline").count(), 2);
    let lines = read_log(&parts.path().join(LOG_FILE)).unwrap();
    assert_eq!(learning_curve_svg(&lines), svg);
    // One event file for each session.
    let count = |folder: &Path| fs::read_dir(folder.join("tensorboard")).unwrap().count();
    assert_eq!((count(whole.path()), count(parts.path())), (1, 2));
}

#[test]
fn runs_are_listed_best_score_first() {
    let root = tempfile::tempdir().unwrap();
    let folder = |name: &str| root.path().join(name);
    run(&folder("whole"), 4, RunOptions::in_folder(folder("whole")));
    let hurried = RunOptions {
        max_minutes: Some(1e-9),
        ..RunOptions::in_folder(folder("deep/stopped"))
    };
    let report = run(&folder("deep/stopped"), 4, hurried);
    assert_eq!(report.outcome, Outcome::TimeUp);
    fs::create_dir(folder("damaged")).unwrap();
    fs::write(folder("damaged").join(LOG_FILE), "{\n{}\n").unwrap();
    let (runs, errors) = runs_below(root.path()).unwrap();
    assert_eq!(errors.len(), 1);
    let said = errors[0].to_string();
    assert!(
        said.contains("log.jsonl line 1 is no line of a log"),
        "{said}"
    );
    let named: Vec<_> = runs.iter().map(|run| run.folder.clone()).collect();
    assert_eq!(named, [folder("whole"), folder("deep/stopped")]);
    assert_eq!(runs[0].best, Some((0.7, 1)));
    let seen = |run: &RunSummary| (run.steps, run.epochs, run.finished, run.resumable);
    assert_eq!(seen(&runs[0]), (12, 4, true, true));
    assert_eq!(seen(&runs[1]), (0, 0, false, true));
    fs::remove_file(folder("whole").join(FINAL_FILE)).unwrap();
    assert!(!RunSummary::of(&folder("whole")).unwrap().finished);
    assert!(runs_below(&folder("nowhere")).is_err());
}
