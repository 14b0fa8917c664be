//! The loader: the same batches on any number of threads, errors, panics, and being dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use image::{Rgb, RgbImage};
use rayon::prelude::*;
use venule_data::{
    Augment, AugmentedSet, ColorJitter, Dataset, Error, FovPolicy, InMemory, Jitter, Loader,
    LoaderConfig, Mask, Plane, Prepared, PreparedSet, Preprocess, RecoloredSet, Result, Sample,
    Source,
};

fn set(count: usize) -> InMemory {
    let sample = |i: usize| {
        let photo = RgbImage::from_fn(40, 30, |x, y| {
            Rgb([0, (x * 5 + y * 3 + i as u32 * 7) as u8, 0])
        });
        let mut sample = Sample::unlabelled(format!("s{i}"), photo);
        sample.label = Some(Mask::from_fn(40, 30, |x, y| (x + y + i).is_multiple_of(6)));
        sample
    };
    InMemory::new((0..count).map(sample).collect())
}

fn views(count: usize, cache: usize) -> Arc<dyn Source> {
    let set = PreparedSet::new(set(count), Preprocess::default(), FovPolicy::FullFrame);
    let set = Arc::new(set.with_vesselness().with_cache_limit(cache));
    Arc::new(AugmentedSet::new(set, Augment::standard(), (16, 16), 11).unwrap())
}

fn all(loader: &Loader, epoch: u64) -> Vec<Vec<Prepared>> {
    loader.epoch(epoch).map(Result::unwrap).collect()
}

fn config(workers: usize) -> LoaderConfig {
    LoaderConfig {
        batch_size: 3,
        repeats: 2,
        workers,
        seed: 5,
        ..LoaderConfig::default()
    }
}

#[test]
fn workers_and_cache_do_not_change_the_batches() {
    let inline = Loader::new(views(7, 0), config(0)).unwrap();
    let expected = all(&inline, 3);
    // 7 samples twice in threes: 5 batches, the last of 2
    assert_eq!(
        expected.iter().map(Vec::len).collect::<Vec<_>>(),
        [3, 3, 3, 3, 2]
    );
    assert_eq!(inline.batches(), 5);
    for workers in [1, 2, 5] {
        for cache in [0, 20_000, usize::MAX] {
            let loader = Loader::new(views(7, cache), config(workers)).unwrap();
            assert_eq!(all(&loader, 3), expected, "{workers} workers");
            assert_eq!(all(&loader, 3), expected, "again");
        }
    }
    assert_ne!(all(&inline, 4), expected);
}

#[test]
fn an_epoch_holds_every_sample_and_each_view_is_another() {
    let loader = Loader::new(views(7, 0), config(2)).unwrap();
    let mut ids: Vec<String> = all(&loader, 0)
        .concat()
        .iter()
        .map(|p| p.id.clone())
        .collect();
    ids.sort();
    let expected: Vec<String> = (0..14).map(|i| format!("s{}", i / 2)).collect();
    assert_eq!(ids, expected);
    let ordered = LoaderConfig {
        shuffle: false,
        drop_last: true,
        ..config(1)
    };
    let loader = Loader::new(views(7, 0), ordered).unwrap();
    let examples = all(&loader, 0).concat();
    assert_eq!(examples.len(), 12);
    assert_eq!(
        (examples[0].id.as_str(), examples[7].id.as_str()),
        ("s0", "s0")
    );
    assert_ne!(examples[0], examples[7]);
}

#[test]
fn an_epoch_resumes_in_its_middle() {
    let loader = Loader::new(views(7, 0), config(2)).unwrap();
    let whole = all(&loader, 1);
    let rest: Vec<_> = loader.epoch_from(1, 3).map(Result::unwrap).collect();
    assert_eq!(rest, whole[3..]);
    assert_eq!(loader.epoch_from(1, 99).count(), 0);
    assert_eq!(loader.epoch_from(1, usize::MAX).count(), 0);
}

/// Counts examples; fails or panics at one sample.
struct Odd {
    made: AtomicUsize,
    fail: Option<usize>,
    panic: Option<usize>,
    pause: Duration,
}

impl Odd {
    fn new(fail: Option<usize>, panic: Option<usize>, pause: u64) -> Arc<Self> {
        Arc::new(Self {
            made: AtomicUsize::new(0),
            fail,
            panic,
            pause: Duration::from_millis(pause),
        })
    }
}

impl Source for Odd {
    fn len(&self) -> usize {
        40
    }

    fn example(&self, _: u64, index: usize, _: u64) -> Result<Prepared> {
        self.made.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(self.pause);
        assert_ne!(Some(index), self.panic, "a deliberate panic of this test");
        if Some(index) == self.fail {
            return Err(Error::IndexOutOfRange { index, len: 0 });
        }
        Ok(Prepared {
            id: index.to_string(),
            image: Plane::filled(1, 1, 0.0).into(),
            label: None,
            fov: Mask::filled(1, 1, true),
            weights: None,
        })
    }
}

fn in_order(workers: usize) -> LoaderConfig {
    LoaderConfig {
        shuffle: false,
        workers,
        ..LoaderConfig::default()
    }
}

#[test]
fn an_error_comes_in_its_place_and_ends_the_epoch() {
    for workers in [0, 1, 3] {
        let loader = Loader::new(Odd::new(Some(9), None, 0), in_order(workers)).unwrap();
        let mut epoch = loader.epoch(0);
        // sample 9 is in the third batch of four
        assert!(epoch.next().unwrap().is_ok() && epoch.next().unwrap().is_ok());
        let error = epoch.next().unwrap().unwrap_err();
        assert!(
            matches!(error, Error::IndexOutOfRange { index: 9, .. }),
            "{error}"
        );
        assert!(epoch.next().is_none() && epoch.next().is_none());
    }
}

#[test]
fn a_panic_of_the_source_is_an_error() {
    for workers in [0, 2] {
        let loader = Loader::new(Odd::new(None, Some(2), 0), in_order(workers)).unwrap();
        let first = loader.epoch(0).next().unwrap();
        assert!(matches!(first, Err(Error::WorkerPanic { index: 2 })));
    }
}

#[test]
fn no_more_is_made_ahead_than_asked_for_and_dropping_stops() {
    let source = Odd::new(None, None, 1);
    let loader = Loader::new(source.clone(), in_order(3)).unwrap();
    let mut epoch = loader.epoch(0);
    epoch.next().unwrap().unwrap();
    // one batch taken and two made ahead, of four each
    let made = || source.made.load(Ordering::SeqCst);
    let begun = Instant::now();
    while made() < 12 && begun.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(made(), 12);
    drop(epoch);
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(made(), 12);
    drop(loader.epoch(1));
}

#[test]
fn the_time_waited_is_that_of_the_batches_not_of_their_use() {
    let waited = |workers: usize, pause: u64, use_: u64| {
        let config = LoaderConfig {
            batch_size: 1,
            repeats: 1,
            ..in_order(workers)
        };
        let loader = Loader::new(Odd::new(None, None, pause), config).unwrap();
        let mut epoch = loader.epoch(0);
        for batch in epoch.by_ref() {
            batch.unwrap();
            std::thread::sleep(Duration::from_millis(use_));
        }
        epoch.waited()
    };
    // 40 examples of 3 ms each, made by the caller: sleeping never ends early.
    assert!(waited(0, 3, 0) >= Duration::from_millis(120));
    // Made ahead in a third of the time of their use: only the first is waited for. What a busy machine adds is less than half.
    let (kept_up, use_) = (waited(1, 3, 9), Duration::from_millis(9 * 40));
    assert!(
        kept_up >= Duration::from_millis(2) && kept_up < use_ / 2,
        "{kept_up:?}"
    );
}

/// Counts how often each sample is read, slowly.
struct Counted {
    set: InMemory,
    loads: [AtomicUsize; 4],
    fail_first: bool,
    /// Threads that are about to ask, and how many of them a read waits for.
    asked: AtomicUsize,
    wait_for: usize,
}

impl Dataset for Counted {
    fn len(&self) -> usize {
        self.loads.len()
    }

    fn id(&self, index: usize) -> &str {
        self.set.id(index)
    }

    fn load(&self, index: usize) -> Result<Sample> {
        let before = self.loads[index].fetch_add(1, Ordering::SeqCst);
        let begun = Instant::now();
        while self.asked.load(Ordering::SeqCst) < self.wait_for
            && begun.elapsed() < Duration::from_secs(20)
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        // The last of them has yet to ask.
        let pause = if self.wait_for > 0 { 100 } else { 20 };
        std::thread::sleep(Duration::from_millis(pause));
        if self.fail_first && before == 0 {
            return Err(Error::IndexOutOfRange { index, len: 0 });
        }
        self.set.load(index)
    }
}

fn counted(fail_first: bool, cache: usize, wait_for: usize) -> PreparedSet<Counted> {
    let dataset = Counted {
        set: set(4),
        loads: Default::default(),
        fail_first,
        asked: AtomicUsize::new(0),
        wait_for,
    };
    PreparedSet::new(dataset, Preprocess::default(), FovPolicy::FullFrame).with_cache_limit(cache)
}

#[test]
fn threads_that_ask_at_once_share_one_preparation() {
    // Kept or not: those who wait are given what the first one made.
    for cache in [0, usize::MAX] {
        let prepared = counted(false, cache, 8);
        let same: Vec<_> = std::thread::scope(|scope| {
            let ask = || {
                prepared.dataset().asked.fetch_add(1, Ordering::SeqCst);
                prepared.get(2).unwrap()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(same.iter().all(|one| Arc::ptr_eq(one, &same[0])));
        let loads = prepared.dataset().loads[2].load(Ordering::SeqCst);
        assert_eq!(loads, 1, "with a cache of {cache} bytes");
        // Later it is read anew only where nothing is kept.
        prepared.get(2).unwrap();
        let loads = prepared.dataset().loads[2].load(Ordering::SeqCst);
        assert_eq!(loads, 1 + usize::from(cache == 0));
    }
}

#[test]
fn threads_of_a_pool_may_ask_although_making_needs_the_pool() {
    // Resizing runs on the pool: a thread of it that waits for its share may take on a task that asks for the same sample.
    let preprocess = Preprocess {
        resize: Some(venule_data::Resize::Square(64)),
        ..Preprocess::default()
    };
    let prepared = PreparedSet::new(set(4), preprocess, FovPolicy::FullFrame);
    let all: Vec<_> = (0..64)
        .into_par_iter()
        .map(|view| prepared.get(view % 4).unwrap())
        .collect();
    for (view, one) in all.iter().enumerate() {
        assert_eq!(one.id, format!("s{}", view % 4));
        assert_eq!(one, &all[view % 4]);
    }
}

/// Views of red and green stripes: the green channel alone, standardised, changes where hue mixes red into it.
fn recolored(color: ColorJitter, cache: usize) -> RecoloredSet<Counted, Augment> {
    let sample = |i: usize| {
        let photo = RgbImage::from_fn(40, 30, |x, y| {
            Rgb([(x * 6) as u8, (y * 5 + i as u32) as u8, 30])
        });
        let mut sample = Sample::unlabelled(format!("s{i}"), photo);
        sample.label = Some(Mask::from_fn(40, 30, |x, y| (x + y + i).is_multiple_of(6)));
        sample
    };
    let dataset = Counted {
        set: InMemory::new((0..4).map(sample).collect()),
        loads: Default::default(),
        fail_first: false,
        asked: AtomicUsize::new(0),
        wait_for: 0,
    };
    let (input, fov) = (Preprocess::default(), FovPolicy::FullFrame);
    RecoloredSet::new(
        dataset,
        input,
        fov,
        color,
        Augment::standard(),
        (16, 16),
        11,
    )
    .unwrap()
    .with_cache_limit(cache)
}

#[test]
fn colours_change_the_image_of_a_view_and_nothing_else() {
    let hue = ColorJitter {
        hue: Jitter::always(-40.0, 40.0),
        ..ColorJitter::none()
    };
    let (colored, plain) = (
        recolored(hue, 0),
        recolored(ColorJitter::none(), usize::MAX),
    );
    for draw in 0..4 {
        let [new, old] = [&colored, &plain].map(|set| set.example(2, 1, draw).unwrap());
        assert_ne!(new.image, old.image);
        assert_eq!((&new.label, &new.fov), (&old.label, &old.fov));
        assert_eq!(colored.example(2, 1, draw).unwrap(), new);
    }
    assert_ne!(
        colored.example(2, 1, 0).unwrap().image,
        colored.example(3, 1, 0).unwrap().image
    );
    // Without a jitter the views are those of photographs prepared once.
    let set = PreparedSet::new(
        &plain.dataset().set,
        Preprocess::default(),
        FovPolicy::FullFrame,
    );
    let once = AugmentedSet::new(Arc::new(set), Augment::standard(), (16, 16), 11).unwrap();
    assert_eq!(
        plain.example(2, 1, 3).unwrap(),
        once.example(2, 1, 3).unwrap()
    );
}

#[test]
fn recoloured_batches_depend_neither_on_workers_nor_on_the_cache() {
    let color = ColorJitter {
        hue: Jitter::always(-40.0, 40.0),
        saturation: Jitter::sometimes(0.5, 0.5, 1.5),
        ..ColorJitter::none()
    };
    let expected = all(
        &Loader::new(Arc::new(recolored(color, 0)), config(0)).unwrap(),
        3,
    );
    // A photograph of 40 · 30 pixels takes 3 bytes a pixel, its label and field of view one each.
    for (workers, cache, kept) in [(1, 2 * 6000 + 1, 2), (3, usize::MAX, 4)] {
        let set = Arc::new(recolored(color, cache));
        let loader = Loader::new(set.clone(), config(workers)).unwrap();
        assert_eq!(all(&loader, 3), expected, "{workers} workers");
        let loads = set.dataset().loads.iter();
        let once = loads
            .filter(|loads| loads.load(Ordering::SeqCst) == 1)
            .count();
        assert_eq!((set.cached_bytes(), once), (6000 * kept, kept));
    }
    let off = ColorJitter {
        hue: Jitter::always(0.0, 400.0),
        ..color
    };
    let views = RecoloredSet::new(
        set(1),
        Preprocess::default(),
        FovPolicy::FullFrame,
        off,
        Augment::none(),
        (8, 8),
        1,
    );
    assert!(matches!(
        views.err(),
        Some(Error::InvalidConfig {
            field: "ColorJitter::hue",
            ..
        })
    ));
}

#[test]
fn a_failed_preparation_is_tried_again_by_who_waited() {
    let prepared = counted(true, usize::MAX, 0);
    let start = std::sync::Barrier::new(2);
    let results = std::thread::scope(|scope| {
        let ask = || {
            start.wait();
            prepared.get(1).is_ok()
        };
        [scope.spawn(ask), scope.spawn(ask)].map(|thread| thread.join().unwrap())
    });
    assert_eq!(results.iter().filter(|ok| **ok).count(), 1);
    assert_eq!(prepared.dataset().loads[1].load(Ordering::SeqCst), 2);
    assert!(prepared.get(1).is_ok());
    assert_eq!(prepared.dataset().loads[1].load(Ordering::SeqCst), 2);
}

#[test]
fn the_cache_stays_below_its_limit() {
    let one = counted(false, usize::MAX, 0).get(0).unwrap().bytes();
    for limit in [0, one - 1, one, 3 * one + 1, usize::MAX] {
        let prepared = counted(false, limit, 0);
        for index in [0, 1, 2, 3, 0] {
            prepared.get(index).unwrap();
        }
        assert_eq!(prepared.cached_bytes(), one * (limit / one).min(4));
    }
}

#[test]
fn settings_out_of_range_are_errors() {
    let new = |change: fn(&mut LoaderConfig)| {
        let mut config = LoaderConfig::default();
        change(&mut config);
        Loader::new(Odd::new(None, None, 0), config)
    };
    assert!(new(|_| ()).is_ok());
    for wrong in [
        new(|c| c.batch_size = 0),
        new(|c| c.repeats = 0),
        new(|c| c.repeats = usize::MAX),
        new(|c| c.prefetch = 0),
        new(|c| c.workers = 10_000),
        new(|c| (c.batch_size, c.drop_last) = (41, true)),
        Loader::new(views(0, 0), LoaderConfig::default()),
    ] {
        assert!(matches!(wrong, Err(Error::InvalidConfig { .. })));
    }
}
