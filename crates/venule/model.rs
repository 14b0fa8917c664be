use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use venule_data::Plane;
use venule_mae::{VitConfig, VitEncoder};
use venule_nn::{Encoder, Mode, ParamStore};
use venule_seg::{
    Decoder, MultiScaleConfig, MultiScaleDecoder, ProgressiveConfig, ProgressiveDecoder,
    SegmentationModel, TiledInference,
};

use crate::{Error, Result};

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
    /// The Vision Transformer.
    pub encoder: VitConfig,
    /// What makes logits of its maps.
    pub decoder: DecoderConfig,
}

impl ModelConfig {
    /// The names that [`ModelConfig::preset`] knows.
    pub const PRESETS: [&'static str; 3] = ["seed", "compact", "tiny"];

    /// The reference's model: width 768, 8 blocks, progressive decoder; 58,849,457 parameters, images of 512².
    pub fn seed() -> Self {
        Self {
            encoder: VitConfig::seed(),
            decoder: DecoderConfig::Progressive(ProgressiveConfig::seed()),
        }
    }

    /// Width 192, 6 blocks, multi-scale decoder; 3.2 M parameters, images of any size.
    pub fn compact() -> Self {
        Self {
            encoder: VitConfig::compact(),
            decoder: DecoderConfig::MultiScale(MultiScaleConfig::compact()),
        }
    }

    /// A model that trains in a minute, for demonstrations and tests.
    pub fn tiny() -> Self {
        Self {
            encoder: VitConfig::tiny(),
            decoder: DecoderConfig::MultiScale(MultiScaleConfig::tiny()),
        }
    }

    /// The preset of this name.
    ///
    /// # Errors
    /// [`Error::Preset`] that lists the names.
    pub fn preset(name: &str) -> Result<Self> {
        match name {
            "seed" => Ok(Self::seed()),
            "compact" => Ok(Self::compact()),
            "tiny" => Ok(Self::tiny()),
            _ => Err(Error::Preset {
                name: name.to_owned(),
                known: Self::PRESETS.join(", "),
            }),
        }
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
    network: SegmentationModel<VitEncoder, Box<dyn Decoder>>,
    /// Most pixels that go through the network at once.
    whole: usize,
    tiling: TiledInference,
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
        let encoder = VitEncoder::new(&config.encoder, &store.root().pp("encoder"))?;
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

    /// The device of the parameters.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Images (B, 1, H, W) → logits (B, 1, H, W).
    ///
    /// # Errors
    /// If the images do not fit the encoder.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> candle_core::Result<Tensor> {
        self.network.forward(images, mode)
    }

    /// Vessel probabilities of one preprocessed image, at its size. Builds no gradient graph; a photograph of more than a
    /// million pixels goes through in overlapping tiles, so that memory stays bounded.
    ///
    /// # Errors
    /// If the image is empty or not finite.
    pub fn predict(&self, image: &Plane) -> Result<Plane> {
        let (width, height) = image.size();
        if let Some(bad) = image.data().iter().find(|value| !value.is_finite()) {
            return Err(Error::Config {
                field: "image",
                value: bad.to_string(),
                expected: "every value of a preprocessed image must be finite",
            });
        }
        let _frozen = self.store.no_grad();
        let images = Tensor::from_slice(image.data(), (1, 1, height, width), &self.device)?;
        let predict = |tile: &Tensor| self.network.probabilities(tile);
        let probabilities = if width * height <= self.whole {
            predict(&images)?
        } else {
            self.tiling.run(&images, predict)?
        };
        let values = probabilities.flatten_all()?.to_vec1::<f32>()?;
        Ok(Plane::new(width, height, values)?)
    }
}
