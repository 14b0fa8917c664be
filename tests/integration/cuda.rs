//! A build with the feature `cuda` computes on the GPU what it computes on the CPU. Needs a GPU.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use venule::candle_core::{DType, Device, Tensor, Var};
use venule::data::Augment;
use venule::loss::{
    Composite, FocalTversky, Loss, Mcc, SkeletonRecall, SoftClDice, thin_vessel_map,
};
use venule::mae::{Mae, MaeConfig, Masking};
use venule::nn::{Mode, ParamStore};
use venule::tasks::Pretraining;
use venule::train::{
    EmaConfig, FINAL_FILE, JsonLines, LOG_FILE, Outcome, RunOptions, TrainConfig, Trainer,
};
use venule::{Bundled, Recipe, Registry, Segmentation, Segmenter, VesselModel};

use crate::support::{
    finetuning, finetuning_on, noise, photograph, preset, pretrain_recipe, pretraining_data,
    recipe, short_run, train,
};

/// The largest difference between the devices, as a share of the largest value: both round `f32`, in another order.
const VALUES: f64 = 1e-4;
const GRADIENTS: f64 = 2e-3;

fn gpu() -> Device {
    venule::parse_device("cuda").expect("a build with `cuda` is tested on a machine with a GPU")
}

fn values(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.to_device(&Device::Cpu).unwrap();
    let tensor = tensor.to_dtype(DType::F64).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Fails unless the values are equal up to `most` of the largest of them, and the largest is a positive number.
fn assert_close(name: &str, found: &[f64], expected: &[f64], most: f64) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let scale = expected.iter().fold(0f64, |most, v| most.max(v.abs()));
    assert!(scale.is_finite() && scale > 0.0, "{name}: {scale}");
    for (found, expected) in found.iter().zip(expected) {
        let apart = (found - expected).abs();
        assert!(apart <= most * scale, "{name}: {found} for {expected}");
    }
}

/// A loss and the gradients of the parameters.
type Slopes = (f64, BTreeMap<String, Vec<f64>>);

fn slopes(store: &ParamStore, loss: &Tensor) -> Slopes {
    let gradients = loss.backward().unwrap();
    let named = store.trainable().into_iter().map(|(name, variable)| {
        let gradient = gradients.get(&variable);
        let gradient = gradient.unwrap_or_else(|| panic!("{name} has no gradient"));
        (name, values(gradient))
    });
    (values(loss)[0], named.collect())
}

fn assert_same_slopes(name: &str, found: &Slopes, expected: &Slopes) {
    assert_close(name, &[found.0], &[expected.0], VALUES);
    // A bias before a norm has no slope but for rounding: each is held against the largest of all.
    let all: Vec<f64> = expected.1.values().flatten().copied().collect();
    let scale = all.iter().fold(0f64, |most, v| most.max(v.abs()));
    assert!(found.1.keys().eq(expected.1.keys()));
    for (parameter, expected) in &expected.1 {
        for (found, expected) in found.1[parameter].iter().zip(expected) {
            let apart = (found - expected).abs();
            assert!(
                apart <= GRADIENTS * scale,
                "{name}, {parameter}: {found} for {expected}, the largest {scale}"
            );
        }
    }
}

/// The same parameters on another device.
fn moved(store: &ParamStore, device: &Device) -> ParamStore {
    let tensors = store.tensors().into_iter();
    let moved = tensors.map(|(name, tensor)| (name, tensor.to_device(device).unwrap()));
    ParamStore::from_values(moved.collect::<HashMap<_, _>>(), device)
}

#[test]
fn models_have_the_values_and_gradients_of_the_cpu() {
    let registry = Registry::built_in();
    let seed = preset("seed-4");
    let sizes = [
        (preset("tiny"), (2, 64, 48)),
        (preset("unet"), (2, 72, 56)),
        (preset("compact"), (2, 96, 80)),
        (seed, (1, 128, 128)),
    ];
    for (mut config, size) in sizes {
        if config.encoder.kind == "vit" {
            let steady = json!(0.0);
            config.encoder.config.insert("drop_path".to_owned(), steady);
        }
        let images = noise(1, size);
        let labels = noise(2, size).gt(0.6).unwrap();
        let labels = labels.to_dtype(DType::F32).unwrap();
        let valid = noise(3, size).gt(-0.6).unwrap();
        let valid = valid.to_dtype(DType::F32).unwrap();
        let cpu = VesselModel::new(&config, 11, &Device::Cpu).unwrap();
        let gpu = gpu();
        let other =
            VesselModel::with_store(&registry, &config, moved(cpu.store(), &gpu), &gpu).unwrap();
        let run = |model: &VesselModel| {
            let [images, labels, valid] =
                [&images, &labels, &valid].map(|map| map.to_device(model.device()).unwrap());
            let logits = model.forward(&images, Mode::Eval).unwrap();
            let mode = Mode::Train { seed: 4 };
            let loss = Composite::preset("reference").unwrap();
            let (loss, _) = model
                .training_loss(&loss, (&images, &labels), Some(&valid), mode)
                .unwrap();
            (values(&logits), slopes(model.store(), &loss))
        };
        let ((found, learnt), (expected, slopes)) = (run(&other), run(&cpu));
        let name = format!("{size:?}");
        assert_close(&name, &found, &expected, VALUES);
        assert_same_slopes(&name, &learnt, &slopes);
    }
}

#[test]
fn the_autoencoder_has_the_values_and_gradients_of_the_cpu() {
    let config = MaeConfig::compact();
    let cpu = ParamStore::new(11, &Device::Cpu);
    Mae::new(&config, &cpu.root()).unwrap();
    let run = |store: &ParamStore, device: &Device| {
        let mae = Mae::new(&config, &store.root()).unwrap();
        let images = noise(1, (2, 64, 96)).to_device(device).unwrap();
        let (rows, columns) = mae.grid(&images).unwrap();
        let masking = Masking::from_seed(7, 2, rows * columns, 0.75, device).unwrap();
        let predictions = mae
            .forward(&images, &masking, Mode::Train { seed: 4 })
            .unwrap();
        let loss = mae.loss(&images, &predictions, &masking, None).unwrap();
        slopes(store, &loss)
    };
    let gpu = gpu();
    let found = run(&moved(&cpu, &gpu), &gpu);
    assert_same_slopes("mae", &found, &run(&cpu, &Device::Cpu));
}

#[test]
fn losses_have_the_values_and_gradients_of_the_cpu() {
    let losses: [(&str, Box<dyn Loss>); 6] = [
        (
            "reference",
            Box::new(Composite::preset("reference").unwrap()),
        ),
        (
            "bce + dice",
            Box::new(Composite::preset("bce-dice").unwrap()),
        ),
        ("soft clDice", Box::new(SoftClDice::new(3).unwrap())),
        ("skeleton recall", Box::new(SkeletonRecall::new(1).unwrap())),
        ("mcc", Box::new(Mcc::new())),
        ("focal Tversky", Box::new(FocalTversky::default())),
    ];
    let gpu = gpu();
    let logits = (noise(1, (2, 40, 32)) * 4.0).unwrap();
    // Broad vessels and narrow ones.
    let smooth = noise(2, (2, 44, 36)).avg_pool2d_with_stride(5, 1).unwrap();
    let labels = smooth.gt(0.03).unwrap().to_dtype(DType::F32).unwrap();
    let valid = noise(3, (2, 40, 32)).gt(-0.6).unwrap();
    let valid = valid.to_dtype(DType::F32).unwrap();
    let on = |map: &Tensor| map.to_device(&gpu).unwrap();
    let thin = thin_vessel_map(&labels, None).unwrap();
    assert_eq!(
        values(&thin_vessel_map(&on(&labels), None).unwrap()),
        values(&thin)
    );
    for (name, loss) in losses {
        let run = |logits: Tensor, labels: &Tensor, valid: &Tensor| {
            let logits = Var::from_tensor(&logits).unwrap();
            let value = loss.forward(&logits, labels, Some(valid)).unwrap();
            let gradients = value.backward().unwrap();
            (values(&value), values(gradients.get(&logits).unwrap()))
        };
        let found = run(on(&logits), &on(&labels), &on(&valid));
        let expected = run(logits.clone(), &labels, &valid);
        assert_close(name, &found.0, &expected.0, VALUES);
        assert_close(name, &found.1, &expected.1, GRADIENTS);
    }
}

#[test]
fn a_training_goes_as_on_the_cpu_and_is_taken_up_again() {
    let recipe = Recipe {
        augment: Augment::standard(),
        ..recipe(64)
    };
    let gpu = gpu();
    let run = |folder: &Path, device: &Device, epochs: usize, resume: bool| {
        let config = TrainConfig {
            ema: Some(EmaConfig::default()),
            ..short_run(epochs, 1)
        };
        let options = RunOptions {
            resume,
            ..RunOptions::in_folder(folder)
        };
        let trainer = Trainer::new(config).unwrap();
        let trainer = trainer.with_options(options).unwrap();
        let trainer = trainer.with_callback(JsonLines::in_folder(folder));
        trainer
            .fit(&mut finetuning_on(device, &recipe, 3, 1))
            .unwrap()
            .steps
    };
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [cpu, whole, halves] = folders.each_ref().map(|folder| folder.path());
    assert_eq!(run(cpu, &Device::Cpu, 4, false), 12);
    assert_eq!(run(whole, &gpu, 4, false), 12);
    assert_eq!(run(halves, &gpu, 2, false), 6);
    assert_eq!(run(halves, &gpu, 4, true), 12);
    let expected = losses(cpu);
    assert_eq!(expected.len(), 12);
    for found in [whole, halves].map(losses) {
        // The first step sees the same weights; those after it differ by roundings that AdamW makes larger.
        assert_close("first loss", &found[..1], &expected[..1], VALUES);
        assert_close("losses", &found, &expected, 0.01);
    }
    // A file of the GPU is one for any device.
    let photo = photograph(64, 2).image;
    let [found, expected] = [gpu, Device::Cpu].map(|device| {
        let segmenter = Segmenter::from_file_on(whole.join(FINAL_FILE), &device).unwrap();
        probabilities(&segmenter.segment(&photo).unwrap())
    });
    assert_close("trained", &found, &expected, 1e-3);
}

/// The loss of each step of a run.
fn losses(folder: &Path) -> Vec<f64> {
    let log = fs::read_to_string(folder.join(LOG_FILE)).unwrap();
    let lines = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .filter_map(|line| {
            line["event"]
                .eq("step")
                .then(|| line["loss"].as_f64().unwrap())
        })
        .collect()
}

fn probabilities(found: &Segmentation) -> Vec<f64> {
    let values = found.probability.data().iter();
    values.map(|p| f64::from(*p)).collect()
}

#[test]
fn a_pretraining_ends_and_its_file_is_for_any_device() {
    let folder = tempfile::tempdir().unwrap();
    let mut task = Pretraining::new(&pretrain_recipe(), pretraining_data(), &gpu()).unwrap();
    let report = train(&mut task, folder.path(), short_run(3, 1));
    assert_eq!(report.outcome, Outcome::Completed);
    assert!(fs::metadata(folder.path().join(FINAL_FILE)).unwrap().len() > 1000);
    let mut vessels = finetuning(&recipe(64), 1, 1);
    let report = vessels.load_encoder(&folder.path().join(FINAL_FILE));
    assert!(report.unwrap().is_complete());
}

#[test]
fn the_bundled_weights_find_the_vessels_of_the_cpu() {
    let photo = photograph(700, 0).image;
    for weights in [Bundled::Compact, Bundled::Unet] {
        let [found, expected] = [gpu(), Device::Cpu].map(|device| {
            let segmenter = Segmenter::bundled_on(weights, &device).unwrap();
            probabilities(&segmenter.segment(&photo).unwrap())
        });
        assert_close("bundled", &found, &expected, 1e-3);
    }
}
