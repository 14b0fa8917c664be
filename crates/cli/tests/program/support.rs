//! What several modules need: the program, folders of photographs, weights.

use std::ffi::OsStr;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use venule::candle_core::{DType, Device};
use venule::data::{Checksum, FovPolicy, Mask, Preprocess, Sample, mask_image, write_png};
use venule::synthetic::{SyntheticFundus, synthetic_fundus};
use venule::{Calibration, Checkpoint, ImageRecord, ModelConfig, Provenance, VesselModel};

/// The program with these arguments.
pub fn venule<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_venule"));
    command.args(arguments);
    command
}

/// What it says if all is done.
#[track_caller]
pub fn done<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> String {
    let output = venule(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    said(&output)
}

/// Its errors if something fails.
#[track_caller]
pub fn failed<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> String {
    let output = venule(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("error: "), "{errors}");
    errors
}

pub fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A synthetic photograph of 96² pixels.
pub fn photograph(index: usize) -> Sample {
    synthetic_fundus(&SyntheticFundus::square(96), 5, index).unwrap()
}

/// A folder data set: photographs `0.png` and on for training, of which the last fifth is for validation, and for testing.
pub fn write_set(root: &Path, train: Range<usize>, test: Range<usize>) {
    for (part, indices) in [("train", train), ("test", test)] {
        for kind in ["images", "masks", "fovs"] {
            fs::create_dir_all(root.join(part).join(kind)).unwrap();
        }
        for index in indices {
            let sample = photograph(index);
            let path = |kind: &str| root.join(part).join(kind).join(format!("{index}.png"));
            let mask = |mask: &Option<Mask>| mask_image(mask.as_ref().unwrap()).unwrap();
            write_png(path("masks"), mask(&sample.label)).unwrap();
            write_png(path("fovs"), mask(&sample.fov)).unwrap();
            write_png(path("images"), sample.image).unwrap();
        }
    }
}

/// Two photographs for training and two for testing.
pub fn small_set(root: &Path) {
    write_set(root, 0..2, 2..4);
}

/// The data set of a folder as a flag has it.
pub fn spec(root: &Path) -> String {
    format!("folder={}", root.display())
}

/// Images of these names, with the checksums of files.
pub fn records(images: &[(&str, Option<&Path>)]) -> Vec<ImageRecord> {
    let record = |(name, file): &(&str, Option<&Path>)| ImageRecord {
        name: (*name).to_owned(),
        checksum: file.map(|path| Checksum::of_file(path).unwrap()),
    };
    images.iter().map(record).collect()
}

/// Weights of an untrained model that says it comes from there.
pub fn write_weights(path: &Path, provenance: Provenance) {
    let checkpoint = Checkpoint {
        model: ModelConfig::preset("tiny").unwrap(),
        preprocess: Preprocess::default(),
        fov: FovPolicy::GivenOrDetect,
        threshold: 0.5,
        calibration: Calibration::default(),
        provenance,
    };
    let model = VesselModel::new(&checkpoint.model, 3, &Device::Cpu).unwrap();
    checkpoint.save(path, &model, DType::F32).unwrap();
}
