//! Many tensors as one vector. A GPU waits for small kernels, so what is done to every parameter is done to all of them at once.

use candle_core::{DType, DeviceLocation, Result, Shape, Tensor};

/// The values of tensors of one type and device, one behind the other, without a graph.
pub(crate) fn join<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Result<Tensor> {
    let flat = tensors
        .into_iter()
        .map(|tensor| tensor.detach().flatten_all());
    Tensor::cat(&flat.collect::<Result<Vec<_>>>()?, 0)
}

/// The views of a vector that have these shapes, one behind the other.
pub(crate) fn split<'a>(
    vector: &Tensor,
    shapes: impl IntoIterator<Item = &'a Shape>,
) -> Result<Vec<Tensor>> {
    let mut start = 0;
    let part = |shape: &Shape| {
        let values = shape.elem_count();
        start += values;
        vector.narrow(0, start - values, values)?.reshape(shape)
    };
    shapes.into_iter().map(part).collect()
}

/// What tensors of one vector have in common.
pub(crate) fn kind(tensor: &Tensor) -> (DType, DeviceLocation) {
    (tensor.dtype(), tensor.device().location())
}
