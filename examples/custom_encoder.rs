//! An encoder of one's own, of venule's and of candle's layers: registered by name, trained by the task, saved, loaded, evaluated.
//!
//! `cargo run --release --example custom_encoder`

use serde::{Deserialize, Serialize};
use venule::candle_core::{Device, Module, Result as TensorResult, Tensor};
use venule::data::{FovPolicy, InMemory};
use venule::nn::{Conv3x3, Encoder, FeatureInfo, FeatureMap, Features, Mode, Params, max_pool2x2};
use venule::synthetic::{SyntheticFundus, SyntheticSet};
use venule::tasks::{Finetuning, FinetuningData};
use venule::train::{RunOptions, Trainer};
use venule::{
    BoxError, Checkpoint, ModelConfig, PartConfig, Recipe, Registry, Segmenter, evaluate,
};

/// What a run file or a checkpoint says of it.
#[derive(Serialize, Deserialize)]
struct PooledConfig {
    channels: usize,
}

/// Three convolutions with pooling between: one map of stride 8.
struct Pooled {
    own: Conv3x3,
    candle: [candle_nn::Conv2d; 2],
    channels: usize,
}

impl Pooled {
    /// Variables come from `params`, ours by name, candle's through a `VarBuilder` over the same store.
    fn new(config: &PooledConfig, params: &Params) -> Result<Self, BoxError> {
        let same = candle_nn::Conv2dConfig {
            padding: 1,
            ..Default::default()
        };
        let (vb, channels) = (params.var_builder(), config.channels);
        Ok(Self {
            own: Conv3x3::new(1, channels, true, &params.pp("0"))?,
            candle: [
                candle_nn::conv2d(channels, channels, 3, same, vb.pp("1"))?,
                candle_nn::conv2d(channels, channels, 3, same, vb.pp("2"))?,
            ],
            channels,
        })
    }
}

impl Encoder for Pooled {
    fn forward(&self, images: &Tensor, _: Mode) -> TensorResult<Features> {
        let mut x = max_pool2x2(&self.own.forward(images)?.gelu_erf()?)?;
        for conv in &self.candle {
            x = max_pool2x2(&conv.forward(&x)?.gelu_erf()?)?;
        }
        Ok(Features {
            maps: vec![FeatureMap {
                tensor: x,
                stride: 8,
            }],
        })
    }

    fn outputs(&self) -> Vec<FeatureInfo> {
        vec![FeatureInfo {
            channels: self.channels,
            stride: 8,
        }]
    }

    // Freezing, gradual thawing and layer-wise learning rates follow these.
    fn stages(&self) -> usize {
        3
    }

    fn stage_of(&self, name: &str) -> Option<usize> {
        name.split('.').next()?.parse().ok()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let registry = Registry::built_in().with_encoder("pooled", Pooled::new)?;
    let tiny = Recipe::preset("tiny")?;
    let mut recipe = Recipe {
        model: ModelConfig {
            encoder: PartConfig::new("pooled", &PooledConfig { channels: 16 })?,
            decoder: tiny.model.decoder.clone(),
        },
        ..tiny
    };
    recipe.train.max_steps = Some(30);

    let photographs =
        |seed| InMemory::read(&SyntheticSet::new(SyntheticFundus::square(128), seed, 4)?);
    let data = FinetuningData {
        unlabelled: None,
        train: Box::new(photographs(1)?),
        validation: Box::new(photographs(2)?),
        fov: FovPolicy::GivenOrDetect,
        workers: 1,
        cache_bytes: 1 << 30,
    };
    let mut task = Finetuning::from_registry(&registry, &recipe, data, &Device::Cpu)?;
    let folder = std::env::temp_dir().join(format!("venule_custom_encoder_{}", std::process::id()));
    let trained = Trainer::new(recipe.train)?
        .with_options(RunOptions::in_folder(&folder))?
        .fit(&mut task)?;

    // Another process needs the file and the registration.
    let weights = trained.final_path.ok_or("the training left no weights")?;
    let (checkpoint, model) = Checkpoint::load_with(&registry, &weights, &Device::Cpu)?;
    println!("{} parameters", model.store().element_count());
    let segmenter = Segmenter::new(checkpoint, model)?;
    let evaluated = evaluate(&segmenter, &photographs(3)?, |_, _| Ok(()))?;
    println!(
        "F1 {:.3} on photographs it has not seen",
        evaluated.report.pooled.get("f1").unwrap_or(0.0)
    );
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
