use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, IndexOp, Tensor};
use image::{GrayImage, Luma};
use venule_data::{
    Augment, AugmentedSet, Batcher, Dataset, FovPolicy, Loader, LoaderConfig, PreparedSet,
    Preprocess,
};
use venule_mae::{Mae, MaeConfig, Masking, Reconstruction, VesselWeight};
use venule_nn::{Mode, ParamStore, mix};
use venule_train::{BoxError, Parameter, Picture, Position, StepOutput, Task};

use super::batches::Batches;
use super::parameters::parameters;
use super::pictures::picture;
use crate::model::one_channel;
use crate::{Error, Provenance, Result};

/// The unlabelled photographs and how they are seen.
pub struct PretrainingData {
    /// The photographs.
    pub photographs: Box<dyn Dataset>,
    /// How a photograph becomes the network's input.
    pub preprocess: Preprocess,
    /// Where the field of view comes from.
    pub fov: FovPolicy,
    /// What happens to each crop.
    pub augment: Augment,
    /// Side of the square crops, a multiple of the patch size.
    pub crop: usize,
    /// Crops in a batch.
    pub batch_size: usize,
    /// Crops taken from each photograph in an epoch.
    pub crops_per_image: usize,
    /// Threads that load and augment; 0 does it between steps.
    pub workers: usize,
    /// Bytes of prepared photographs kept in memory at most; what is not kept is read anew in each epoch.
    pub cache_bytes: usize,
    /// Strength w of the vessel-weighted loss, which multiplies the error by 1 + w·vesselness; 0 is the plain loss.
    pub vessel_weight: f64,
}

/// Pretraining of a masked autoencoder on unlabelled photographs.
pub struct Pretraining {
    store: ParamStore,
    mae: Mae,
    mask_ratio: f64,
    vessel_weight: f64,
    batch_size: usize,
    seed: u64,
    batches: Batches,
    preprocess: Preprocess,
    provenance: Provenance,
}

impl Pretraining {
    /// A fresh autoencoder on these photographs.
    ///
    /// # Errors
    /// If a setting is out of range or there are no photographs.
    pub fn new(
        config: &MaeConfig,
        data: PretrainingData,
        mask_ratio: f64,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        if config.encoder.in_channels != 1 {
            return Err(one_channel(config.encoder.in_channels));
        }
        // Any batch shows whether the ratio leaves something to see and something to predict.
        let patch = config.encoder.patch_size;
        if patch == 0 || data.crop == 0 || !data.crop.is_multiple_of(patch) {
            return Err(Error::Config {
                field: "crop",
                value: data.crop.to_string(),
                expected: "the crop must be a positive multiple of the encoder's patch size",
            });
        }
        if !data.vessel_weight.is_finite() || data.vessel_weight < 0.0 {
            return Err(Error::Config {
                field: "vessel weight",
                value: data.vessel_weight.to_string(),
                expected: "the strength of the vessel-weighted loss must be finite and at least 0",
            });
        }
        Masking::from_seed(0, 1, (data.crop / patch).pow(2), mask_ratio, device)?;
        let store = ParamStore::new(seed, device);
        let mae = Mae::new(config, &store.root())?;
        let names = (0..data.photographs.len()).map(|i| data.photographs.id(i).to_owned());
        let provenance = Provenance::new(names.collect(), None, seed);
        let mut set = PreparedSet::new(data.photographs, data.preprocess.clone(), data.fov)
            .with_cache_limit(data.cache_bytes);
        if data.vessel_weight > 0.0 {
            set = set.with_vesselness();
        }
        let source = AugmentedSet::new(Arc::new(set), data.augment, (data.crop, data.crop), seed)?;
        let loader = Loader::new(
            Arc::new(source),
            LoaderConfig {
                batch_size: data.batch_size,
                repeats: data.crops_per_image,
                seed,
                workers: data.workers,
                ..LoaderConfig::default()
            },
        )?;
        Ok(Self {
            store,
            mae,
            mask_ratio,
            vessel_weight: data.vessel_weight,
            batch_size: data.batch_size,
            seed,
            batches: Batches::new(loader, Batcher::new(device.clone())),
            preprocess: data.preprocess,
            provenance,
        })
    }

    /// Names the data set before the photographs' ids in what the weights say of themselves.
    pub(crate) fn prefix_names(&mut self, prefix: &str) {
        self.provenance.prefix_names(prefix);
    }

    /// The autoencoder.
    pub fn mae(&self) -> &Mae {
        &self.mae
    }

    /// Its parameters.
    pub fn store(&self) -> &ParamStore {
        &self.store
    }

    /// The first batch of epoch 0 masked and reconstructed.
    ///
    /// # Errors
    /// If the batch cannot be loaded.
    pub fn reconstruct(&mut self) -> std::result::Result<(Tensor, Reconstruction), BoxError> {
        let batch = self.batches.next(Position {
            epoch: 0,
            batch: 0,
            step: 0,
            seed: self.seed,
        })?;
        let _frozen = self.store.no_grad();
        let masking = self.masking(&batch.images, self.seed)?;
        let pictures = self.mae.reconstruct(&batch.images, &masking)?;
        Ok((batch.images, pictures))
    }

    /// The first crops of [`reconstruct`](Self::reconstruct), up to four, one a row: original, masked, reconstructed.
    ///
    /// # Errors
    /// As `reconstruct`.
    pub fn reconstruction_picture(&mut self) -> std::result::Result<GrayImage, BoxError> {
        let (images, pictures) = self.reconstruct()?;
        let columns = [&images, &pictures.masked, &pictures.combined];
        let (batch, _, height, width) = images.dims4()?;
        let rows = batch.min(4);
        let mut canvas = GrayImage::new((3 * width) as u32, (rows * height) as u32);
        for row in 0..rows {
            for (column, maps) in columns.into_iter().enumerate() {
                let values = maps.i((row, 0))?.flatten_all()?.to_vec1::<f32>()?;
                for (at, value) in values.into_iter().enumerate() {
                    let (x, y) = (column * width + at % width, row * height + at / width);
                    // ±2.5 standard deviations span the gray levels.
                    let level = ((value / 5.0 + 0.5).clamp(0.0, 1.0) * 255.0) as u8;
                    canvas.put_pixel(x as u32, y as u32, Luma([level]));
                }
            }
        }
        Ok(canvas)
    }

    fn masking(&self, images: &Tensor, seed: u64) -> Result<Masking> {
        let (rows, columns) = self.mae.encoder().grid(images)?;
        let (batch, device) = (images.dim(0)?, images.device());
        Ok(Masking::from_seed(
            seed,
            batch,
            rows * columns,
            self.mask_ratio,
            device,
        )?)
    }
}

impl Task for Pretraining {
    fn name(&self) -> &str {
        "pretraining"
    }

    fn parameters(&self) -> Vec<Parameter> {
        parameters(&self.store)
    }

    fn batches_per_epoch(&self) -> usize {
        self.batches.per_epoch()
    }

    fn samples_per_batch(&self) -> Option<usize> {
        Some(self.batch_size)
    }

    fn start_epoch(&mut self, position: Position) -> std::result::Result<(), BoxError> {
        self.batches.start(position);
        Ok(())
    }

    fn step(&mut self, position: Position) -> std::result::Result<StepOutput, BoxError> {
        let batch = self.batches.next(position)?;
        let seed = mix(&[position.seed, position.epoch as u64, position.batch as u64]);
        let masking = self.masking(&batch.images, seed)?;
        let predictions = self
            .mae
            .forward(&batch.images, &masking, Mode::Train { seed })?;
        let vessels = batch.weights.as_ref().map(|map| VesselWeight {
            map,
            strength: self.vessel_weight,
        });
        let loss = self
            .mae
            .loss(&batch.images, &predictions, &masking, vessels)?;
        Ok(StepOutput {
            loss,
            terms: Vec::new(),
            samples: batch.len(),
        })
    }

    /// [`Pretraining::reconstruction_picture`] as it is now.
    fn pictures(&mut self, _epoch: usize) -> std::result::Result<Vec<Picture>, BoxError> {
        let canvas = self.reconstruction_picture()?;
        let name = "original_masked_reconstructed".to_owned();
        Ok(vec![picture(name, canvas)?])
    }

    fn on_non_finite(
        &mut self,
        position: Position,
        directory: Option<&Path>,
    ) -> std::result::Result<(), BoxError> {
        if let Some(folder) = directory {
            self.batches.save(position, folder)?;
        }
        Ok(())
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        let documents = [
            ("mae", serde_json::to_string(&self.mae.config())),
            ("preprocess", serde_json::to_string(&self.preprocess)),
            ("provenance", serde_json::to_string(&self.provenance)),
        ];
        documents
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value.ok()?)))
            .collect()
    }
}
