use candle_core::{
    CpuStorage, CustomOp2, Device, Layout, Result, Shape, Storage, Tensor, Var, bail,
};

use crate::Param;

/// `f(x)` that keeps nothing of its inside for the gradient, but runs once more in the backward pass (activation
/// checkpointing, Chen et al. 2016): less memory for about a third more time.
///
/// `params` are the parameters that `f` uses; others would get no gradient. `f` must give the same value both times.
/// Where no gradient is wanted, and on devices other than the CPU, this is `f(x)`.
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use venule_nn::{Linear, ParamStore, checkpointed};
/// let store = ParamStore::new(1, &Device::Cpu);
/// let layer = Linear::new(4, 4, true, &store.root())?;
/// let x = Tensor::ones((2, 4), DType::F32, &Device::Cpu)?;
/// let inner = layer.clone();
/// let y = checkpointed(&x, &store.params(), move |x| inner.forward(x))?;
/// let gradients = y.sum_all()?.backward()?;
/// assert!(gradients.get(store.params()[0].var()).is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Those of `f`.
pub fn checkpointed<F>(x: &Tensor, params: &[Param], f: F) -> Result<Tensor>
where
    F: Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
{
    let trained: Vec<Var> = params
        .iter()
        .filter(|param| param.is_trainable())
        .map(|param| param.var().clone())
        .collect();
    let wanted = x.track_op() || !trained.is_empty();
    if !wanted || !x.device().is_cpu() {
        return f(x);
    }
    // The graph of this pass ends here, and with it everything it held.
    let value = f(&x.detach())?.detach().force_contiguous()?;
    let flat: Vec<Tensor> = trained
        .iter()
        .map(|var| var.as_tensor().flatten_all())
        .collect::<Result<_>>()?;
    let flat = match flat.is_empty() {
        true => Tensor::zeros(0, x.dtype(), &Device::Cpu)?,
        false => Tensor::cat(&flat, 0)?,
    };
    x.apply_op2(&flat, Checkpoint { f, trained, value })
}

/// Its operands are x and all trained parameters as one vector, since an op has three operands at the most.
struct Checkpoint<F> {
    f: F,
    trained: Vec<Var>,
    value: Tensor,
}

impl<F> CustomOp2 for Checkpoint<F>
where
    F: Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
{
    fn name(&self) -> &'static str {
        "checkpointed"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (storage, layout) = self.value.storage_and_layout();
        match &*storage {
            Storage::Cpu(storage) => Ok((storage.clone(), layout.shape().clone())),
            _ => bail!("checkpointing works on the CPU"),
        }
    }

    fn bwd(
        &self,
        x: &Tensor,
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let input = Var::from_tensor(&x.detach())?;
        let value = (self.f)(input.as_tensor())?;
        let gradients = (value * grad)?.sum_all()?.backward()?;
        let of_input = match gradients.get(&input) {
            Some(gradient) if x.track_op() => Some(gradient.clone()),
            _ => None,
        };
        let of_params = self.trained.iter().map(|var| match gradients.get(var) {
            Some(gradient) => gradient.flatten_all(),
            None => var.as_tensor().flatten_all()?.zeros_like(),
        });
        let of_params = of_params.collect::<Result<Vec<_>>>()?;
        let of_params = match of_params.is_empty() {
            true => None,
            false => Some(Tensor::cat(&of_params, 0)?),
        };
        Ok((of_input, of_params))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::noise;
    use crate::{Block, BlockConfig, Mode, ParamStore};

    fn gradients(store: &ParamStore, x: &Var, y: &Tensor) -> Result<Vec<Vec<f32>>> {
        let along = noise(y.dims(), 9, 1.0)?;
        let gradients = (y * along)?.sum_all()?.backward()?;
        let vars = store.trainable().into_iter().map(|(_, var)| var);
        let vars = vars.chain([x.clone()]);
        vars.map(|var| match gradients.get(&var) {
            Some(gradient) => gradient.flatten_all()?.to_vec1(),
            None => Ok(Vec::new()),
        })
        .collect()
    }

    #[test]
    fn value_and_gradients_are_those_of_the_block_to_the_bit() -> Result<()> {
        let config = BlockConfig {
            width: 16,
            heads: 4,
            mlp_ratio: 4.0,
            qkv_bias: true,
            layer_norm_eps: 1e-6,
            drop_path: 0.5,
        };
        let store = ParamStore::new(3, &Device::Cpu);
        let block = Block::new(&config, &store.root()).map_err(candle_core::Error::wrap)?;
        let x = Var::from_tensor(&noise(&[3, 7, 16], 1, 1.0)?)?;
        let mode = Mode::Train { seed: 5 };
        for frozen in ["", "norm1.weight", "attn.qkv.weight"] {
            store.set_trainable(|name| name != frozen);
            let plain = block.forward(x.as_tensor(), mode)?;
            let inner = block.clone();
            let f = move |x: &Tensor| inner.forward(x, mode);
            let kept = checkpointed(x.as_tensor(), &store.params(), f)?;
            let values = |t: &Tensor| t.flatten_all()?.to_vec1::<f32>();
            assert_eq!(values(&kept)?, values(&plain)?);
            let expected = gradients(&store, &x, &plain)?;
            assert!(expected.iter().all(|values| !values.is_empty()));
            assert_eq!(gradients(&store, &x, &kept)?, expected);
        }
        Ok(())
    }

    #[test]
    fn without_a_gradient_it_is_the_function() -> Result<()> {
        let store = ParamStore::new(3, &Device::Cpu);
        let x = noise(&[2, 2], 1, 1.0)?;
        let y = checkpointed(&x, &store.params(), |x| x.sqr())?;
        assert!(!y.track_op());
        let failed = checkpointed(&x, &[], |_| bail!("no value"));
        assert!(failed.is_err());
        Ok(())
    }
}
