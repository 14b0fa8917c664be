//! Results that no change of the code may change unnoticed, as checksums of every bit.
//!
//! Those of a file and of a training of version 0.1 are what its programs gave; the bundled weights are younger. A change that is meant to
//! change results says so and writes the new checksums, which a failure prints.

use std::collections::BTreeMap;
use std::process::Command;

use venule::candle_core::{Device, Tensor};
use venule::data::{Augment, Checksum, FovPolicy, InMemory};
use venule::synthetic::{SyntheticFundus, synthetic_fundus};
use venule::tasks::{Finetuning, FinetuningData};
use venule::train::{TrainConfig, Trainer};
use venule::{Bundled, Calibration, Checkpoint, Recipe, Segmenter};

/// Tells a child process to compute instead of to compare.
const CHILD: &str = "VENULE_TEST_GOLDEN";
const TEST: &str = "golden::results_are_what_they_were";

/// For each value of `VENULE_SIMD` the checksums, in the order in which [`results`] names them.
const GOLDEN: [(&str, [&str; 4]); 2] = [
    (
        "portable",
        [
            "bdee9302678d4d7ae00bd13d8e5ba0bd",
            "bb141f5f8653f265da653ee426f4fb0e",
            "e26b51bce6830e964c856a65decc9379",
            "9167456d90616f8c4072770340fb3f3e",
        ],
    ),
    (
        "avx2",
        [
            "6db4cf95299b20a21082c13565412b33",
            "5ac04a71d149ba97b092709ba39207ab",
            "72c8db8456cd93af0e0f20830a454db1",
            "ad05ef36614764cdc118667364fd3848",
        ],
    ),
];

fn photographs(count: usize) -> InMemory {
    let spec = SyntheticFundus::square(256);
    let photograph = |index| synthetic_fundus(&spec, 42, index).unwrap();
    InMemory::new((0..count).map(photograph).collect())
}

fn bits(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn checksum(bytes: &[u8]) -> Checksum {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    Checksum::of_file(file.path()).unwrap()
}

/// Of the network: a calibration and the dark rim are no part of version 0.1.
fn probabilities(weights: &[u8]) -> Checksum {
    let (mut checkpoint, model) = Checkpoint::parse("weights", weights, &Device::Cpu).unwrap();
    checkpoint.calibration = Calibration::default();
    checkpoint.preprocess.dark_rim = 0.0;
    let segmenter = Segmenter::new(checkpoint, model).unwrap();
    let photograph = &photographs(1).samples()[0].image.clone();
    let found = segmenter.segment(photograph).unwrap();
    checksum(&bits(found.probability.data()))
}

/// The weights after five steps of the preset `tiny`.
fn trained() -> Checksum {
    let preset = Recipe::preset("tiny").unwrap();
    let recipe = Recipe {
        augment: Augment::standard(),
        crop: 64,
        crops_per_image: 1,
        batch_size: 2,
        loss: "bce-dice".parse().unwrap(),
        train: TrainConfig {
            max_steps: Some(5),
            seed: 7,
            ..preset.train.clone()
        },
        ..preset
    };
    let data = FinetuningData {
        unlabelled: None,
        train: Box::new(photographs(4)),
        validation: Box::new(photographs(1)),
        fov: FovPolicy::GivenOrDetect,
        workers: 1,
        cache_bytes: 1 << 30,
    };
    let mut task = Finetuning::new(&recipe, data, &Device::Cpu).unwrap();
    let trainer = Trainer::new(recipe.train.clone()).unwrap();
    assert_eq!(trainer.fit(&mut task).unwrap().steps, 5);
    let tensors: BTreeMap<String, Tensor> = task.model().store().tensors().into_iter().collect();
    let mut bytes = Vec::new();
    for (name, tensor) in tensors {
        bytes.extend(name.bytes());
        bytes.extend(bits(&tensor.flatten_all().unwrap().to_vec1().unwrap()));
    }
    checksum(&bytes)
}

fn results() -> [(&'static str, Checksum); 4] {
    [
        (
            "probabilities of weights of version 0.1",
            probabilities(include_bytes!("fixtures/version_0_1.safetensors")),
        ),
        (
            "probabilities of the bundled weights",
            probabilities(Bundled::Compact.bytes()),
        ),
        (
            "probabilities of the fast bundled weights",
            probabilities(Bundled::Unet.bytes()),
        ),
        ("weights after five steps", trained()),
    ]
}

/// Whether the matrix products, which choose their instructions by themselves, are those of the checksums.
fn has_golden_values() -> bool {
    #[cfg(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))]
    return is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && !is_x86_feature_detected!("avx512f");
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu")))]
    return false;
}

#[test]
fn results_are_what_they_were() {
    if std::env::var_os(CHILD).is_some() {
        for (name, checksum) in results() {
            println!("{CHILD} {checksum} {name}");
        }
        return;
    }
    if !has_golden_values() {
        eprintln!(
            "skipped: no results are known for this processor; it needs AVX2 without AVX-512, on Linux with glibc"
        );
        return;
    }
    for (level, expected) in GOLDEN {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", TEST, "--nocapture"])
            .env(CHILD, "1")
            .env("VENULE_SIMD", level)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().filter_map(|line| line.split_once(CHILD));
        let found: Vec<&str> = lines.map(|(_, rest)| rest.trim()).collect();
        let sums = found.iter().filter_map(|line| line.split(' ').next());
        assert!(sums.eq(expected), "{level}: {found:#?}");
    }
}
