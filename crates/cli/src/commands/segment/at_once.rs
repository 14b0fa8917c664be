//! Several photographs at work at the same time: while one is read or written, another is in the network.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::output::AnyResult;

/// Does `work` for each of `todo`, `at_once` at the same time, until `stop` is set, and hands over what comes of each as soon as it is there.
///
/// # Errors
/// The first that `take` gives; then no more work is begun.
pub fn for_each<T: Send>(
    todo: &[usize],
    at_once: usize,
    stop: &AtomicBool,
    work: impl Fn(usize) -> T + Sync,
    mut take: impl FnMut(usize, T) -> AnyResult<()>,
) -> AnyResult<()> {
    let next = AtomicUsize::new(0);
    let begin = || match stop.load(Ordering::SeqCst) {
        true => None,
        false => todo.get(next.fetch_add(1, Ordering::SeqCst)).copied(),
    };
    if at_once <= 1 {
        while let Some(place) = begin() {
            take(place, work(place))?;
        }
        return Ok(());
    }
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(at_once);
        for _ in 0..at_once.min(todo.len()) {
            let sender = sender.clone();
            let (begin, work) = (&begin, &work);
            scope.spawn(move || {
                while let Some(place) = begin() {
                    if sender.send((place, work(place))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        receiver
            .into_iter()
            .try_for_each(|(place, result)| take(place, result))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn each_is_done_once_and_so_many_at_the_same_time() {
        let todo: Vec<usize> = (10..90).collect();
        for at_once in [1, 2, 5, 200] {
            let mut seen = Vec::new();
            let stop = AtomicBool::new(false);
            let take = |place, result| {
                assert_eq!(result, place * 2);
                seen.push(place);
                Ok(())
            };
            for_each(&todo, at_once, &stop, |place| place * 2, take).unwrap();
            seen.sort_unstable();
            assert_eq!(seen, todo);
        }
        // Two that wait for each other come to their end.
        let (barrier, stop) = (Barrier::new(2), AtomicBool::new(false));
        let wait = |_| {
            barrier.wait();
        };
        for_each(&[1, 2], 2, &stop, wait, |_, ()| Ok(())).unwrap();
    }

    #[test]
    fn a_stop_or_an_error_begins_no_more() {
        let todo: Vec<usize> = (0..1000).collect();
        for at_once in [1, 3] {
            let stop = AtomicBool::new(false);
            let mut taken = 0;
            let take = |_, ()| {
                taken += 1;
                stop.store(true, Ordering::SeqCst);
                Ok(())
            };
            for_each(&todo, at_once, &stop, |_| (), take).unwrap();
            // Those at work, and those whose results wait, are not lost.
            assert!((1..=3 * at_once).contains(&taken), "{taken}");

            let stop = AtomicBool::new(false);
            let done = AtomicUsize::new(0);
            let work = |_| done.fetch_add(1, Ordering::SeqCst);
            let failed = for_each(&todo, at_once, &stop, work, |_, _| Err("full".into()));
            assert_eq!(failed.unwrap_err().to_string(), "full");
            assert!(done.load(Ordering::SeqCst) <= 3 * at_once);
        }
        assert!(for_each(&[], 2, &AtomicBool::new(false), |_| (), |_, ()| Ok(())).is_ok());
    }
}
