//! Several ranks against one process.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use venule_file::load_weights;
use venule_train::*;

use crate::loop_runs::config;
use crate::resume::StopAt;
use crate::toy::{BATCHES, Toy};

/// What each of several ranks comes to.
fn each<T: Send>(ranks: usize, work: impl Fn(Rc<dyn Communicator>) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let ranks = InProcess::group(ranks).into_iter();
        let threads: Vec<_> = ranks
            .map(|rank| scope.spawn(|| work(Rc::new(rank))))
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    })
}

fn accumulating(accumulation: usize) -> TrainConfig {
    TrainConfig {
        accumulation,
        ema: Some(EmaConfig::default()),
        ..config(3)
    }
}

fn alone(config: &TrainConfig, mut task: Toy) -> (Report, Toy) {
    let report = Trainer::new(config.clone()).unwrap().fit(&mut task);
    (report.unwrap(), task)
}

fn shared(
    config: &TrainConfig,
    communicator: Rc<dyn Communicator>,
    mut task: Toy,
) -> Result<(Report, Toy)> {
    let trainer = Trainer::new(config.clone())?.with_communicator(communicator);
    Ok((trainer.fit(&mut task)?, task))
}

fn assert_close(found: &Toy, expected: &Toy, most: f32) {
    let pairs = found.values().concat().into_iter();
    for (found, expected) in pairs.zip(expected.values().concat()) {
        assert!((found - expected).abs() <= most, "{found} for {expected}");
    }
}

#[test]
fn any_number_of_ranks_comes_to_what_one_process_comes_to() {
    for (ranks, accumulation) in [(2, 2), (2, 4), (3, 3), (4, 4), (3, 6)] {
        let config = accumulating(accumulation);
        let (expected, one) = alone(&config, Toy::new());
        let found = each(ranks, |communicator| {
            let rank = communicator.rank();
            let (report, toy) = shared(&config, communicator, Toy::new()).unwrap();
            // No rank draws what another one takes.
            let batches = toy.seen.iter().map(|position| position.batch);
            assert!(batches.clone().all(|batch| batch % ranks == rank));
            (report, toy)
        });
        for (report, toy) in &found {
            assert_eq!(toy.values(), found[0].1.values());
            assert_close(toy, &one, 1e-5);
            assert_eq!((report.steps, report.epochs), (expected.steps, 3));
            let loss = |report: &Report| report.loss.unwrap();
            assert!((loss(report) - loss(&expected)).abs() < 1e-5);
            let score = |report: &Report| report.best.unwrap().score;
            assert_eq!(score(report), score(&found[0].0));
            assert!((score(report) - score(&expected)).abs() < 1e-5);
            assert!(report.communication.is_some());
        }
        let batches: usize = found.iter().map(|(_, toy)| toy.seen.len()).sum();
        assert_eq!(batches, 3 * BATCHES);
        assert_eq!(expected.communication, None);
    }
}

#[test]
fn two_ranks_come_to_what_the_double_batch_comes_to() {
    let mut double = Toy::new();
    double.joined = 2;
    let (_, one) = alone(&accumulating(1), double);
    for (_, toy) in each(2, |communicator| {
        shared(&accumulating(2), communicator, Toy::new()).unwrap()
    }) {
        assert_close(&toy, &one, 1e-5);
    }
}

#[test]
fn a_run_goes_on_with_another_number_of_ranks() {
    let config = accumulating(2);
    let (_, undisturbed) = alone(&config, Toy::new());
    let folder = tempfile::tempdir().unwrap();
    let part = |stop_at: usize, ranks: usize, resume: bool| {
        let options = RunOptions {
            resume,
            ..RunOptions::in_folder(folder.path())
        };
        each(ranks, |communicator| {
            let flag = Arc::new(AtomicBool::new(false));
            let mut toy = Toy::new();
            let mut trainer = Trainer::new(config.clone())?.with_options(options.clone())?;
            if communicator.rank() == 0 {
                let (at, flag) = (stop_at, flag.clone());
                trainer = trainer.with_callback(StopAt { at, flag });
            }
            let trainer = trainer.with_stop_flag(flag);
            trainer.with_communicator(communicator).fit(&mut toy)?;
            Ok(toy)
        })
    };
    // In mid-epoch: steps end at batches 2, 4 and 5.
    for end in part(2, 2, false) {
        end.unwrap();
    }
    // Rank 0 says why it does not begin; the others are told that it has left.
    let ends = part(9, 2, false).into_iter().map(|end| end.err().unwrap());
    let ends: Vec<_> = ends.collect();
    assert!(matches!(ends[0], Error::RunExists { .. }), "{ends:?}");
    assert!(
        matches!(ends[1], Error::Communication { rank: 1, .. }),
        "{ends:?}"
    );
    for end in part(5, 1, true) {
        end.unwrap();
    }
    for end in part(9, 2, true) {
        assert_close(&end.unwrap(), &undisturbed, 1e-5);
    }
    let last = load_weights(&folder.path().join("checkpoint-000000009.safetensors"));
    assert_eq!(last.unwrap().tensors.len(), 5);
}

#[test]
fn ranks_that_cannot_share_or_differ_are_refused() {
    let ends = each(2, |communicator| {
        let end = shared(&accumulating(3), communicator, Toy::new());
        end.err().unwrap().to_string()
    });
    for end in &ends {
        assert!(end.contains("multiple of 2"), "{end}");
    }
    let refused = |change: fn(usize, &mut TrainConfig, &mut Toy), what: &str| {
        for end in each(2, |communicator| {
            let (mut config, mut toy) = (accumulating(2), Toy::new());
            change(communicator.rank(), &mut config, &mut toy);
            shared(&config, communicator, toy).err().unwrap()
        }) {
            let found = matches!(end, Error::RanksDiffer { rank: 1, what: found } if found == what);
            assert!(found, "{end}");
        }
    };
    refused(
        |rank, config, _| config.seed = rank as u64,
        "settings or version",
    );
    refused(
        |rank, _, toy| toy.joined = 1 + rank,
        "number of batches in an epoch",
    );
}

#[test]
fn a_batch_that_is_not_finite_is_skipped_by_all() {
    let config = accumulating(2);
    let poisoned = || {
        let mut toy = Toy::new();
        toy.poisoned = vec![(1, 3)];
        toy
    };
    let (expected, one) = alone(&config, poisoned());
    assert_eq!(expected.skipped, 1);
    for (report, toy) in each(2, |communicator| {
        shared(&config, communicator, poisoned()).unwrap()
    }) {
        assert_eq!(report.skipped, 1);
        assert_close(&toy, &one, 1e-5);
    }
}

#[test]
fn the_stop_flag_of_one_stops_all() {
    let stop = Arc::new(AtomicBool::new(true));
    for report in each(3, |communicator| {
        let mut trainer = Trainer::new(accumulating(3)).unwrap();
        if communicator.rank() == 2 {
            trainer = trainer.with_stop_flag(stop.clone());
        }
        let trainer = trainer.with_communicator(communicator);
        trainer.fit(&mut Toy::new()).unwrap()
    }) {
        assert_eq!((report.outcome, report.steps), (Outcome::Interrupted, 0));
    }
    assert!(stop.load(Ordering::SeqCst));
}

/// A task to which something happens before the second epoch.
struct Eventful<F> {
    toy: Toy,
    event: F,
}

impl<F: Fn(&Toy) -> Result<(), BoxError>> Task for Eventful<F> {
    fn name(&self) -> &str {
        "eventful"
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.toy.parameters()
    }

    fn batches_per_epoch(&self) -> usize {
        self.toy.batches_per_epoch()
    }

    fn start_epoch(&mut self, position: Position) -> Result<(), BoxError> {
        match position.epoch {
            1 => (self.event)(&self.toy),
            _ => Ok(()),
        }
    }

    fn step(&mut self, position: Position) -> Result<StepOutput, BoxError> {
        self.toy.step(position)
    }
}

/// How two ranks end of which one meets an event.
fn ends(folder: &Path, event: impl Fn(&Toy) -> Result<(), BoxError> + Sync) -> Vec<Error> {
    each(2, |communicator| {
        let trainer = Trainer::new(accumulating(2)).unwrap();
        let trainer = trainer.with_options(RunOptions::in_folder(folder)).unwrap();
        let mut task = Eventful {
            toy: Toy::new(),
            event: |toy: &Toy| match communicator.rank() {
                1 => event(toy),
                _ => Ok(()),
            },
        };
        let trainer = trainer.with_communicator(communicator.clone());
        trainer.fit(&mut task).unwrap_err()
    })
}

#[test]
fn a_rank_that_fails_ends_the_others_and_leaves_an_intact_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let ends = ends(folder.path(), |_| Err("the disk is gone".into()));
    assert!(
        ends[1].to_string().contains("the disk is gone"),
        "{}",
        ends[1]
    );
    let text = ends[0].to_string();
    assert!(text.contains("rank 1 has left"), "{text}");
    let checkpoint = latest_checkpoint(folder.path()).unwrap().unwrap();
    assert!(checkpoint.ends_with("checkpoint-000000003.safetensors"));
    load_weights(&checkpoint).unwrap();
}

#[test]
fn weights_that_differ_are_noticed_at_the_end_of_the_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let change = |toy: &Toy| {
        let bias = toy.var("head.bias");
        Ok(bias.set(&(bias.as_tensor() + 1e-3)?.detach())?)
    };
    for end in ends(folder.path(), change) {
        let found = matches!(end, Error::RanksDiverge { rank: 1, epoch: 1 });
        assert!(found, "{end}");
    }
}
