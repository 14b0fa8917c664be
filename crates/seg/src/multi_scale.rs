use candle_core::{Module, Result as TensorResult, Tensor, bail};
use serde::{Deserialize, Serialize};
use venule_nn::{Conv1x1, FeatureInfo, Features, Mode, Params, max_pool2x2, upsample2x};

use crate::error::config_error;
use crate::stage::{ConvStage, check_channels, doublings, unsuitable};
use crate::{Decoder, Result};

/// Stride at which the encoder's maps join the detail path.
const JOIN: usize = 8;

/// Shape of a [`MultiScaleDecoder`]. `Default` is [`MultiScaleConfig::compact`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MultiScaleConfig {
    /// Image channels, 1 to 64.
    pub in_channels: usize,
    /// Channels of the detail path at full, half and quarter resolution; multiples of `groups` up to 8192.
    pub detail: [usize; 3],
    /// Channels to which the encoder's maps are brought, and of the block at an eighth; a multiple of `groups` up to 8192.
    pub project: usize,
    /// Groups of the normalisations, at least 1.
    pub groups: usize,
    /// First value of the logit's bias: −2 says that 12 % of the pixels are vessels. Finite.
    pub logit_bias: f32,
    /// Whether training has logits of the maps at a quarter and half resolution too ([`Decoder::training_logits`]; deep supervision,
    /// Lee et al. 2015). They have heads of their own, `deep4` and `deep2`, and cost nothing in evaluation. Off
    /// where a weights file does not say.
    pub deep_supervision: bool,
}

impl MultiScaleConfig {
    /// 16, 32, 64 detail channels and 96 for the encoder.
    pub fn compact() -> Self {
        Self {
            in_channels: 1,
            detail: [16, 32, 64],
            project: 96,
            groups: 8,
            logit_bias: -2.0,
            deep_supervision: false,
        }
    }

    /// 8, 16, 32 detail channels and 48 at an eighth: without an encoder a U-Net of 96,913 parameters.
    pub fn unet() -> Self {
        Self {
            detail: [8, 16, 32],
            project: 48,
            ..Self::compact()
        }
    }

    /// 8, 16, 24 detail channels and 32 for the encoder, in 4 groups: trains in seconds.
    pub fn tiny() -> Self {
        Self {
            detail: [8, 16, 24],
            project: 32,
            groups: 4,
            ..Self::compact()
        }
    }

    /// The same with [`deep_supervision`](Self::deep_supervision): for a training that takes the loss of all
    /// [`Decoder::training_logits`].
    pub fn deeply_supervised(self) -> Self {
        Self {
            deep_supervision: true,
            ..self
        }
    }

    /// Checks every field. Building a decoder does so too.
    ///
    /// # Errors
    /// [`crate::Error::Config`] with the first field out of its range.
    pub fn validate(&self) -> Result<()> {
        if !(1..=64).contains(&self.in_channels) {
            return config_error("in_channels", self.in_channels, "in 1 to 64");
        }
        check_channels("detail", &self.detail, self.groups)?;
        check_channels("project", &[self.project], self.groups)?;
        if !self.logit_bias.is_finite() {
            return config_error("logit_bias", self.logit_bias, "finite");
        }
        Ok(())
    }
}

impl Default for MultiScaleConfig {
    fn default() -> Self {
        Self::compact()
    }
}

/// A decoder that sees the image: a shallow convolutional detail path at full, half and quarter resolution, joined on the way
/// up with the encoder's maps.
///
/// The maps are each brought to `project` channels, doubled until their stride is 8 and added up; joined with the pooled
/// quarter level they make a block at an eighth, which is doubled and joined with the quarter, half and full levels in turn.
/// Every block is twice [conv 3×3 without bias, group norm, ReLU]. Without any map ([`venule_nn::NoEncoder`]) it is a U-Net
/// (Ronneberger et al. 2015) of four levels by itself.
///
/// Variables: `project.N`, `detail1`, `detail2`, `detail4`, `fuse8`, `fuse4`, `fuse2`, `fuse1` (each `conv1`, `norm1`,
/// `conv2`, `norm2`), `head`; with deep supervision `deep4`, `deep2`.
#[derive(Clone, Debug)]
pub struct MultiScaleDecoder {
    in_channels: usize,
    /// Of each encoder map: projection and stride.
    project: Vec<(Conv1x1, usize)>,
    detail: [ConvStage; 3],
    fuse8: ConvStage,
    /// At a quarter, half, full resolution.
    fuse: [ConvStage; 3],
    head: Conv1x1,
    /// Heads of the maps at a quarter and half resolution, with deep supervision.
    deep: Vec<Conv1x1>,
}

impl MultiScaleDecoder {
    /// Takes its variables from `params`, for an encoder with these outputs.
    ///
    /// # Errors
    /// [`crate::Error::Config`] if the configuration is not valid, [`crate::Error::Encoder`] unless every stride is 8, 16, 32, ….
    pub fn new(
        config: &MultiScaleConfig,
        outputs: &[FeatureInfo],
        params: &Params,
    ) -> Result<Self> {
        config.validate()?;
        let suits = |info: &FeatureInfo| doublings(info.stride, JOIN).is_some();
        if !outputs.iter().all(suits) {
            return unsuitable(
                outputs,
                "the multi-scale decoder takes maps of stride 8, 16, 32 and so on",
            );
        }
        let stage = |name: &str, inputs: usize, outputs: usize| {
            ConvStage::new(inputs, outputs, config.groups, false, &params.pp(name))
        };
        let [full, half, quarter] = config.detail;
        let project = |(i, info): (usize, &FeatureInfo)| {
            let params = params.pp("project").pp(i);
            let conv = Conv1x1::new(info.channels, config.project, true, &params)?;
            Ok((conv, info.stride))
        };
        let head = |name: &str, channels: usize| {
            Conv1x1::with_bias_value(channels, 1, config.logit_bias, &params.pp(name))
        };
        Ok(Self {
            in_channels: config.in_channels,
            project: outputs
                .iter()
                .enumerate()
                .map(project)
                .collect::<Result<_>>()?,
            detail: [
                stage("detail1", config.in_channels, full)?,
                stage("detail2", full, half)?,
                stage("detail4", half, quarter)?,
            ],
            fuse8: stage(
                "fuse8",
                match outputs {
                    [] => quarter,
                    _ => quarter + config.project,
                },
                config.project,
            )?,
            fuse: [
                stage("fuse4", config.project + quarter, quarter)?,
                stage("fuse2", quarter + half, half)?,
                stage("fuse1", half + full, full)?,
            ],
            head: head("head", full)?,
            deep: match config.deep_supervision {
                false => Vec::new(),
                true => vec![head("deep4", quarter)?, head("deep2", half)?],
            },
        })
    }

    /// All maps of the encoder, if it gives any, at stride 8: (B, project, H/8, W/8).
    fn tokens(&self, features: &Features) -> TensorResult<Option<Tensor>> {
        if features.maps.len() != self.project.len() {
            bail!(
                "the decoder was built for {} maps, not {}",
                self.project.len(),
                features.maps.len()
            );
        }
        let mut sum: Option<Tensor> = None;
        let mut stride = 0;
        // Coarsest first: what lies at one stride is added before it is doubled.
        let mut order: Vec<_> = self.project.iter().zip(&features.maps).collect();
        order.sort_by_key(|((_, stride), _)| std::cmp::Reverse(*stride));
        for ((conv, at), map) in order {
            let map = conv.forward(&map.tensor)?;
            sum = Some(match sum {
                Some(sum) => (double(sum, stride / at)? + map)?,
                None => map,
            });
            stride = *at;
        }
        sum.map(|sum| double(sum, stride / JOIN)).transpose()
    }

    /// The joined map at full resolution. `visit` sees each on the way up, with its place: 0 at a quarter, 1 at half, 2 at full
    /// resolution; a map that it does not keep is gone once the next is made.
    fn joined_map(
        &self,
        features: &Features,
        images: &Tensor,
        mut visit: impl FnMut(usize, &Tensor) -> TensorResult<()>,
    ) -> TensorResult<Tensor> {
        let [detail1, detail2, detail4] = &self.detail;
        let full = detail1.forward(images)?;
        let half = detail2.forward(&max_pool2x2(&full)?)?;
        let quarter = detail4.forward(&max_pool2x2(&half)?)?;
        let mut x = max_pool2x2(&quarter)?;
        if let Some(tokens) = self.tokens(features)? {
            x = Tensor::cat(&[x, tokens], 1)?;
        }
        x = self.fuse8.forward(&x)?;
        for (place, (stage, detail)) in self.fuse.iter().zip([quarter, half, full]).enumerate() {
            x = stage.forward_joined(&x, &detail)?;
            visit(place, &x)?;
        }
        Ok(x)
    }
}

impl Decoder for MultiScaleDecoder {
    fn forward(&self, features: &Features, images: &Tensor, _: Mode) -> TensorResult<Tensor> {
        let full = self.joined_map(features, images, |_, _| Ok(()))?;
        self.head.forward(&full)
    }

    fn training_logits(
        &self,
        features: &Features,
        images: &Tensor,
        _: Mode,
    ) -> TensorResult<Vec<Tensor>> {
        let mut coarser = Vec::new();
        let full = self.joined_map(features, images, |place, map| {
            if let Some(head) = self.deep.get(place) {
                coarser.push(double(head.forward(map)?, 4 >> place)?);
            }
            Ok(())
        })?;
        let mut all = vec![self.head.forward(&full)?];
        all.extend(coarser);
        Ok(all)
    }

    fn image_channels(&self) -> Option<usize> {
        Some(self.in_channels)
    }

    fn multiple(&self) -> usize {
        JOIN
    }
}

/// Doubles `x` until it has grown by `times`, a power of two.
fn double(mut x: Tensor, times: usize) -> TensorResult<Tensor> {
    for _ in 0..times.ilog2() {
        x = upsample2x(&x)?;
    }
    Ok(x)
}
