//! What must hold between the losses, and what must not matter to any.

use crate::{
    all_losses, close, close_gradients, example, learn, map, noise, scalar, single_losses, values,
};
use candle_core::{DType, Tensor, Var};
use venule_loss::*;

const SHAPE: [usize; 4] = [3, 1, 12, 9];

fn same(a: &dyn Loss, b: &dyn Loss) {
    let (logits, target, valid) = example(5, &SHAPE);
    for dtype in [DType::F64, DType::F32] {
        let logits = logits.to_dtype(dtype).unwrap();
        let (value, gradient) = learn(a, &logits, &target, Some(&valid));
        let (expected, expected_gradient) = learn(b, &logits, &target, Some(&valid));
        close(a.name(), value, expected, 1e-6);
        close_gradients(a.name(), &gradient, &expected_gradient, 1e-5);
    }
}

#[test]
fn tversky_of_two_halves_is_dice() {
    // (I + s) / ((P + G)/2 + s) = (2I + 2s) / (P + G + 2s)
    let tversky = Tversky::new(0.5, 0.5).unwrap().with_smooth(0.5).unwrap();
    same(&tversky, &Dice::new());
}

#[test]
fn tversky_of_two_ones_is_jaccard() {
    let (logits, target, valid) = example(7, &SHAPE);
    let logits = logits.to_dtype(DType::F64).unwrap();
    let (logits, target, valid) = (
        logits.flatten_from(1).unwrap().to_vec2::<f64>().unwrap(),
        target.flatten_from(1).unwrap().to_vec2::<f32>().unwrap(),
        valid.flatten_from(1).unwrap().to_vec2::<f32>().unwrap(),
    );
    // 1 − (|A∩B| + 1) / (|A∪B| + 1), counted by a loop.
    let mut jaccard = 0.0;
    for ((x, g), w) in logits.iter().zip(&target).zip(&valid) {
        let (mut both, mut any) = (0.0, 0.0);
        for ((x, &g), &w) in x.iter().zip(g).zip(w) {
            let (p, g, w) = (1.0 / (1.0 + (-x).exp()), f64::from(g), f64::from(w));
            both += w * p * g;
            any += w * (p + g - p * g);
        }
        jaccard += (1.0 - (both + 1.0) / (any + 1.0)) / 3.0;
    }
    let (logits, target, valid) = example(7, &SHAPE);
    let loss = Tversky::new(1.0, 1.0).unwrap();
    let ours = scalar(&loss.forward(&logits, &target, Some(&valid)).unwrap());
    close("jaccard", ours, jaccard, 1e-6);
}

#[test]
fn focal_without_gamma_and_alpha_is_bce() {
    same(&Focal::new(0.0, None).unwrap(), &Bce::new());
}

#[test]
fn thin_bce_of_weight_one_is_bce() {
    same(&ThinBce::new(1.0).unwrap(), &Bce::new());
}

#[test]
fn bce_of_positive_weight_one_is_bce() {
    same(&Bce::with_positive_weight(1.0).unwrap(), &Bce::new());
}

#[test]
fn focal_tversky_of_gamma_one_is_tversky() {
    same(
        &FocalTversky::new(0.3, 0.6, 1.0).unwrap(),
        &Tversky::new(0.3, 0.6).unwrap(),
    );
}

#[test]
fn composite_is_the_weighted_sum_of_its_terms() {
    let (logits, target, valid) = example(11, &SHAPE);
    // Two focal terms of different γ need two passes.
    let terms = || -> Vec<(f64, Box<dyn Loss>)> {
        vec![
            (0.5, Box::new(SoftClDice::default())),
            (1.0, Box::new(Focal::default())),
            (2.0, Box::new(Focal::new(1.0, None).unwrap())),
            (0.0, Box::new(Dice::new())),
            (2.5, Box::new(ThinBce::default())),
            (0.3, Box::new(Mcc::new())),
            (0.7, Box::new(SkeletonRecall::default())),
        ]
    };
    let composite = Composite::new(terms()).unwrap();
    for dtype in [DType::F64, DType::F32] {
        let logits = logits.to_dtype(dtype).unwrap();
        let prepared = PreparedTarget::new(&target, Some(&valid));
        let (total, named) = composite.forward_with_terms(&logits, &prepared).unwrap();
        let (value, gradient) = learn(&composite, &logits, &target, Some(&valid));
        assert_eq!(scalar(&total), value);
        let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
        let expected = "cldice focal focal_2 dice thin_bce mcc skeleton_recall";
        assert_eq!(names.join(" "), expected);
        let mut sum = 0.0;
        let mut sum_gradient = vec![0.0; gradient.len()];
        for ((weight, loss), (name, reported)) in terms().iter().zip(named) {
            let (value, gradient) = learn(&**loss, &logits, &target, Some(&valid));
            close(&name, reported, value, 1e-6);
            sum += weight * value;
            for (sum, slope) in sum_gradient.iter_mut().zip(gradient) {
                *sum += weight * slope;
            }
        }
        close("composite", value, sum, 1e-6);
        close_gradients("composite", &gradient, &sum_gradient, 1e-5);
    }
}

#[test]
fn the_order_of_the_images_does_not_matter() {
    let (logits, target, valid) = example(13, &SHAPE);
    let turned = |map: &Tensor| {
        let first = map.narrow(0, 0, 1).unwrap();
        Tensor::cat(&[map.narrow(0, 1, 2).unwrap(), first], 0).unwrap()
    };
    for loss in all_losses() {
        let one = loss.forward(&logits, &target, Some(&valid)).unwrap();
        let other = loss
            .forward(&turned(&logits), &turned(&target), Some(&turned(&valid)))
            .unwrap();
        close(loss.name(), scalar(&other), scalar(&one), 1e-6);
    }
}

/// Not even its neighbours notice what an invalid pixel holds.
#[test]
fn invalid_pixels_have_no_influence() {
    let (logits, target, valid) = example(17, &SHAPE);
    let len = logits.elem_count();
    let garbage = noise(23, len);
    let wild: Vec<f32> = garbage
        .iter()
        .enumerate()
        .map(|(i, &v)| match i % 4 {
            0 => f32::NAN,
            1 => 1e30,
            2 => -1e4,
            _ => v,
        })
        .collect();
    let replace = |map_: &Tensor, by: Vec<f32>| {
        let keep = valid.gt(0.5).unwrap();
        keep.where_cond(map_, &map(&SHAPE, by)).unwrap()
    };
    for dtype in [DType::F64, DType::F32] {
        let logits = logits.to_dtype(dtype).unwrap();
        let other_logits = replace(&logits.to_dtype(DType::F32).unwrap(), wild.clone());
        let other_logits = other_logits.to_dtype(dtype).unwrap();
        let other_target = replace(&target, garbage.clone());
        for loss in all_losses() {
            let (value, gradient) = learn(&*loss, &logits, &target, Some(&valid));
            let (other, other_gradient) = learn(&*loss, &other_logits, &other_target, Some(&valid));
            assert_eq!(value, other, "{}", loss.name());
            assert_eq!(gradient, other_gradient, "{}", loss.name());
            let valid = crate::values(&valid);
            for (slope, valid) in gradient.iter().zip(valid) {
                assert!(valid == 1.0 || *slope == 0.0, "{}", loss.name());
            }
        }
    }
}

/// Invalid columns at the side are as good as absent, also for erosions and thinning. Thin vessels
/// alone see background there, where the border of an image does not thin them.
#[test]
fn an_invalid_margin_is_as_good_as_cropped() {
    let (logits, target, _) = example(19, &SHAPE);
    let inside = |map: &Tensor| map.narrow(3, 0, 6).unwrap();
    let ones = Tensor::ones((3, 1, 12, 6), DType::F32, logits.device()).unwrap();
    let valid = ones.pad_with_zeros(3, 0, 3).unwrap();
    for loss in single_losses() {
        if loss.name() == "thin_bce" {
            continue;
        }
        let masked = loss.forward(&logits, &target, Some(&valid)).unwrap();
        let cropped = loss
            .forward(&inside(&logits), &inside(&target), None)
            .unwrap();
        close(loss.name(), scalar(&masked), scalar(&cropped), 1e-6);
    }
}

#[test]
fn an_image_without_valid_pixels_is_as_good_as_absent() {
    let (logits, target, valid) = example(29, &SHAPE);
    let extra = |map: &Tensor| Tensor::cat(&[map, &map.narrow(0, 0, 1).unwrap()], 0).unwrap();
    let none = valid.narrow(0, 0, 1).unwrap().zeros_like().unwrap();
    let more = Tensor::cat(&[&valid, &none], 0).unwrap();
    for loss in all_losses() {
        let one = loss.forward(&logits, &target, Some(&valid)).unwrap();
        let other = loss
            .forward(&extra(&logits), &extra(&target), Some(&more))
            .unwrap();
        close(loss.name(), scalar(&other), scalar(&one), 1e-6);
    }
}

#[test]
fn a_boxed_loss_is_its_loss() {
    let (logits, target, valid) = example(31, &SHAPE);
    let boxed: Box<dyn Loss> = Box::new(Dice::new());
    assert_eq!(boxed.name(), "dice");
    let value = boxed.forward(&logits, &target, Some(&valid)).unwrap();
    let plain = Dice::new().forward(&logits, &target, Some(&valid)).unwrap();
    assert_eq!(scalar(&value), scalar(&plain));
}

/// To the bit, and also the second time, when every map is there.
#[test]
fn a_prepared_target_changes_nothing() {
    let (logits, target, valid) = example(37, &SHAPE);
    for dtype in [DType::F64, DType::F32] {
        let logits = logits.to_dtype(dtype).unwrap();
        let coarse = logits.affine(0.5, 1.0).unwrap();
        let prepared = PreparedTarget::new(&target, Some(&valid));
        for loss in all_losses() {
            for logits in [&logits, &coarse, &logits] {
                let (value, gradient) = learn(&*loss, logits, &target, Some(&valid));
                let logits = Var::from_tensor(logits).unwrap();
                let (found, terms) = loss.forward_with_terms(&logits, &prepared).unwrap();
                assert_eq!(scalar(&found), value, "{}", loss.name());
                assert_eq!(terms.len() == 1, loss.name() != "composite");
                let gradients = found.backward().unwrap();
                let found = values(gradients.get(&logits).unwrap());
                assert_eq!(found, gradient, "{}", loss.name());
            }
        }
    }
}

#[test]
fn a_map_of_thin_vessels_of_ones_own_takes_the_place_of_the_made_one() {
    let (logits, target, _) = example(41, &SHAPE);
    let ones = target.ones_like().unwrap();
    let prepared = PreparedTarget::new(&target, None).with_thin_vessels(&ones);
    let found = ThinBce::default()
        .forward_prepared(&logits, &prepared)
        .unwrap();
    let bce = Bce::new().forward(&logits, &target, None).unwrap();
    close("thin_bce", scalar(&found), 4.0 * scalar(&bce), 1e-6);
}
