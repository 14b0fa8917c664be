use std::fmt;

use candle_core::{Device, Tensor};
use venule_data::{Plane, Planes, Preprocess};
use venule_loss::{Loss, PreparedTarget};
use venule_nn::{Encoder, Mode, ParamStore};
use venule_seg::{Decoder, Freeze, SegmentationModel, TiledInference};

use super::{ModelConfig, Registry};
use crate::{Cancel, Error, Result};

/// With deep supervision, the weight of the loss of each coarser map's logits.
pub const COARSER_WEIGHT: f64 = 0.4;

/// Where the encoder's parameters lie in the store.
pub(super) const ENCODER: &str = "encoder";
const DECODER: &str = "decoder";

/// A segmentation model with its parameters: those of the encoder under `encoder.`, of the decoder under `decoder.`.
///
/// ```
/// use venule::{ModelConfig, VesselModel};
/// use venule::candle_core::Device;
/// let model = VesselModel::new(&ModelConfig::preset("tiny")?, 42, &Device::Cpu)?;
/// let image = venule::data::Plane::filled(50, 40, 0.0);
/// assert_eq!(model.predict(&image.into())?.size(), (50, 40));
/// # Ok::<(), venule::Error>(())
/// ```
pub struct VesselModel {
    config: ModelConfig,
    registry: Registry,
    store: ParamStore,
    device: Device,
    network: SegmentationModel<Box<dyn Encoder>, Box<dyn Decoder>>,
    /// Most pixels that go through the network at once.
    whole: usize,
    tiling: TiledInference,
}

impl fmt::Debug for VesselModel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("VesselModel")
            .field("config", &self.config)
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

impl VesselModel {
    /// A model of built-in parts with freshly initialised parameters.
    ///
    /// # Errors
    /// If a kind is unknown or a setting invalid.
    pub fn new(config: &ModelConfig, seed: u64, device: &Device) -> Result<Self> {
        Self::from_registry(&Registry::built_in(), config, seed, device)
    }

    /// A model of the parts of a registry with freshly initialised parameters.
    ///
    /// # Errors
    /// If a kind is unknown, a setting invalid, or encoder and decoder do not fit together: in maps, or in channels of the image.
    pub fn from_registry(
        registry: &Registry,
        config: &ModelConfig,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        Self::with_store(registry, config, ParamStore::new(seed, device), device)
    }

    /// A model that takes its parameters from `store`.
    ///
    /// # Errors
    /// As [`from_registry`](Self::from_registry), or if the store's values have other shapes.
    pub fn with_store(
        registry: &Registry,
        config: &ModelConfig,
        store: ParamStore,
        device: &Device,
    ) -> Result<Self> {
        let encoder = registry.encoder(&config.encoder, &store.root().pp(ENCODER))?;
        let (maps, params) = (encoder.outputs(), store.root().pp(DECODER));
        let do_not_fit = |error: Error| match error {
            Error::Seg(error @ venule_seg::Error::Encoder { .. }) => Error::Parts {
                encoder: config.encoder.kind.clone(),
                decoder: config.decoder.kind.clone(),
                reason: error.to_string(),
            },
            other => other,
        };
        let decoder = registry.decoder(&config.decoder, &maps, &params);
        let decoder = decoder.map_err(do_not_fit)?;
        let network = SegmentationModel::new(encoder, decoder);
        Ok(Self {
            config: config.clone(),
            network: network.map_err(|error| do_not_fit(error.into()))?,
            registry: registry.clone(),
            store,
            device: device.clone(),
            whole: 1 << 20,
            tiling: TiledInference {
                tile: 768,
                overlap: 128,
            },
        })
    }

    /// The same parameters, in an architecture that takes them.
    ///
    /// # Errors
    /// As [`with_store`](Self::with_store).
    pub(crate) fn rebuilt(&self, config: &ModelConfig) -> Result<Self> {
        Self::with_store(&self.registry, config, self.store.clone(), &self.device)
    }

    /// The architecture.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The parameters.
    pub fn store(&self) -> &ParamStore {
        &self.store
    }

    /// The encoder.
    pub fn encoder(&self) -> &dyn Encoder {
        self.network.encoder()
    }

    /// Freezes a part of the encoder; the decoder is always trained.
    ///
    /// # Errors
    /// If the encoder has fewer stages than `freeze` names.
    pub fn freeze(&self, freeze: Freeze) -> Result<()> {
        Ok(freeze.apply(&self.store, ENCODER, self.network.encoder())?)
    }

    /// The device of the parameters.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Channels of the images it takes, if encoder or decoder says so.
    pub fn image_channels(&self) -> Option<usize> {
        self.network.image_channels()
    }

    /// Checks that photographs come with the channels that the network takes.
    pub(crate) fn expect_channels(&self, preprocess: &Preprocess) -> Result<()> {
        expect_channels(self.image_channels(), preprocess)
    }

    /// Images (B, C, H, W) → logits (B, 1, H, W).
    ///
    /// # Errors
    /// If the images do not fit the model.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> candle_core::Result<Tensor> {
        self.network.forward(images, mode)
    }

    /// The logits as [`forward`](Self::forward) gives them, and behind them those of coarser maps, if the decoder has deep supervision:
    /// all (B, 1, H, W).
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn training_logits(&self, images: &Tensor, mode: Mode) -> candle_core::Result<Vec<Tensor>> {
        self.network.training_logits(images, mode)
    }

    /// What a fine-tuning minimises on a batch: the loss of the logits, and with deep supervision [`COARSER_WEIGHT`] times that of each
    /// coarser map's; beside it the terms of the logits' alone. Images are (B, C, H, W), labels (B, 1, H, W), as is the map of the pixels
    /// that count.
    ///
    /// ```
    /// use venule::candle_core::{DType, Device, Tensor};
    /// use venule::{ModelConfig, VesselModel, loss::Composite, nn::Mode};
    ///
    /// let model = VesselModel::new(&ModelConfig::preset("unet")?, 1, &Device::Cpu)?;
    /// let images = Tensor::ones((1, 1, 32, 32), DType::F32, &Device::Cpu)?;
    /// let labels = images.zeros_like()?;
    /// let batch = (&images, &labels);
    /// let (loss, terms) = model.training_loss(&Composite::preset("bce-dice")?, batch, None, Mode::Train { seed: 1 })?;
    /// assert_eq!(terms.len(), 2);
    /// assert!(loss.backward()?.get(model.store().params()[0].var()).is_some());
    /// # Ok::<(), venule::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`forward`](Self::forward), or if the labels are of another shape.
    pub fn training_loss(
        &self,
        loss: &dyn Loss,
        (images, labels): (&Tensor, &Tensor),
        valid: Option<&Tensor>,
        mode: Mode,
    ) -> candle_core::Result<(Tensor, Vec<(String, f64)>)> {
        let mut logits = self.training_logits(images, mode)?.into_iter();
        let Some(finest) = logits.next() else {
            candle_core::bail!("the decoder gave no logits");
        };
        // Maps that a loss makes of the labels serve all logits.
        let target = PreparedTarget::new(labels, valid);
        let (mut sum, terms) = loss.forward_with_terms(&finest, &target)?;
        for coarser in logits {
            let coarser = loss.forward_prepared(&coarser, &target)?;
            sum = (sum + (coarser * COARSER_WEIGHT)?)?;
        }
        Ok((sum, terms))
    }

    /// Vessel probabilities of one preprocessed image, of as many channels as the network takes, at its size. Builds no gradient graph; a photograph of more than a
    /// million pixels goes through in overlapping tiles, so that memory stays bounded.
    ///
    /// # Errors
    /// If the image is empty, not finite or of other channels; [`Error::Output`] if the network's output is not.
    pub fn predict(&self, image: &Planes) -> Result<Plane> {
        self.predict_until(image, &Cancel::new())
    }

    /// As [`predict`](Self::predict), unless it is cancelled before a tile.
    pub(crate) fn predict_until(&self, image: &Planes, cancel: &Cancel) -> Result<Plane> {
        let (width, height) = image.size();
        let values = self.values(&[image], image.size(), cancel)?;
        Ok(Plane::new(width, height, values)?)
    }

    /// Vessel probabilities of many preprocessed images, in their order. Neighbours of one size go through the network
    /// together, a million pixels at a time at the most.
    ///
    /// # Errors
    /// As [`predict`](Self::predict).
    pub fn predict_batch(&self, images: &[Planes]) -> Result<Vec<Plane>> {
        self.predict_batch_until(images, &Cancel::new())
    }

    /// As [`predict_batch`](Self::predict_batch), unless it is cancelled before a group of images or a tile.
    pub(crate) fn predict_batch_until(
        &self,
        images: &[Planes],
        cancel: &Cancel,
    ) -> Result<Vec<Plane>> {
        let mut maps = Vec::with_capacity(images.len());
        while let Some(first) = images.get(maps.len()) {
            let (width, height) = first.size();
            let most = (self.whole / (width * height).max(1)).max(1);
            let rest = images[maps.len()..].iter().take(most);
            let like = |image: &Planes| (image.size(), image.channels());
            let group: Vec<&Planes> = rest
                .take_while(|image| like(image) == like(first))
                .collect();
            let values = self.values(&group, first.size(), cancel)?;
            for map in values.chunks_exact(width * height) {
                maps.push(Plane::new(width, height, map.to_vec())?);
            }
        }
        Ok(maps)
    }

    /// Probabilities of images of one size and number of channels, one behind the other.
    fn values(
        &self,
        images: &[&Planes],
        (width, height): (usize, usize),
        cancel: &Cancel,
    ) -> Result<Vec<f32>> {
        cancel.check()?;
        let _frozen = self.store.no_grad();
        let channels = images.first().map_or(1, |image| image.channels());
        if self.image_channels().is_some_and(|taken| taken != channels) {
            return Err(Error::Config {
                field: "image",
                value: format!("of {channels} channel(s)"),
                expected: "it must have as many as the network takes (`VesselModel::image_channels`)",
            });
        }
        let mut values = Vec::with_capacity(images.len() * channels * width * height);
        for image in images {
            if let Some(bad) = image.data().iter().find(|value| !value.is_finite()) {
                return Err(Error::Config {
                    field: "image",
                    value: bad.to_string(),
                    expected: "every value of a preprocessed image must be finite",
                });
            }
            values.extend_from_slice(image.data());
        }
        let shape = (images.len(), channels, height, width);
        let batch = Tensor::from_vec(values, shape, &self.device)?;
        let probabilities = if width * height <= self.whole {
            self.network.probabilities(&batch)?
        } else {
            let tiled = self.tiling.run(&batch, |tile| match cancel.check() {
                Ok(()) => self.network.probabilities(tile),
                Err(cancelled) => Err(candle_core::Error::wrap(cancelled)),
            });
            // What a tile says of a cancellation comes back as an error of a tensor.
            tiled.or_else(|error| cancel.check().and(Err(error.into())))?
        };
        let values: Vec<f32> = probabilities.flatten_all()?.to_vec1()?;
        match values.iter().find(|value| !value.is_finite()) {
            Some(&value) => Err(Error::Output { value }),
            None => Ok(values),
        }
    }
}

/// Checks that photographs come with the channels that a network takes; one that does not say takes any.
pub(crate) fn expect_channels(taken: Option<usize>, preprocess: &Preprocess) -> Result<()> {
    let (channel, given) = (preprocess.channel, preprocess.channel.count());
    match taken {
        Some(taken) if taken != given => Err(Error::Channels {
            channel: channel.name(),
            given,
            taken,
        }),
        _ => Ok(()),
    }
}
