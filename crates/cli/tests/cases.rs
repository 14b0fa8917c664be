//! What people do with labels, predictions, photographs, folders and weights as they come, and what the program says of it.
//!
//! A right result or a clear error, never a wrong result without a word. Values are compared with those of a sound twin.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use venule::data::{Mask, mask_image, write_png};
use venule::image;
use venule::image::{GrayImage, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage};
use venule::mae::{VitConfig, VitEncoder, export_encoder};
use venule::nn::ParamStore;
use venule::synthetic::{SyntheticFundus, synthetic_fundus};

/// Runs the program in a folder: whether its exit code is 0, and all that it says.
fn venule(folder: &Path, command: &str) -> (bool, String) {
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

fn save(path: PathBuf, picture: impl Into<image::DynamicImage>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    write_png(path, picture).unwrap();
}

fn coloured(mask: &Mask, off: [u8; 3], on: [u8; 3]) -> RgbImage {
    let (width, height) = mask.size();
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        Rgb(if mask.get(x as usize, y as usize) {
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
            let not_fov = Mask::from_fn(128, 128, |x, y| !fov.get(x, y));
            save(path("inverted_fovs"), mask_image(&not_fov).unwrap());
            let found = Mask::from_fn(128, 128, |x, y| label.get(x, y) && y % 4 > 0);
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

// A: labels whose marked pixels are not white.

#[test]
fn labels_in_colour_count_as_their_white_twins_in_every_command() {
    let twin = Set::plain();
    for (colour, name) in [
        ([255, 0, 0], "255,0,0 (red)"),
        ([128, 0, 0], "128,0,0 (dark red)"),
    ] {
        let set = Set::new([0; 3], colour);
        let understood = format!("labels hold 0 and {name}; {name} counts as vessel (");
        let commands = [
            (SCORE, "f1 "),
            (DATA, "of them vessel"),
            (EVALUATE, "pooled: "),
            (FINETUNE, "best validation F1"),
        ];
        for (command, value) in commands {
            let (plain, said) = (succeed(twin.path(), command), succeed(set.path(), command));
            assert_eq!(line(&plain, value), line(&said, value), "{command}");
            says(command, &said, &[&understood]);
            assert!(!plain.contains("labels hold"), "{command}: {plain}");
        }
    }
}

#[test]
fn classes_are_refused_until_their_values_are_named() {
    let twin = Set::plain();
    let set = Set::plain();
    for index in 0..3 {
        let path = set.path().join(format!("set/masks/p{index}.png"));
        let label = venule::data::read_mask(&path).unwrap();
        // Arteries left, veins right.
        let classes = GrayImage::from_fn(128, 128, |x, y| {
            let class = if x < 64 { 1 } else { 2 };
            Luma([if label.get(x as usize, y as usize) {
                class
            } else {
                0
            }])
        });
        save(path, classes);
    }
    for command in [SCORE, DATA, EVALUATE, FINETUNE] {
        refuse(
            set.path(),
            command,
            &["masks", ".png", "several classes", "--label-value"],
        );
    }
    let values = "--label-value 1 --label-value 2";
    for (command, value) in [
        (SCORE, "f1 "),
        (DATA, "of them vessel"),
        (FINETUNE, "best validation F1"),
    ] {
        let said = succeed(set.path(), &format!("{command} {values}"));
        let plain = succeed(twin.path(), command);
        assert_eq!(line(&plain, value), line(&said, value), "{command}");
    }
    // The run file says it too, so that the run can be repeated.
    let run = fs::read_to_string(set.path().join("runs/a/run.toml")).unwrap();
    assert!(run.contains(r#"label_value = ["1", "2"]"#), "{run}");
}

#[test]
fn empty_labels_are_refused_until_they_are_meant() {
    let set = Set::plain();
    save(
        set.path().join("set/masks/p1.png"),
        GrayImage::new(128, 128),
    );
    for command in [SCORE, DATA, EVALUATE, FINETUNE] {
        refuse(
            set.path(),
            command,
            &["p1.png marks none", "--allow-empty-labels"],
        );
        succeed(set.path(), &format!("{command} --allow-empty-labels"));
    }
}

// B: predictions far below white.

#[test]
fn predictions_of_zero_and_one_score_as_masks_and_percent_is_refused() {
    let set = Set::plain();
    let ones = SCORE.replace("predictions predictions", "predictions ones");
    let (plain, said) = (succeed(set.path(), SCORE), succeed(set.path(), &ones));
    assert_eq!(line(&plain, "f1 "), line(&said, "f1 "));
    says(
        &ones,
        &said,
        &["predictions are masks of 0 and 1 (of 255); 1 counts as vessel"],
    );
    says(
        SCORE,
        &plain,
        &["predictions are probabilities from 0 to 255"],
    );
    for index in 0..3 {
        let percent = GrayImage::from_fn(128, 128, |x, y| Luma([((x + y) % 101) as u8]));
        save(set.path().join(format!("ones/p{index}.png")), percent);
    }
    refuse(
        set.path(),
        &ones,
        &["ones", "100 of 255", "store probabilities from 0 to 255"],
    );
}

// C: black and white exchanged.

#[test]
fn inverted_labels_are_refused_in_every_command() {
    let set = Set::new([255; 3], [0; 3]);
    for command in [SCORE, DATA, EVALUATE, FINETUNE] {
        let words = ["set/masks/p", " marks ", "are black and white exchanged?"];
        refuse(set.path(), command, &words);
        succeed(set.path(), &format!("{command} --allow-majority-labels"));
    }
}

#[test]
fn inverted_predictions_are_told_from_inverted_labels() {
    let set = Set::plain();
    let command = SCORE.replace("predictions predictions", "predictions inverted");
    let said = succeed(set.path(), &format!("{command} --json scores.json"));
    says(
        &command,
        &said,
        &["warning: ROC AUC is 0.", "the predictions seem inverted"],
    );
    let json = fs::read_to_string(set.path().join("scores.json")).unwrap();
    says("--json", &json, &["the predictions seem inverted"]);
    assert!(!succeed(set.path(), SCORE).contains("warning"));
    // The labels, where they are allowed to mark most.
    let set = Set::new([255; 3], [0; 3]);
    let said = succeed(set.path(), &format!("{SCORE} --allow-majority-labels"));
    says(SCORE, &said, &["the labels seem inverted"]);
}

#[test]
fn an_inverted_field_of_view_is_refused() {
    let set = Set::plain();
    let words = ["inverted_fovs/p0.png holds the four corners and not the centre"];
    refuse(
        set.path(),
        &SCORE.replace("--fov fovs", "--fov inverted_fovs"),
        &words,
    );
    let segment = "segment --fast set/images/p0.png --fov inverted_fovs/p0.png";
    refuse(set.path(), segment, &words);
    assert!(!set.path().join("out/segment/p0_mask.png").exists());
}

// D: photographs of which only a part is read.

#[test]
fn few_bits_in_sixteen_segment_as_their_eight_bit_twin() {
    let set = Set::plain();
    let photo = venule::data::read_image(set.path().join("set/images/p0.png")).unwrap();
    let mask = |name: &str| {
        let path = set.path().join(format!("out/segment/{name}_mask.png"));
        venule::data::read_mask(path).unwrap()
    };
    succeed(set.path(), "segment --fast set/images/p0.png");
    for bits in [10, 12, 14] {
        let samples = photo.as_raw().iter().map(|&v| u16::from(v) << (bits - 8));
        let deep = ImageBuffer::<Rgb<u16>, _>::from_raw(128, 128, samples.collect::<Vec<_>>());
        save(set.path().join(format!("deep{bits}.png")), deep.unwrap());
        let said = succeed(set.path(), &format!("segment --fast deep{bits}.png"));
        says(
            "segment",
            &said,
            &[&format!("so it is read as {bits}-bit data")],
        );
        assert_eq!(mask(&format!("deep{bits}")), mask("p0"), "{bits} bits");
    }
}

/// A TIFF of gray pages of 8 bits, one strip each.
fn tiff(pages: &[GrayImage]) -> Vec<u8> {
    let mut bytes = b"II*\0".to_vec();
    let mut next = 4;
    bytes.extend([0; 4]);
    for page in pages {
        let strip = bytes.len() as u32;
        bytes.extend(page.as_raw());
        bytes.resize(bytes.len().next_multiple_of(2), 0);
        let directory = bytes.len() as u32;
        bytes[next..next + 4].copy_from_slice(&directory.to_le_bytes());
        let entries: [(u16, u32); 9] = [
            (256, page.width()),
            (257, page.height()),
            (258, 8),
            (259, 1),
            (262, 1),
            (273, strip),
            (277, 1),
            (278, page.height()),
            (279, page.len() as u32),
        ];
        bytes.extend((entries.len() as u16).to_le_bytes());
        for (tag, value) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(4u16.to_le_bytes());
            bytes.extend(1u32.to_le_bytes());
            bytes.extend(value.to_le_bytes());
        }
        next = bytes.len();
        bytes.extend([0; 4]);
    }
    bytes
}

#[test]
fn of_several_photographs_in_a_tiff_one_is_chosen() {
    let set = Set::plain();
    let gray = |index: usize| {
        let path = set.path().join(format!("set/images/p{index}.png"));
        image::DynamicImage::from(venule::data::read_image(path).unwrap()).into_luma8()
    };
    let (first, second) = (gray(0), gray(1));
    fs::write(set.path().join("two.tif"), tiff(&[first, second.clone()])).unwrap();
    save(set.path().join("second.png"), second);
    refuse(
        set.path(),
        "segment --fast two.tif",
        &["two.tif", "2 photographs", "--page 1"],
    );
    refuse(
        set.path(),
        "segment --fast two.tif --page 3",
        &["two.tif", "no page 3"],
    );
    let said = succeed(set.path(), "segment --fast two.tif --page 2");
    says("segment", &said, &["page 2 of 2 was read"]);
    succeed(set.path(), "segment --fast second.png");
    let read = |name: &str| fs::read(set.path().join("out/segment").join(name)).unwrap();
    assert!(read("two_mask.png") == read("second_mask.png"));
}

#[test]
fn warnings_are_printed_written_and_strict() {
    let set = Set::plain();
    // 128 pixels are too few to show thin vessels.
    let command = "segment --fast set/images/p0.png --json out/all.json";
    let said = succeed(set.path(), command);
    says(
        command,
        &said,
        &["warning: set/images/p0.png", "pixels wide"],
    );
    let json = fs::read_to_string(set.path().join("out/all.json")).unwrap();
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(
        rows[0]["warning_kinds"]
            .as_array()
            .unwrap()
            .contains(&"low_resolution".into())
    );
    let share = rows[0]["vessel_share"].as_f64().unwrap();
    assert!(share > 0.0 && share < 0.5, "{json}");
    assert!(set.path().join(rows[0]["mask"].as_str().unwrap()).is_file());
    let strict = "segment --fast set/images/p0.png --out strict --strict";
    refuse(set.path(), strict, &["set/images/p0.png", "pixels wide"]);
    assert!(!set.path().join("strict/p0_mask.png").exists());
}

// E: files of unknown kind.

#[test]
fn what_is_no_picture_is_called_by_its_name() {
    let set = Set::plain();
    let dicom = [&[0; 128][..], b"DICM"].concat();
    let files: [(&str, &[u8], &[&str]); 6] = [
        ("photo.dcm", &dicom, &["DICOM", "convert it to PNG"]),
        (
            "photo.jp2",
            b"\0\0\0\x0cjP  \r\n\x87\n",
            &["JPEG 2000", "convert it to PNG"],
        ),
        (
            "photo.webp",
            b"RIFF\x24\0\0\0WEBPVP8 ",
            &["WebP", "convert it to PNG"],
        ),
        (
            "webp.jpg",
            b"RIFF\x24\0\0\0WEBPVP8 ",
            &["WebP", "though its name ends in .jpg"],
        ),
        (
            "pointer.png",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            &["a Git LFS pointer", "run `git lfs pull`"],
        ),
        (
            "page.jpg",
            b"<!DOCTYPE html><html><body>404</body></html>",
            &["an HTML page", "the download failed, fetch it again"],
        ),
    ];
    for (name, bytes, words) in files {
        fs::write(set.path().join(name), bytes).unwrap();
        refuse(
            set.path(),
            &format!("segment --fast {name}"),
            &[&[name], words].concat(),
        );
    }
    fs::copy(
        set.path().join("pointer.png"),
        set.path().join("set/images/p1.png"),
    )
    .unwrap();
    refuse(
        set.path(),
        FINETUNE,
        &["set/images/p1.png", "run `git lfs pull`"],
    );
}

// F: EXIF orientation.

/// A JPEG whose EXIF data says how it is turned.
fn turned(picture: &RgbImage, orientation: u8) -> Vec<u8> {
    let mut jpeg = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let mut bytes = b"\xff\xd8\xff\xe1".to_vec();
    bytes.extend((exif.len() as u16 + 2).to_be_bytes());
    bytes.extend(exif);
    bytes.extend(&jpeg.into_inner()[2..]);
    bytes
}

#[test]
fn a_turned_photograph_and_an_upright_label_do_not_pair_square_or_not() {
    for cut in [128, 96] {
        let set = Set::plain();
        for index in 0..3 {
            let path = set.path().join(format!("set/images/p{index}.png"));
            let photo = venule::data::read_image(&path).unwrap();
            let cut_photo = image::imageops::crop_imm(&photo, 0, 0, 128, cut).to_image();
            fs::write(path.with_extension("jpg"), turned(&cut_photo, 6)).unwrap();
            fs::remove_file(path).unwrap();
            let path = set.path().join(format!("set/masks/p{index}.png"));
            let label = venule::data::read_mask(&path).unwrap();
            save(
                path,
                mask_image(&Mask::from_fn(128, cut as usize, |x, y| label.get(x, y))).unwrap(),
            );
        }
        for command in [DATA, FINETUNE, EVALUATE] {
            refuse(
                set.path(),
                command,
                &["EXIF orientation 6", "set/images/p", ".jpg"],
            );
        }
    }
}

// H: folders.

#[test]
fn what_a_folder_holds_beside_photographs_is_counted_and_named() {
    let set = Set::plain();
    for name in ["a.webp", "b.webp", "c.webp", "d.webp", "e.webp"] {
        let path = set.path().join("set/images").join(name);
        fs::write(path, b"RIFF\x24\0\0\0WEBPVP8 ").unwrap();
    }
    let pretrain = "pretrain --data-dir set/images --preset tiny --max-steps 1 --save-dir runs/h";
    let line =
        "3 photographs; 5 left out: a.webp (WebP), b.webp (WebP), c.webp (WebP), d.webp (WebP)";
    says(
        pretrain,
        &succeed(set.path(), pretrain),
        &[&format!("{line} and 1 more")],
    );
    let verbose = format!("{pretrain} --verbose");
    says(
        &verbose,
        &succeed(set.path(), &verbose),
        &[&format!("{line}, e.webp (WebP)")],
    );
    for command in [DATA, EVALUATE, FINETUNE] {
        says(
            command,
            &succeed(set.path(), command),
            &["5 left out: a.webp (WebP)"],
        );
    }
    // The folder above holds the masks too.
    let above = pretrain.replace("set/images", "set");
    says(
        &above,
        &succeed(set.path(), &above),
        &["3 photographs; 8 left out", "masks/ (3 files"],
    );
}

// I: names.

#[test]
fn names_pair_in_every_unicode_form() {
    let (twin, set) = (Set::plain(), Set::plain());
    let rename = |part: &str, name: &str| {
        let folder = set.path().join("set").join(part);
        fs::rename(folder.join("p0.png"), folder.join(name)).unwrap();
    };
    rename("images", "M\u{fc}ller_\u{e9}0.png");
    rename("masks", "Mu\u{308}ller_e\u{301}0.png");
    let (plain, said) = (succeed(twin.path(), DATA), succeed(set.path(), DATA));
    let pixels = |said: &str| -> Vec<String> {
        let lines = said.lines().filter(|line| line.contains("of them vessel"));
        lines.map(str::to_owned).collect()
    };
    // In another order, so that another one validates.
    assert_eq!(pixels(&plain).len(), 2);
    assert_eq!(pixels(&said).len(), 2);
}

// J: writing.

#[test]
fn places_where_nothing_can_be_written_are_found_before_the_work() {
    let set = Set::plain();
    fs::write(set.path().join("file"), b"").unwrap();
    // Were any work begun, these would be missed first.
    let segment = "segment --weights nowhere.safetensors set/images/p0.png";
    for out in ["file", "file/x"] {
        let words = [out, "cannot create", "choose another path"];
        refuse(set.path(), &format!("{segment} --out {out}"), &words);
        refuse(
            set.path(),
            &format!("{FINETUNE} --save-dir {out}").replace("--save-dir runs/a ", ""),
            &words,
        );
        refuse(set.path(), &format!("{EVALUATE} --report {out}"), &words);
        refuse(set.path(), &format!("{EVALUATE} --pictures {out}"), &words);
    }
    let long = "a".repeat(245);
    fs::copy(
        set.path().join("set/images/p0.png"),
        set.path().join(format!("{long}.png")),
    )
    .unwrap();
    let command = format!("segment --weights nowhere.safetensors {long}.png");
    refuse(
        set.path(),
        &command,
        &[&long, "cannot write", "choose a shorter name"],
    );
    for command in [SCORE, DATA, EVALUATE] {
        refuse(
            set.path(),
            &format!("{command} --json file/x.json"),
            &["file", "cannot create"],
        );
        refuse(
            set.path(),
            &format!("{command} --json fovs"),
            &["fovs", "cannot write"],
        );
    }
    for flag in ["--markdown", "--csv"] {
        refuse(
            set.path(),
            &format!("{EVALUATE} {flag} file/x"),
            &["file", "cannot create"],
        );
    }
    let export = "export --weights nowhere.safetensors --out file/x";
    refuse(set.path(), export, &["file", "cannot create"]);
    let reconstruct = "reconstruct --run nowhere --out file/x.png";
    refuse(set.path(), reconstruct, &["file", "cannot create"]);
}

#[cfg(unix)]
#[test]
fn a_folder_that_may_not_be_written_to_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let set = Set::plain();
    let readonly = set.path().join("readonly");
    fs::create_dir(&readonly).unwrap();
    fs::set_permissions(&readonly, fs::Permissions::from_mode(0o555)).unwrap();
    // To root everything may be written.
    if fs::write(readonly.join("probe"), b"").is_err() {
        for out in ["readonly", "readonly/new"] {
            let command =
                format!("segment --weights nowhere.safetensors set/images/p0.png --out {out}");
            refuse(
                set.path(),
                &command,
                &[out, "cannot create", "choose a place where you may write"],
            );
        }
    }
}

// K: weights as others publish them.

const ENCODER: &str = "--freeze-encoder all --pretrained-mae";

/// An encoder of the preset `tiny` in the public layout, changed.
fn weights(path: &Path, change: impl FnOnce(&mut Vec<(String, venule::candle_core::Tensor)>)) {
    let device = venule::candle_core::Device::Cpu;
    let config = VitConfig::tiny();
    let store = ParamStore::new(1, &device);
    VitEncoder::new(&config, &store.root().pp("encoder")).unwrap();
    export_encoder(&store, "encoder", &config, path).unwrap();
    let loaded = venule::file::load_weights(path).unwrap();
    let mut tensors: Vec<_> = loaded.tensors.into_iter().collect();
    change(&mut tensors);
    venule::file::save_weights(path, &tensors, &loaded.metadata).unwrap();
}

#[test]
fn weights_are_taken_in_full_or_refused_and_the_report_is_printed() {
    let set = Set::plain();
    let path = set.path().join("vit.safetensors");
    weights(&path, |_| ());
    let command = format!("{FINETUNE} {ENCODER} vit.safetensors");
    let preset = succeed(set.path(), &command);
    says(&command, &preset, &["encoder from vit.safetensors"]);
    // Without a preset the file decides, and says what it is.
    let free = command.replace("--preset tiny ", "--set recipe.crop=64 ");
    says(
        &free,
        &succeed(set.path(), &free),
        &["encoder as in vit.safetensors: weights of", "depth="],
    );
    refuse(
        set.path(),
        &command.replace("tiny", "compact"),
        &["vit.safetensors", "depth"],
    );

    let device = venule::candle_core::Device::Cpu;
    let ones =
        venule::candle_core::Tensor::ones(8, venule::candle_core::DType::F32, &device).unwrap();
    weights(&path, |tensors| {
        tensors.push(("blocks.0.attn.unknown".to_owned(), ones.clone()))
    });
    refuse(
        set.path(),
        &command,
        &["vit.safetensors", "blocks.0.attn.unknown"],
    );
    let said = succeed(set.path(), &format!("{command} --allow-unused"));
    says(&command, &said, &["blocks.0.attn.unknown"]);

    weights(&path, |tensors| {
        let (name, tensor) = tensors
            .iter_mut()
            .find(|(name, _)| name == "blocks.0.mlp.fc1.weight")
            .unwrap();
        assert_eq!(name, "blocks.0.mlp.fc1.weight");
        *tensor = (tensor.zeros_like().unwrap() / 0.0).unwrap();
    });
    refuse(
        set.path(),
        &command,
        &["vit.safetensors", "blocks.0.mlp.fc1.weight"],
    );

    weights(&path, |tensors| {
        tensors.retain(|(name, _)| !name.starts_with("norm."))
    });
    refuse(set.path(), &command, &["vit.safetensors", "norm"]);
    succeed(set.path(), &format!("{command} --missing-norm fresh"));
}

#[test]
fn an_encoder_is_exported_in_the_public_layout_and_comes_back() {
    let set = Set::plain();
    succeed(set.path(), FINETUNE);
    let export = "export --weights runs/a/best.safetensors --encoder --out new/vit.safetensors";
    says(
        export,
        &succeed(set.path(), export),
        &["new/vit.safetensors", "the encoder alone"],
    );
    let names = venule::file::load_weights(set.path().join("new/vit.safetensors"))
        .unwrap()
        .tensors;
    assert!(names.contains_key("pos_embed") && names.contains_key("blocks.0.attn.qkv.weight"));
    let back = format!("{FINETUNE} {ENCODER} new/vit.safetensors").replace("runs/a", "runs/b");
    succeed(set.path(), &back);
}

// L: settings files.

#[test]
fn a_windows_path_in_double_quotes_gets_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let run = "preset = 'tiny'\n[[data]]\nimages = \"C:\\Users\\eye\\images\"\nmasks = 'm'\n";
    fs::write(folder.path().join("run.toml"), run).unwrap();
    let words = [
        "run.toml",
        r"'C:\Users\eye\images' in single quotes",
        "C:/Users/eye/images",
    ];
    refuse(
        folder.path(),
        "finetune --config run.toml --save-dir runs/l",
        &words,
    );
}
