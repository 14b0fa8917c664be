//! Extreme logits, constant targets, nothing valid, odd inputs and bad parameters.

use crate::{all_losses, close, close_gradients, example, learn, map, noise, scalar, values};
use candle_core::{DType, Device, Tensor};
use venule_loss::*;

const SHAPE: [usize; 4] = [2, 1, 9, 7];

fn finite(name: &str, value: f64, gradient: &[f64]) {
    assert!(value.is_finite(), "{name}: {value}");
    assert!(gradient.iter().all(|v| v.is_finite()), "{name}: gradient");
}

#[test]
fn extreme_logits_and_constant_targets_stay_finite() {
    let len = SHAPE.iter().product();
    let mixed: Vec<f32> = noise(3, len)
        .iter()
        .enumerate()
        .map(|(i, v)| [1e4, -1e4, 0.0, 90.0, -90.0, 17.0][i % 6] * v.round())
        .collect();
    let all_logits = [vec![1e4; len], vec![-1e4; len], vec![0.0; len], mixed];
    let (_, target, valid) = example(2, &SHAPE);
    let soft = map(&SHAPE, noise(9, len));
    let targets = [
        target.zeros_like().unwrap(),
        target.ones_like().unwrap(),
        target,
        soft,
    ];
    for loss in all_losses() {
        for dtype in [DType::F32, DType::F64] {
            for logits in &all_logits {
                let logits = map(&SHAPE, logits.clone()).to_dtype(dtype).unwrap();
                for target in &targets {
                    for valid in [None, Some(&valid)] {
                        let (value, gradient) = learn(&*loss, &logits, target, valid);
                        finite(loss.name(), value, &gradient);
                        assert!(value >= -1e-6, "{}: {value}", loss.name());
                    }
                }
            }
        }
    }
}

#[test]
fn nothing_valid_gives_zero_and_teaches_nothing() {
    let (logits, target, valid) = example(4, &SHAPE);
    let none = valid.zeros_like().unwrap();
    for loss in all_losses() {
        for dtype in [DType::F32, DType::F64] {
            let logits = logits.to_dtype(dtype).unwrap();
            let (value, gradient) = learn(&*loss, &logits, &target, Some(&none));
            assert_eq!(value, 0.0, "{}", loss.name());
            assert!(
                gradient.iter().all(|&slope| slope == 0.0),
                "{}",
                loss.name()
            );
        }
    }
}

#[test]
fn slope_of_bce_at_logit_zero_is_one_half() {
    for dtype in [DType::F32, DType::F64] {
        let logits = Tensor::zeros(2, dtype, &Device::Cpu).unwrap();
        let target = Tensor::new(&[0f32, 1.0], &Device::Cpu).unwrap();
        let (_, gradient) = learn(&Bce::new(), &logits, &target, None);
        assert_eq!(gradient, [0.25, -0.25]); // ±½ over two pixels
    }
}

/// The tail of BCE at a well-classified pixel, ln(1 + e^−20) = 2.0611536e-9, is not rounded to 0.
#[test]
fn small_losses_keep_their_digits() {
    let logits = map(&[1, 1], vec![20.0]);
    let (value, gradient) = learn(&Bce::new(), &logits, &map(&[1, 1], vec![1.0]), None);
    assert!((value / 2.061_153_6e-9 - 1.0).abs() < 1e-6);
    assert!((gradient[0] / -2.061_153_6e-9 - 1.0).abs() < 1e-6);
}

#[test]
fn nan_at_a_valid_pixel_shows() {
    let (logits, target, valid) = example(6, &SHAPE);
    let at = values(&valid).iter().position(|&v| v == 1.0).unwrap();
    let poisoned = |map: &Tensor| {
        let mut poisoned: Vec<f32> = map.flatten_all().unwrap().to_vec1().unwrap();
        poisoned[at] = f32::NAN;
        self::map(&SHAPE, poisoned)
    };
    for loss in all_losses() {
        let name = loss.name();
        for dtype in [DType::F32, DType::F64] {
            for (of, logits, target) in [
                ("logits", &poisoned(&logits), &target),
                ("target", &logits, &poisoned(&target)),
            ] {
                let logits = logits.to_dtype(dtype).unwrap();
                let value = loss.forward(&logits, target, Some(&valid)).unwrap();
                assert!(scalar(&value).is_nan(), "{name}, {of}, {dtype:?}");
            }
        }
    }
}

#[test]
fn a_skeleton_is_nan_where_its_target_is() {
    let mut target = vec![0.0; 15];
    target[5..10].fill(1.0);
    target[2] = f32::NAN;
    let skeleton = tubed_skeleton(&map(&[3, 5], target), 0).unwrap();
    let skeleton = values(&skeleton);
    assert!(skeleton[2].is_nan());
    assert_eq!((skeleton[1], skeleton[3]), (0.0, 0.0));
    assert_eq!(skeleton[5..10], [1.0; 5]);
}

#[test]
fn views_and_half_precision_give_the_same() {
    let (logits, target, valid) = example(8, &[2, 1, 8, 8]);
    let turn = |map: &Tensor| map.transpose(2, 3).unwrap();
    for loss in all_losses() {
        let name = loss.name();
        let flat = |map: &Tensor| turn(map).contiguous().unwrap();
        let (value, gradient) = learn(&*loss, &flat(&logits), &flat(&target), Some(&flat(&valid)));
        let (view, view_gradient) = learn(
            &*loss,
            &turn(&logits),
            &turn(&target.to_dtype(DType::U8).unwrap()),
            Some(&turn(&valid.to_dtype(DType::U8).unwrap())),
        );
        assert_eq!((value, &gradient), (view, &view_gradient), "{name}");

        let coarse = flat(&logits).to_dtype(DType::BF16).unwrap();
        let exact = coarse.to_dtype(DType::F32).unwrap();
        let (half, half_gradient) = learn(&*loss, &coarse, &flat(&target), None);
        let (value, gradient) = learn(&*loss, &exact, &flat(&target), None);
        close(name, half, value, 1e-6);
        close_gradients(name, &half_gradient, &gradient, 1e-2); // rounded to 8 bits
    }
}

#[test]
fn more_than_one_channel_belongs_to_its_image() {
    let (logits, target, _) = example(10, &[2, 3, 4, 5]);
    let tall = |map: &Tensor| map.reshape((2, 1, 12, 5)).unwrap();
    let (value, _) = learn(&Dice::new(), &logits, &target, None);
    let (expected, _) = learn(&Dice::new(), &tall(&logits), &tall(&target), None);
    assert_eq!(value, expected);
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let (logits, target, valid) = example(12, &SHAPE);
    let flipped = target.reshape((2, 1, 7, 9)).unwrap();
    let empty = Tensor::zeros((0, 1, 9, 7), DType::F32, &Device::Cpu).unwrap();
    let whole = Tensor::zeros((2, 1, 9, 7), DType::U32, &Device::Cpu).unwrap();
    for loss in all_losses() {
        let error = |logits: &Tensor, target: &Tensor, valid: &Tensor| {
            let error = loss.forward(logits, target, Some(valid)).unwrap_err();
            error.to_string()
        };
        let text = error(&logits, &flipped, &valid);
        assert!(
            text.contains("[2, 1, 9, 7]") && text.contains("[2, 1, 7, 9]"),
            "{text}"
        );
        assert!(error(&logits, &target, &flipped).contains("valid"));
        assert!(error(&empty, &empty, &empty).contains("at least one pixel"));
        assert!(error(&whole, &target, &valid).contains("float"));
    }
    let loss = ThinBce::default();
    let prepared = PreparedTarget::new(&target, None).with_thin_vessels(&flipped);
    let error = loss.forward_prepared(&logits, &prepared);
    assert!(error.unwrap_err().to_string().contains("thin"));
    let row = Tensor::zeros(5, DType::F32, &Device::Cpu).unwrap();
    assert!(loss.forward(&row, &row, None).is_err());
    let recall = SkeletonRecall::default();
    let error = recall.forward(&row, &row, None).unwrap_err().to_string();
    assert!(
        error.starts_with("skeleton_recall: expected maps"),
        "{error}"
    );
    assert!(thin_vessel_map(&row, None).is_err());
    assert!(tubed_skeleton(&row, 1).is_err());
    assert!(thin_vessel_map(&target, Some(&flipped)).is_err());
    let beyond = Tensor::zeros((1 << 40, 1 << 40, 0, 1, 1), DType::F32, &Device::Cpu).unwrap();
    for none in [&empty, &beyond] {
        for result in [
            thin_vessel_map(none, None),
            thin_vessel_map(none, Some(none)),
            tubed_skeleton(none, 1),
        ] {
            let error = result.unwrap_err().to_string();
            assert!(error.contains("at least one pixel"), "{error}");
        }
    }
}

#[test]
fn bad_parameters_are_errors() {
    let nan = f64::NAN;
    let infinite = f64::INFINITY;
    let errors: Vec<Error> = vec![
        Bce::with_positive_weight(0.0).unwrap_err(),
        Bce::with_positive_weight(nan).unwrap_err(),
        Dice::new().with_smooth(0.0).unwrap_err(),
        Dice::new().with_smooth(infinite).unwrap_err(),
        Tversky::new(-0.1, 0.8).unwrap_err(),
        Tversky::new(0.2, nan).unwrap_err(),
        Tversky::new(0.0, 0.0).unwrap_err(),
        Tversky::default().with_smooth(-1.0).unwrap_err(),
        FocalTversky::new(0.0, 0.0, 1.0).unwrap_err(),
        FocalTversky::new(0.3, 0.7, 0.0).unwrap_err(),
        FocalTversky::default().with_smooth(nan).unwrap_err(),
        Focal::new(-1.0, None).unwrap_err(),
        Focal::new(2.0, Some(1.5)).unwrap_err(),
        Focal::new(2.0, Some(nan)).unwrap_err(),
        ThinBce::new(0.5).unwrap_err(),
        ThinBce::new(infinite).unwrap_err(),
        SoftClDice::new(0).unwrap_err(),
        SoftClDice::new(1000).unwrap_err(),
        SoftClDice::default().with_smooth(0.0).unwrap_err(),
        SkeletonRecall::new(1000).unwrap_err(),
        SkeletonRecall::default().with_smooth(0.0).unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::Parameter { .. }), "{error}");
    }
    let text = Tversky::new(-0.1, 0.8).unwrap_err().to_string();
    assert!(
        text.contains("tversky: alpha must be finite and at least 0, got -0.1"),
        "{text}"
    );
    let text = FocalTversky::new(0.0, 0.0, 1.0).unwrap_err().to_string();
    assert!(
        text.contains("focal_tversky: the larger of alpha and beta must be finite and above 0"),
        "{text}"
    );
    assert!(Tversky::new(0.0, 1.0).is_ok() && Tversky::new(1.0, 0.0).is_ok());

    assert_eq!(Composite::new(vec![]).err(), Some(Error::NoTerms));
    for weight in [-1.0, nan, infinite] {
        let error = Composite::new(vec![(weight, Box::new(Bce::new()))]).err();
        assert!(matches!(error, Some(Error::Weight { .. })));
    }
}
