//! Values and gradients by PyTorch and MONAI (`fixtures/golden.py`), maps by scikit-image and SciPy
//! (`fixtures/maps.py`).

use crate::{close, close_gradients, learn, values};
use candle_core::{DType, Device, Tensor};
use std::collections::HashMap;
use venule_loss::*;

fn fixtures() -> HashMap<String, Tensor> {
    let mut fixtures = HashMap::new();
    for file in ["golden", "maps"] {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
        let path = format!("{folder}/{file}.safetensors");
        fixtures.extend(candle_core::safetensors::load(path, &Device::Cpu).unwrap());
    }
    fixtures
}

fn cases() -> Vec<(&'static str, Box<dyn Loss>)> {
    let pooled = Aggregation::Pooled;
    let weighted = Bce::with_positive_weight(3.0).unwrap();
    vec![
        ("bce", Box::new(Bce::new())),
        ("bce_soft_valid", Box::new(Bce::new())),
        ("bce_weight_valid", Box::new(weighted)),
        ("dice", Box::new(Dice::new())),
        (
            "dice_pooled",
            Box::new(Dice::new().with_aggregation(pooled)),
        ),
        ("dice_valid", Box::new(Dice::new())),
        ("tversky", Box::new(Tversky::default())),
        (
            "tversky_pooled",
            Box::new(Tversky::default().with_aggregation(pooled)),
        ),
        (
            "tversky_soft_valid",
            Box::new(Tversky::new(0.2, 0.8).unwrap()),
        ),
        ("jaccard", Box::new(Tversky::new(1.0, 1.0).unwrap())),
        ("focal_tversky_valid", Box::new(FocalTversky::default())),
        ("focal", Box::new(Focal::default())),
        ("focal_no_alpha", Box::new(Focal::new(1.5, None).unwrap())),
        ("focal_soft_valid", Box::new(Focal::default())),
        (
            "focal_small_gamma_valid",
            Box::new(Focal::new(0.5, Some(0.25)).unwrap()),
        ),
        ("thin_bce", Box::new(ThinBce::default())),
        ("thin_bce_valid", Box::new(ThinBce::default())),
        ("mcc", Box::new(Mcc::new())),
        ("mcc_valid", Box::new(Mcc::new())),
        ("cldice", Box::new(SoftClDice::default())),
        (
            "cldice_pooled",
            Box::new(SoftClDice::default().with_aggregation(pooled)),
        ),
        ("skeleton_recall", Box::new(SkeletonRecall::default())),
        (
            "reference",
            Box::new(Composite::preset("reference").unwrap()),
        ),
        (
            "recipe_valid",
            Box::new(Composite::preset("bce-dice").unwrap()),
        ),
    ]
}

/// In `f64`, the composed path, and in `f32`, the fused one.
#[test]
fn losses_equal_pytorch_and_monai() {
    let fixtures = fixtures();
    let cases = cases();
    let recorded = fixtures
        .keys()
        .filter(|key| key.ends_with(".value"))
        .count();
    assert_eq!(recorded, cases.len(), "a fixture without a case");
    for (name, loss) in cases {
        let target = if name.contains("soft") {
            "soft"
        } else {
            "target"
        };
        let valid = name.contains("valid").then(|| &fixtures["valid"]);
        let value = values(&fixtures[&format!("{name}.value")])[0];
        let gradient = values(&fixtures[&format!("{name}.grad")]);
        for (dtype, value_tolerance, gradient_tolerance) in
            [(DType::F64, 1e-10, 1e-9), (DType::F32, 1e-5, 1e-4)]
        {
            let logits = fixtures["logits"].to_dtype(dtype).unwrap();
            let (ours, ours_gradient) = learn(&*loss, &logits, &fixtures[target], valid);
            close(name, ours, value, value_tolerance);
            close_gradients(name, &ours_gradient, &gradient, gradient_tolerance);
        }
    }
}

#[test]
fn thin_vessels_are_those_of_pytorch_and_scipy() {
    let fixtures = fixtures();
    for dtype in [DType::F64, DType::F32, DType::U8] {
        let target = fixtures["target"].to_dtype(dtype).unwrap();
        for (valid, expected) in [(None, "thin"), (Some(&fixtures["valid"]), "thin_valid")] {
            let thin = thin_vessel_map(&target, valid).unwrap();
            assert_eq!(values(&thin), values(&fixtures[expected]), "{expected}");
        }
    }
}

#[test]
fn skeletons_are_those_of_scikit_image() {
    let fixtures = fixtures();
    let ours = |name: &str, radius| values(&tubed_skeleton(&fixtures[name], radius).unwrap());
    assert_eq!(ours("target", 0), values(&fixtures["skeleton"]));
    assert_eq!(ours("target", 2), values(&fixtures["tube"]));
    for name in ["blobs", "noise", "wide"] {
        let expected = values(&fixtures[&format!("{name}_skeleton")]);
        assert_eq!(ours(name, 0), expected, "{name}");
    }
}
