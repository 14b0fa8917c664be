use candle_core::{Module, Result as TensorResult, Tensor};

use crate::{
    Init, Norm, Param, Params, Result, conv1x1, conv3x3, conv3x3_norm_relu, group_norm,
    upsample2x_cat_conv3x3_norm_relu,
};

/// A trained [`conv3x3`]: variables `weight` (outputs, inputs, 3, 3), He-normal, and `bias` (outputs), zeros, if asked for.
#[derive(Clone, Debug)]
pub struct Conv3x3 {
    weight: Param,
    bias: Option<Param>,
}

/// A trained [`conv1x1`]: variables `weight` (outputs, inputs, 1, 1), Xavier-uniform, and `bias` (outputs), zeros, if asked
/// for.
#[derive(Clone, Debug)]
pub struct Conv1x1 {
    weight: Param,
    bias: Option<Param>,
}

/// A trained [`group_norm`]: variables `weight` (channels), ones, and `bias` (channels), zeros.
#[derive(Clone, Debug)]
pub struct GroupNorm {
    groups: usize,
    eps: f64,
    weight: Param,
    bias: Param,
}

fn bias(wanted: bool, outputs: usize, params: &Params) -> Result<Option<Param>> {
    wanted
        .then(|| params.get(outputs, "bias", Init::Zeros))
        .transpose()
}

impl Conv3x3 {
    /// Takes its variables from `params`.
    ///
    /// # Errors
    /// If the store holds them in another shape.
    pub fn new(inputs: usize, outputs: usize, with_bias: bool, params: &Params) -> Result<Self> {
        Ok(Self {
            weight: params.get((outputs, inputs, 3, 3), "weight", Init::HeNormal)?,
            bias: bias(with_bias, outputs, params)?,
        })
    }
}

impl Module for Conv3x3 {
    /// (B, inputs, H, W) → (B, outputs, H, W).
    ///
    /// # Errors
    /// If the channels do not fit.
    fn forward(&self, x: &Tensor) -> TensorResult<Tensor> {
        let bias = self.bias.as_ref().map(Param::tensor);
        conv3x3(x, &self.weight.tensor(), bias.as_ref())
    }
}

impl Conv1x1 {
    /// Takes its variables from `params`.
    ///
    /// # Errors
    /// If the store holds them in another shape.
    pub fn new(inputs: usize, outputs: usize, with_bias: bool, params: &Params) -> Result<Self> {
        Ok(Self {
            weight: params.get((outputs, inputs, 1, 1), "weight", Init::XavierUniform)?,
            bias: bias(with_bias, outputs, params)?,
        })
    }

    /// As [`Conv1x1::new`] with a bias that starts at `value` (a prior for a logit).
    ///
    /// # Errors
    /// As [`Conv1x1::new`].
    pub fn with_bias_value(
        inputs: usize,
        outputs: usize,
        value: f32,
        params: &Params,
    ) -> Result<Self> {
        Ok(Self {
            weight: params.get((outputs, inputs, 1, 1), "weight", Init::XavierUniform)?,
            bias: Some(params.get(outputs, "bias", Init::Constant(value))?),
        })
    }
}

impl Module for Conv1x1 {
    /// (B, inputs, H, W) → (B, outputs, H, W).
    ///
    /// # Errors
    /// If the channels do not fit.
    fn forward(&self, x: &Tensor) -> TensorResult<Tensor> {
        let bias = self.bias.as_ref().map(Param::tensor);
        conv1x1(x, &self.weight.tensor(), bias.as_ref())
    }
}

impl GroupNorm {
    /// Takes its variables from `params`.
    ///
    /// # Errors
    /// If `groups` does not divide `channels`, `eps` is negative or not finite, or the store holds other shapes.
    pub fn new(groups: usize, channels: usize, eps: f64, params: &Params) -> Result<Self> {
        if !(eps >= 0.0 && eps.is_finite()) {
            return Err(crate::Error::Config {
                field: "group_norm_eps",
                value: eps.to_string(),
                expected: "must be finite and not negative (usually 1e-5)",
            });
        }
        if groups == 0 || !channels.is_multiple_of(groups) {
            return Err(crate::Error::Config {
                field: "groups",
                value: format!("{groups} for {channels} channels"),
                expected: "must divide the number of channels",
            });
        }
        Ok(Self {
            groups,
            eps,
            weight: params.get(channels, "weight", Init::Ones)?,
            bias: params.get(channels, "bias", Init::Zeros)?,
        })
    }
}

impl Module for GroupNorm {
    /// (B, C, H, W) → the same shape.
    ///
    /// # Errors
    /// If the channels do not fit.
    fn forward(&self, x: &Tensor) -> TensorResult<Tensor> {
        group_norm(
            x,
            self.groups,
            &self.weight.tensor(),
            &self.bias.tensor(),
            self.eps,
        )
    }
}

/// A 3×3 convolution, group normalisation and ReLU as one op ([`conv3x3_norm_relu`]).
#[derive(Clone, Debug)]
pub struct ConvNormRelu {
    conv: Conv3x3,
    norm: GroupNorm,
}

impl ConvNormRelu {
    /// Joins the two.
    pub fn new(conv: Conv3x3, norm: GroupNorm) -> Self {
        Self { conv, norm }
    }

    /// The same of `x` (B, C, H, W) doubled, with `others` (B, inputs − C, 2H, 2W) behind it
    /// ([`upsample2x_cat`](crate::upsample2x_cat)).
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward_joined(&self, x: &Tensor, others: &Tensor) -> TensorResult<Tensor> {
        self.with_operands(|weight, bias, norm| {
            upsample2x_cat_conv3x3_norm_relu(x, others, weight, bias, norm)
        })
    }

    fn with_operands(
        &self,
        apply: impl FnOnce(&Tensor, Option<&Tensor>, Norm<'_>) -> TensorResult<Tensor>,
    ) -> TensorResult<Tensor> {
        let (conv, norm) = (&self.conv, &self.norm);
        let bias = conv.bias.as_ref().map(Param::tensor);
        let norm = Norm {
            groups: norm.groups,
            weight: &norm.weight.tensor(),
            bias: &norm.bias.tensor(),
            eps: norm.eps,
        };
        apply(&conv.weight.tensor(), bias.as_ref(), norm)
    }
}

impl Module for ConvNormRelu {
    /// (B, inputs, H, W) → (B, outputs, H, W).
    ///
    /// # Errors
    /// If the channels do not fit.
    fn forward(&self, x: &Tensor) -> TensorResult<Tensor> {
        self.with_operands(|weight, bias, norm| conv3x3_norm_relu(x, weight, bias, norm))
    }
}
