//! What both decoders are built of.

use candle_core::{Module, Result as TensorResult, Tensor};
use venule_nn::{Conv3x3, ConvNormRelu, FeatureInfo, GroupNorm, Params};

use crate::error::config_error;
use crate::{Error, Result};

/// Added to the variance in group normalisation, as in PyTorch.
const EPS: f64 = 1e-5;

/// Widest map that is taken: a mistyped number must not exhaust the memory.
const WIDEST: usize = 8192;

/// Twice [conv 3×3, group norm, ReLU]. Variables: `conv1`, `norm1`, `conv2`, `norm2`.
#[derive(Clone, Debug)]
pub(crate) struct ConvStage([ConvNormRelu; 2]);

impl ConvStage {
    pub(crate) fn new(
        inputs: usize,
        outputs: usize,
        groups: usize,
        bias: bool,
        params: &Params,
    ) -> Result<Self> {
        let layer = |number: usize, inputs| -> Result<ConvNormRelu> {
            let conv = params.pp(format!("conv{number}"));
            let norm = params.pp(format!("norm{number}"));
            Ok(ConvNormRelu::new(
                Conv3x3::new(inputs, outputs, bias, &conv)?,
                GroupNorm::new(groups, outputs, EPS, &norm)?,
            ))
        };
        Ok(Self([layer(1, inputs)?, layer(2, outputs)?]))
    }

    /// The stage on `x` doubled and joined with `level`.
    pub(crate) fn forward_joined(&self, x: &Tensor, level: &Tensor) -> TensorResult<Tensor> {
        let [first, second] = &self.0;
        second.forward(&first.forward_joined(x, level)?)
    }
}

impl Module for ConvStage {
    fn forward(&self, x: &Tensor) -> TensorResult<Tensor> {
        let [first, second] = &self.0;
        x.apply(first)?.apply(second)
    }
}

/// Checks channels of normalised maps.
pub(crate) fn check_channels(field: &'static str, channels: &[usize], groups: usize) -> Result<()> {
    if groups == 0 {
        return config_error("groups", groups, "at least 1");
    }
    let fits = |c: &usize| *c > 0 && *c <= WIDEST && c.is_multiple_of(groups);
    if channels.is_empty() || !channels.iter().all(fits) {
        return config_error(
            field,
            channels,
            format!("multiples of the {groups} groups up to {WIDEST}"),
        );
    }
    Ok(())
}

/// How often a map of this stride is to be doubled until its stride is `target`.
pub(crate) fn doublings(stride: usize, target: usize) -> Option<usize> {
    let ratio = (stride.is_multiple_of(target)).then_some(stride / target)?;
    ratio.is_power_of_two().then(|| ratio.ilog2() as usize)
}

/// The error for an encoder that does not suit.
pub(crate) fn unsuitable<T>(outputs: &[FeatureInfo], expected: impl Into<String>) -> Result<T> {
    let maps: Vec<String> = outputs
        .iter()
        .map(|info| format!("{} channels at stride {}", info.channels, info.stride))
        .collect();
    let maps = if maps.is_empty() {
        "no map".to_owned()
    } else {
        maps.join(", ")
    };
    Err(Error::Encoder {
        maps,
        expected: expected.into(),
    })
}
