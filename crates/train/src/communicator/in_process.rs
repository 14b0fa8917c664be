use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::Communicator;
use crate::BoxError;

/// Threads of one process as ranks: for several devices in one machine, and for tests.
///
/// A member that is dropped has left: whoever waits for it gets an error.
///
/// ```
/// use venule_train::{Communicator, InProcess};
/// let ranks = InProcess::group(3);
/// let sums = std::thread::scope(|scope| {
///     let threads: Vec<_> = ranks.into_iter().map(|rank| scope.spawn(move || {
///         let mut values = [rank.rank() as f32, 1.0];
///         rank.all_reduce(&mut values).map(|()| values).unwrap()
///     })).collect();
///     threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
/// });
/// assert_eq!(sums, [[3.0, 3.0]; 3]);
/// ```
#[derive(Debug)]
pub struct InProcess {
    rank: usize,
    table: Arc<Table>,
}

/// Where the messages of a round lie.
#[derive(Debug)]
struct Table {
    round: Mutex<Round>,
    /// Told when a round is complete, when it is over, and when a member leaves.
    changed: Condvar,
}

#[derive(Debug)]
struct Round {
    messages: Vec<Option<Vec<u8>>>,
    /// Once all messages are there, until all have taken them.
    complete: Option<Arc<Vec<Vec<u8>>>>,
    taken: usize,
    left: Option<usize>,
}

impl InProcess {
    /// The members of a group, by rank; each goes to a thread of its own.
    pub fn group(size: usize) -> Vec<Self> {
        let table = Arc::new(Table {
            round: Mutex::new(Round {
                messages: vec![None; size],
                complete: None,
                taken: 0,
                left: None,
            }),
            changed: Condvar::new(),
        });
        let member = |rank| Self {
            rank,
            table: table.clone(),
        };
        (0..size).map(member).collect()
    }

    /// The messages of all, in order of rank.
    fn exchange(&self, message: Vec<u8>) -> Result<Arc<Vec<Vec<u8>>>, BoxError> {
        let wait = |round| {
            let waited = self.table.changed.wait(round);
            waited.unwrap_or_else(PoisonError::into_inner)
        };
        // Nothing that can panic runs under the lock.
        let lock = self.table.round.lock();
        let mut round = lock.unwrap_or_else(PoisonError::into_inner);
        let gone = |rank: usize| format!("rank {rank} has left").into();
        // Others may still be taking what the last round gave.
        while round.complete.is_some() && round.left.is_none() {
            round = wait(round);
        }
        if let Some(rank) = round.left {
            return Err(gone(rank));
        }
        round.messages[self.rank] = Some(message);
        if round.messages.iter().all(Option::is_some) {
            let messages = round.messages.iter_mut().filter_map(Option::take);
            round.complete = Some(Arc::new(messages.collect()));
            self.table.changed.notify_all();
        }
        loop {
            if let Some(complete) = round.complete.clone() {
                round.taken += 1;
                if round.taken == round.messages.len() {
                    (round.taken, round.complete) = (0, None);
                    self.table.changed.notify_all();
                }
                return Ok(complete);
            }
            if let Some(rank) = round.left {
                return Err(gone(rank));
            }
            round = wait(round);
        }
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        let lock = self.table.round.lock();
        let mut round = lock.unwrap_or_else(PoisonError::into_inner);
        round.left.get_or_insert(self.rank);
        self.table.changed.notify_all();
    }
}

impl Communicator for InProcess {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        let lock = self.table.round.lock();
        lock.unwrap_or_else(PoisonError::into_inner).messages.len()
    }

    fn all_reduce(&self, values: &mut [f32]) -> Result<(), BoxError> {
        let bytes = values.iter().flat_map(|value| value.to_ne_bytes());
        let messages = self.exchange(bytes.collect())?;
        if messages
            .iter()
            .any(|message| message.len() != size_of_val(values))
        {
            return Err("the ranks sum different numbers of values".into());
        }
        values.fill(0.0);
        // In order of rank, so that all get the same bits.
        for message in messages.iter() {
            let (numbers, _) = message.as_chunks::<4>();
            for (value, number) in values.iter_mut().zip(numbers) {
                *value += f32::from_ne_bytes(*number);
            }
        }
        Ok(())
    }

    fn all_gather(&self, message: &[u8]) -> Result<Vec<Vec<u8>>, BoxError> {
        Ok(self.exchange(message.to_vec())?.to_vec())
    }

    fn broadcast(&self, message: Vec<u8>) -> Result<Vec<u8>, BoxError> {
        let message = match self.rank {
            0 => message,
            _ => Vec::new(),
        };
        Ok(self.exchange(message)?[0].clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each rank of a group comes to.
    fn each<T: Send>(size: usize, work: impl Fn(InProcess) -> T + Sync) -> Vec<T> {
        std::thread::scope(|scope| {
            let ranks = InProcess::group(size).into_iter();
            let threads: Vec<_> = ranks.map(|rank| scope.spawn(|| work(rank))).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        })
    }

    #[test]
    fn messages_come_in_order_of_rank_round_after_round() {
        let found = each(4, |rank| {
            let rounds = (0..200u32).map(|round| {
                let message = vec![rank.rank() as u8; (round as usize + rank.rank()) % 5];
                (rank.all_gather(&message).unwrap(), round)
            });
            rounds.collect::<Vec<_>>()
        });
        for (gathered, round) in found.iter().flatten() {
            for (rank, message) in gathered.iter().enumerate() {
                assert_eq!(message, &vec![rank as u8; (*round as usize + rank) % 5]);
            }
        }
        let heard = each(3, |rank| {
            let message = vec![7 + rank.rank() as u8];
            rank.broadcast(message).unwrap()
        });
        assert_eq!(heard, [[7], [7], [7]]);
    }

    #[test]
    fn whoever_waits_for_one_that_has_left_is_told() {
        let ends = each(3, |rank| {
            if rank.rank() == 1 {
                rank.barrier().unwrap();
                return "left".to_owned();
            }
            rank.barrier().unwrap();
            rank.barrier().unwrap_err().to_string()
        });
        assert_eq!(ends, ["rank 1 has left", "left", "rank 1 has left"]);
    }

    #[test]
    fn sums_of_different_lengths_are_refused() {
        let ends = each(2, |rank| {
            let mut values = vec![1.0; 1 + rank.rank()];
            rank.all_reduce(&mut values).is_err()
        });
        assert_eq!(ends, [true, true]);
    }
}
