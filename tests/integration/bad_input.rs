//! Every bad file or setting is a typed error that names itself and what to do; nothing is written.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use venule::candle_core::{DType, Device};
use venule::data::{
    Batcher, DatasetSpec, Error as DataError, FovPolicy, Mask, Plane, Prepared, Resize, Split,
    mask_image, read_image, write_png,
};
use venule::file::{Error as FileError, save_weights};
use venule::image::{self, DynamicImage, Rgb32FImage};
use venule::mae::{Error as MaeError, MaeConfig};
use venule::tasks::{Finetuning, FinetuningData, Pretraining, PretrainingData};
use venule::train::{Error as TrainError, RunOptions, Trainer};
use venule::{Checkpoint, Error, PartConfig, PretrainRecipe, Result, Segmenter, VesselModel};

use crate::support::{
    finetuning, photograph, preset, pretrain_recipe, pretraining, pretraining_data, recipe,
    segmenter, short_run, tiny_checkpoint, train, write_folder,
};

/// A sound folder of two photographs, and the place of a run.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_folder(&folder.path().join("data"));
        Self { folder }
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join("data").join(inside)
    }

    fn run(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    fn mask(&self, name: &str, mask: &Mask) {
        write_png(self.path("masks").join(name), mask_image(mask).unwrap()).unwrap();
    }

    /// One epoch of fine-tuning on the folder, as a program would start it.
    fn finetune(&self) -> Result<()> {
        let spec: DatasetSpec = format!("folder={}", self.path("").display()).parse()?;
        let data = FinetuningData {
            unlabelled: None,
            train: spec.open(Split::Train)?,
            validation: spec.open(Split::Validation)?,
            fov: FovPolicy::GivenOrDetect,
            workers: 1,
            cache_bytes: 1 << 30,
        };
        let mut task = Finetuning::new(&recipe(64), data, &Device::Cpu)?;
        Trainer::new(short_run(1, 1))?
            .with_options(RunOptions::in_folder(self.run()))?
            .fit(&mut task)?;
        Ok(())
    }

    /// The error of that fine-tuning, which must have left no run behind.
    fn error(&self) -> Error {
        let error = self.finetune().unwrap_err();
        assert!(
            !self.run().exists(),
            "a run folder was made before: {error}"
        );
        error
    }
}

fn assert_says(error: &impl std::fmt::Display, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "'{part}' is not in: {text}");
    }
}

/// The text of the error of something that has no Debug.
fn error<T, E>(result: std::result::Result<T, E>) -> E {
    result.err().expect("an error was expected")
}

#[test]
fn a_sound_folder_trains() {
    let place = Place::new();
    place.finetune().unwrap();
    assert!(place.run().join("final.safetensors").exists());
}

#[test]
fn a_missing_folder_is_named() {
    let place = Place::new();
    fs::remove_dir_all(place.path("masks")).unwrap();
    let found = place.error();
    assert!(matches!(
        found,
        Error::Data(DataError::MissingFolder { .. })
    ));
    assert_says(&found, &["data/mask", "is not a folder"]);
    fs::remove_dir_all(place.path("")).unwrap();
    assert_says(&place.error(), &["data", "is not a folder"]);
}

#[test]
fn an_image_without_label_is_named() {
    let place = Place::new();
    fs::remove_file(place.path("masks/a.png")).unwrap();
    let found = place.error();
    assert!(matches!(found, Error::Data(DataError::Unpaired { .. })));
    assert_says(
        &found,
        &["images", "masks", "a.png", "name each pair alike"],
    );
}

#[test]
fn sizes_that_differ_are_named() {
    // The training image, then the validation image.
    for name in ["a.png", "b.png"] {
        let place = Place::new();
        place.mask(name, &Mask::from_fn(32, 48, |x, _| x % 5 == 0));
        let found = place.error();
        assert!(matches!(found, Error::Data(DataError::SizeMismatch { .. })));
        assert_says(
            &found,
            &[&format!("masks/{name}"), "32x48", "64x64", "must"],
        );
    }
}

#[test]
fn empty_and_full_labels_are_named() {
    for name in ["a", "b"] {
        for marked in [false, true] {
            let place = Place::new();
            place.mask(&format!("{name}.png"), &Mask::filled(64, 64, marked));
            let found = place.error();
            let (expected, words) = match &found {
                Error::Data(DataError::EmptyLabel { .. }) => {
                    (!marked, "check that it is the right file")
                }
                Error::Data(DataError::MajorityLabel { .. }) => (marked, "exchanged?"),
                _ => (false, ""),
            };
            assert!(expected, "{name} {marked}: {found}");
            assert_says(&found, &[&format!("masks/{name}.png"), words]);
        }
    }
}

#[test]
fn truncated_and_foreign_images_are_named() {
    for name in ["images/a.png", "images/b.png", "masks/a.png", "fovs/b.png"] {
        let place = Place::new();
        let bytes = fs::read(place.path(name)).unwrap();
        fs::write(place.path(name), &bytes[..bytes.len() / 2]).unwrap();
        let found = place.error();
        assert!(
            matches!(found, Error::Data(DataError::Decode { .. })),
            "{found}"
        );
        assert_says(&found, &[name, "replace the file"]);
        fs::write(place.path(name), b"no picture at all").unwrap();
        let found = place.error();
        assert!(matches!(found, Error::Data(DataError::UnreadFormat { .. })));
        assert_says(&found, &[name, "PNG"]);
    }
}

#[test]
fn an_image_that_holds_nan_is_refused() {
    // As numbers: the model and the batches refuse it.
    let model = VesselModel::new(&preset("tiny"), 1, &Device::Cpu).unwrap();
    let mut image = Plane::filled(32, 32, 0.5);
    for bad in [f32::NAN, f32::INFINITY] {
        image.data_mut()[100] = bad;
        let found = model.predict(&image.clone().into()).unwrap_err();
        assert!(matches!(found, Error::Config { field: "image", .. }));
        assert_says(&found, &["image", "must be finite"]);
        let prepared = Prepared {
            id: "07".into(),
            image: image.clone().into(),
            label: None,
            fov: Mask::filled(32, 32, true),
            weights: None,
        };
        let found = error(Batcher::new(Device::Cpu).batch(&[prepared]));
        assert!(matches!(found, DataError::NotFinite { .. }));
        assert_says(&found, &["'07'", "not finite", "check the file"]);
    }
}

#[test]
fn a_file_of_floats_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("float.tif");
    // Its range is unknown, and it could hold NaN.
    let pixels = Rgb32FImage::from_pixel(8, 8, image::Rgb([0.5, f32::NAN, 0.125]));
    DynamicImage::from(pixels).save(&path).unwrap();
    assert_says(&read_image(&path).unwrap_err(), &["float.tif"]);
}

/// Changes one setting of a part.
fn set(part: &mut PartConfig, key: &str, value: impl Into<Value>) {
    part.config.insert(key.to_owned(), value.into());
}

/// A sound weights file, and what it holds.
fn weights(folder: &Path) -> PathBuf {
    let path = folder.join("vessels.safetensors");
    write_weights(&path, &tiny_checkpoint());
    Segmenter::from_file(&path).unwrap();
    path
}

/// The tiny model's tensors beside the metadata of `checkpoint`.
fn write_weights(path: &Path, checkpoint: &Checkpoint) {
    let model = VesselModel::new(&preset("tiny"), 1, &Device::Cpu).unwrap();
    let tensors = model.store().tensors();
    save_weights(path, &tensors, &checkpoint.metadata()).unwrap();
}

#[test]
fn damaged_weights_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = weights(folder.path());
    let bytes = fs::read(&path).unwrap();
    // Cut within the header, behind it, and in the last tensor.
    for length in [0, 5, 200, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).unwrap();
        let found = error(Segmenter::from_file(&path));
        let expected = matches!(found, Error::File(FileError::Truncated { .. }));
        assert!(expected, "{length}: {found}");
        assert_says(
            &found,
            &["vessels.safetensors", "truncated", "copy it again"],
        );
    }
    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 1;
    fs::write(&path, &flipped).unwrap();
    let found = error(Segmenter::from_file(&path));
    assert!(matches!(found, Error::File(FileError::Checksum { .. })));
    assert_says(&found, &["vessels.safetensors", "damaged", "copy it again"]);

    // A length of 2^64 - 1 in front, letters behind: nothing of that size may be allocated.
    for random in [
        vec![255u8; 4000],
        (0..4000u32).map(|i| (i * 7 % 251) as u8).collect(),
    ] {
        fs::write(&path, random).unwrap();
        let found = error(Segmenter::from_file(&path));
        assert!(matches!(found, Error::File(_)));
        assert_says(&found, &["vessels.safetensors"]);
    }
    let missing = folder.path().join("nothing.safetensors");
    assert_says(
        &error(Segmenter::from_file(&missing)),
        &["nothing.safetensors"],
    );
}

#[test]
fn a_pretrained_autoencoder_is_no_segmenter() {
    let folder = tempfile::tempdir().unwrap();
    train(&mut pretraining(1), folder.path(), short_run(1, 1));
    let found = error(Segmenter::from_file(
        folder.path().join("final.safetensors"),
    ));
    assert!(matches!(found, Error::Checkpoint { .. }));
    assert_says(
        &found,
        &["final.safetensors", "segmentation checkpoint", "finetune"],
    );
}

#[test]
fn weights_of_another_architecture_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.safetensors");
    // The preset has three blocks of width 64.
    let mut deeper = preset("tiny");
    set(&mut deeper.encoder, "depth", 4);
    let mut wider = preset("tiny");
    set(&mut wider.encoder, "width", 128);
    let mut shallower = preset("tiny");
    set(&mut shallower.encoder, "depth", 2);
    set(&mut shallower.encoder, "taps", json!([]));
    for model in [deeper, wider, shallower, preset("compact")] {
        let checkpoint = Checkpoint {
            model,
            ..tiny_checkpoint()
        };
        write_weights(&path, &checkpoint);
        let found = error(Segmenter::from_file(&path));
        assert!(matches!(found, Error::Checkpoint { .. }), "{found}");
        assert_says(&found, &["other.safetensors", "do not agree"]);
    }
}

#[test]
fn a_file_cannot_ask_for_more_than_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.safetensors");
    // More than a terabyte of parameters, were they made.
    let mut model = preset("compact");
    for (key, value) in [("width", 8192), ("depth", 128), ("heads", 64)] {
        set(&mut model.encoder, key, value);
    }
    set(&mut model.encoder, "mlp_ratio", 16.0);
    let checkpoint = Checkpoint {
        model,
        ..tiny_checkpoint()
    };
    save_weights(&path, &[], &checkpoint.metadata()).unwrap();
    let found = error(Segmenter::from_file(&path));
    assert!(matches!(found, Error::Checkpoint { .. }), "{found}");
    assert_says(&found, &["large.safetensors", "do not agree"]);
}

#[test]
fn metadata_that_makes_no_sense_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.safetensors");
    let model = VesselModel::new(&preset("tiny"), 1, &Device::Cpu).unwrap();
    let mut negative = tiny_checkpoint().model;
    set(&mut negative.encoder, "heads", 0);
    let negative = serde_json::to_string(&negative).unwrap();
    for (key, value) in [
        ("threshold", "1.5"),
        ("threshold", "\"half\""),
        ("model", "{}"),
        ("model", &negative),
        ("preprocess", "[1,2"),
        (
            "preprocess",
            r#"{"channel":"green","standardize":true,"clahe":null,"wiener":null,"resize":{"square":0}}"#,
        ),
        ("field_of_view", "\"somewhere\""),
    ] {
        let mut metadata = tiny_checkpoint().metadata();
        metadata.insert(key.to_owned(), value.to_owned());
        save_weights(&path, &model.store().tensors(), &metadata).unwrap();
        let found = error(Segmenter::from_file(&path));
        assert!(
            matches!(found, Error::Checkpoint { .. }),
            "{key} {value}: {found}"
        );
        assert_says(&found, &["odd.safetensors"]);
    }
}

#[test]
fn what_could_not_be_read_again_is_not_saved() {
    let folder = tempfile::tempdir().unwrap();
    let path = weights(folder.path());
    let before = fs::read(&path).unwrap();
    let model = || VesselModel::new(&preset("tiny"), 1, &Device::Cpu).unwrap();
    let sound = tiny_checkpoint();
    let mut hidden = sound.clone();
    hidden.preprocess.resize = Some(Resize::Square(0));
    let cases = [
        (
            Checkpoint {
                threshold: f32::NAN,
                ..sound.clone()
            },
            DType::F32,
            "threshold",
        ),
        (
            Checkpoint {
                model: preset("unet"),
                ..sound.clone()
            },
            DType::F32,
            "another architecture",
        ),
        (hidden, DType::F32, "Resize::Square"),
        (sound.clone(), DType::U8, "f16, bf16, f32 or f64"),
    ];
    for (checkpoint, dtype, said) in cases {
        let found = checkpoint.save(&path, &model(), dtype).unwrap_err();
        assert_says(&found, &[said]);
        if dtype == DType::F32 {
            assert_says(&Segmenter::new(checkpoint, model()).unwrap_err(), &[said]);
        }
    }
    // 70,000 is more than half precision holds.
    let large = model();
    let param = &large.store().params()[0];
    let values = (param.tensor().detach().zeros_like().unwrap() + 7e4).unwrap();
    param.var().set(&values).unwrap();
    let found = sound.save(&path, &large, DType::F16).unwrap_err();
    assert!(matches!(found, Error::NotFinite { .. }), "{found}");
    assert_says(&found, &[param.name(), "f16"]);
    assert_eq!(fs::read(&path).unwrap(), before);
    sound.save(&path, &large, DType::BF16).unwrap();
    Segmenter::from_file(&path).unwrap();
}

#[test]
fn weights_that_are_not_finite_give_no_empty_mask() {
    let segmenter = segmenter();
    let photo = photograph(64, 0).image;
    segmenter.segment(&photo).unwrap();
    let param = &segmenter.model().store().params()[0];
    let values = (param.tensor().zeros_like().unwrap() * f64::NAN).unwrap();
    param.var().set(&values).unwrap();
    let found = segmenter.segment(&photo).unwrap_err();
    assert!(matches!(found, Error::Output { .. }), "{found}");
    assert_says(&found, &["NaN", "weights"]);
}

#[test]
fn a_network_of_three_channels_is_refused_before_photographs_are_read() {
    let mut coloured = [recipe(64), recipe(64)];
    set(&mut coloured[0].model.encoder, "in_channels", 3);
    set(&mut coloured[1].model.decoder, "in_channels", 3);
    for recipe in coloured {
        let place = Place::new();
        let folder = DatasetSpec {
            layout: "folder".parse().unwrap(),
            path: place.path(""),
        };
        fs::write(place.path("images/a.png"), "no image").unwrap();
        let data = FinetuningData {
            unlabelled: None,
            train: folder.open(Split::Train).unwrap(),
            validation: folder.open(Split::Validation).unwrap(),
            fov: FovPolicy::GivenOrDetect,
            workers: 0,
            cache_bytes: 0,
        };
        let found = error(Finetuning::new(&recipe, data, &Device::Cpu));
        assert_says(&found, &["3", "1", "`in_channels` of both"]);
    }
    let mut recipe = pretrain_recipe();
    set(&mut recipe.model.encoder, "in_channels", 3);
    let found = error(Pretraining::new(&recipe, pretraining_data(), &Device::Cpu));
    assert_says(&found, &["gives images of 1 channel(s)", "takes 3"]);
}

#[test]
fn an_encoder_that_does_not_fit_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut task = finetuning(&recipe(64), 1, 1);
    let before = task.model().store().tensors();
    let random = folder.path().join("random.pth");
    fs::write(&random, [7u8; 500]).unwrap();
    assert_says(
        &error(task.load_encoder(&random)),
        &["random.pth", "not a safetensors file", "convert it"],
    );

    let config = MaeConfig::compact();
    let store = venule::nn::ParamStore::new(1, &Device::Cpu);
    venule::mae::Mae::new(&config, &store.root()).unwrap();
    let path = folder.path().join("compact.safetensors");
    save_weights(&path, &store.tensors(), &Default::default()).unwrap();
    let found = error(task.load_encoder(&path));
    assert!(matches!(found, Error::Checkpoint { .. }), "{found}");
    // The widths of the two presets.
    assert_says(
        &found,
        &["compact.safetensors", "set width=192", "the model has 64"],
    );
    for ((name, old), (_, new)) in before.iter().zip(task.model().store().tensors()) {
        let values = |t: &venule::candle_core::Tensor| t.flatten_all()?.to_vec1::<f32>();
        assert_eq!(values(old).unwrap(), values(&new).unwrap(), "{name}");
    }
}

#[test]
fn mask_ratios_that_hide_nothing_or_everything_are_refused() {
    for ratio in [0.0, 1.0, -0.5, 1.5, f64::NAN, 0.999] {
        let recipe = PretrainRecipe {
            mask_ratio: ratio,
            ..pretrain_recipe()
        };
        let found = error(Pretraining::new(&recipe, pretraining_data(), &Device::Cpu));
        assert!(
            matches!(found, Error::Mae(MaeError::MaskRatio { .. })),
            "{found}"
        );
        assert_says(&found, &["mask ratio", "choose a ratio", "0.75"]);
    }
}

#[test]
fn crops_that_do_not_fit_the_patches_are_refused() {
    for crop in [0, 15, 100] {
        let recipe = PretrainRecipe {
            crop,
            ..pretrain_recipe()
        };
        let found = error(Pretraining::new(&recipe, pretraining_data(), &Device::Cpu));
        assert!(matches!(found, Error::Config { field: "crop", .. }));
        assert_says(&found, &["crop", &crop.to_string(), "multiple", "patch"]);
    }
}

#[test]
fn an_empty_data_set_is_refused() {
    let empty = || Box::new(venule::data::InMemory::new(vec![]));
    let data = FinetuningData {
        unlabelled: None,
        train: empty(),
        validation: empty(),
        fov: FovPolicy::FullFrame,
        workers: 1,
        cache_bytes: 1 << 30,
    };
    let found = error(Finetuning::new(&recipe(64), data, &Device::Cpu));
    assert_says(&found, &["training images", "choose a folder"]);
    let data = PretrainingData {
        photographs: empty(),
        ..pretraining_data()
    };
    assert!(Pretraining::new(&pretrain_recipe(), data, &Device::Cpu).is_err());
    let segmenter = crate::support::segmenter();
    let found = error(venule::evaluate(&segmenter, &*empty(), |_, _| Ok(())));
    assert!(matches!(found, Error::NoData { .. }));
    let mut sample = photograph(64, 0);
    sample.label = None;
    let set = venule::data::InMemory::new(vec![sample]);
    let found = error(venule::evaluate(&segmenter, &set, |_, _| Ok(())));
    assert!(matches!(found, Error::Unlabelled { .. }));
}

#[test]
fn a_finished_run_is_not_overwritten() {
    let place = Place::new();
    place.finetune().unwrap();
    let path = place.run().join("final.safetensors");
    let before = fs::read(&path).unwrap();
    let found = place.finetune().unwrap_err();
    assert!(matches!(found, Error::Train(TrainError::RunExists { .. })));
    assert_says(&found, &["run", "resume it"]);
    assert_eq!(fs::read(&path).unwrap(), before);
}
