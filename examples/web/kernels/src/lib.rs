//! Each operation with a kernel in `f32`, where the kernel works, against `f64`, where composed operations do: value and gradients, at
//! sizes around the width of a vector.
#![deny(unsafe_code)]

use venule::candle_core::{DType, Device, Result, Tensor, Var};
use venule::nn::{
    Noise, attention_qkv, conv1x1, conv3x3, gelu, group_norm_relu, layer_norm, linear, linear_gelu,
    max_pool2x2, upsample2x, upsample2x_cat,
};
use wasm_bindgen::prelude::*;

/// Most that a value may differ, over the largest.
const VALUE: f64 = 1e-5;
/// Most that a gradient may differ, over the largest.
const GRADIENT: f64 = 1e-4;

type Operation = fn(&[Tensor]) -> Result<Tensor>;

/// An operation, and the shapes of its arguments.
struct Case(&'static str, Vec<Vec<usize>>, Operation);

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name, shapes: &[&[usize]], operation| {
        let shapes = shapes.iter().map(|shape| shape.to_vec()).collect();
        cases.push(Case(name, shapes, operation));
    };
    for width in [1, 3, 4, 5, 8, 31] {
        let (norm, map) = ([4], [2, 4, 6, width]);
        add("conv3x3", &[&map, &[7, 4, 3, 3], &[7]], |t| {
            conv3x3(&t[0], &t[1], Some(&t[2]))
        });
        // Enough channels for Winograd's tiles.
        add(
            "winograd",
            &[&[1, 24, 9, width], &[26, 24, 3, 3], &[26]],
            |t| conv3x3(&t[0], &t[1], Some(&t[2])),
        );
        add("conv1x1", &[&map, &[5, 4, 1, 1], &[5]], |t| {
            conv1x1(&t[0], &t[1], Some(&t[2]))
        });
        add("group_norm_relu", &[&map, &norm, &norm], |t| {
            group_norm_relu(&t[0], 2, &t[1], &t[2], 1e-5)
        });
        // Of two values the gradient cancels.
        add(
            "layer_norm",
            &[&[3, 5, width + 2], &[width + 2], &[width + 2]],
            |t| layer_norm(&t[0], &t[1], &t[2], 1e-6),
        );
        add("gelu", &[&[3, width]], |t| gelu(&t[0]));
        add("linear", &[&[2, 3, width], &[6, width], &[6]], |t| {
            linear(&t[0], &t[1], Some(&t[2]))
        });
        add("linear_gelu", &[&[2, 3, width], &[6, width], &[6]], |t| {
            linear_gelu(&t[0], &t[1], Some(&t[2]))
        });
        add("attention", &[&[2, width, 3 * 2 * 5]], |t| {
            attention_qkv(&t[0], 2)
        });
        add("max_pool2x2", &[&[2, 3, 4, 2 * width]], |t| {
            max_pool2x2(&t[0])
        });
        add("upsample2x", &[&map], |t| upsample2x(&t[0]));
        add("upsample2x_cat", &[&map, &[2, 3, 12, 2 * width]], |t| {
            upsample2x_cat(&t[0], &t[1])
        });
    }
    cases
}

/// The names of the checks: an operation, and the shape of its first argument.
#[wasm_bindgen]
pub fn checks() -> Vec<String> {
    let name = |Case(name, shapes, _): &Case| format!("{name} of {:?}", shapes[0]);
    cases().iter().map(name).collect()
}

/// Makes the check of this number.
///
/// # Errors
/// If a value or a gradient differs, in words.
#[wasm_bindgen]
pub fn check(number: usize) -> std::result::Result<(), JsError> {
    let Case(_, shapes, operation) = &cases()[number];
    let inputs = shapes.iter().zip(0..);
    let inputs = inputs.map(|(shape, seed)| random(shape, seed));
    let inputs: Vec<Tensor> = inputs.collect::<Result<_>>()?;
    let kernel = run(&inputs, DType::F32, operation)?;
    let composed = run(&inputs, DType::F64, operation)?;
    for (at, (kernel, composed)) in kernel.iter().zip(&composed).enumerate() {
        let (what, most) = match at {
            0 => ("the value".to_owned(), VALUE),
            _ => (format!("the gradient of argument {at}"), GRADIENT),
        };
        let difference = relative(kernel, composed)?;
        // A difference that is no number is too large as well.
        if !(difference <= most) {
            return Err(JsError::new(&format!(
                "{what} differs by {difference}, {most} at most"
            )));
        }
    }
    Ok(())
}

/// The value, and the gradients of all arguments.
fn run(inputs: &[Tensor], dtype: DType, operation: &Operation) -> Result<Vec<Tensor>> {
    let typed = inputs.iter().map(|t| Var::from_tensor(&t.to_dtype(dtype)?));
    let vars: Vec<Var> = typed.collect::<Result<_>>()?;
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let value = operation(&tensors)?;
    let weight = random(value.dims(), 99)?.to_dtype(dtype)?;
    let gradients = (&value * &weight)?.sum_all()?.backward()?;
    let mut results = vec![value];
    for (var, tensor) in vars.iter().zip(&tensors) {
        results.push(
            gradients
                .get(var)
                .map_or_else(|| tensor.zeros_like(), |g| Ok(g.clone()))?,
        );
    }
    Ok(results)
}

fn random(shape: &[usize], seed: u64) -> Result<Tensor> {
    let mut noise = Noise::keyed(&[seed]);
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| noise.normal())
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu)
}

/// Largest difference over the largest value, or over 0.1 where all are smaller: a sum that cancels has no digits to compare.
fn relative(a: &Tensor, b: &Tensor) -> Result<f64> {
    let largest = |t: Tensor| t.abs()?.flatten_all()?.max(0)?.to_scalar::<f64>();
    let difference = largest((a.to_dtype(DType::F64)? - b)?)?;
    Ok(difference / largest(b.clone())?.max(0.1))
}
