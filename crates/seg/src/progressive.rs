use candle_core::{Module, Result as TensorResult, Tensor, bail};
use serde::{Deserialize, Serialize};
use venule_nn::{Conv1x1, FeatureInfo, Features, Mode, Params, upsample2x};

use crate::stage::{ConvStage, check_channels, doublings, unsuitable};
use crate::{Decoder, Result};

/// Shape of a [`ProgressiveDecoder`]. `Default` is [`ProgressiveConfig::seed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProgressiveConfig {
    /// Channels after each doubling; as many as it takes from the encoder's stride to 1 (four for patch 16). Multiples of
    /// `groups` up to 8192.
    pub channels: Vec<usize>,
    /// Groups of the normalisations, at least 1.
    pub groups: usize,
}

impl ProgressiveConfig {
    /// 128, 64, 32, 16 channels for stride 16.
    pub fn seed() -> Self {
        Self {
            channels: vec![128, 64, 32, 16],
            groups: 8,
        }
    }

    /// 32, 16, 8 channels in 4 groups for stride 8: trains in seconds.
    pub fn tiny() -> Self {
        Self {
            channels: vec![32, 16, 8],
            groups: 4,
        }
    }

    /// Checks every field. Building a decoder does so too.
    ///
    /// # Errors
    /// [`crate::Error::Config`] with the first field out of its range.
    pub fn validate(&self) -> Result<()> {
        check_channels("channels", &self.channels, self.groups)
    }
}

impl Default for ProgressiveConfig {
    fn default() -> Self {
        Self::seed()
    }
}

/// A plain upsampling decoder over one map: stages of bilinear ×2 and twice [conv 3×3, group norm, ReLU], then a 1×1
/// convolution to the logit. It does not see the image.
///
/// Variables: `stages.N.conv1`, `stages.N.norm1`, `stages.N.conv2`, `stages.N.norm2`, `head`, each `.weight` and `.bias`.
#[derive(Clone, Debug)]
pub struct ProgressiveDecoder {
    stages: Vec<ConvStage>,
    head: Conv1x1,
}

impl ProgressiveDecoder {
    /// Takes its variables from `params`, for an encoder with these outputs.
    ///
    /// # Errors
    /// [`crate::Error::Config`] if the configuration is not valid, [`crate::Error::Encoder`] unless the encoder gives one map
    /// whose stride is 2 to the number of stages.
    pub fn new(
        config: &ProgressiveConfig,
        outputs: &[FeatureInfo],
        params: &Params,
    ) -> Result<Self> {
        config.validate()?;
        let stages = config.channels.len();
        let &[FeatureInfo { channels, stride }] = outputs else {
            return unsuitable(outputs, "the progressive decoder takes exactly one map");
        };
        if doublings(stride, 1) != Some(stages) {
            return unsuitable(
                outputs,
                format!(
                    "its {stages} channels are {stages} doublings, which undo a stride of 2 to the {stages}; give a channel for each doubling of the encoder's stride of {stride}"
                ),
            );
        }
        let mut inputs = channels;
        let mut built = Vec::with_capacity(stages);
        for (i, &outputs) in config.channels.iter().enumerate() {
            let params = params.pp("stages").pp(i);
            built.push(ConvStage::new(
                inputs,
                outputs,
                config.groups,
                true,
                &params,
            )?);
            inputs = outputs;
        }
        Ok(Self {
            stages: built,
            head: Conv1x1::new(inputs, 1, true, &params.pp("head"))?,
        })
    }
}

impl Decoder for ProgressiveDecoder {
    fn forward(&self, features: &Features, _: &Tensor, _: Mode) -> TensorResult<Tensor> {
        let [map] = features.maps.as_slice() else {
            bail!(
                "the progressive decoder takes one map, not {}",
                features.maps.len()
            );
        };
        let mut x = map.tensor.clone();
        for stage in &self.stages {
            x = stage.forward(&upsample2x(&x)?)?;
        }
        self.head.forward(&x)
    }
}
