//! Models as ONNX files: written by every build, read by those with the feature.

use std::path::Path;

use venule::candle_core::{DType, Device};
use venule::data::{FovPolicy, Preprocess};
use venule::{Calibration, Checkpoint, ModelConfig, Provenance, VesselModel};

use super::{Set, refuse, says, succeed};

/// Weights of the preset `tiny`, fresh, as `tiny.safetensors`.
fn tiny(folder: &Path) {
    let checkpoint = Checkpoint {
        model: ModelConfig::preset("tiny").unwrap(),
        preprocess: Preprocess::default(),
        fov: FovPolicy::GivenOrDetect,
        threshold: 0.12,
        calibration: Calibration::default(),
        provenance: Provenance::default(),
    };
    let model = VesselModel::new(&checkpoint.model, 1, &Device::Cpu).unwrap();
    let path = folder.join("tiny.safetensors");
    checkpoint.save(path, &model, DType::F32).unwrap();
}

const EXPORT: &str = "export --weights tiny.safetensors";

#[test]
fn onnx_files_are_written_whole_or_not_at_all() {
    let set = Set::plain();
    tiny(set.path());
    let said = succeed(set.path(), &format!("{EXPORT} --onnx out/any.onnx"));
    says(EXPORT, &said, &["any.onnx", "bytes"]);
    succeed(
        set.path(),
        &format!("{EXPORT} --onnx fixed.onnx --size 64x96"),
    );
    let bytes = std::fs::read(set.path().join("fixed.onnx")).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    // What is said of it: of photographs, and the checkpoint's own documents.
    says(
        "fixed.onnx",
        &text,
        &[
            "64 rows and 96 columns",
            "green channel",
            "above 0.12",
            r#""standardize":true"#,
        ],
    );

    refuse(
        set.path(),
        &format!("{EXPORT} --onnx tiny.safetensors"),
        &["tiny.safetensors is read from"],
    );
    refuse(
        set.path(),
        &format!("{EXPORT} --onnx set"),
        &["set", "directory"],
    );
    refuse(
        set.path(),
        "export --weights fixed.onnx --onnx other.onnx",
        &["fixed.onnx"],
    );
    assert!(!set.path().join("other.onnx").exists());
}

#[cfg(not(feature = "onnx"))]
#[test]
fn onnx_files_are_said_to_need_the_feature() {
    let set = Set::plain();
    tiny(set.path());
    succeed(set.path(), &format!("{EXPORT} --onnx any.onnx"));
    let words = ["any.onnx is an ONNX file", "--features onnx"];
    refuse(
        set.path(),
        "segment --weights any.onnx set/images/p0.png",
        &words,
    );
    refuse(
        set.path(),
        "evaluate --weights any.onnx --dataset folder=set --split all",
        &words,
    );
}

#[cfg(feature = "onnx")]
#[test]
fn onnx_files_evaluate_as_the_weights_they_were_written_from() {
    let set = Set::plain();
    tiny(set.path());
    succeed(set.path(), &format!("{EXPORT} --onnx any.onnx"));
    let evaluate = "evaluate --dataset folder=set --split all --weights";
    let line = |weights: &str| {
        let said = succeed(set.path(), &format!("{evaluate} {weights}"));
        super::line(&said, "pooled:").to_owned()
    };
    assert_eq!(line("any.onnx"), line("tiny.safetensors"));
    let said = succeed(
        set.path(),
        "segment --weights any.onnx --out found set/images/p0.png",
    );
    says("segment", &said, &["p0.png ->"]);
    assert!(set.path().join("found/p0_mask.png").exists());

    let images = "set/images/p0.png";
    refuse(
        set.path(),
        &format!("segment --onnx-standardize {images}"),
        &["no weights are one"],
    );
    refuse(
        set.path(),
        &format!("segment --weights any.onnx --onnx-channel rgb {images}"),
        &["3 channel(s)", "takes 1"],
    );
    refuse(
        set.path(),
        &format!("segment --weights any.onnx --onnx-output mask {images}"),
        &["'mask'", "'probability'"],
    );
    refuse(
        set.path(),
        &format!("{evaluate} any.onnx --window 3"),
        &["--window"],
    );
    std::fs::write(set.path().join("text.onnx"), "no model").unwrap();
    refuse(
        set.path(),
        &format!("segment --weights text.onnx {images}"),
        &["text.onnx", "no ONNX file"],
    );
}

#[cfg(feature = "onnx")]
#[test]
fn onnx_files_of_other_makers_are_prepared_by_flags() {
    let set = Set::plain();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../onnx/tests/fixtures");
    for name in ["w_net.onnx", "w_net_fixed.onnx"] {
        std::fs::copy(fixtures.join(name), set.path().join(name)).unwrap();
        let command = format!(
            "evaluate --weights {name} --dataset folder=set --split all --onnx-mean 0.485,0.456,0.406 --onnx-deviation 0.229,0.224,0.225"
        );
        let said = succeed(set.path(), &command);
        says(
            &command,
            &said,
            &["the file names no threshold", "threshold 0.5000", "pooled:"],
        );
    }
    let command = "segment --weights w_net.onnx --onnx-channel green set/images/p0.png";
    refuse(set.path(), command, &["1 channel(s)", "takes 3"]);
}
