//! What several modules need: small photographs, short runs, folders on disk.

use std::fs;
use std::path::Path;

use venule::candle_core::{Device, Tensor};
use venule::data::{
    Augment, ColorJitter, FovPolicy, InMemory, Plane, Preprocess, Sample, mask_image, write_png,
};
use venule::loss::LossConfig;
use venule::nn::Noise;
use venule::synthetic::{SyntheticFundus, synthetic_fundus};
use venule::tasks::{Finetuning, FinetuningData, Pretraining, PretrainingData};
use venule::train::{Report, RunOptions, Task, TrainConfig, Trainer};
use venule::{
    Calibration, Checkpoint, ModelConfig, PretrainRecipe, Provenance, Recipe, Segmenter,
    SelfTraining, VesselModel,
};

/// A synthetic photograph of `size`² pixels.
pub fn photograph(size: usize, index: usize) -> Sample {
    synthetic_fundus(&SyntheticFundus::square(size), 5, index).unwrap()
}

/// Makes the first two rings along the border of its field of view dark; the distance of each pixel from the border.
pub fn darken_rim(sample: &mut Sample) -> Plane {
    let fov = sample.fov.as_ref().unwrap();
    let (width, height) = fov.size();
    let outside: Vec<(usize, usize)> = (0..width * height)
        .map(|at| (at % width, at / width))
        .filter(|&(x, y)| fov.get(x, y) == Some(&false))
        .collect();
    let depth = Plane::from_fn(width, height, |x, y| {
        let distance = |&(a, b): &(usize, usize)| (a as f32 - x as f32).hypot(b as f32 - y as f32);
        outside.iter().map(distance).fold(f32::INFINITY, f32::min)
    });
    for (x, y, pixel) in sample.image.enumerate_pixels_mut() {
        if depth
            .get(x as usize, y as usize)
            .is_some_and(|&depth| depth <= 2.0)
        {
            pixel.0 = pixel.0.map(|level| level / 5);
        }
    }
    depth
}

/// A preset's architecture.
pub fn preset(name: &str) -> ModelConfig {
    ModelConfig::preset(name).unwrap()
}

pub fn photographs(size: usize, count: usize) -> Box<InMemory> {
    Box::new(InMemory::new(
        (0..count).map(|index| photograph(size, index)).collect(),
    ))
}

/// The tiny model on whole images of `crop`² pixels, without augmentation.
pub fn recipe(crop: usize) -> Recipe {
    Recipe {
        model: preset("tiny"),
        preprocess: Preprocess::default(),
        color: ColorJitter::none(),
        augment: Augment::none(),
        crop,
        crops_per_image: 1,
        batch_size: 1,
        loss: LossConfig::Named("bce-dice".to_owned()),
        self_training: SelfTraining::default(),
        train: TrainConfig::default(),
    }
}

pub fn finetuning(recipe: &Recipe, count: usize, seed: u64) -> Finetuning {
    finetuning_on(&Device::Cpu, recipe, count, seed)
}

pub fn finetuning_on(device: &Device, recipe: &Recipe, count: usize, seed: u64) -> Finetuning {
    let data = FinetuningData {
        unlabelled: None,
        train: photographs(recipe.crop, count),
        validation: photographs(recipe.crop, 1),
        fov: FovPolicy::GivenOrDetect,
        workers: 1,
        cache_bytes: 1 << 30,
    };
    let mut recipe = recipe.clone();
    recipe.train.seed = seed;
    Finetuning::new(&recipe, data, device).unwrap()
}

pub fn pretraining_data() -> PretrainingData {
    PretrainingData {
        photographs: photographs(96, 4),
        fov: FovPolicy::GivenOrDetect,
        workers: 1,
        cache_bytes: 1 << 30,
    }
}

/// Two crops of 64² a step, one step for two photographs.
pub fn pretrain_recipe() -> PretrainRecipe {
    PretrainRecipe {
        augment: Augment::standard(),
        crop: 64,
        batch_size: 2,
        vessel_weight: 1.0,
        ..PretrainRecipe::preset("tiny").unwrap()
    }
}

pub fn pretraining(seed: u64) -> Pretraining {
    let mut recipe = pretrain_recipe();
    recipe.train.seed = seed;
    Pretraining::new(&recipe, pretraining_data(), &Device::Cpu).unwrap()
}

/// Settings of a run of a few epochs.
pub fn short_run(epochs: usize, seed: u64) -> TrainConfig {
    TrainConfig {
        epochs,
        learning_rate: 1e-3,
        seed,
        ..TrainConfig::default()
    }
}

pub fn train(task: &mut dyn Task, folder: &Path, config: TrainConfig) -> Report {
    let trainer = Trainer::new(config).unwrap();
    let trainer = trainer.with_options(RunOptions::in_folder(folder)).unwrap();
    trainer.fit(task).unwrap()
}

/// What a file says of an untrained tiny model.
pub fn tiny_checkpoint() -> Checkpoint {
    Checkpoint {
        model: preset("tiny"),
        preprocess: Preprocess::default(),
        fov: FovPolicy::GivenOrDetect,
        threshold: 0.5,
        calibration: Calibration::default(),
        provenance: Provenance::default(),
    }
}

/// An untrained tiny segmenter.
pub fn segmenter() -> Segmenter {
    let checkpoint = tiny_checkpoint();
    let model = VesselModel::new(&checkpoint.model, 3, &Device::Cpu).unwrap();
    Segmenter::new(checkpoint, model).unwrap()
}

/// Uniform noise as (batch, 1, height, width).
pub fn noise(seed: u64, (batch, height, width): (usize, usize, usize)) -> Tensor {
    let mut stream = Noise::keyed(&[seed]);
    let values: Vec<f32> = (0..batch * height * width)
        .map(|_| stream.uniform() * 2.0 - 1.0)
        .collect();
    Tensor::from_vec(values, (batch, 1, height, width), &Device::Cpu).unwrap()
}

/// Two photographs `a` (for training) and `b` (for validation) as `images/`, `masks/` and `fovs/`.
pub fn write_folder(root: &Path) {
    for folder in ["images", "masks", "fovs"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for (index, name) in ["a.png", "b.png"].into_iter().enumerate() {
        let sample = photograph(64, index);
        write_png(root.join("images").join(name), sample.image).unwrap();
        for (folder, mask) in [("masks", sample.label), ("fovs", sample.fov)] {
            let image = mask_image(&mask.unwrap()).unwrap();
            write_png(root.join(folder).join(name), image).unwrap();
        }
    }
}
