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
        self.maps_of(&self.logits)
    }

    fn maps_of(&self, logits: &Tensor) -> Maps {
        let target = PreparedTarget::new(&self.target, self.valid.as_ref());
        Maps::new("test", logits, &target).unwrap()
    }

    /// The sums in `f64`.
    fn exact(&self, request: Request) -> Sums {
        let double = |map: &Tensor| map.to_dtype(DType::F64).unwrap();
        let thin = request.thin.then(|| double(&self.thin));
        let maps = self.maps_of(&double(&self.logits));
        composed::sums(&maps, request, thin.as_ref()).unwrap()
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

/// The sums that depend on the logits, in the order of [`derivatives`].
fn columns(sums: &Sums) -> [&Tensor; 7] {
    [
        &sums.predicted,
        &sums.overlap,
        &sums.positive,
        &sums.negative,
        &sums.thin,
        &sums.focal_positive,
        &sums.focal_negative,
    ]
}

/// A loss and its slope by each sum of each image, where `changed` of the sums are multiplied by 1 + `by`.
fn slopes(term: &dyn FromSums, sums: &Sums, changed: usize, by: f64) -> (f64, Vec<Vec<f64>>) {
    let vars: Vec<Var> = columns(sums)
        .into_iter()
        .enumerate()
        .map(|(k, column)| {
            let by = if k == changed { by } else { 0.0 };
            Var::from_tensor(&column.affine(1.0 + by, 0.0).unwrap().detach()).unwrap()
        })
        .collect();
    let column = |k: usize| vars[k].as_tensor().clone();
    let value = term
        .evaluate(&Sums {
            count: sums.count.clone(),
            target: sums.target.clone(),
            predicted: column(0),
            overlap: column(1),
            positive: column(2),
            negative: column(3),
            thin: column(4),
            focal_positive: column(5),
            focal_negative: column(6),
        })
        .unwrap();
    let gradients = value.backward().unwrap();
    let slope = |var: &Var| match gradients.get(var) {
        Some(slope) => values(slope),
        None => vec![0.0; var.elem_count()],
    };
    (values(&value)[0], vars.iter().map(slope).collect())
}

/// The size of what is added up to the derivative of each sum by the logit of a pixel.
fn derivatives(x: f64, g: f64, thin: f64, gamma: f64) -> [f64; 7] {
    let (p, h) = (1.0 / (1.0 + (-x).exp()), 1.0 - g);
    let q = 1.0 / (1.0 + x.exp());
    let missed = p * h + q * g;
    let bce = g * (1.0 + (-x).exp()).ln() + h * (1.0 + x.exp()).ln();
    let power = missed.powf(gamma);
    let focal = power * missed + gamma * power / missed * p * q * (g + h) * bce;
    [
        p * q,
        p * q * g,
        g * q,
        h * p,
        thin * missed,
        g * focal,
        h * focal,
    ]
}

/// The fused pass in `f32` against the sums in `f64`.
///
/// One rounding of `f32` is at most 2⁻²⁴ of what is rounded. `exp_neg` and `ln_1p` are right to 3e-7,
/// five of those, and no sum or derivative takes more than a dozen further steps without a
/// difference: both lie within R = 32 · 2⁻²⁴ of the sum of what is added up. So the loss may differ by
/// what changes of the sums by ±R change it, and the gradient, Σ slope · derivative, by what they
/// change the slopes and by R of each product. No share of the result itself is in these bounds: it
/// may be 0 where its parts cancel, as the MCC's gradient does for an image of one pixel.
fn fused_equals_exact(case: &Case) -> std::result::Result<(), TestCaseError> {
    const R: f64 = 32.0 / (1u64 << 24) as f64;
    let pixels = case.logits.dim(1).unwrap();
    let (x, g, thin) = (
        values(&case.logits),
        values(&case.target),
        values(&case.thin),
    );
    let valid = case.valid.as_ref().map(values);
    for term in terms() {
        let request = term.request();
        let thin_map = request.thin.then_some(&case.thin);
        let fused = fused::sums(&case.maps(), request, thin_map).unwrap();
        let fused = term.evaluate(&fused).unwrap();
        let exact = case.exact(request);
        let gradient = case.gradient(&term.evaluate(&exact).unwrap());
        let (value, slope) = slopes(&*term, &exact, 0, 0.0);
        let mut room = 1e-12; // for the `f64` of both sides
        let mut slope_room: Vec<Vec<f64>> = slope
            .iter()
            .map(|slope| slope.iter().map(|slope| R * slope.abs()).collect())
            .collect();
        for changed in 0..slope.len() {
            for by in [-R, R] {
                let (other, slopes) = slopes(&*term, &exact, changed, by);
                room += (other - value).abs();
                for (room, (other, slope)) in slope_room.iter_mut().zip(slopes.iter().zip(&slope)) {
                    for (room, (other, slope)) in room.iter_mut().zip(other.iter().zip(slope)) {
                        *room += (other - slope).abs();
                    }
                }
            }
        }
        let ours = values(&fused)[0];
        prop_assert!(
            (ours - value).abs() <= room,
            "{} {} ± {}",
            ours,
            value,
            room
        );
        for (at, ours) in case.gradient(&fused).into_iter().enumerate() {
            let keep = valid.as_ref().is_none_or(|valid| valid[at] == 1.0);
            let (expected, mut room) = (gradient[at], 0.0);
            if keep {
                let sizes = derivatives(x[at], g[at], thin[at], request.gamma.unwrap_or(0.0));
                for (k, size) in sizes.iter().enumerate() {
                    room += slope_room[k][at / pixels] * size;
                }
            }
            prop_assert!(
                (ours - expected).abs() <= room,
                "{} {} ± {}",
                ours,
                expected,
                room
            );
        }
    }
    Ok(())
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
        fused_equals_exact(&Case::new(seed.into(), (batch, pixels), masked, soft))?;
    }
}

/// Images of one pixel, where the gradient of the MCC is a difference of equals.
#[test]
fn fused_equals_composed_where_the_gradient_vanishes() {
    for masked in [false, true] {
        for soft in [false, true] {
            fused_equals_exact(&Case::new(729_043_656, (2, 1), masked, soft)).unwrap();
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
    let fused = fused::sums(&case.maps(), request, Some(&case.thin)).unwrap();
    let exact = case.exact(request);
    let all = |sums: &Sums| {
        let [count, target] = [&sums.count, &sums.target].map(values);
        let rest = columns(sums).into_iter().flat_map(values);
        count
            .into_iter()
            .chain(target)
            .chain(rest)
            .collect::<Vec<_>>()
    };
    for (ours, exact) in all(&fused).into_iter().zip(all(&exact)) {
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
        Box::new(Composite::preset("reference").unwrap()),
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

/// Where the derived map is not the one it would make again, the loss takes the kept one.
#[test]
fn a_derived_map_is_made_once() {
    let case = Case::new(5, (2, 30), false, false);
    let image = |map: &Tensor| map.reshape((2, 1, 6, 5)).unwrap();
    let (logits, labels) = (image(&case.logits), image(&case.target));
    let target = PreparedTarget::new(&labels, None);
    let none = || case.target.zeros_like();
    target.derived("thin vessels F32", none).unwrap();
    let thin = ThinBce::default().forward_prepared(&logits, &target);
    let plain = Bce::new().forward(&logits, &labels, None);
    assert_eq!(values(&thin.unwrap()), values(&plain.unwrap()));
    target
        .derived("skeleton_recall: tube 2", || labels.zeros_like())
        .unwrap();
    let recall = SkeletonRecall::default().forward_prepared(&logits, &target);
    assert_eq!(values(&recall.unwrap()), [0.0]); // 1 − (0 + 1) / (0 + 1)
    let flat = || labels.squeeze(1)?.zeros_like();
    target.derived("cldice: soft skeleton 3 F32", flat).unwrap();
    let loss = SoftClDice::default();
    let kept = values(&loss.forward_prepared(&logits, &target).unwrap());
    assert_ne!(kept, values(&loss.forward(&logits, &labels, None).unwrap()));
}
