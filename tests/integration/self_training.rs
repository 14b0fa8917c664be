//! Learning from photographs without labels.

use std::error::Error as _;
use std::path::Path;

use venule::candle_core::Device;
use venule::data::{Dataset, FovPolicy, InMemory, LabelCheck, Prepared, Sample};
use venule::tasks::{Finetuning, FinetuningData};
use venule::train::{BEST_FILE, FINAL_FILE, Outcome, Task, Trainer};
use venule::{Error, ImageRecord, Recipe, Registry, Seen, Segmenter, SelfTraining};
use venule_lab::{FinetuneConfig, Place, RunFile};

use crate::run_folders::labelled_folder;
use crate::support::{photograph, photographs, recipe, short_run};
use crate::training::{assert_resumes, augmented};

/// Two epochs of two steps, from bundled weights, on four photographs of 96 pixels without labels; two drawn ones beside them.
fn run(photographs: &Path) -> FinetuneConfig {
    let run = FinetuneConfig::preset("compact").unwrap();
    let folder = vec![photographs.to_owned()];
    let run = run.adapting("bundled-fast", folder, &Registry::built_in());
    let small = [
        ("recipe.preprocess.resize", "none"),
        ("recipe.crop", "64"),
        ("recipe.crops_per_image", "1"),
        ("recipe.batch_size", "1"),
        ("recipe.self_training.batch_size", "2"),
        ("recipe.train.epochs", "2"),
        ("recipe.train.max_steps", "4"),
        ("synthetic.photographs", "2"),
        ("synthetic.range", "{ width = [96, 96] }"),
    ];
    run.unwrap().with_all(small).unwrap()
}

fn task(run: &FinetuneConfig) -> Finetuning {
    run.task(&Registry::built_in(), &Device::Cpu).unwrap().0
}

#[test]
fn weights_adapted_to_photographs_name_them() {
    let root = tempfile::tempdir().unwrap();
    labelled_folder(root.path());
    let images = root.path().join("train/images");
    let place = root.path().join("run");
    let report = Place::new(&place, &Registry::built_in()).finetune(&run(&images));
    let report = report.unwrap();
    assert_eq!((report.outcome, report.steps), (Outcome::Completed, 4));
    let adapted = Segmenter::from_file(place.join(FINAL_FILE)).unwrap();
    let start = Segmenter::bundled_fast().unwrap();
    let (now, before) = (adapted.checkpoint(), start.checkpoint());
    assert_eq!(now.threshold, before.threshold);
    assert_eq!(now.provenance.images, before.provenance.images);
    assert_eq!(now.provenance.unlabelled.len(), 6);
    assert_eq!(now.provenance.pretrained.as_deref(), Some("bundled-fast"));
    assert!(!now.provenance.drawn.is_empty());
    let image = &now.provenance.unlabelled[0];
    assert_eq!(now.provenance.trained_on(image), Seen::Yes);
    assert_ne!(before.provenance.trained_on(image), Seen::Yes);
    let text = std::fs::read_to_string(place.join("data.tsv")).unwrap();
    assert_eq!(
        text.lines()
            .filter(|line| line.starts_with("unlabelled\t"))
            .count(),
        6
    );
}

#[test]
fn an_interrupted_adaptation_ends_as_if_it_had_not_been() {
    let root = tempfile::tempdir().unwrap();
    labelled_folder(root.path());
    for (synthetic, stop) in [(true, 1), (true, 2), (false, 3)] {
        let workers = std::cell::Cell::new(0);
        let adaptation = || {
            let mut run = run(&root.path().join("train/images"));
            if !synthetic {
                run.synthetic = None;
            }
            run
        };
        let make = || {
            // Each of the three tasks loads on another number of threads.
            workers.set(workers.get() + 1);
            let mut run = adaptation();
            run.workers = workers.get() % 3;
            task(&run)
        };
        let settings = adaptation().recipe.train;
        assert_resumes(make, &settings, stop, &[BEST_FILE, FINAL_FILE]);
    }
}

/// A recipe of the tiny model with changes of intensity.
fn settings() -> Recipe {
    let mut settings = augmented();
    settings.train = short_run(2, 5);
    settings.train.ema = Some(Default::default());
    settings
}

fn data(train: Box<dyn Dataset>, unlabelled: Box<dyn Dataset>) -> FinetuningData {
    FinetuningData {
        train,
        unlabelled: Some(unlabelled),
        validation: Box::new(InMemory::new(Vec::new())),
        fov: FovPolicy::GivenOrDetect,
        workers: 1,
        cache_bytes: 1 << 28,
    }
}

/// A fresh network is sure of nothing: the probability that a fifth of the pixels exceed.
fn a_fifth(task: &Finetuning, recipe: &Recipe) -> f32 {
    let fov = FovPolicy::GivenOrDetect;
    let view = Prepared::from_sample(&photograph(96, 0), &recipe.preprocess, fov).unwrap();
    let map = task.model().predict(&view.image).unwrap();
    let inside = map.data().iter().zip(view.fov.data());
    let mut inside: Vec<f32> = inside
        .filter(|(_, inside)| **inside)
        .map(|(&p, _)| p)
        .collect();
    inside.sort_by(f32::total_cmp);
    inside[inside.len() * 4 / 5]
}

fn trained(recipe: &Recipe, data: FinetuningData) -> venule::train::Result<Vec<Vec<f32>>> {
    let task = Finetuning::new(recipe, data, &Device::Cpu).unwrap();
    let threshold = a_fifth(&task, recipe);
    let mut task = task.with_threshold(threshold).unwrap();
    Trainer::new(recipe.train.clone()).unwrap().fit(&mut task)?;
    let parameters = task.parameters();
    let values = parameters.iter().map(|p| p.var.flatten_all()?.to_vec1());
    Ok(values
        .collect::<Result<_, venule::candle_core::Error>>()
        .unwrap())
}

/// Photographs whose labels are changed.
fn relabelled(change: impl Fn(Sample) -> Sample) -> Box<InMemory> {
    let set = photographs(96, 3);
    let all = (0..set.len()).map(|index| change(set.load(index).unwrap()));
    Box::new(InMemory::new(all.collect()))
}

#[test]
fn labels_that_the_photographs_have_are_not_looked_at() {
    let without = relabelled(|sample| Sample {
        label: None,
        ..sample
    });
    let inverted = relabelled(|sample| Sample {
        label: sample.label.map(|label| label.map(|&vessel| !vessel)),
        ..sample
    });
    let [a, b] = [without, inverted].map(|set| {
        let recipe = settings();
        trained(&recipe, data(photographs(96, 2), set)).unwrap()
    });
    assert_eq!(a, b);
}

#[test]
fn it_begins_in_the_epoch_that_is_set() {
    let with = |from_epoch, steps, unlabelled: Option<Box<dyn Dataset>>| {
        let mut recipe = settings();
        recipe.self_training.from_epoch = from_epoch;
        recipe.train.max_steps = steps;
        let data = FinetuningData {
            unlabelled,
            ..data(photographs(96, 2), photographs(96, 3))
        };
        trained(&recipe, data).unwrap()
    };
    let from = |epoch, steps| with(epoch, steps, Some(photographs(96, 3)));
    // The first epoch has two steps.
    assert_eq!(from(1, Some(2)), with(0, Some(2), None));
    assert_ne!(from(0, Some(2)), with(0, Some(2), None));
    assert_ne!(from(1, None), with(0, None, None));
}

#[test]
fn a_start_that_finds_nothing_and_a_teacher_that_collapses_are_told() {
    let source = |error: venule::train::Error| {
        let source = error.source().unwrap();
        let error = source.downcast_ref::<Error>().unwrap();
        let Error::Collapse { vessels, at_start } = error else {
            panic!("{error}");
        };
        (*vessels, *at_start, error.to_string())
    };
    let start = |threshold| {
        let recipe = settings();
        let data = data(photographs(96, 2), photographs(96, 3));
        let task = Finetuning::new(&recipe, data, &Device::Cpu).unwrap();
        let mut task = task.with_threshold(threshold).unwrap();
        let error = Trainer::new(recipe.train).unwrap().fit(&mut task);
        source(error.unwrap_err())
    };
    assert_eq!(start(0.999).0, 0.0);
    assert!(start(0.0).0 > 0.99);
    assert!(start(0.0).2.contains("can teach nothing"));

    // Labels without any vessel teach that there are none.
    let empty = relabelled(|sample| Sample {
        label: sample.label.map(|label| label.map(|_| false)),
        allowed: LabelCheck::default().allow_empty(),
        ..sample
    });
    let mut recipe = settings();
    recipe.train.epochs = 40;
    recipe.train.learning_rate = 1e-2;
    recipe.train.ema = Some(venule::train::EmaConfig {
        decay: 0.0,
        warmup: false,
    });
    let (vessels, at_start, text) =
        source(trained(&recipe, data(empty, photographs(96, 3))).unwrap_err());
    assert!(vessels < 0.25 * at_start.unwrap(), "{vessels} {at_start:?}");
    assert!(text.contains("checkpoints saved before are kept"), "{text}");
}

#[test]
fn settings_and_folders_that_cannot_be_are_refused() {
    let error = |recipe: &Recipe, data: FinetuningData| {
        let task = Finetuning::new(recipe, data, &Device::Cpu);
        task.err().unwrap().to_string()
    };
    let none = || Box::new(InMemory::new(Vec::new()));
    let with = |self_training| Recipe {
        self_training,
        ..recipe(64)
    };
    let fine = SelfTraining::default();
    for (wrong, named) in [
        (
            SelfTraining {
                weight: 0.0,
                ..fine
            },
            "self_training.weight is 0",
        ),
        (
            SelfTraining {
                weight: f64::NAN,
                ..fine
            },
            "self_training.weight is NaN",
        ),
        (
            SelfTraining {
                batch_size: 0,
                ..fine
            },
            "self_training.batch_size is 0",
        ),
        (
            SelfTraining {
                unsure: 1.0,
                ..fine
            },
            "self_training.unsure is 1",
        ),
        (
            SelfTraining {
                from_epoch: 1,
                ..fine
            },
            "self_training.from_epoch is 1",
        ),
    ] {
        let error = error(&with(wrong), data(none(), photographs(96, 1)));
        assert!(error.contains(named), "{error}");
    }
    let late = SelfTraining {
        from_epoch: with(fine).train.epochs,
        ..fine
    };
    let never = error(&with(late), data(photographs(96, 1), photographs(96, 1)));
    assert!(
        never.contains("begins before the last epoch ends"),
        "{never}"
    );
    let error = error(&with(fine), data(none(), none()));
    assert!(
        error.contains("photographs to learn from without labels"),
        "{error}"
    );
}

#[test]
fn photographs_alone_make_the_epochs() {
    let mut recipe = settings();
    recipe.self_training.batch_size = 2;
    let none = Box::new(InMemory::new(Vec::new()));
    let data = data(none, photographs(96, 3));
    let images = ImageRecord::of(&data.unlabelled.as_ref().unwrap(), "").unwrap();
    let task = Finetuning::new(&recipe, data, &Device::Cpu).unwrap();
    // Three photographs, as many crops of each as of a labelled one.
    let crops = 3 * recipe.crops_per_image;
    assert_eq!(task.batches_per_epoch(), crops.div_ceil(2));
    assert_eq!(task.samples_per_batch(), Some(2));
    assert_eq!(task.checkpoint().provenance.unlabelled, images);
    assert!(task.has_teacher());
}
