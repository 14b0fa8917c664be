use venule_data::{Batch, Batcher, Epoch, Loader};
use venule_train::{BoxError, Position};

/// The batches of the running epoch, wherever in it training starts.
pub(super) struct Batches {
    loader: Loader,
    batcher: Batcher,
    epoch: Option<Epoch>,
}

impl Batches {
    pub(super) fn new(loader: Loader, batcher: Batcher) -> Self {
        Self {
            loader,
            batcher,
            epoch: None,
        }
    }

    pub(super) fn per_epoch(&self) -> usize {
        self.loader.batches()
    }

    pub(super) fn start(&mut self, position: Position) {
        self.epoch = Some(
            self.loader
                .epoch_from(position.epoch as u64, position.batch),
        );
    }

    pub(super) fn next(&mut self, position: Position) -> Result<Batch, BoxError> {
        if self.epoch.is_none() {
            self.start(position);
        }
        let samples = self.epoch.as_mut().and_then(Iterator::next);
        let samples = samples
            .ok_or_else(|| format!("epoch {} has no batch {}", position.epoch, position.batch))??;
        Ok(self.batcher.batch(&samples)?)
    }
}
