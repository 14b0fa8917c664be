//! The fused pass against the composed one, finite differences, and thread counts.

use super::*;
use crate::{
    Bce, Composite, Dice, Focal, FocalTversky, Loss, Mcc, SkeletonRecall, SoftClDice, ThinBce,
    Tversky,
};
use candle_core::{Device, Var};
use proptest::prelude::*;

/// Uniform numbers in [0, 1) by a linear congruential generator.
fn noise(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    (0..len).map(|_| next()).collect()
}

fn map(shape: (usize, usize), values: Vec<f32>) -> Tensor {
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn values(map: &Tensor) -> Vec<f64> {
    let map = map.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
    map.to_vec1().unwrap()
}

struct Case {
    logits: Var,
    target: Tensor,
    valid: Option<Tensor>,
    thin: Tensor,
}

impl Case {
    fn new(seed: u64, shape: (usize, usize), masked: bool, soft: bool) -> Self {
        let len = shape.0 * shape.1;
        let bits = |seed: u64, share: f32| -> Vec<f32> {
            let noise = noise(seed, len);
            noise
                .iter()
                .map(|&v| f32::from(u8::from(v < share)))
                .collect()
        };
        let logits = noise(seed, len).iter().map(|v| 30.0 * (v - 0.5)).collect();
        let target = if soft {
            noise(seed + 1, len)
        } else {
            bits(seed + 1, 0.3)
        };
        Self {
            logits: Var::from_tensor(&map(shape, logits)).unwrap(),
            target: map(shape, target),
            valid: masked.then(|| map(shape, bits(seed + 2, 0.7))),
            thin: map(shape, bits(seed + 3, 0.5)),
        }
    }

    fn maps(&self) -> Maps {
        Maps::new("test", &self.logits, &self.target, self.valid.as_ref()).unwrap()
    }

    fn gradient(&self, loss: &Tensor) -> Vec<f64> {
        values(loss.backward().unwrap().get(&self.logits).unwrap())
    }
}

fn terms() -> Vec<Box<dyn FromSums>> {
    vec![
        Box::new(Bce::with_positive_weight(2.0).unwrap()),
        Box::new(Dice::new()),
        Box::new(Tversky::default()),
        Box::new(FocalTversky::default()),
        Box::new(Focal::default()),
        Box::new(Focal::new(0.0, Some(0.3)).unwrap()),
        Box::new(Focal::new(0.7, None).unwrap()),
        Box::new(ThinBce::default()),
        Box::new(Mcc::new()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn fused_equals_composed(
        seed: u32,
        batch in 1usize..4,
        pixels in 1usize..700,
        masked: bool,
        soft: bool,
    ) {
        let case = Case::new(seed.into(), (batch, pixels), masked, soft);
        for term in terms() {
            let request = term.request();
            let thin = request.thin.then_some(&case.thin);
            let fused = fused::sums(&case.maps(), request, thin).unwrap();
            let composed = composed::sums(&case.maps(), request, thin).unwrap();
            let fused = term.evaluate(&fused).unwrap();
            let composed = term.evaluate(&composed).unwrap();
            let (a, b) = (values(&fused)[0], values(&composed)[0]);
            prop_assert!((a - b).abs() <= 1e-5 * b.abs().max(0.1), "{} {}", a, b);
            let (a, b) = (case.gradient(&fused), case.gradient(&composed));
            let largest = b.iter().fold(0.0f64, |m, v| m.max(v.abs()));
            for (a, b) in a.iter().zip(&b) {
                prop_assert!((a - b).abs() <= 1e-4 * largest.max(1e-6), "{} {}", a, b);
            }
        }
    }
}

/// Several chunks per image, a last one that fills no block, against the sums in `f64`.
#[test]
fn large_maps_are_summed_without_loss() {
    let case = Case::new(1, (2, 40_003), true, false);
    let term = Focal::default();
    let request = Request {
        thin: true,
        ..term.request()
    };
    let maps = case.maps();
    let exact = Maps::new(
        "test",
        &case.logits.to_dtype(DType::F64).unwrap(),
        &case.target,
        case.valid.as_ref(),
    )
    .unwrap();
    let thin = case.thin.to_dtype(DType::F64).unwrap();
    let fused = fused::sums(&maps, request, Some(&case.thin)).unwrap();
    let exact = composed::sums(&exact, request, Some(&thin)).unwrap();
    let columns = |sums: &Sums| {
        let tensors = [
            &sums.count,
            &sums.target,
            &sums.predicted,
            &sums.overlap,
            &sums.positive,
            &sums.negative,
            &sums.thin,
            &sums.focal_positive,
            &sums.focal_negative,
        ];
        tensors
            .iter()
            .flat_map(|column| values(column))
            .collect::<Vec<_>>()
    };
    for (ours, exact) in columns(&fused).into_iter().zip(columns(&exact)) {
        assert!((ours / exact - 1.0).abs() < 3e-7, "{ours} {exact}");
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let case = Case::new(3, (2, 50_001), true, false);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let request = Request {
                thin: true,
                gamma: Some(2.0),
            };
            let sums = fused::sums(&case.maps(), request, Some(&case.thin)).unwrap();
            let loss = Tversky::default().evaluate(&sums).unwrap();
            let loss = (loss + Focal::default().evaluate(&sums).unwrap()).unwrap();
            (values(&loss)[0].to_bits(), case.gradient(&loss))
        })
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(5));
}

/// Central differences of every loss in `f64`, which runs the composed path.
#[test]
fn composed_gradients_equal_finite_differences() {
    let shape = (2, 1, 6, 5);
    let reshape = |map: &Tensor| map.reshape(shape).unwrap();
    let losses: Vec<Box<dyn Loss>> = vec![
        Box::new(Bce::with_positive_weight(2.0).unwrap()),
        Box::new(Dice::new()),
        Box::new(Tversky::default()),
        Box::new(FocalTversky::default()),
        Box::new(Focal::default()),
        Box::new(Focal::new(0.7, None).unwrap()),
        Box::new(ThinBce::default()),
        Box::new(SoftClDice::new(2).unwrap()),
        Box::new(SkeletonRecall::default()),
        Box::new(Mcc::new()),
        Box::new(Composite::reference()),
    ];
    for (masked, soft) in [(false, false), (true, true)] {
        let case = Case::new(7, (2, 30), masked, soft);
        let target = reshape(&case.target);
        let valid = case.valid.as_ref().map(reshape);
        // Within ±3, so that no difference drowns; no two pixels alike, so that no minimum ties.
        let start: Vec<f64> = values(&case.logits).iter().map(|v| v / 5.0).collect();
        for loss in &losses {
            let at = |logits: Vec<f64>| {
                let logits = Tensor::from_vec(logits, shape, &Device::Cpu).unwrap();
                let logits = Var::from_tensor(&logits).unwrap();
                let value = loss.forward(&logits, &target, valid.as_ref()).unwrap();
                (logits, value)
            };
            let (logits, value) = at(start.clone());
            let gradient = values(value.backward().unwrap().get(&logits).unwrap());
            let step = 1e-6;
            for (i, &slope) in gradient.iter().enumerate() {
                let moved = |by: f64| {
                    let mut logits = start.clone();
                    logits[i] += by;
                    at(logits).1.to_scalar::<f64>().unwrap()
                };
                let numeric = (moved(step) - moved(-step)) / (2.0 * step);
                assert!(
                    (numeric - slope).abs() < 1e-8,
                    "{}: {numeric} {slope}",
                    loss.name()
                );
            }
        }
    }
}

#[test]
fn requests_of_different_gamma_do_not_join() {
    let focal = |gamma| Request {
        thin: false,
        gamma: Some(gamma),
    };
    let thin = Request {
        thin: true,
        gamma: None,
    };
    assert_eq!(focal(2.0).join(focal(1.0)), None);
    assert_eq!(
        focal(2.0).join(thin),
        Some(Request {
            thin: true,
            gamma: Some(2.0)
        })
    );
}
