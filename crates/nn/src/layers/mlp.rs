use candle_core::{Module, Result as TensorResult, Tensor};

use crate::{Linear, Params, Result};

/// A transformer's MLP: `fc1` (hidden, width), exact GELU, `fc2` (width, hidden).
#[derive(Clone, Debug)]
pub struct Mlp {
    fc1: Linear,
    fc2: Linear,
}

impl Mlp {
    /// Takes `fc1.weight`, `fc1.bias`, `fc2.weight` and `fc2.bias` from `params`.
    ///
    /// # Errors
    /// If the store holds them in another shape.
    pub fn new(width: usize, hidden: usize, params: &Params) -> Result<Self> {
        Ok(Self {
            fc1: Linear::new(width, hidden, true, &params.pp("fc1"))?,
            fc2: Linear::new(hidden, width, true, &params.pp("fc2"))?,
        })
    }
}

impl Module for Mlp {
    /// (…, width) → (…, width).
    ///
    /// # Errors
    /// If the last dimension is not `width`.
    fn forward(&self, x: &Tensor) -> TensorResult<Tensor> {
        self.fc2.forward(&self.fc1.forward_gelu(x)?)
    }
}
