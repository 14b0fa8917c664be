//! The losses against PyTorch and MONAI, against their identities, at the edges, and by name.

mod config;
mod edges;
mod golden;
mod identities;
mod thin;

use candle_core::{DType, Device, Tensor, Var};
use venule_loss::*;

pub(crate) fn values(map: &Tensor) -> Vec<f64> {
    let map = map.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
    map.to_vec1().unwrap()
}

pub(crate) fn scalar(value: &Tensor) -> f64 {
    assert!(value.dims().is_empty(), "not a scalar: {value:?}");
    values(value)[0]
}

/// The loss and its gradient.
pub(crate) fn learn(
    loss: &dyn Loss,
    logits: &Tensor,
    target: &Tensor,
    valid: Option<&Tensor>,
) -> (f64, Vec<f64>) {
    let logits = Var::from_tensor(logits).unwrap();
    let value = loss.forward(&logits, target, valid).unwrap();
    let gradients = value.backward().unwrap();
    let gradient = gradients.get(&logits).expect("a gradient");
    assert_eq!(gradient.dims(), logits.dims());
    (scalar(&value), values(gradient))
}

/// Uniform numbers in [0, 1) by a linear congruential generator: enough for test maps.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    (0..len).map(|_| next()).collect()
}

pub(crate) fn map(shape: &[usize], values: Vec<f32>) -> Tensor {
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Logits in ±4, a target of about a third vessel, a valid map of about three quarters.
pub(crate) fn example(seed: u64, shape: &[usize]) -> (Tensor, Tensor, Tensor) {
    let len = shape.iter().product();
    let logits = noise(seed, len).iter().map(|v| 8.0 * v - 4.0).collect();
    let binary = |seed, share: f32| {
        let bits = noise(seed, len)
            .iter()
            .map(|&v| f32::from(u8::from(v < share)))
            .collect();
        map(shape, bits)
    };
    (
        map(shape, logits),
        binary(seed + 1, 0.35),
        binary(seed + 2, 0.75),
    )
}

/// One of each kind, by its default, and a composite of all.
pub(crate) fn all_losses() -> Vec<Box<dyn Loss>> {
    let mut losses = single_losses();
    for preset in LossConfig::presets() {
        losses.push(Box::new(Composite::preset(preset).unwrap()));
    }
    let terms = single_losses()
        .into_iter()
        .map(|loss| (0.5, loss))
        .collect();
    losses.push(Box::new(Composite::new(terms).unwrap()));
    losses
}

pub(crate) fn single_losses() -> Vec<Box<dyn Loss>> {
    vec![
        Box::new(Bce::new()),
        Box::new(Bce::with_positive_weight(3.0).unwrap()),
        Box::new(Dice::new()),
        Box::new(Dice::new().with_aggregation(Aggregation::Pooled)),
        Box::new(Tversky::default()),
        Box::new(FocalTversky::default()),
        Box::new(Focal::default()),
        Box::new(Focal::new(0.5, None).unwrap()),
        Box::new(ThinBce::default()),
        Box::new(SoftClDice::default()),
        Box::new(SkeletonRecall::default()),
        Box::new(Mcc::new()),
    ]
}

pub(crate) fn close(name: &str, ours: f64, expected: f64, tolerance: f64) {
    let error = (ours - expected).abs();
    assert!(
        error <= tolerance * expected.abs().max(1e-3),
        "{name}: {ours} instead of {expected}"
    );
}

pub(crate) fn close_gradients(name: &str, ours: &[f64], expected: &[f64], tolerance: f64) {
    let largest = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    assert!(largest > 0.0, "{name}: nothing to compare with");
    for (at, (a, b)) in ours.iter().zip(expected).enumerate() {
        let error = (a - b).abs();
        assert!(
            error <= tolerance * largest,
            "{name}: gradient {at} is {a} instead of {b}"
        );
    }
}
