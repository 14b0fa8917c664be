//! The two trainings end to end: they learn, repeat to the byte, hand weights on, and survive interruption.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use venule::candle_core::{Device, Tensor};
use venule::data::{Augment, ColorJitter, FovPolicy, Jitter};
use venule::file::load_weights;
use venule::nn::{Param, ParamStore};
use venule::tasks::Finetuning;
use venule::train::{
    BEST_FILE, BoxError, Callback, FINAL_FILE, Outcome, Parameter, Position, RunOptions, StepInfo,
    StepOutput, Task, TrainConfig, Trainer, Validation,
};
use venule::{ImageRecord, Predict, Recipe, Segmenter};

use crate::support::{finetuning, photograph, pretraining, recipe, short_run, train};

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn tensors(store: &ParamStore) -> BTreeMap<String, Vec<f32>> {
    let named = store.tensors().into_iter();
    named.map(|(name, t)| (name, values(&t))).collect()
}

pub fn assert_same_file(file: &str, one: &Path, other: &Path) {
    let [one, other] = [one, other].map(|folder| fs::read(folder.join(file)).unwrap());
    assert!(one.len() > 1000 && one == other, "{file} differs");
}

/// Augmented views of three photographs: three steps an epoch.
pub fn augmented() -> Recipe {
    Recipe {
        augment: Augment::standard(),
        ..recipe(64)
    }
}

#[test]
fn one_image_is_learnt_by_heart() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = Recipe {
        crops_per_image: 10,
        ..recipe(128)
    };
    let mut task = finetuning(&recipe, 1, 1);
    let config = TrainConfig {
        learning_rate: 3e-3,
        weight_decay: 0.0,
        validate_every: 0,
        ..short_run(25, 1)
    };
    let report = train(&mut task, folder.path(), config);
    assert_eq!((report.outcome, report.steps), (Outcome::Completed, 250));
    let score = task.validate(0).unwrap().unwrap().score;
    assert!(score > 0.95, "F1 {score}");
}

#[test]
fn what_a_validation_leaves_undefined_is_left_out() {
    let mut task = finetuning(&recipe(64), 1, 1);
    let mut defined = |bias: f32| {
        let bias_of_head = |p: &&Param| p.name() == "decoder.head.bias";
        let params = task.model().store().params();
        let head = params.iter().find(bias_of_head).unwrap();
        head.var()
            .set(&Tensor::new(&[bias], &Device::Cpu).unwrap())
            .unwrap();
        let metrics = task.validate(0).unwrap().unwrap().metrics;
        let names = metrics.into_iter().map(|(name, _)| name);
        names
            .filter(|name| name.ends_with("0.5"))
            .collect::<Vec<_>>()
    };
    // Where nothing is found there is no precision.
    assert_eq!(defined(-50.0), ["f1_at_0.5", "recall_at_0.5"]);
    assert_eq!(
        defined(50.0),
        ["f1_at_0.5", "recall_at_0.5", "precision_at_0.5"]
    );
}

#[test]
fn deep_supervision_adds_two_losses_and_trains_their_heads() {
    let run = |deep_supervision: bool| {
        let folder = tempfile::tempdir().unwrap();
        let mut recipe = recipe(64);
        let decoder = &mut recipe.model.decoder.config;
        decoder.insert("deep_supervision".to_owned(), deep_supervision.into());
        let mut task = finetuning(&recipe, 1, 1);
        let before = tensors(task.model().store());
        let position = Position {
            seed: 1,
            epoch: 0,
            batch: 0,
            step: 0,
        };
        task.start_epoch(position).unwrap();
        let loss = task.step(position).unwrap().loss;
        train(&mut task, folder.path(), short_run(1, 1));
        let segmenter = Segmenter::from_file(folder.path().join(FINAL_FILE)).unwrap();
        let found = segmenter.segment(&photograph(64, 0).image).unwrap();
        assert_eq!(found.mask.size(), (64, 64));
        let after = tensors(task.model().store());
        let changed = after.iter().filter(|(name, v)| before[*name] != **v);
        let changed: BTreeSet<String> = changed.map(|(name, _)| name.clone()).collect();
        (loss.to_scalar::<f32>().unwrap(), changed)
    };
    let ((plain, _), (deep, changed)) = (run(false), run(true));
    // Two losses of about the same size, each 0.4 times.
    assert!(deep > 1.4 * plain && deep < 2.6 * plain, "{deep}, {plain}");
    for head in ["head", "deep4", "deep2"] {
        assert!(
            changed.contains(&format!("decoder.{head}.weight")),
            "{head}"
        );
    }
}

#[test]
fn equal_seeds_give_equal_files() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    for (folder, seed) in folders.iter().zip([9, 9, 10]) {
        let (first, second) = (folder.path().join("mae"), folder.path().join("vessels"));
        train(&mut pretraining(seed), &first, short_run(2, seed));
        let mut task = finetuning(&augmented(), 3, seed);
        train(&mut task, &second, short_run(2, seed));
    }
    let [one, same, other] = folders.each_ref().map(|folder| folder.path());
    for file in ["mae/final", "vessels/best", "vessels/final"] {
        let file = format!("{file}.safetensors");
        assert_same_file(&file, one, same);
        assert_ne!(
            fs::read(one.join(&file)).unwrap(),
            fs::read(other.join(&file)).unwrap()
        );
    }
}

#[test]
fn a_transfer_changes_exactly_the_encoder() {
    let folder = tempfile::tempdir().unwrap();
    let mut mae = pretraining(2);
    train(&mut mae, folder.path(), short_run(2, 2));
    let mae = tensors(mae.store());

    let mut task = finetuning(&recipe(64), 1, 3);
    let before = tensors(task.model().store());
    let report = task.load_encoder(&folder.path().join(FINAL_FILE)).unwrap();
    let after = tensors(task.model().store());

    let encoder = |names: &BTreeMap<String, Vec<f32>>| -> BTreeSet<String> {
        let names = names.keys().filter(|name| name.starts_with("encoder."));
        names.cloned().collect()
    };
    let changed = after.iter().filter(|(name, v)| before[*name] != **v);
    let changed: BTreeSet<String> = changed.map(|(name, _)| name.clone()).collect();
    assert_eq!(changed, encoder(&after));
    assert_eq!(report.loaded.len(), changed.len());
    for name in &changed {
        let short = name.strip_prefix("encoder.").unwrap();
        assert_eq!(after[name], mae[short], "{name}");
    }
    let provenance = task.checkpoint().provenance;
    assert!(provenance.pretrained.unwrap().ends_with(FINAL_FILE));
}

#[test]
fn a_saved_model_gives_the_probabilities_of_the_trained_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut task = finetuning(&recipe(64), 2, 4).with_threshold(0.37).unwrap();
    train(&mut task, folder.path(), short_run(3, 4));
    let segmenter = Segmenter::from_file(folder.path().join(FINAL_FILE)).unwrap();
    assert_eq!(segmenter.checkpoint(), &task.checkpoint());
    assert_eq!(segmenter.checkpoint().threshold, 0.37);

    let sample = photograph(64, 7);
    let found = segmenter.segment_sample(&sample).unwrap();
    let fov = FovPolicy::Given.resolve(&sample).unwrap();
    let input = recipe(64).preprocess.apply(&sample.image, &fov).unwrap();
    let expected = task.model().predict(&input).unwrap();
    for ((&p, &e), &inside) in found
        .probability
        .data()
        .iter()
        .zip(expected.data())
        .zip(fov.data())
    {
        assert_eq!(p, if inside { e } else { 0.0 });
    }
    let marked = found.probability.map(|&p| p > 0.37);
    assert_eq!(found.mask, marked);
}

#[test]
fn the_best_threshold_is_stored_with_the_best_weights() {
    let folder = tempfile::tempdir().unwrap();
    let mut task = finetuning(&recipe(64), 1, 6);
    let report = train(&mut task, folder.path(), short_run(2, 6));
    let best = report.best.unwrap();
    let segmenter = Segmenter::from_file(folder.path().join(BEST_FILE)).unwrap();
    // Evaluating the saved weights at the saved threshold gives the score that was reported.
    let set = crate::support::photographs(64, 1);
    let evaluated = venule::evaluate(&segmenter, &*set, |_, _| Ok(())).unwrap();
    let f1 = evaluated.report.pooled.get("f1").unwrap();
    assert!((f1 - best.score).abs() < 1e-9, "{f1} {}", best.score);
    assert_eq!(evaluated.report.threshold, segmenter.checkpoint().threshold);
    // Beside it stands what it was chosen on.
    let chosen_on = &segmenter.checkpoint().provenance.threshold_images;
    assert_eq!(chosen_on, &ImageRecord::of(&*set, "").unwrap());
}

#[test]
fn a_threshold_given_on_resuming_holds() {
    let task = || finetuning(&recipe(64), 1, 6);
    let mut chosen = task();
    let config = TrainConfig {
        epochs: 1,
        ..TrainConfig::default()
    };
    Trainer::new(config).unwrap().fit(&mut chosen).unwrap();
    let state = chosen.state();
    let mut free = task();
    free.load_state(&state).unwrap();
    assert_eq!(free.checkpoint().threshold, chosen.checkpoint().threshold);
    let mut fixed = task().with_threshold(0.25).unwrap();
    fixed.load_state(&state).unwrap();
    let checkpoint = fixed.checkpoint();
    assert_eq!(checkpoint.threshold, 0.25);
    assert!(checkpoint.provenance.threshold_images.is_empty());
}

#[test]
fn the_encoder_that_a_run_started_from_outlasts_a_resume() {
    let folder = tempfile::tempdir().unwrap();
    train(&mut pretraining(2), folder.path(), short_run(1, 2));
    let named = |task: &Finetuning| task.checkpoint().provenance.pretrained;
    let mut begun = finetuning(&recipe(64), 1, 6);
    begun.load_encoder(&folder.path().join(FINAL_FILE)).unwrap();
    let mut resumed = finetuning(&recipe(64), 1, 6);
    resumed.load_state(&begun.state()).unwrap();
    assert!(named(&begun).is_some());
    assert_eq!(named(&resumed), named(&begun));
    // A run that started from none says so, whatever it is given later.
    begun
        .load_state(&finetuning(&recipe(64), 1, 6).state())
        .unwrap();
    assert_eq!(named(&begun), None);
    // States of before this was kept change nothing.
    let older = serde_json::json!({ "threshold": 0.25, "chosen": true });
    resumed.load_state(&older).unwrap();
    assert!(named(&resumed).is_some());
    assert_eq!(resumed.checkpoint().threshold, 0.25);
}

#[test]
fn a_threshold_that_no_validation_chose_names_no_images() {
    let images = |validate_every, threshold: Option<f32>| {
        let mut task = finetuning(&recipe(64), 1, 6);
        if let Some(threshold) = threshold {
            task = task.with_threshold(threshold).unwrap();
        }
        let config = TrainConfig {
            epochs: 1,
            validate_every,
            ..TrainConfig::default()
        };
        Trainer::new(config).unwrap().fit(&mut task).unwrap();
        task.checkpoint().provenance.threshold_images
    };
    assert_eq!(images(1, None).len(), 1);
    assert!(images(0, None).is_empty());
    assert!(images(1, Some(0.3)).is_empty());
}

#[test]
fn colours_change_what_is_learnt() {
    let first_loss = |color| {
        let mut task = finetuning(
            &Recipe {
                color,
                ..recipe(64)
            },
            1,
            6,
        );
        let start = Position {
            epoch: 0,
            batch: 0,
            step: 0,
            seed: 6,
        };
        values(&task.step(start).unwrap().loss)
    };
    let hue = ColorJitter {
        hue: Jitter::always(40.0, 40.0),
        ..ColorJitter::none()
    };
    let plain = first_loss(ColorJitter::none());
    assert_ne!(first_loss(hue), plain);
    assert_eq!(first_loss(hue), first_loss(hue));
}

#[test]
fn freezing_keeps_the_encoder_to_the_bit() {
    let mut task = finetuning(&recipe(64), 1, 8);
    task.freeze(venule::seg::Freeze::All).unwrap();
    let before = tensors(task.model().store());
    let config = TrainConfig {
        epochs: 2,
        ..TrainConfig::default()
    };
    Trainer::new(config).unwrap().fit(&mut task).unwrap();
    for (name, value) in tensors(task.model().store()) {
        let same = before[&name] == value;
        assert_eq!(same, name.starts_with("encoder."), "{name}");
    }
}

/// Raises the flag once a number of steps is taken.
struct StopAfter(usize, Arc<AtomicBool>);

impl Callback for StopAfter {
    fn name(&self) -> &str {
        "stop after"
    }

    fn on_step(&mut self, info: &StepInfo<'_>) -> Result<(), BoxError> {
        if info.step == self.0 {
            self.1.store(true, Ordering::SeqCst);
        }
        Ok(())
    }
}

/// Runs one task whole, an equal one interrupted and resumed by a third, and compares their files.
pub fn assert_resumes<T: Task>(
    make: impl Fn() -> T,
    settings: &TrainConfig,
    stop: usize,
    files: &[&str],
) {
    let [whole, parts] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    train(&mut make(), whole.path(), settings.clone());

    let flag = Arc::new(AtomicBool::new(false));
    let options = RunOptions::in_folder(parts.path());
    let trainer = Trainer::new(settings.clone()).unwrap();
    let trainer = trainer
        .with_options(options.clone())
        .unwrap()
        .with_callback(StopAfter(stop, flag.clone()))
        .with_stop_flag(flag);
    let report = trainer.fit(&mut make()).unwrap();
    assert_eq!((report.outcome, report.steps), (Outcome::Interrupted, stop));
    assert!(!parts.path().join(FINAL_FILE).exists());

    let options = RunOptions {
        resume: true,
        ..options
    };
    let trainer = Trainer::new(settings.clone()).unwrap();
    let trainer = trainer.with_options(options).unwrap();
    let report = trainer.fit(&mut make()).unwrap();
    assert_eq!(report.outcome, Outcome::Completed);
    for file in files {
        assert_same_file(file, whole.path(), parts.path());
    }
    assert!(load_weights(&parts.path().join(FINAL_FILE)).is_ok());
}

#[test]
fn an_interrupted_finetuning_ends_as_if_it_had_not_been() {
    // Within the first epoch, at its end, and within the second.
    for stop in [2, 3, 4] {
        let recipe = Recipe {
            color: ColorJitter {
                saturation: Jitter::always(0.5, 1.5),
                ..ColorJitter::none()
            },
            ..augmented()
        };
        let make = || finetuning(&recipe, 3, 5);
        let settings = short_run(2, 5);
        assert_resumes(make, &settings, stop, &[BEST_FILE, FINAL_FILE]);
    }
}

#[test]
fn an_interrupted_pretraining_ends_as_if_it_had_not_been() {
    let settings = short_run(2, 5);
    assert_resumes(|| pretraining(5), &settings, 3, &[FINAL_FILE]);
}

/// A fine-tuning whose loss is not finite in some batches of epoch 0.
struct Poisoned(Finetuning, Vec<usize>);

impl Task for Poisoned {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.0.parameters()
    }

    fn batches_per_epoch(&self) -> usize {
        self.0.batches_per_epoch()
    }

    fn start_epoch(&mut self, at: Position) -> Result<(), BoxError> {
        self.0.start_epoch(at)
    }

    fn step(&mut self, at: Position) -> Result<StepOutput, BoxError> {
        let mut output = self.0.step(at)?;
        if at.epoch == 0 && self.1.contains(&at.batch) {
            output.loss = (output.loss * f64::NAN)?;
        }
        Ok(output)
    }

    fn on_non_finite(&mut self, at: Position, folder: Option<&Path>) -> Result<(), BoxError> {
        self.0.on_non_finite(at, folder)
    }

    fn validate(&mut self, epoch: usize) -> Result<Option<Validation>, BoxError> {
        self.0.validate(epoch)
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        self.0.metadata()
    }

    fn state(&self) -> serde_json::Value {
        self.0.state()
    }

    fn load_state(&mut self, state: &serde_json::Value) -> Result<(), BoxError> {
        self.0.load_state(state)
    }
}

#[test]
fn a_step_cut_short_by_a_loss_that_is_not_finite_does_not_shift_the_batches_after_it() {
    // Eight batches, three to a step. The first of the second step is bad, so that two are left out, and the run goes on in
    // the same process or, interrupted behind that step, in another one.
    let make = || Poisoned(finetuning(&augmented(), 8, 5), vec![3]);
    let settings = TrainConfig {
        accumulation: 3,
        ..short_run(2, 5)
    };
    assert_resumes(make, &settings, 2, &[BEST_FILE, FINAL_FILE]);
}

#[test]
fn a_batch_that_is_not_finite_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let mut task = finetuning(&augmented(), 3, 1);
    let head = task.model().store().get("decoder.head.bias").unwrap();
    let nan = (head.tensor() * f64::NAN).unwrap();
    head.var().set(&nan).unwrap();
    let config = TrainConfig {
        max_non_finite: 1,
        ..short_run(1, 1)
    };
    let trainer = Trainer::new(config).unwrap();
    let trainer = trainer.with_options(RunOptions::in_folder(folder.path()));
    let error = trainer.unwrap().fit(&mut task).unwrap_err();
    assert!(
        error.to_string().contains("epoch 1, batch 2 (step 2;"),
        "{error}"
    );
    for batch in [0, 1] {
        let path = folder
            .path()
            .join(format!("not_finite_epoch_0_batch_{batch}.safetensors"));
        let saved = load_weights(&path).unwrap();
        let names: Vec<_> = saved.tensors.keys().map(String::as_str).collect();
        assert_eq!(names, ["images", "labels", "valid"]);
        assert_eq!(saved.tensors["images"].dims(), [1, 1, 64, 64]);
        let ids: Vec<String> = serde_json::from_str(&saved.metadata["ids"]).unwrap();
        assert_eq!(ids.len(), 1);
    }
}

#[test]
fn blocks_are_thawed_one_after_the_other() {
    let mut task = finetuning(&augmented(), 1, 1)
        .with_gradual_unfreezing(2)
        .unwrap();
    let depth = task.model().encoder().stages() - 1;
    assert_eq!(depth, 3);
    for (epoch, first_trained) in [
        (0, 3),
        (1, 3),
        (2, 2),
        (3, 2),
        (4, 1),
        (6, 0),
        (8, 0),
        (100, 0),
    ] {
        task.start_epoch(venule::train::Position {
            epoch,
            batch: 0,
            step: epoch,
            seed: 1,
        })
        .unwrap();
        let trainable: BTreeSet<String> = task
            .model()
            .store()
            .trainable()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        for block in 0..depth {
            let name = format!("encoder.blocks.{block}.mlp.fc1.weight");
            assert_eq!(
                trainable.contains(&name),
                block >= first_trained,
                "epoch {epoch}, {name}"
            );
        }
        assert_eq!(
            trainable.contains("encoder.patch_embed.proj.weight"),
            epoch >= 8
        );
        assert!(trainable.contains("decoder.head.weight"));
    }
    assert!(
        finetuning(&augmented(), 1, 1)
            .with_gradual_unfreezing(0)
            .is_err()
    );
}
