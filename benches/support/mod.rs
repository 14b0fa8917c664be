//! What the benchmarks share.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use venule::candle_core::{Device, Result, Tensor, Var};
use venule::nn::Noise;

/// Standard normal values from a constant seed.
pub fn noise(shape: &[usize], seed: u64) -> Tensor {
    let mut noise = Noise::keyed(&[seed]);
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| noise.normal()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Times `op` on constants, then with gradients for all inputs; `work` is what one forward pass does.
pub fn both(
    c: &mut Criterion,
    name: &str,
    work: usize,
    inputs: &[Tensor],
    op: impl Fn(&[Tensor]) -> Result<Tensor>,
) {
    let mut group = c.benchmark_group(name);
    group.sample_size(20);
    group.throughput(Throughput::Elements(work as u64));
    group.bench_function("inference", |b| b.iter(|| black_box(op(inputs).unwrap())));
    let vars: Vec<Var> = inputs
        .iter()
        .map(|x| Var::from_tensor(x).unwrap())
        .collect();
    let tracked: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let along = noise(op(inputs).unwrap().dims(), 9);
    group.bench_function("training", |b| {
        b.iter(|| {
            let loss = (op(&tracked).unwrap() * &along).unwrap().sum_all().unwrap();
            black_box(loss.backward().unwrap())
        });
    });
    group.finish();
}
