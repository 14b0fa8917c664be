//! What the ranks of a run say to each other.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use venule_file::{Entry, archive_bytes, crc32c, parse_weights, restore_weights};

use super::Session;
use crate::checkpoint::{AVERAGE, OPTIMIZER, part};
use crate::state::RunState;
use crate::{BoxError, Communicator, Ema, Error, Outcome, Result, Validation};

/// What holds the names of the weights together in the message of rank 0.
const WEIGHTS: &str = "weights/";
const STATE_KEY: &str = "state";

/// The ranks that train one model, of which this process is one.
pub(crate) struct Ranks {
    communicator: Rc<dyn Communicator>,
    /// Time spent in messages and in waiting for the others.
    pub(super) spent: Duration,
}

/// What a batch gave, as numbers that JSON cannot round.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) batch: usize,
    loss: u64,
    terms: Vec<(String, u64)>,
    pub(super) samples: usize,
}

impl Part {
    pub(super) fn new(batch: usize, loss: f64, terms: Vec<(String, f64)>, samples: usize) -> Self {
        let terms = terms.into_iter();
        Self {
            batch,
            loss: loss.to_bits(),
            terms: terms.map(|(name, term)| (name, term.to_bits())).collect(),
            samples,
        }
    }

    pub(super) fn loss(&self) -> f64 {
        f64::from_bits(self.loss)
    }

    pub(super) fn terms(&self) -> Vec<(String, f64)> {
        let terms = self.terms.iter();
        terms
            .map(|(name, bits)| (name.clone(), f64::from_bits(*bits)))
            .collect()
    }
}

/// What a rank has done of an optimizer step.
#[derive(Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) parts: Vec<Part>,
    /// The batch whose loss is not finite, at which it stopped.
    pub(super) bad: Option<usize>,
    /// Which parameters have a gradient.
    pub(super) reached: Vec<bool>,
}

impl Done {
    /// What all have done, by batch.
    fn joined(all: Vec<Self>) -> Self {
        let mut joined = Self {
            parts: Vec::new(),
            bad: None,
            reached: Vec::new(),
        };
        for done in all {
            joined.parts.extend(done.parts);
            joined.bad = joined.bad.into_iter().chain(done.bad).min();
            joined.reached.resize(done.reached.len(), false);
            for (all, one) in joined.reached.iter_mut().zip(done.reached) {
                *all |= one;
            }
        }
        joined.parts.sort_by_key(|part| part.batch);
        joined
    }
}

impl Ranks {
    /// None for a single process.
    pub(crate) fn new(communicator: Option<Rc<dyn Communicator>>) -> Option<Self> {
        let communicator = communicator.filter(|communicator| communicator.size() > 1);
        communicator.map(|communicator| Self {
            communicator,
            spent: Duration::ZERO,
        })
    }

    pub(crate) fn size(&self) -> usize {
        self.communicator.size()
    }

    pub(crate) fn is_first(&self) -> bool {
        self.communicator.rank() == 0
    }

    /// Those of the batches that this rank takes. As the number of ranks divides that of a step, these are the same from step to step.
    pub(super) fn share(&self, batches: Range<usize>) -> impl Iterator<Item = usize> + use<> {
        batches
            .skip(self.communicator.rank())
            .step_by(self.communicator.size())
    }

    fn call<T>(
        &mut self,
        call: impl FnOnce(&dyn Communicator) -> Result<T, BoxError>,
    ) -> Result<T> {
        let started = Instant::now();
        let called = call(&*self.communicator);
        self.spent += started.elapsed();
        called.map_err(|source| Error::Communication {
            rank: self.communicator.rank(),
            source,
        })
    }

    /// What all say, in order of rank.
    fn gather<T: Serialize + for<'de> Deserialize<'de>>(&mut self, own: &T) -> Result<Vec<T>> {
        self.call(|communicator| {
            let messages = communicator.all_gather(&serde_json::to_vec(own)?)?;
            let messages = messages.iter();
            Ok(messages
                .map(|message| serde_json::from_slice(message))
                .collect::<Result<_, _>>()?)
        })
    }

    /// The first rank that does not say what rank 0 says.
    fn first_other<T: Serialize + for<'de> Deserialize<'de> + PartialEq>(
        &mut self,
        own: &T,
    ) -> Result<Option<usize>> {
        let all = self.gather(own)?;
        Ok(all.iter().position(|one| *one != all[0]))
    }

    /// Joins what the ranks have done of a step.
    pub(super) fn join(&mut self, done: &Done) -> Result<Done> {
        Ok(Done::joined(self.gather(done)?))
    }

    /// Sums over the ranks, as `reduce` asks for them.
    pub(super) fn reduce(
        &mut self,
        reduce: impl FnOnce(&dyn Communicator) -> Result<(), BoxError>,
    ) -> Result<()> {
        self.call(reduce)
    }

    /// Why all stop, if any has a reason.
    pub(super) fn agree_to_stop(&mut self, own: Option<Outcome>) -> Result<Option<Outcome>> {
        let number = match own {
            None => 0,
            Some(Outcome::TimeUp) => 1,
            Some(_) => 2u8,
        };
        let numbers = self.call(|communicator| communicator.all_gather(&[number]))?;
        Ok(match numbers.concat().into_iter().max() {
            None | Some(0) => None,
            Some(1) => Some(Outcome::TimeUp),
            Some(_) => Some(Outcome::Interrupted),
        })
    }

    /// Returns when all are here.
    pub(super) fn barrier(&mut self) -> Result<()> {
        self.call(|communicator| communicator.barrier())
    }
}

/// What rank 0 tells of a validation.
#[derive(Serialize, Deserialize)]
struct Judged {
    /// The score and the metrics, as a part.
    validation: Option<Part>,
    task: Value,
}

impl Session<'_> {
    /// Compares what the ranks were started with.
    pub(super) fn expect_alike(&mut self) -> Result<()> {
        if self.ranks.is_none() {
            return Ok(());
        }
        let params = self.params.iter();
        let shapes: Vec<_> = params.map(|(name, var)| (name, var.dims())).collect();
        let config = (env!("CARGO_PKG_VERSION"), &self.config);
        let things = [
            ("settings or version", json(&config)?),
            (
                "number of batches in an epoch",
                json(&self.state.batches_per_epoch)?,
            ),
            ("parameters", json(&shapes)?),
            (
                "images, preprocessing or model",
                json(&self.task.metadata())?,
            ),
        ];
        let Some(ranks) = &mut self.ranks else {
            return Ok(());
        };
        for (what, thing) in things {
            // Their checksums: the images of a large training are many.
            if let Some(rank) = ranks.first_other(&crc32c(&thing))? {
                return Err(Error::RanksDiffer { rank, what });
            }
        }
        Ok(())
    }

    /// Hands the others the weights and the state of rank 0, from wherever it begins.
    pub(super) fn follow_the_first(&mut self) -> Result<()> {
        let Some(ranks) = &self.ranks else {
            return Ok(());
        };
        let (is_first, size) = (ranks.is_first(), ranks.size());
        let message = match is_first {
            true => self.whole_state()?,
            false => Vec::new(),
        };
        if let Some(ranks) = &mut self.ranks {
            let message = ranks.call(|communicator| communicator.broadcast(message))?;
            if !is_first {
                self.take_state(&message)?;
            }
        }
        self.task.share(size);
        Ok(())
    }

    /// Weights, moments, average and state, as the bytes of an archive.
    fn whole_state(&self) -> Result<Vec<u8>> {
        let mut entries = self.optimizer.entries(OPTIMIZER)?;
        let averages = self.average.as_ref().map(Ema::tensors).transpose()?;
        let averages = averages.unwrap_or_default();
        for (prefix, tensors) in [(WEIGHTS, self.own_weights()), (AVERAGE, averages)] {
            for (name, tensor) in tensors {
                entries.push(Entry::tensor(format!("{prefix}{name}"), &tensor)?);
            }
        }
        let document = self.present_state().to_json()?;
        let metadata = BTreeMap::from([(STATE_KEY.to_owned(), document)]);
        Ok(archive_bytes(message_of_rank_0(), entries, &metadata)?)
    }

    fn take_state(&mut self, message: &[u8]) -> Result<()> {
        let path = message_of_rank_0();
        let archive = parse_weights(path, message)?;
        let document = archive.metadata.get(STATE_KEY).map_or("", String::as_str);
        let state = RunState::from_json(document).map_err(|error| Error::State {
            path: path.to_path_buf(),
            reason: error.to_string(),
        })?;
        restore_weights(path, &part(&archive.tensors, WEIGHTS), &self.params)?;
        self.optimizer
            .load_state(&part(&archive.tensors, OPTIMIZER))?;
        if let Some(average) = &mut self.average {
            average.load(&part(&archive.tensors, AVERAGE), state.average_updates)?;
        }
        self.schedule.load_state(&state.schedule)?;
        let loaded = self.task.load_state(&state.task);
        loaded.map_err(|source| self.task_error(source))?;
        self.state = state;
        Ok(())
    }

    /// What rank 0 found in its validation, for all; its task has moved on by it, and so do those of the others.
    pub(super) fn share_validation(
        &mut self,
        found: Option<Validation>,
    ) -> Result<Option<Validation>> {
        let Some(ranks) = &mut self.ranks else {
            return Ok(found);
        };
        let judged = Judged {
            validation: found.map(|found| Part::new(0, found.score, found.metrics, 0)),
            task: self.task.state(),
        };
        let judged: Judged = ranks.call(|communicator| {
            let message = communicator.broadcast(serde_json::to_vec(&judged)?)?;
            Ok(serde_json::from_slice(&message)?)
        })?;
        if !ranks.is_first() {
            let loaded = self.task.load_state(&judged.task);
            loaded.map_err(|source| self.task_error(source))?;
        }
        Ok(judged.validation.map(|found| Validation {
            score: found.loss(),
            metrics: found.terms(),
        }))
    }

    /// Fails if the ranks have come to different weights.
    pub(super) fn expect_equal_weights(&mut self) -> Result<()> {
        if self.ranks.is_none() {
            return Ok(());
        }
        let mut sums = Vec::with_capacity(self.params.len());
        for (name, tensor) in self.own_weights() {
            let bytes = archive_bytes(
                Path::new(&name),
                vec![Entry::tensor(name.clone(), &tensor)?],
                &BTreeMap::new(),
            )?;
            sums.push(crc32c(&bytes));
        }
        let (Some(ranks), epoch) = (&mut self.ranks, self.state.epoch) else {
            return Ok(());
        };
        match ranks.first_other(&sums)? {
            Some(rank) => Err(Error::RanksDiverge { rank, epoch }),
            None => Ok(()),
        }
    }
}

fn json(thing: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(thing).map_err(|error| Error::Restore {
        what: "comparison of the processes",
        reason: error.to_string(),
    })
}

/// What errors call the message.
fn message_of_rank_0() -> &'static Path {
    Path::new("the message of process 0")
}
