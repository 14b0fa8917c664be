//! What the ops' tests share: noise, comparisons, finite differences.

use candle_core::{DType, Device, Result, Tensor, Var, bail};

use crate::Noise;

/// Normal `f32` noise with this standard deviation.
pub fn noise(shape: &[usize], seed: u64, deviation: f32) -> Result<Tensor> {
    let mut noise = Noise::keyed(&[seed]);
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| noise.normal() * deviation).collect();
    Tensor::from_vec(values, shape, &Device::Cpu)
}

fn flat(x: &Tensor) -> Result<Vec<f64>> {
    x.to_dtype(DType::F64)?.flatten_all()?.to_vec1()
}

/// Whether no value differs by more than `tolerance` of the largest expected one.
pub fn agrees(found: &Tensor, expected: &Tensor, tolerance: f64) -> Result<()> {
    if found.shape() != expected.shape() {
        bail!("shape {:?}, not {:?}", found.shape(), expected.shape());
    }
    let (found, expected) = (flat(found)?, flat(expected)?);
    let largest = expected.iter().fold(0.1f64, |a, v| a.max(v.abs()));
    for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
        let difference = (a - b).abs();
        if difference.is_nan() || difference > tolerance * largest {
            bail!("value {i} is {a}, not {b} (largest {largest})");
        }
    }
    Ok(())
}

/// Gradients of Σ op(inputs) · noise for each input.
fn gradients(inputs: &[Tensor], op: &dyn Fn(&[Tensor]) -> Result<Tensor>) -> Result<Vec<Tensor>> {
    let vars = inputs.iter().map(Var::from_tensor);
    let vars = vars.collect::<Result<Vec<Var>>>()?;
    let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let y = op(&tensors)?;
    let along = noise(y.dims(), 99, 1.0)?.to_dtype(y.dtype())?;
    let grads = (y * along)?.sum_all()?.backward()?;
    vars.iter()
        .map(|var| match grads.get(var) {
            Some(grad) => Ok(grad.clone()),
            None => bail!("an input got no gradient"),
        })
        .collect()
}

/// Whether two forms of an op have the same gradients.
pub fn gradients_agree(
    inputs: &[Tensor],
    op: impl Fn(&[Tensor]) -> Result<Tensor>,
    other: impl Fn(&[Tensor]) -> Result<Tensor>,
    tolerance: f64,
) -> Result<()> {
    let expected = gradients(inputs, &other)?;
    for (found, expected) in gradients(inputs, &op)?.iter().zip(&expected) {
        agrees(found, expected, tolerance)?;
    }
    Ok(())
}

/// Whether the gradients in `f64` are the central differences of the values.
pub fn slopes_agree(inputs: &[Tensor], op: impl Fn(&[Tensor]) -> Result<Tensor>) -> Result<()> {
    const STEP: f64 = 1e-5;
    let inputs = inputs.iter().map(|x| x.to_dtype(DType::F64));
    let inputs = inputs.collect::<Result<Vec<Tensor>>>()?;
    let found = gradients(&inputs, &op)?;
    let loss = |inputs: &[Tensor]| -> Result<f64> {
        let y = op(inputs)?;
        let along = noise(y.dims(), 99, 1.0)?.to_dtype(DType::F64)?;
        (y * along)?.sum_all()?.to_scalar()
    };
    for (which, found) in found.iter().enumerate() {
        let values = flat(&inputs[which])?;
        let mut slopes = Vec::with_capacity(values.len());
        for i in 0..values.len() {
            let shifted = |step: f64| -> Result<f64> {
                let mut values = values.clone();
                values[i] += step;
                let mut inputs = inputs.clone();
                inputs[which] = Tensor::from_vec(values, found.shape(), &Device::Cpu)?;
                loss(&inputs)
            };
            slopes.push((shifted(STEP)? - shifted(-STEP)?) / (2.0 * STEP));
        }
        let slopes = Tensor::from_vec(slopes, found.shape(), &Device::Cpu)?;
        agrees(found, &slopes, 1e-6)?;
    }
    Ok(())
}

/// Whether values and gradients have the same bits on one, two and three threads.
pub fn thread_counts_agree(
    inputs: &[Tensor],
    op: impl Fn(&[Tensor]) -> Result<Tensor> + Sync,
) -> Result<()> {
    let run = |threads: usize| -> Result<Vec<Vec<f32>>> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.map_err(candle_core::Error::wrap)?.install(|| {
            let mut all = gradients(inputs, &|t| op(t))?;
            all.push(op(inputs)?);
            all.iter()
                .map(|t| t.flatten_all()?.to_vec1::<f32>())
                .collect()
        })
    };
    let one = run(1)?;
    for threads in [2, 3] {
        if run(threads)? != one {
            bail!("{threads} threads give other values than one");
        }
    }
    Ok(())
}
