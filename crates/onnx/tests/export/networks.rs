//! Networks of every kind of layer, and images for them.

use candle_core::{Device, Tensor};
use venule_mae::{Positions, VitConfig, VitEncoder};
use venule_nn::{Encoder, Mode, NoEncoder, Noise, ParamStore};
use venule_onnx::{DecoderSettings, EncoderSettings, Export};
use venule_seg::{
    Decoder, MultiScaleConfig, MultiScaleDecoder, ProgressiveConfig, ProgressiveDecoder,
    SegmentationModel,
};

/// A network with its parameters and settings.
pub struct Network {
    pub name: &'static str,
    pub encoder: EncoderSettings,
    pub decoder: DecoderSettings,
    pub channels: usize,
    pub store: ParamStore,
    model: SegmentationModel<Box<dyn Encoder>, Box<dyn Decoder>>,
}

fn values(shape: &[usize], deviation: f32, key: u64) -> Tensor {
    let mut noise = Noise::keyed(&[key]);
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| deviation * noise.normal()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

impl Network {
    fn new(name: &'static str, encoder: EncoderSettings, decoder: DecoderSettings) -> Self {
        let store = ParamStore::new(3, &Device::Cpu);
        let params = store.root().pp("encoder");
        let (built, channels): (Box<dyn Encoder>, _) = match &encoder {
            EncoderSettings::Vit(vit) => (
                Box::new(VitEncoder::new(vit, &params).unwrap()),
                vit.in_channels,
            ),
            _ => (Box::new(NoEncoder), 1),
        };
        let (maps, params) = (built.outputs(), store.root().pp("decoder"));
        let made: Box<dyn Decoder> = match &decoder {
            DecoderSettings::MultiScale(config) => {
                Box::new(MultiScaleDecoder::new(config, &maps, &params).unwrap())
            }
            DecoderSettings::Progressive(config) => {
                Box::new(ProgressiveDecoder::new(config, &maps, &params).unwrap())
            }
            other => panic!("{other:?}"),
        };
        // Fresh norms and biases are ones and zeros, which would hide that one is missing.
        for (index, parameter) in store.params().iter().enumerate() {
            let tensor = parameter.tensor().detach();
            if tensor.dims().len() == 1 {
                let noise = values(tensor.dims(), 0.3, index as u64);
                parameter.var().set(&(tensor + noise).unwrap()).unwrap();
            }
        }
        Self {
            name,
            encoder,
            decoder,
            channels,
            store,
            model: SegmentationModel::new(built, made).unwrap(),
        }
    }

    pub fn export(&self) -> Export<'_> {
        Export::new(self.encoder.clone(), self.decoder.clone(), &self.store)
    }

    pub fn image(&self, batch: usize, (height, width): (usize, usize)) -> Tensor {
        values(&[batch, self.channels, height, width], 1.0, height as u64)
    }

    pub fn logits(&self, images: &Tensor) -> Vec<f32> {
        let logits = self.model.forward(images, Mode::Eval).unwrap();
        logits.detach().flatten_all().unwrap().to_vec1().unwrap()
    }
}

/// Sizes that cut the grids of the networks below into one window, several, and overlapping ones.
pub const SIZES: [(usize, usize); 3] = [(48, 64), (37, 50), (40, 120)];

/// One network for each kind of layer and of position.
pub fn networks() -> Vec<Network> {
    let multi_scale = |config: MultiScaleConfig| DecoderSettings::MultiScale(config);
    let vit = |config: VitConfig| EncoderSettings::Vit(config);
    let windowed = |positions| VitConfig {
        window: Some(3),
        taps: vec![1, 3],
        registers: 2,
        qkv_bias: true,
        positions,
        ..VitConfig::tiny()
    };
    let rgb = VitConfig {
        in_channels: 3,
        patch_size: 16,
        image_size: [64, 48],
        positions: Positions::Learned,
        ..VitConfig::tiny()
    };
    vec![
        Network::new(
            "unet",
            EncoderSettings::None,
            multi_scale(MultiScaleConfig::tiny().deeply_supervised()),
        ),
        Network::new(
            "tiny",
            vit(VitConfig::tiny()),
            multi_scale(MultiScaleConfig::tiny()),
        ),
        Network::new(
            "windows",
            vit(windowed(Positions::SinCos)),
            multi_scale(MultiScaleConfig::tiny()),
        ),
        Network::new(
            "learned_windows",
            vit(windowed(Positions::Learned)),
            multi_scale(MultiScaleConfig::tiny()),
        ),
        Network::new(
            "rgb",
            vit(rgb),
            multi_scale(MultiScaleConfig {
                in_channels: 3,
                ..MultiScaleConfig::tiny()
            }),
        ),
        Network::new(
            "progressive",
            vit(VitConfig {
                positions: Positions::Learned,
                ..VitConfig::tiny()
            }),
            DecoderSettings::Progressive(ProgressiveConfig::tiny()),
        ),
    ]
}

/// The presets of the program, of two blocks at most: the other blocks are of the same layers.
pub fn presets() -> impl Iterator<Item = Network> {
    let names = [
        "compact",
        "seed",
        "seed-4",
        "vit-tiny",
        "vit-small",
        "vit-base",
        "vit-large",
    ];
    names.into_iter().map(|name| {
        let vit = VitConfig::preset(name).unwrap();
        let vit = VitConfig {
            depth: 2,
            // As the presets of public layouts see photographs.
            window: vit.window.or(name.starts_with("vit").then_some(16)),
            ..vit
        };
        let decoder = match name {
            "seed" => DecoderSettings::Progressive(ProgressiveConfig::seed()),
            _ => DecoderSettings::MultiScale(MultiScaleConfig {
                in_channels: vit.in_channels,
                ..MultiScaleConfig::compact().deeply_supervised()
            }),
        };
        Network::new(name, EncoderSettings::Vit(vit), decoder)
    })
}
