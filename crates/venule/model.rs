use std::fmt;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use venule_data::Plane;
use venule_loss::{Composite, Loss, PreparedTarget};
use venule_mae::{VitConfig, VitEncoder};
use venule_nn::{Encoder, Mode, NoEncoder, ParamStore};
use venule_seg::{
    Decoder, MultiScaleConfig, MultiScaleDecoder, ProgressiveConfig, ProgressiveDecoder,
    SegmentationModel, TiledInference,
};

use crate::{Error, Result};

/// With deep supervision, the weight of the loss of each coarser map's logits.
pub const COARSER_WEIGHT: f64 = 0.4;

/// Which decoder stands on the encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecoderConfig {
    /// Progressive upsampling of the encoder's last map.
    Progressive(ProgressiveConfig),
    /// A detail path over the image, fused with the encoder's maps.
    MultiScale(MultiScaleConfig),
}

/// Everything that determines the architecture; stored in every checkpoint.
///
/// ```
/// use venule::ModelConfig;
/// assert_eq!(ModelConfig::preset("compact")?, ModelConfig::compact());
/// assert!(ModelConfig::preset("compcat").is_err());
/// # Ok::<(), venule::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// The Vision Transformer. None: the decoder sees the image alone, which only the multi-scale one can.
    pub encoder: Option<VitConfig>,
    /// What makes logits of its maps.
    pub decoder: DecoderConfig,
}

impl ModelConfig {
    /// The names that [`ModelConfig::preset`] knows.
    pub const PRESETS: [&'static str; 11] = [
        "seed",
        "compact",
        "tiny",
        "unet",
        "seed-4",
        "seed-6",
        "seed-12",
        "seed-multiscale",
        "seed-4-multiscale",
        "seed-6-multiscale",
        "seed-12-multiscale",
    ];

    /// The reference's model: width 768, 8 blocks, progressive decoder; 58,849,457 parameters, images of 512².
    pub fn seed() -> Self {
        Self {
            encoder: Some(VitConfig::seed()),
            decoder: DecoderConfig::Progressive(ProgressiveConfig::seed()),
        }
    }

    /// Width 192, 6 blocks, multi-scale decoder, deep supervision; 3.2 M parameters, images of any size.
    pub fn compact() -> Self {
        Self {
            encoder: Some(VitConfig::compact()),
            decoder: DecoderConfig::MultiScale(MultiScaleConfig::compact().deeply_supervised()),
        }
    }

    /// A model that trains in a minute, for demonstrations and tests.
    pub fn tiny() -> Self {
        Self {
            encoder: Some(VitConfig::tiny()),
            decoder: DecoderConfig::MultiScale(MultiScaleConfig::tiny()),
        }
    }

    /// A U-Net of 96,913 parameters without an encoder, deeply supervised by 50 more: the yardstick that a transformer has to beat.
    pub fn unet() -> Self {
        Self {
            encoder: None,
            decoder: DecoderConfig::MultiScale(MultiScaleConfig::unet().deeply_supervised()),
        }
    }

    /// The preset of this name: `compact`, `tiny`, `unet`, `seed`, or `seed` with another number of blocks (`seed-4`, `seed-6`,
    /// `seed-12`) or with the multi-scale decoder behind its name (`seed-multiscale`, `seed-4-multiscale`, …), as
    /// the reference has it, without deep supervision.
    ///
    /// # Errors
    /// [`Error::Preset`] that lists the names.
    pub fn preset(name: &str) -> Result<Self> {
        match name {
            "compact" => return Ok(Self::compact()),
            "tiny" => return Ok(Self::tiny()),
            "unet" => return Ok(Self::unet()),
            _ => {}
        }
        let (base, decoder) = match name.strip_suffix("-multiscale") {
            Some(base) => (base, DecoderConfig::MultiScale(MultiScaleConfig::compact())),
            None => (name, Self::seed().decoder),
        };
        let encoder = match base.starts_with("seed") {
            true => VitConfig::preset(base).ok(),
            false => None,
        };
        match encoder {
            Some(encoder) => Ok(Self {
                encoder: Some(encoder),
                decoder,
            }),
            None => Err(Error::Preset {
                name: name.to_owned(),
                known: Self::PRESETS.join(", "),
            }),
        }
    }

    /// A photograph comes to the network as one plane.
    fn expect_gray(&self) -> Result<()> {
        let encoder = self.encoder.as_ref().map(|encoder| encoder.in_channels);
        let decoder = match &self.decoder {
            DecoderConfig::Progressive(_) => None,
            DecoderConfig::MultiScale(config) => Some(config.in_channels),
        };
        match encoder
            .into_iter()
            .chain(decoder)
            .find(|channels| *channels != 1)
        {
            Some(channels) => Err(one_channel(channels)),
            None => Ok(()),
        }
    }

    /// Blocks of the encoder.
    pub fn depth(&self) -> usize {
        self.encoder.as_ref().map_or(0, |encoder| encoder.depth)
    }
}

/// What is wrong with a network of several input channels: of a photograph one goes in ([`Preprocess`](venule_data::Preprocess)).
pub(crate) fn one_channel(channels: usize) -> Error {
    Error::Config {
        field: "in_channels",
        value: channels.to_string(),
        expected: "one channel of a photograph goes into the network; a model of several is built from the crates `mae` and `seg`",
    }
}

/// A segmentation model with its parameters: those of the encoder under `encoder.`, of the decoder under `decoder.`.
///
/// ```
/// use venule::{ModelConfig, VesselModel};
/// use venule::candle_core::Device;
/// let model = VesselModel::new(&ModelConfig::tiny(), 42, &Device::Cpu)?;
/// let image = venule::data::Plane::filled(50, 40, 0.0);
/// assert_eq!(model.predict(&image)?.size(), (50, 40));
/// # Ok::<(), venule::Error>(())
/// ```
pub struct VesselModel {
    config: ModelConfig,
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
    /// A model with freshly initialised parameters.
    ///
    /// # Errors
    /// If the configuration is invalid.
    pub fn new(config: &ModelConfig, seed: u64, device: &Device) -> Result<Self> {
        Self::with_store(config, ParamStore::new(seed, device), device)
    }

    /// A model that takes its parameters from `store`.
    ///
    /// # Errors
    /// If the configuration is invalid, or the store's values have other shapes.
    pub fn with_store(config: &ModelConfig, store: ParamStore, device: &Device) -> Result<Self> {
        config.expect_gray()?;
        let encoder: Box<dyn Encoder> = match &config.encoder {
            Some(vit) => Box::new(VitEncoder::new(vit, &store.root().pp("encoder"))?),
            None => Box::new(NoEncoder),
        };
        let (maps, params) = (encoder.outputs(), store.root().pp("decoder"));
        let decoder: Box<dyn Decoder> = match &config.decoder {
            DecoderConfig::Progressive(c) => Box::new(ProgressiveDecoder::new(c, &maps, &params)?),
            DecoderConfig::MultiScale(c) => Box::new(MultiScaleDecoder::new(c, &maps, &params)?),
        };
        Ok(Self {
            config: config.clone(),
            network: SegmentationModel::new(encoder, decoder)?,
            store,
            device: device.clone(),
            whole: 1 << 20,
            tiling: TiledInference {
                tile: 768,
                overlap: 128,
            },
        })
    }

    /// The architecture.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The parameters.
    pub fn store(&self) -> &ParamStore {
        &self.store
    }

    /// The encoder, whose parameters lie under `encoder` in the [`store`](Self::store).
    pub fn encoder(&self) -> &dyn Encoder {
        self.network.encoder()
    }

    /// The device of the parameters.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Images (B, 1, H, W) → logits (B, 1, H, W).
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
    /// coarser map's; beside it the terms of the logits' alone. Images and labels are (B, 1, H, W), as is the map of the pixels that count.
    ///
    /// ```
    /// use venule::candle_core::{DType, Device, Tensor};
    /// use venule::{ModelConfig, VesselModel, loss::Composite, nn::Mode};
    ///
    /// let model = VesselModel::new(&ModelConfig::unet(), 1, &Device::Cpu)?;
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
        loss: &Composite,
        (images, labels): (&Tensor, &Tensor),
        valid: Option<&Tensor>,
        mode: Mode,
    ) -> candle_core::Result<(Tensor, Vec<(String, f64)>)> {
        let mut logits = self.training_logits(images, mode)?.into_iter();
        let Some(finest) = logits.next() else {
            candle_core::bail!("the decoder gave no logits");
        };
        let target = PreparedTarget::new(labels, valid);
        let (mut sum, terms) = loss.forward_with_terms(&finest, &target)?;
        for coarser in logits {
            let coarser = loss.forward_prepared(&coarser, &target)?;
            sum = (sum + (coarser * COARSER_WEIGHT)?)?;
        }
        Ok((sum, terms))
    }

    /// Vessel probabilities of one preprocessed image, at its size. Builds no gradient graph; a photograph of more than a
    /// million pixels goes through in overlapping tiles, so that memory stays bounded.
    ///
    /// # Errors
    /// If the image is empty or not finite; [`Error::Output`] if the network's output is not.
    pub fn predict(&self, image: &Plane) -> Result<Plane> {
        let (width, height) = image.size();
        Ok(Plane::new(
            width,
            height,
            self.values(&[image], image.size())?,
        )?)
    }

    /// Vessel probabilities of many preprocessed images, in their order. Neighbours of one size go through the network
    /// together, a million pixels at a time at the most.
    ///
    /// # Errors
    /// As [`predict`](Self::predict).
    pub fn predict_batch(&self, images: &[Plane]) -> Result<Vec<Plane>> {
        let mut maps = Vec::with_capacity(images.len());
        while let Some(first) = images.get(maps.len()) {
            let (width, height) = first.size();
            let most = (self.whole / (width * height).max(1)).max(1);
            let rest = images[maps.len()..].iter().take(most);
            let group: Vec<&Plane> = rest
                .take_while(|image| image.size() == first.size())
                .collect();
            let values = self.values(&group, first.size())?;
            for map in values.chunks_exact(width * height) {
                maps.push(Plane::new(width, height, map.to_vec())?);
            }
        }
        Ok(maps)
    }

    /// Probabilities of images of one size, one behind the other.
    fn values(&self, images: &[&Plane], (width, height): (usize, usize)) -> Result<Vec<f32>> {
        let _frozen = self.store.no_grad();
        let mut values = Vec::with_capacity(images.len() * width * height);
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
        let batch = Tensor::from_vec(values, (images.len(), 1, height, width), &self.device)?;
        let predict = |tile: &Tensor| self.network.probabilities(tile);
        let probabilities = if width * height <= self.whole {
            predict(&batch)?
        } else {
            self.tiling.run(&batch, predict)?
        };
        let values: Vec<f32> = probabilities.flatten_all()?.to_vec1()?;
        match values.iter().find(|value| !value.is_finite()) {
            Some(&value) => Err(Error::Output { value }),
            None => Ok(values),
        }
    }
}
