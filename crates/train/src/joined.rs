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

/// Most values of a vector: what a step makes beside it stays small against the memory of a device.
const MOST: usize = 1 << 24;

/// Which tensors make a vector each: those of one type, device and `key`. Each comes with its place, by which it is named.
pub(crate) fn alike<'a, K: PartialEq>(
    tensors: impl IntoIterator<Item = (usize, &'a Tensor, K)>,
) -> Vec<(K, Vec<usize>)> {
    struct Vector<K> {
        kind: (DType, DeviceLocation),
        key: K,
        values: usize,
        places: Vec<usize>,
    }
    let mut vectors: Vec<Vector<K>> = Vec::new();
    for (place, tensor, key) in tensors {
        let kind = (tensor.dtype(), tensor.device().location());
        let values = tensor.elem_count();
        let fits = |vector: &&mut Vector<K>| {
            vector.kind == kind && vector.key == key && vector.values + values <= MOST
        };
        match vectors.iter_mut().rev().find(fits) {
            Some(vector) => {
                vector.values += values;
                vector.places.push(place);
            }
            None => vectors.push(Vector {
                kind,
                key,
                values,
                places: vec![place],
            }),
        }
    }
    let vectors = vectors.into_iter();
    vectors.map(|vector| (vector.key, vector.places)).collect()
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn vectors_are_of_one_kind_and_bounded() {
        let zeros = |size: usize, dtype| Tensor::zeros(size, dtype, &Device::Cpu).unwrap();
        let (small, large) = (zeros(3, DType::U8), zeros(MOST - 2, DType::U8));
        let other = zeros(2, DType::F32);
        let all = [
            (0, &small, 'a'),
            (1, &other, 'a'),
            (2, &small, 'b'),
            (3, &large, 'a'),
            (4, &small, 'a'),
            (5, &large, 'a'),
        ];
        let expected = [
            ('a', vec![0, 4]),
            ('a', vec![1]),
            ('b', vec![2]),
            ('a', vec![3]),
            ('a', vec![5]),
        ];
        // The last vector that has room takes the next: a large one leaves the small ones together.
        assert_eq!(alike(all), expected);
        let vector = join([&other, &other]).unwrap();
        let shapes = [Shape::from((1, 2)), Shape::from((2, 1))];
        let parts = split(&vector, &shapes).unwrap();
        assert_eq!(parts[1].dims(), [2, 1]);
    }
}
