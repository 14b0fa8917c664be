use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, IndexOp, Tensor};
use image::{DynamicImage, GrayImage, Luma, RgbImage};
use venule_data::{
    AugmentedSet, Batcher, Channel, Dataset, FovPolicy, Loader, LoaderConfig, PreparedSet,
};
use venule_mae::{Mae, MaskedEncoder, Masking, Reconstruction, VesselWeight};
use venule_nn::{Mode, ParamStore, mix};
use venule_train::{BoxError, Parameter, Picture, Position, StepOutput, Task};

use super::batches::Batches;
use super::parameters::parameters;
use super::pictures::picture;
use crate::model::expect_channels;
use crate::{Error, PretrainRecipe, Provenance, Registry, Result};

/// The unlabelled photographs of a pretraining.
pub struct PretrainingData {
    /// The photographs.
    pub photographs: Box<dyn Dataset>,
    /// Where the field of view comes from.
    pub fov: FovPolicy,
    /// Threads that load and augment; 0 does it between steps.
    pub workers: usize,
    /// Bytes of prepared photographs kept in memory at most; what is not kept is read anew in each epoch.
    pub cache_bytes: usize,
}

/// Pretraining of a masked autoencoder on unlabelled photographs.
pub struct Pretraining {
    store: ParamStore,
    mae: Mae<Box<dyn MaskedEncoder>>,
    recipe: PretrainRecipe,
    batches: Batches,
    provenance: Provenance,
}

impl Pretraining {
    /// A fresh autoencoder of a recipe, with a built-in encoder, on these photographs.
    ///
    /// # Errors
    /// If a setting is out of range or there are no photographs; [`Error::Channels`] if the preprocessing gives other channels than the
    /// encoder takes.
    pub fn new(recipe: &PretrainRecipe, data: PretrainingData, device: &Device) -> Result<Self> {
        Self::from_registry(&Registry::built_in(), recipe, data, device)
    }

    /// As [`new`](Self::new), with an encoder of a registry.
    ///
    /// # Errors
    /// As [`new`](Self::new), and if the registry lacks the encoder or it does not say how it takes visible tokens
    /// ([`venule_mae::MaskedEncoder`]).
    pub fn from_registry(
        registry: &Registry,
        recipe: &PretrainRecipe,
        data: PretrainingData,
        device: &Device,
    ) -> Result<Self> {
        let seed = recipe.train.seed;
        let store = ParamStore::new(seed, device);
        let encoder = registry.masked_encoder(&recipe.model.encoder, &store.root())?;
        expect_channels(Some(encoder.in_channels()), &recipe.preprocess)?;
        let patch = encoder.patch_size();
        if patch == 0 || recipe.crop == 0 || !recipe.crop.is_multiple_of(patch) {
            return Err(Error::Config {
                field: "crop",
                value: recipe.crop.to_string(),
                expected: "the crop must be a positive multiple of the encoder's patch size",
            });
        }
        if !recipe.vessel_weight.is_finite() || recipe.vessel_weight < 0.0 {
            return Err(Error::Config {
                field: "vessel_weight",
                value: recipe.vessel_weight.to_string(),
                expected: "the strength of the vessel-weighted loss must be finite and at least 0",
            });
        }
        // Any batch shows whether the ratio leaves something to see and something to predict.
        let patches = (recipe.crop / patch).pow(2);
        Masking::from_seed(0, 1, patches, recipe.mask_ratio, device)?;
        let mae = Mae::with_encoder(encoder, &recipe.model.decoder, &store.root())?;
        let provenance = Provenance::of(&data.photographs, seed)?;
        let set = PreparedSet::new(data.photographs, recipe.preprocess.clone(), data.fov);
        let mut set = set.with_cache_limit(data.cache_bytes);
        if recipe.vessel_weight > 0.0 {
            set = set.with_vesselness();
        }
        let crop = (recipe.crop, recipe.crop);
        let source = AugmentedSet::new(Arc::new(set), recipe.augment.clone(), crop, seed)?;
        let loader = Loader::new(
            Arc::new(source),
            LoaderConfig {
                batch_size: recipe.batch_size,
                repeats: recipe.crops_per_image,
                seed,
                workers: data.workers,
                ..LoaderConfig::default()
            },
        )?;
        Ok(Self {
            store,
            mae,
            recipe: recipe.clone(),
            batches: Batches::new(loader, Batcher::new(device.clone())),
            provenance,
        })
    }

    /// The autoencoder.
    pub fn mae(&self) -> &Mae<Box<dyn MaskedEncoder>> {
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
    pub fn reconstruct(&mut self) -> Result<(Tensor, Reconstruction)> {
        let seed = self.recipe.train.seed;
        let batch = self.batches.next(Position {
            epoch: 0,
            batch: 0,
            step: 0,
            seed,
        })?;
        let _frozen = self.store.no_grad();
        let masking = self.masking(&batch.images, seed)?;
        let pictures = self.mae.reconstruct(&batch.images, &masking)?;
        Ok((batch.images, pictures))
    }

    /// The first crops of [`reconstruct`](Self::reconstruct), up to four, one a row: original, masked, reconstructed. In colours, if
    /// the encoder sees them.
    ///
    /// # Errors
    /// As `reconstruct`.
    pub fn reconstruction_picture(&mut self) -> Result<DynamicImage> {
        let (images, pictures) = self.reconstruct()?;
        let columns = [&images, &pictures.masked, &pictures.combined];
        let (batch, channels, height, width) = images.dims4()?;
        let rows = batch.min(4);
        let mut canvas = RgbImage::new((3 * width) as u32, (rows * height) as u32);
        for (row, column) in (0..rows).flat_map(|row| (0..3).map(move |column| (row, column))) {
            for channel in 0..channels.min(3) {
                let values = columns[column].i((row, channel))?.flatten_all()?;
                for (at, value) in values.to_vec1::<f32>()?.into_iter().enumerate() {
                    let (x, y) = (column * width + at % width, row * height + at / width);
                    let level = self.level(channel, value).clamp(0.0, 1.0) * 255.0;
                    canvas.get_pixel_mut(x as u32, y as u32).0[channel] = level as u8;
                }
            }
        }
        if channels == 3 {
            return Ok(canvas.into());
        }
        let gray = |x, y| Luma([canvas.get_pixel(x, y).0[0]]);
        Ok(GrayImage::from_fn(canvas.width(), canvas.height(), gray).into())
    }

    /// The level in 0..=1 by which a value is shown.
    fn level(&self, channel: usize, value: f32) -> f32 {
        match self.recipe.preprocess.channel {
            Channel::NormalizedRgb { mean, deviation } => {
                value * deviation[channel] + mean[channel]
            }
            // ±2.5 standard deviations span the levels.
            _ => value / 5.0 + 0.5,
        }
    }

    fn masking(&self, images: &Tensor, seed: u64) -> Result<Masking> {
        let (rows, columns) = self.mae.grid(images)?;
        let (batch, device) = (images.dim(0)?, images.device());
        Ok(Masking::from_seed(
            seed,
            batch,
            rows * columns,
            self.recipe.mask_ratio,
            device,
        )?)
    }
}

impl Task for Pretraining {
    fn name(&self) -> &str {
        "pretraining"
    }

    fn parameters(&self) -> Vec<Parameter> {
        parameters(&self.store, "", self.mae.encoder())
    }

    fn batches_per_epoch(&self) -> usize {
        self.batches.per_epoch()
    }

    fn samples_per_batch(&self) -> Option<usize> {
        Some(self.recipe.batch_size)
    }

    fn share(&mut self, ranks: usize) {
        self.batches.share(ranks);
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
            strength: self.recipe.vessel_weight,
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
            ("mae", serde_json::to_string(&self.recipe.model)),
            ("preprocess", serde_json::to_string(&self.recipe.preprocess)),
            ("provenance", serde_json::to_string(&self.provenance)),
        ];
        documents
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value.ok()?)))
            .collect()
    }
}
