use candle_core::{Module, Result as TensorResult, Tensor};

use crate::{Error, Init, Param, Params, Result, layer_norm};

/// A trained [`layer_norm`]: variables `weight` (width), ones, and `bias` (width), zeros.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    eps: f64,
    weight: Param,
    bias: Param,
}

impl LayerNorm {
    /// Takes its variables from `params`; `eps` is added to the variance.
    ///
    /// # Errors
    /// [`Error::Config`] if `eps` is negative or not finite; [`Error::Shape`] if the store holds other shapes.
    pub fn new(width: usize, eps: f64, params: &Params) -> Result<Self> {
        if !(eps >= 0.0 && eps.is_finite()) {
            return Err(Error::Config {
                field: "layer_norm_eps",
                value: eps.to_string(),
                expected: "must be finite and not negative (usually 1e-6)",
            });
        }
        Ok(Self {
            eps,
            weight: params.get(width, "weight", Init::Ones)?,
            bias: params.get(width, "bias", Init::Zeros)?,
        })
    }
}

impl Module for LayerNorm {
    /// (…, width) → the same shape.
    ///
    /// # Errors
    /// If the last dimension is not `width`.
    fn forward(&self, x: &Tensor) -> TensorResult<Tensor> {
        layer_norm(x, &self.weight.tensor(), &self.bias.tensor(), self.eps)
    }
}
