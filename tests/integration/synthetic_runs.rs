//! Trainings on synthetic photographs that no file holds.

use venule::candle_core::Device;
use venule::synthetic::SyntheticStream;
use venule::tasks::{Pretraining, PretrainingData};
use venule::train::{BEST_FILE, FINAL_FILE, Outcome, Task};
use venule::{Registry, Segmenter};
use venule_lab::{FinetuneConfig, Place, Purpose, RunFile};

use crate::run_folders::{labelled_folder, run_on};
use crate::support::{pretrain_recipe, pretraining_data};
use crate::training::assert_resumes;

/// Two new photographs of 96 pixels in each of two epochs, two to choose on.
fn run() -> FinetuneConfig {
    "preset = 'tiny'\n[recipe]\ncrop = 64\ncrops_per_image = 1\nbatch_size = 1\n\
     [recipe.train]\nepochs = 2\n[synthetic]\nphotographs = 2\nvalidation = 2\nrange = { width = [96, 96] }"
        .parse()
        .unwrap()
}

#[test]
fn a_training_without_any_file_names_what_drew_its_photographs() {
    let root = tempfile::tempdir().unwrap();
    let place = root.path().join("run");
    let report = Place::new(&place, &Registry::built_in()).finetune(&run());
    let report = report.unwrap();
    assert_eq!((report.outcome, report.steps), (Outcome::Completed, 4));
    let segmenter = Segmenter::from_file(place.join(FINAL_FILE)).unwrap();
    let provenance = &segmenter.checkpoint().provenance;
    assert!(provenance.images.is_empty(), "{:?}", provenance.images);
    assert_eq!(provenance.drawn.len(), 1);
    assert!(provenance.drawn[0].contains("a range of one's own"));
    // The threshold was chosen on photographs that can be named.
    assert_eq!(provenance.threshold_images.len(), 2);
}

#[test]
fn an_interrupted_training_on_a_stream_ends_as_if_it_had_not_been() {
    let workers = std::cell::Cell::new(0);
    let make = || {
        // Each of the three tasks draws on another number of threads.
        workers.set(workers.get() + 1);
        let mut run = run();
        run.workers = workers.get() % 3;
        run.task(&Registry::built_in(), &Device::Cpu).unwrap().0
    };
    let settings = run().recipe.train;
    assert_resumes(make, &settings, 3, &[BEST_FILE, FINAL_FILE]);
}

#[test]
fn a_pretraining_names_what_drew_its_photographs_too() {
    let range = run().synthetic.unwrap().range;
    let data = PretrainingData {
        photographs: Box::new(SyntheticStream::new(range, 3, 2).unwrap()),
        ..pretraining_data()
    };
    let task = Pretraining::new(&pretrain_recipe(), data, &Device::Cpu).unwrap();
    let said: Vec<String> = task.metadata().into_values().collect();
    assert!(
        said.iter()
            .any(|text| text.contains("synthetic photographs") && text.contains("seed 3")),
        "{said:?}"
    );
}

#[test]
fn synthetic_photographs_join_those_of_a_data_set() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    labelled_folder(&data);
    let mut joined = run();
    joined.data = run_on(&data).data;
    let folder = root.path().join("run");
    let report = Place::new(&folder, &Registry::built_in())
        .finetune(&joined)
        .unwrap();
    // Four of the folder and two drawn, in two epochs.
    let images = joined.files(Purpose::Train).unwrap().files().len();
    assert_eq!(report.steps, 2 * (images + 2));
    let segmenter = Segmenter::from_file(folder.join(FINAL_FILE)).unwrap();
    let provenance = &segmenter.checkpoint().provenance;
    assert_eq!(
        (provenance.images.len(), provenance.drawn.len()),
        (images, 1)
    );
    assert!(folder.join("test.json").is_file());
}

#[test]
fn ranges_in_run_files_are_checked() {
    for (text, parts) in [
        (
            "[synthetic]\nrange = 'any_camera'",
            &["any-camera or drive-like"][..],
        ),
        ("[synthetic.range]\nnois = [0, 1]", &["nois", "noise"]),
        (
            "[synthetic.range]\nnoise = [0.03, 0.01]",
            &["noise", "least value first"],
        ),
        (
            "[synthetic]\nphotographs = 0",
            &["photographs in an epoch", "between 1"],
        ),
        (
            "[synthetic]\nvalidation = 5000",
            &["synthetic.validation", "at most 1000"],
        ),
    ] {
        let error = text.parse::<FinetuneConfig>();
        let error = error
            .and_then(|run| run.validate())
            .unwrap_err()
            .to_string();
        for part in parts {
            assert!(error.contains(part), "{text}: {error}");
        }
    }
    let run = run().with("synthetic.range.noise", "[0.0, 0.01]").unwrap();
    assert_eq!(run.synthetic.unwrap().range.noise, [0.0, 0.01]);
}
