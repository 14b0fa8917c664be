use candle_core::{Module, Result as TensorResult, Tensor};

use crate::{Init, Param, Params, Result, linear, linear_gelu};

/// A trained [`linear`]: variables `weight` (outputs, inputs), Xavier-uniform, and `bias` (outputs), zeros, if asked for.
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use venule_nn::{Linear, ParamStore};
/// let store = ParamStore::new(1, &Device::Cpu);
/// let layer = Linear::new(8, 3, true, &store.root().pp("head"))?;
/// let x = Tensor::zeros((2, 5, 8), DType::F32, &Device::Cpu)?;
/// assert_eq!(layer.forward(&x)?.dims(), [2, 5, 3]);
/// # Ok::<(), venule_nn::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Param,
    bias: Option<Param>,
}

impl Linear {
    /// Takes its variables from `params`.
    ///
    /// # Errors
    /// If the store holds them in another shape.
    pub fn new(inputs: usize, outputs: usize, bias: bool, params: &Params) -> Result<Self> {
        let weight = params.get((outputs, inputs), "weight", Init::XavierUniform)?;
        let bias = bias.then(|| params.get(outputs, "bias", Init::Zeros));
        Ok(Self {
            weight,
            bias: bias.transpose()?,
        })
    }

    /// The layer and GELU in one.
    pub(crate) fn forward_gelu(&self, x: &Tensor) -> TensorResult<Tensor> {
        let bias = self.bias.as_ref().map(Param::tensor);
        linear_gelu(x, &self.weight.tensor(), bias.as_ref())
    }
}

impl Module for Linear {
    /// (…, inputs) → (…, outputs).
    ///
    /// # Errors
    /// If the last dimension is not `inputs`.
    fn forward(&self, x: &Tensor) -> TensorResult<Tensor> {
        let bias = self.bias.as_ref().map(Param::tensor);
        linear(x, &self.weight.tensor(), bias.as_ref())
    }
}
