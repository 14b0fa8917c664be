//! The convolution side's CPU kernels against candle's own composed operations.

use candle_core::{DType, Device, Result, Tensor, Var};
use proptest::prelude::*;
use venule_nn::{Noise, conv3x3};

fn random(shape: &[usize], seed: u64) -> Result<Tensor> {
    let mut noise = Noise::keyed(&[seed]);
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| noise.normal()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu)
}

/// Largest difference over the largest value.
fn relative(a: &Tensor, b: &Tensor) -> Result<f32> {
    let a = a.to_dtype(DType::F64)?;
    let b = b.to_dtype(DType::F64)?;
    let scale = b.abs()?.flatten_all()?.max(0)?.to_scalar::<f64>()?.max(1e-12);
    let difference = (a - b)?.abs()?.flatten_all()?.max(0)?.to_scalar::<f64>()?;
    Ok((difference / scale) as f32)
}

/// Value and gradients of the same function in f32 (kernels) and f64 (composed) for the same inputs and output gradient.
fn compare(inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) -> Result<()> {
    let run = |dtype: DType| -> Result<(Tensor, Vec<Tensor>)> {
        let vars: Vec<Var> = inputs
            .iter()
            .map(|t| Var::from_tensor(&t.to_dtype(dtype)?))
            .collect::<Result<_>>()?;
        let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
        let y = f(&tensors)?;
        let weight = random(y.dims(), 99)?.to_dtype(dtype)?;
        let grads = (&y * &weight)?.sum_all()?.backward()?;
        let grads = vars
            .iter()
            .map(|v| Ok(grads.get(v.as_tensor()).expect("a gradient for every input").clone()))
            .collect::<Result<_>>()?;
        Ok((y, grads))
    };
    let (fast, fast_grads) = run(DType::F32)?;
    let (slow, slow_grads) = run(DType::F64)?;
    let error = relative(&fast, &slow)?;
    assert!(error < 1e-5, "value differs by {error}");
    for (i, (a, b)) in fast_grads.iter().zip(&slow_grads).enumerate() {
        let error = relative(a, b)?;
        assert!(error < 1e-4, "gradient {i} differs by {error}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn conv3x3_equals_candle(b in 1usize..3, c in 1usize..20, o in 1usize..20, h in 1usize..40, w in 1usize..70, seed: u64) {
        let x = random(&[b, c, h, w], seed).unwrap();
        let weight = random(&[o, c, 3, 3], seed ^ 1).unwrap();
        let bias = random(&[o], seed ^ 2).unwrap();
        compare(&[x.clone(), weight.clone()], |t| conv3x3(&t[0], &t[1], None)).unwrap();
        compare(&[x, weight, bias], |t| conv3x3(&t[0], &t[1], Some(&t[2]))).unwrap();
    }
}

#[test]
fn conv3x3_time() -> Result<()> {
    for (b, c, o, s) in [(4, 16, 16, 256), (4, 32, 32, 128), (4, 160, 96, 32), (1, 768, 128, 64), (4, 64, 64, 64), (4,1,16,256),(4,48,16,256)] {
        let x = Var::from_tensor(&random(&[b, c, s, s], 1)?)?;
        let w = Var::from_tensor(&random(&[o, c, 3, 3], 2)?)?;
        let flop = (2 * b * c * o * s * s * 9) as f64;
        let mut best = [f64::MAX; 2];
        for _ in 0..5 {
            let t = std::time::Instant::now();
            let y = conv3x3(x.as_tensor(), w.as_tensor(), None)?;
            best[0] = best[0].min(t.elapsed().as_secs_f64());
            let t = std::time::Instant::now();
            y.backward()?;
            best[1] = best[1].min(t.elapsed().as_secs_f64());
        }
        println!("{b}x{c}->{o} {s}: fwd {:.0} GFLOP/s, bwd {:.0} GFLOP/s ({:.1} ms {:.1} ms)", flop / best[0] / 1e9, 2. * flop / best[1] / 1e9, best[0]*1e3, best[1]*1e3);
    }
    Ok(())
}
