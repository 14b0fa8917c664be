//! One node of the gradient graph for what candle's own operations compute, on any device.

use std::sync::Mutex;

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, CustomOp3, Layout, MetalStorage, Result, Shape,
    Storage, Tensor, bail,
};

/// `value` as a function of one to three operands, with a gradient of its own: `backward` makes those of the operands, in their order, from
/// that of the value and the value.
///
/// Candle would make a node of each operation inside, and run several kernels a node in the backward pass; a GPU waits for small kernels.
/// `value` and what `backward` holds must have no graph: they are computed from detached operands.
pub(super) fn with_gradient<B, const N: usize>(
    operands: [&Tensor; N],
    value: Tensor,
    backward: B,
) -> Result<Tensor>
where
    B: Fn(&Tensor, &Tensor) -> Result<[Tensor; N]> + Send + Sync + 'static,
{
    if !operands.iter().any(|operand| operand.track_op()) {
        return Ok(value);
    }
    let value = match value.layout().contiguous_offsets() {
        Some((0, _)) => value,
        _ => value.force_contiguous()?,
    };
    let node = Node {
        value: Mutex::new(Some(value)),
        backward: move |grad: &Tensor, value: &Tensor| {
            Ok(backward(&grad.contiguous()?, &value.detach())?.to_vec())
        },
    };
    match operands.as_slice() {
        [x] => x.apply_op1(node),
        [x, y] => x.apply_op2(y, node),
        [x, y, z] => x.apply_op3(y, z, node),
        _ => bail!("a node has one to three operands, not {N}"),
    }
}

struct Node<B> {
    /// Until the forward pass takes it.
    value: Mutex<Option<Tensor>>,
    backward: B,
}

impl<B> Node<B> {
    /// The value as a storage of its own: a tensor does not give its storage away.
    fn forward<S: BackendStorage>(
        &self,
        of: impl Fn(&Storage) -> Option<&S>,
    ) -> Result<(S, Shape)> {
        let taken = self.value.lock().ok().and_then(|mut value| value.take());
        let Some(value) = taken else {
            bail!("a node runs forward once");
        };
        let (storage, layout) = value.storage_and_layout();
        match of(&storage) {
            Some(storage) => Ok((storage.try_clone(layout)?, layout.shape().clone())),
            None => bail!("the value of a node lies on another device than its operands"),
        }
    }

    fn cpu(&self) -> Result<(CpuStorage, Shape)> {
        self.forward(|storage| match storage {
            Storage::Cpu(storage) => Some(storage),
            _ => None,
        })
    }

    fn cuda(&self) -> Result<(CudaStorage, Shape)> {
        self.forward(|storage| match storage {
            Storage::Cuda(storage) => Some(storage),
            _ => None,
        })
    }

    fn metal(&self) -> Result<(MetalStorage, Shape)> {
        self.forward(|storage| match storage {
            Storage::Metal(storage) => Some(storage),
            _ => None,
        })
    }
}

impl<B: Fn(&Tensor, &Tensor) -> Result<Vec<Tensor>>> Node<B> {
    /// The gradients of those operands that are part of the graph.
    fn backward<const N: usize>(
        &self,
        operands: [&Tensor; N],
        value: &Tensor,
        grad: &Tensor,
    ) -> Result<[Option<Tensor>; N]> {
        let mut gradients = (self.backward)(grad, value)?.into_iter();
        Ok(operands.map(|operand| gradients.next().filter(|_| operand.track_op())))
    }
}

impl<B: Fn(&Tensor, &Tensor) -> Result<Vec<Tensor>>> CustomOp1 for Node<B> {
    fn name(&self) -> &'static str {
        "with_gradient"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.cpu()
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.cuda()
    }

    fn metal_fwd(&self, _: &MetalStorage, _: &Layout) -> Result<(MetalStorage, Shape)> {
        self.metal()
    }

    fn bwd(&self, x: &Tensor, value: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let [of_x] = self.backward([x], value, grad)?;
        Ok(of_x)
    }
}

impl<B: Fn(&Tensor, &Tensor) -> Result<Vec<Tensor>>> CustomOp2 for Node<B> {
    fn name(&self) -> &'static str {
        "with_gradient"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.cpu()
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.cuda()
    }

    fn metal_fwd(
        &self,
        _: &MetalStorage,
        _: &Layout,
        _: &MetalStorage,
        _: &Layout,
    ) -> Result<(MetalStorage, Shape)> {
        self.metal()
    }

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        value: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [of_x, of_y] = self.backward([x, y], value, grad)?;
        Ok((of_x, of_y))
    }
}

impl<B: Fn(&Tensor, &Tensor) -> Result<Vec<Tensor>>> CustomOp3 for Node<B> {
    fn name(&self) -> &'static str {
        "with_gradient"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.cpu()
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.cuda()
    }

    fn metal_fwd(
        &self,
        _: &MetalStorage,
        _: &Layout,
        _: &MetalStorage,
        _: &Layout,
        _: &MetalStorage,
        _: &Layout,
    ) -> Result<(MetalStorage, Shape)> {
        self.metal()
    }

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        z: &Tensor,
        value: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [of_x, of_y, of_z] = self.backward([x, y, z], value, grad)?;
        Ok((of_x, of_y, of_z))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Var};

    use super::*;

    #[test]
    fn the_gradient_is_what_was_given_and_reaches_the_graph_alone() -> Result<()> {
        let x = Var::new(&[[1f64, 2.0], [3.0, 4.0]], &Device::Cpu)?;
        let y = Tensor::new(&[[5f64, 6.0], [7.0, 8.0]], &Device::Cpu)?;
        // A view, which lies elsewhere in its storage than its own values would.
        let value = (x.detach() * &y)?.t()?;
        let z = with_gradient([x.as_tensor(), &y], value, |grad, _| {
            Ok([(grad * 2.0)?, (grad * 3.0)?])
        })?;
        assert_eq!(z.to_vec2::<f64>()?, [[5., 21.], [12., 32.]]);
        let gradients = z.sum_all()?.backward()?;
        let of_x = gradients.get(&x).map(|grad| grad.to_vec2::<f64>());
        assert_eq!(of_x.transpose()?, Some(vec![vec![2., 2.], vec![2., 2.]]));
        assert!(gradients.get(&y).is_none());
        Ok(())
    }

    #[test]
    fn without_a_graph_it_is_the_value() -> Result<()> {
        let x = Tensor::zeros(3, DType::F64, &Device::Cpu)?;
        let y = with_gradient([&x], x.clone(), |_, _| bail!("no gradient is asked for"))?;
        assert!(!y.track_op());
        Ok(())
    }
}
