use candle_core::{Module, Result as TensorResult, Tensor};

use crate::{Error, Linear, Params, Result, attention_qkv};

/// Multi-head self-attention (Vaswani et al. 2017): `qkv` (3 · width, width), [`attention_qkv`], `proj` (width, width).
#[derive(Clone, Debug)]
pub struct Attention {
    heads: usize,
    qkv: Linear,
    proj: Linear,
}

impl Attention {
    /// Takes `qkv.weight`, `qkv.bias` (if `qkv_bias`), `proj.weight` and `proj.bias` from `params`.
    ///
    /// # Errors
    /// [`Error::Config`] if `heads` is 0 or does not divide `width`; [`Error::Shape`] if the store holds other shapes.
    pub fn new(width: usize, heads: usize, qkv_bias: bool, params: &Params) -> Result<Self> {
        if heads == 0 || width == 0 || !width.is_multiple_of(heads) {
            return Err(Error::Config {
                field: "heads",
                value: format!("{heads} (width {width})"),
                expected: "must divide the width, which must be positive",
            });
        }
        Ok(Self {
            heads,
            qkv: Linear::new(width, 3 * width, qkv_bias, &params.pp("qkv"))?,
            proj: Linear::new(width, width, true, &params.pp("proj"))?,
        })
    }
}

impl Module for Attention {
    /// Tokens (B, T, width) → (B, T, width).
    ///
    /// # Errors
    /// If the shape does not fit.
    fn forward(&self, x: &Tensor) -> TensorResult<Tensor> {
        let y = attention_qkv(&self.qkv.forward(x)?, self.heads)?;
        self.proj.forward(&y)
    }
}
