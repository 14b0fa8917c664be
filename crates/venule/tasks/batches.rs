use std::collections::BTreeMap;
use std::path::Path;

use venule_data::{Batch, Batcher, Epoch, Loader, Prepared};
use venule_file::save_weights;
use venule_train::{BoxError, Position};

use crate::{Error, Result};

/// The batches of an epoch, wherever in it training starts.
pub(super) struct Batches {
    loader: Loader,
    batcher: Batcher,
    /// How far the batches that are asked for are apart.
    every: usize,
    running: Option<Running>,
}

/// An epoch under way, and the epoch and batch that it gives next.
struct Running {
    batches: Epoch,
    next: (usize, usize),
}

impl Batches {
    pub(super) fn new(loader: Loader, batcher: Batcher) -> Self {
        Self {
            loader,
            batcher,
            every: 1,
            running: None,
        }
    }

    /// Expects that of `ranks` batches one is asked for, and makes no others ahead.
    pub(super) fn share(&mut self, ranks: usize) {
        (self.every, self.running) = (ranks, None);
    }

    pub(super) fn per_epoch(&self) -> usize {
        self.loader.batches()
    }

    /// Gets the batches of an epoch under way; where they are shared, the first that is asked for does.
    pub(super) fn start(&mut self, position: Position) {
        match self.every {
            1 => self.begin(position),
            _ => self.running = None,
        }
    }

    fn begin(&mut self, position: Position) {
        let (epoch, batch) = (position.epoch, position.batch);
        self.running = Some(Running {
            batches: self.loader.epoch_every(epoch as u64, batch, self.every),
            next: (epoch, batch),
        });
    }

    /// The batch at `position`, whichever was asked for before: batches are left out when one before them in a step was not
    /// finite, and drawn once more to be saved.
    pub(super) fn next(&mut self, position: Position) -> Result<Batch> {
        let samples = self.samples(position)?;
        Ok(self.batcher.batch(&samples)?)
    }

    /// The samples of [`next`](Self::next).
    pub(super) fn samples(&mut self, position: Position) -> Result<Vec<Prepared>> {
        let wanted = (position.epoch, position.batch);
        if self.running.as_ref().is_none_or(|run| run.next != wanted) {
            self.begin(position);
        }
        let samples = self.running.as_mut().and_then(|run| {
            run.next.1 += self.every;
            run.batches.next()
        });
        Ok(samples.ok_or(Error::NoData {
            what: "batches left in this epoch",
            remedy: "ask for one below `batches_per_epoch`",
        })??)
    }

    /// Saves the batch at `position` for inspection. Batches are a function of their position, so it can be drawn once more.
    pub(super) fn save(
        &mut self,
        position: Position,
        folder: &Path,
    ) -> std::result::Result<(), BoxError> {
        save_batch(self.next(position)?, "", position, folder)
    }
}

/// Saves a batch for inspection: `images`, `valid` and, where there are, `labels` and `weights`, with the samples' names as `ids` in the
/// metadata, in a file whose name begins with `prefix` and says the position.
pub(super) fn save_batch(
    batch: Batch,
    prefix: &str,
    position: Position,
    folder: &Path,
) -> std::result::Result<(), BoxError> {
    let mut tensors = vec![
        ("images".to_owned(), batch.images),
        ("valid".to_owned(), batch.valid),
    ];
    let others = [("labels", batch.labels), ("weights", batch.weights)];
    let others = others.into_iter();
    tensors.extend(others.filter_map(|(name, tensor)| Some((name.to_owned(), tensor?))));
    let ids = serde_json::to_string(&batch.ids)?;
    let name = format!(
        "{prefix}not_finite_epoch_{}_batch_{}.safetensors",
        position.epoch, position.batch
    );
    let metadata = BTreeMap::from([("ids".to_owned(), ids)]);
    Ok(save_weights(&folder.join(name), &tensors, &metadata)?)
}
