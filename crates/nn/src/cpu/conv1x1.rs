//! 1×1 convolution: matrix products over the channels, image by image, without a copy of the map.

use rayon::prelude::*;

use super::map::MapShape;
use super::matmul::{View, matmul};

/// weight (outputs, C) · x (B, C, H·W), plus bias (outputs).
pub fn convolve(
    x: &[f32],
    shape: MapShape,
    weight: &[f32],
    outputs: usize,
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let plane = shape.plane();
    products(x, shape, weight, false, outputs, |output| {
        if let Some(bias) = bias {
            assert_eq!(bias.len(), outputs);
            output
                .par_chunks_mut(plane)
                .enumerate()
                .for_each(|(row, out)| out.fill(bias[row % outputs]));
        }
        bias.is_some()
    })
}

/// The gradient for the input of so many `channels` from that of the output, grad (B, O, H·W).
pub fn input_gradient(grad: &[f32], shape: MapShape, weight: &[f32], channels: usize) -> Vec<f32> {
    products(grad, shape, weight, true, channels, |_| false)
}

/// weight (rows, C), stored as (C, rows) if `transposed`, · x (B, C, H·W), plus what `prepare` leaves in the result if it
/// says so.
fn products(
    x: &[f32],
    shape: MapShape,
    weight: &[f32],
    transposed: bool,
    rows: usize,
    prepare: impl FnOnce(&mut [f32]) -> bool,
) -> Vec<f32> {
    let (plane, channels) = (shape.plane(), shape.channels);
    assert_eq!(x.len(), shape.batch * channels * plane);
    assert_eq!(weight.len(), rows * channels);
    let weight = match transposed {
        false => View::rows(weight.as_ptr(), channels),
        true => View::rows(weight.as_ptr(), rows).t(),
    };
    let mut output = vec![0f32; shape.batch * rows * plane];
    let add = prepare(&mut output);
    for (x, output) in x
        .chunks_exact(channels * plane)
        .zip(output.chunks_exact_mut(rows * plane))
    {
        // SAFETY: both chunks and the weight have the lengths of their views; the result is initialised.
        unsafe {
            matmul(
                (rows, plane, channels),
                View::rows(output.as_mut_ptr(), plane),
                add,
                weight,
                View::rows(x.as_ptr(), plane),
                true,
            );
        }
    }
    output
}

/// The gradient for the weight (outputs, C), summed over the images in their order.
pub fn weight_gradient(x: &[f32], shape: MapShape, grad: &[f32], outputs: usize) -> Vec<f32> {
    let (plane, channels) = (shape.plane(), shape.channels);
    assert_eq!(x.len(), shape.batch * channels * plane);
    assert_eq!(grad.len(), shape.batch * outputs * plane);
    let mut output = vec![0f32; outputs * channels];
    for (x, grad) in x
        .chunks_exact(channels * plane)
        .zip(grad.chunks_exact(outputs * plane))
    {
        // SAFETY: the chunks have the lengths of their views, and so has the result.
        unsafe {
            matmul(
                (outputs, channels, plane),
                View::rows(output.as_mut_ptr(), channels),
                true,
                View::rows(grad.as_ptr(), plane),
                View::rows(x.as_ptr(), plane).t(),
                true,
            );
        }
    }
    output
}
