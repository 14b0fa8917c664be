use candle_core::{Module, Result as TensorResult, Tensor};
use candle_nn::{Conv2d, Conv2dConfig, GroupNorm, LayerNorm};
use serde::{Deserialize, Serialize};
use venule::BoxError;
use venule::nn::{Encoder, FeatureInfo, FeatureMap, Features, Mode, Params};

#[derive(Serialize, Deserialize)]
pub struct CandleConfig {
    pub channels: usize,
    /// Whether a layer of candle's that cuts the graph in silence stands in it.
    #[serde(default)]
    pub cut: bool,
}

/// Two convolutions of stride 2 and one of stride 2 behind them: a map at an eighth of the size, of candle-nn layers alone.
pub struct Candle {
    convolutions: [Conv2d; 3],
    group_norm: GroupNorm,
    layer_norm: Option<LayerNorm>,
    channels: usize,
}

impl Candle {
    pub fn new(config: &CandleConfig, params: &Params) -> Result<Self, BoxError> {
        let (vb, channels) = (params.var_builder(), config.channels);
        let same = Conv2dConfig { padding: 1, ..Conv2dConfig::default() };
        let layer_norm = config.cut.then(|| candle_nn::layer_norm(channels, 1e-5, vb.pp("norm")));
        Ok(Self {
            convolutions: [
                candle_nn::conv2d(1, channels, 3, same, vb.pp("0"))?,
                candle_nn::conv2d(channels, channels, 3, same, vb.pp("1"))?,
                candle_nn::conv2d(channels, channels, 3, same, vb.pp("2"))?,
            ],
            group_norm: candle_nn::group_norm(4, channels, 1e-5, vb.pp("group_norm"))?,
            layer_norm: layer_norm.transpose()?,
            channels,
        })
    }
}

impl Encoder for Candle {
    fn forward(&self, images: &Tensor, _: Mode) -> TensorResult<Features> {
        let [first, second, third] = &self.convolutions;
        let mut x = first.forward(images)?.relu()?.avg_pool2d(2)?;
        x = self.group_norm.forward(&second.forward(&x)?)?.relu()?.avg_pool2d(2)?;
        x = third.forward(&x)?.relu()?.avg_pool2d(2)?;
        if let Some(norm) = &self.layer_norm {
            let channels_last = x.permute((0, 2, 3, 1))?.contiguous()?;
            x = norm.forward(&channels_last)?.permute((0, 3, 1, 2))?.contiguous()?;
        }
        Ok(Features { maps: vec![FeatureMap { tensor: x, stride: 8 }] })
    }

    fn outputs(&self) -> Vec<FeatureInfo> {
        vec![FeatureInfo { channels: self.channels, stride: 8 }]
    }
}
