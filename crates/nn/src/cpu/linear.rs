//! The affine map of a layer: three matrix products and a column sum.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::gelu::{CHUNK, bias_gelu, bias_gelu_in_place, gelu};
use super::matmul::{View, matmul};

/// x (rows, inputs) · weightᵀ (outputs, inputs) + bias.
pub fn linear(x: &[f32], weight: &[f32], bias: Option<&[f32]>, outputs: usize) -> Vec<f32> {
    let (rows, inputs) = sizes(x, weight, outputs);
    let mut out = Vec::with_capacity(rows * outputs);
    let spare = &mut out.spare_capacity_mut()[..rows * outputs];
    if let Some(bias) = bias {
        assert_eq!(bias.len(), outputs);
        spare
            .par_chunks_mut((CHUNK / outputs).max(1) * outputs)
            .for_each(|chunk| copy_to_rows(bias, chunk));
    }
    let start = spare.as_mut_ptr().cast::<f32>();
    // SAFETY: `sizes` has checked the slices' lengths; the result is initialised where the bias was copied, else written.
    unsafe {
        matmul(
            (rows, outputs, inputs),
            View::rows(start, outputs),
            bias.is_some(),
            View::rows(x.as_ptr(), inputs),
            View::rows(weight.as_ptr(), inputs).t(),
            true,
        );
        out.set_len(rows * outputs);
    }
    out
}

/// GELU of [`linear`]; also the value before it, if `keep`.
pub fn linear_gelu(
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    outputs: usize,
    keep: bool,
) -> (Vec<f32>, Option<Vec<f32>>) {
    // The bias is added on the way through the GELU instead of before the product.
    let mut before = linear(x, weight, None, outputs);
    match (bias, keep) {
        (Some(bias), true) => {
            let out = bias_gelu(&mut before, bias);
            (out, Some(before))
        }
        (Some(bias), false) => {
            bias_gelu_in_place(&mut before, bias);
            (before, None)
        }
        (None, keep) => (gelu(&before), keep.then_some(before)),
    }
}

/// grad (rows, outputs) · weight (outputs, inputs): the gradient for x.
pub fn input_gradient(grad: &[f32], weight: &[f32], outputs: usize) -> Vec<f32> {
    let (rows, inputs) = (grad.len() / outputs, weight.len() / outputs);
    assert!(rows * outputs == grad.len() && outputs * inputs == weight.len());
    let mut out = Vec::with_capacity(rows * inputs);
    // SAFETY: lengths checked above; the product writes the whole result.
    unsafe {
        matmul(
            (rows, inputs, outputs),
            View::rows(out.as_mut_ptr(), inputs),
            false,
            View::rows(grad.as_ptr(), outputs),
            View::rows(weight.as_ptr(), inputs),
            true,
        );
        out.set_len(rows * inputs);
    }
    out
}

/// gradᵀ (outputs, rows) · x (rows, inputs): the gradient for the weight.
pub fn weight_gradient(grad: &[f32], x: &[f32], outputs: usize) -> Vec<f32> {
    let rows = grad.len() / outputs;
    let inputs = x.len() / rows;
    assert!(rows * outputs == grad.len() && rows * inputs == x.len());
    let mut out = Vec::with_capacity(outputs * inputs);
    // SAFETY: lengths checked above; the product writes the whole result.
    unsafe {
        matmul(
            (outputs, inputs, rows),
            View::rows(out.as_mut_ptr(), inputs),
            false,
            View::rows(grad.as_ptr(), outputs).t(),
            View::rows(x.as_ptr(), inputs),
            true,
        );
        out.set_len(outputs * inputs);
    }
    out
}

/// (rows, inputs), with the lengths checked.
fn sizes(x: &[f32], weight: &[f32], outputs: usize) -> (usize, usize) {
    let inputs = weight.len() / outputs;
    let rows = x.len() / inputs;
    assert!(outputs * inputs == weight.len() && rows * inputs == x.len());
    (rows, inputs)
}

fn copy_to_rows(row: &[f32], out: &mut [MaybeUninit<f32>]) {
    for out in out.chunks_exact_mut(row.len()) {
        out.write_copy_of_slice(row);
    }
}
