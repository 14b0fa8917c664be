//! Learning from photographs without labels.

use std::error::Error as _;
use std::path::Path;

use venule::candle_core::Device;
use venule::data::{Augment, Dataset, FovPolicy, InMemory, LabelCheck, Prepared, Sample};
use venule::tasks::{Finetuning, FinetuningData};
use venule::train::{BEST_FILE, FINAL_FILE, Outcome, Task, Trainer};
use venule::{Error, ImageRecord, Recipe, Registry, Seen, Segmenter, SelfTraining, VesselModel};
use venule_lab::{FinetuneConfig, Place, RunFile};

use crate::run_folders::labelled_folder;
use crate::support::{photograph, photographs, recipe, short_run, tiny_checkpoint, train};
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

/// An untrained model of the tiny kind, which finds something everywhere.
fn teacher(seed: u64) -> (String, Segmenter) {
    let checkpoint = tiny_checkpoint();
    let model = VesselModel::new(&checkpoint.model, seed, &Device::Cpu).unwrap();
    let segmenter = Segmenter::new(checkpoint, model).unwrap();
    (format!("teacher {seed}"), segmenter)
}

/// Of photographs without labels alone, taught by these teachers.
fn student(recipe: &Recipe, teachers: &[u64]) -> Finetuning {
    let none = Box::new(InMemory::new(Vec::new()));
    let data = data(none, photographs(96, 2));
    let task = Finetuning::new(recipe, data, &Device::Cpu).unwrap();
    let teachers = teachers.iter().map(|&seed| teacher(seed)).collect();
    task.with_teachers(teachers).unwrap()
}

#[test]
fn a_student_learns_what_its_teachers_find_in_the_mean() {
    let mut recipe = settings();
    recipe.augment = Augment::none();
    recipe.self_training.unsure = 0.0;
    recipe.crops_per_image = 8;
    recipe.train = short_run(10, 5);
    recipe.train.validate_every = 0;
    let view = |index| {
        let fov = FovPolicy::GivenOrDetect;
        Prepared::from_sample(&photograph(96, index), &recipe.preprocess, fov).unwrap()
    };
    let found = |model: &VesselModel| model.predict(&view(0).image).unwrap().data().to_vec();
    let [one, other] = [1, 2].map(|seed| found(teacher(seed).1.model()));
    let apart = |map: &[f32], weight: f32| {
        let mixed = one.iter().zip(&other);
        let mixed = mixed.map(|(a, b)| weight * a + (1.0 - weight) * b);
        let gaps = map.iter().zip(mixed).map(|(p, q)| (p - q).powi(2));
        gaps.sum::<f32>() / map.len() as f32
    };
    let mut task = student(&recipe, &[1, 2]);
    // No average of its own weights teaches.
    assert!(!task.has_teacher());
    let before = found(task.model());
    let folder = tempfile::tempdir().unwrap();
    train(&mut task, folder.path(), recipe.train.clone());
    let after = found(task.model());
    assert!(
        apart(&after, 0.5) < 0.3 * apart(&before, 0.5),
        "{} {}",
        apart(&after, 0.5),
        apart(&before, 0.5)
    );
    assert!(apart(&after, 0.5) < apart(&after, 1.0).min(apart(&after, 0.0)));
    let said = Segmenter::from_file(folder.path().join(FINAL_FILE)).unwrap();
    assert_eq!(
        said.checkpoint().provenance.teachers,
        ["teacher 1", "teacher 2"]
    );
}

#[test]
fn a_student_goes_on_as_if_it_had_not_been_stopped() {
    let recipe = settings();
    let make = || student(&recipe, &[1]);
    assert_resumes(make, &recipe.train, 1, &[FINAL_FILE]);
}

#[test]
fn teachers_that_cannot_teach_are_refused() {
    let recipe = settings();
    let labelled = FinetuningData {
        unlabelled: None,
        ..data(photographs(96, 1), photographs(96, 1))
    };
    let task = Finetuning::new(&recipe, labelled, &Device::Cpu).unwrap();
    let error = task.with_teachers(vec![teacher(1)]).err().unwrap();
    assert!(
        error.to_string().contains("photographs without labels"),
        "{error}"
    );

    let task = student(&recipe, &[]);
    let fast = (
        "bundled-fast".to_owned(),
        Segmenter::bundled_fast().unwrap(),
    );
    let error = task.with_teachers(vec![fast]).err().unwrap().to_string();
    assert!(
        error.contains("bundled-fast") && error.contains("recipe.preprocess"),
        "{error}"
    );
    // A teacher is not shown a rim that it must not see; one that sees it may be kept from it.
    let with = |dark_rim: f32| {
        let mut recipe = settings();
        recipe.preprocess = Segmenter::bundled_fast()
            .unwrap()
            .checkpoint()
            .preprocess
            .clone();
        recipe.preprocess.dark_rim = dark_rim;
        let fast = Segmenter::bundled_fast().unwrap();
        student(&recipe, &[]).with_teachers(vec![("bundled-fast".to_owned(), fast)])
    };
    let error = with(0.0).err().unwrap().to_string();
    assert!(error.contains("dark_rim is 0.6 and not 0"), "{error}");
    assert!(with(0.6).is_ok() && with(0.9).is_ok());
}

#[test]
fn a_run_file_names_teachers_and_another_teacher_is_another_run() {
    let root = tempfile::tempdir().unwrap();
    labelled_folder(root.path());
    let files = [1, 2].map(|seed| {
        let (_, teacher) = teacher(seed);
        let file = root.path().join(format!("{seed}.safetensors"));
        let dtype = venule::candle_core::DType::F32;
        teacher
            .checkpoint()
            .save(&file, teacher.model(), dtype)
            .unwrap();
        file
    });
    let run = |teacher: &Path, resume: bool| {
        let run = FinetuneConfig::preset("tiny").unwrap();
        let mut run = run
            .with_all([("recipe.crop", "64"), ("recipe.train.epochs", "2")])
            .unwrap();
        run.recipe.preprocess = tiny_checkpoint().preprocess;
        run.unlabelled = vec![root.path().join("train/images")];
        run.teachers = vec![teacher.display().to_string()];
        run.run.resume = resume;
        let place = root.path().join("run");
        Place::new(&place, &Registry::built_in()).finetune(&run)
    };
    run(&files[0], false).unwrap();
    let taught = Segmenter::from_file(root.path().join("run").join(FINAL_FILE)).unwrap();
    let provenance = &taught.checkpoint().provenance;
    assert_eq!(provenance.teachers, [files[0].display().to_string()]);
    assert_eq!(provenance.unlabelled.len(), 6);
    let error = run(&files[1], true).unwrap_err();
    assert!(error.to_string().contains("teacher"), "{error}");
    let missing = run(&root.path().join("none.safetensors"), false).unwrap_err();
    assert!(
        missing.to_string().contains("none.safetensors"),
        "{missing}"
    );
    let misspelt = run(Path::new("bundeld-fast"), false).unwrap_err();
    assert!(
        misspelt.to_string().contains("did you mean 'bundled-fast'"),
        "{misspelt}"
    );
}

#[test]
fn a_run_goes_on_with_the_built_in_teachers_that_it_was_begun_with() {
    let root = tempfile::tempdir().unwrap();
    labelled_folder(root.path());
    let place = root.path().join("run");
    let run = |teachers: &[&str], steps: &str| {
        let run = FinetuneConfig::preset("unet").unwrap();
        let small = [
            ("recipe.crop", "64"),
            ("recipe.train.epochs", "4"),
            ("recipe.train.max_steps", steps),
            ("run.resume", "true"),
        ];
        let mut run = run.with_all(small).unwrap();
        run.unlabelled = vec![root.path().join("train/images")];
        run.recipe.preprocess.dark_rim = 0.6; // as bundled-fast has it
        run.teachers = teachers.iter().map(|&name| name.to_owned()).collect();
        Place::new(&place, &Registry::built_in()).finetune(&run)
    };
    run(&["label-free"], "1").unwrap();
    for others in [&["bundled-fast"][..], &["label-free", "bundled-fast"]] {
        let error = run(others, "2").unwrap_err().to_string();
        assert!(error.contains("the teacher bundled-fast"), "{error}");
    }
    // Nor alone: a student of random weights cannot teach itself.
    let error = run(&[], "2").unwrap_err().to_string();
    assert!(error.contains("random weights cannot teach"), "{error}");
    assert_eq!(run(&["label-free"], "2").unwrap().steps, 2);
}
