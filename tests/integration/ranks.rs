//! Both trainings by several processes, here threads, against one.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::thread;

use venule::Registry;
use venule::file::load_weights;
use venule::train::{
    Communicator, FINAL_FILE, InProcess, RunOptions, Task, TrainConfig, Trainer, latest_checkpoint,
};
use venule_lab::Place;

use crate::run_folders::{labelled_folder, run_on};
use crate::support::{finetuning, pretraining, short_run};
use crate::training::augmented;

type Weights = BTreeMap<String, Vec<f32>>;

/// The weights that a training by so many ranks comes to.
fn trained<T: Task>(ranks: usize, config: &TrainConfig, task: impl Fn() -> T + Sync) -> Weights {
    let folder = tempfile::tempdir().unwrap();
    thread::scope(|scope| {
        for rank in InProcess::group(ranks) {
            scope.spawn(|| {
                let communicator: Rc<dyn Communicator> = Rc::new(rank);
                let trainer = Trainer::new(config.clone()).unwrap();
                let options = RunOptions::in_folder(folder.path());
                let trainer = trainer.with_options(options).unwrap();
                let trainer = trainer.with_communicator(communicator);
                trainer.fit(&mut task()).unwrap();
            });
        }
    });
    assert!(latest_checkpoint(folder.path()).unwrap().is_some());
    let weights = load_weights(&folder.path().join(FINAL_FILE)).unwrap();
    let tensors = weights.tensors.iter();
    tensors
        .map(|(name, tensor)| {
            let values = tensor.flatten_all().unwrap().to_vec1().unwrap();
            (name.clone(), values)
        })
        .collect()
}

fn assert_alike<T: Task>(config: &TrainConfig, task: impl Fn() -> T + Sync) {
    let (one, two) = (trained(1, config, &task), trained(2, config, &task));
    assert_eq!(one.len(), two.len());
    for (name, values) in one {
        for (a, b) in values.iter().zip(&two[&name]) {
            assert!((a - b).abs() <= 1e-5, "{name}: {a}, {b}");
        }
    }
}

#[test]
fn two_ranks_pretrain_as_one_process_does() {
    let config = TrainConfig {
        accumulation: 2,
        ..short_run(2, 5)
    };
    assert_alike(&config, || pretraining(5));
}

#[test]
fn two_ranks_finetune_as_one_process_does() {
    // Three steps an epoch: the last is the first rank's alone.
    let config = TrainConfig {
        accumulation: 2,
        ..short_run(2, 5)
    };
    assert_alike(&config, || finetuning(&augmented(), 3, 5));
}

#[test]
fn processes_with_other_run_files_do_not_begin() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    labelled_folder(&root.join("data"));
    let end = |rank: InProcess| {
        let mut run = run_on(&root.join("data"));
        run.recipe.train.accumulation = 2;
        run.recipe.crop = 64 + 16 * rank.rank();
        let (registry, save) = (Registry::built_in(), root.join("run"));
        let place = Place {
            communicator: Some(Rc::new(rank)),
            ..Place::new(&save, &registry)
        };
        place.finetune(&run).unwrap_err().to_string()
    };
    let ends: Vec<String> = thread::scope(|scope| {
        let ranks = InProcess::group(2).into_iter();
        let ranks: Vec<_> = ranks.map(|rank| scope.spawn(|| end(rank))).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    });
    for end in ends {
        let said = "the run file or images of process 1 and of process 0 differ";
        assert!(end.contains(said), "{end}");
    }
}
