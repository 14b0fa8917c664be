use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use venule_data::{Batch, Batcher, Epoch, Loader};
use venule_train::{BoxError, Position, save_weights};

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

    /// Saves the batch at `position` for inspection: `images`, `valid` and, where there are, `labels` and `weights`, with the
    /// samples' names as `ids` in the metadata. Batches are a function of their position, so it is drawn once more.
    pub(super) fn save(&mut self, position: Position, folder: &Path) -> Result<PathBuf, BoxError> {
        self.start(position);
        let batch = self.next(position)?;
        let mut tensors = vec![
            ("images".to_owned(), batch.images),
            ("valid".to_owned(), batch.valid),
        ];
        let others = [("labels", batch.labels), ("weights", batch.weights)];
        let others = others.into_iter();
        tensors.extend(others.filter_map(|(name, tensor)| Some((name.to_owned(), tensor?))));
        let ids = serde_json::to_string(&batch.ids)?;
        let name = format!(
            "not_finite_epoch_{}_batch_{}.safetensors",
            position.epoch, position.batch
        );
        let path = folder.join(name);
        save_weights(&path, &tensors, &BTreeMap::from([("ids".to_owned(), ids)]))?;
        Ok(path)
    }
}
