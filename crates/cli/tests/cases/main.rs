//! What people do with labels, predictions, photographs, folders and weights as they come, and what the program says of it.
//!
//! A right result or a clear error, never a wrong result without a word. Values are compared with those of a sound twin.

mod folders;
mod masks;
mod onnx;
mod photographs;
mod weights;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use venule::data::{Mask, mask_image, write_png};
use venule::image::{DynamicImage, Rgb, RgbImage};
use venule::synthetic::{SyntheticFundus, synthetic_fundus};

/// Runs the program in a folder: whether its exit code is 0, and all that it says.
fn venule(folder: &Path, command: &str) -> (bool, String) {
    if command.contains("--save-dir") {
        // A run is never overwritten.
        let _ = fs::remove_dir_all(folder.join("runs"));
    }
    let output = Command::new(env!("CARGO_BIN_EXE_venule"))
        .args(command.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 1)), "{command}: {code:?}");
    (code == Some(0), String::from_utf8_lossy(&said).into_owned())
}

/// What a command that must succeed says.
fn succeed(folder: &Path, command: &str) -> String {
    let (succeeds, said) = venule(folder, command);
    assert!(succeeds, "{command}: {said}");
    said
}

/// Checks that a command fails, and that every word of a list is said.
fn refuse(folder: &Path, command: &str, words: &[&str]) {
    let (succeeds, said) = venule(folder, command);
    assert!(!succeeds, "{command}: {said}");
    says(command, &said, words);
}

fn says(command: &str, said: &str, words: &[&str]) {
    for word in words {
        assert!(
            said.contains(word),
            "{command} does not say '{word}': {said}"
        );
    }
}

/// The line that holds a word.
fn line<'a>(said: &'a str, word: &str) -> &'a str {
    let found = said.lines().find(|line| line.contains(word));
    found.unwrap_or_else(|| panic!("no line with '{word}': {said}"))
}

fn save(path: PathBuf, picture: impl Into<DynamicImage>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    write_png(path, picture).unwrap();
}

/// Whether a pixel is marked.
fn marked(mask: &Mask, x: usize, y: usize) -> bool {
    mask.get(x, y) == Some(&true)
}

fn coloured(mask: &Mask, off: [u8; 3], on: [u8; 3]) -> RgbImage {
    let (width, height) = mask.size();
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        Rgb(if marked(mask, x as usize, y as usize) {
            on
        } else {
            off
        })
    })
}

/// Three photographs as `set/images`, their labels in two colours as `set/masks`, their fields of view as `fovs`, and as
/// predictions the labels less every fourth row.
struct Set(TempDir);

impl Set {
    fn new(off: [u8; 3], on: [u8; 3]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for index in 0..3 {
            let sample = synthetic_fundus(&SyntheticFundus::square(128), 5, index).unwrap();
            let (label, fov) = (sample.label.unwrap(), sample.fov.unwrap());
            let path = |part: &str| folder.path().join(part).join(format!("p{index}.png"));
            save(path("set/images"), sample.image);
            save(path("set/masks"), coloured(&label, off, on));
            save(path("fovs"), mask_image(&fov).unwrap());
            let not_fov = Mask::from_fn(128, 128, |x, y| !marked(&fov, x, y));
            save(path("inverted_fovs"), mask_image(&not_fov).unwrap());
            let found = Mask::from_fn(128, 128, |x, y| marked(&label, x, y) && y % 4 > 0);
            save(path("predictions"), mask_image(&found).unwrap());
            save(path("ones"), coloured(&found, [0; 3], [1; 3]));
            save(path("inverted"), coloured(&found, [255; 3], [0; 3]));
        }
        Self(folder)
    }

    fn plain() -> Self {
        Self::new([0; 3], [255; 3])
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

const SCORE: &str = "score --predictions predictions --truth set/masks --fov fovs";
const DATA: &str = "data --dataset folder=set";
const EVALUATE: &str = "evaluate --fast --dataset folder=set --split all";
const FINETUNE: &str = "finetune --train-images set/images --train-masks set/masks --preset tiny --max-steps 1 --save-dir runs/a";
