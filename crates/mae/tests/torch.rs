//! Forward, loss and gradients against PyTorch; the expected values come from fixtures/generate.py.

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use venule_mae::{
    ImportOptions, Mae, MaeConfig, Masking, Positions, PretrainedWeights, VesselWeight, VitConfig,
    VitEncoder,
};
use venule_nn::{Encoder, Mode, ParamStore};

fn fixture(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    folder.join("tests/fixtures").join(name)
}

fn golden(name: &str) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(fixture(name), &Device::Cpu).unwrap()
}

/// Largest difference over the largest expected value.
fn relative(actual: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(actual.dims(), expected.dims());
    let largest = |x: Tensor| {
        let x = x.abs().unwrap().flatten_all().unwrap();
        let x = x.to_dtype(DType::F64).unwrap();
        x.max(0).unwrap().to_scalar::<f64>().unwrap()
    };
    largest((actual - expected).unwrap()) / largest(expected.clone()).max(1e-12)
}

/// The part of `all` whose names begin with `prefix`, without it.
fn part(all: &HashMap<String, Tensor>, prefix: &str) -> HashMap<String, Tensor> {
    all.iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone())))
        .collect()
}

fn config(golden: &HashMap<String, Tensor>, normalize_targets: bool) -> MaeConfig {
    let mut config = MaeConfig::from_tensors(&part(golden, "param."), Some(2), Some(2)).unwrap();
    config.normalize_targets = normalize_targets;
    config.encoder.taps = vec![1, 2];
    config
}

fn check(name: &str, ratio: f64, normalize_targets: bool, strength: f64) {
    let device = Device::Cpu;
    let golden = golden(name);
    let config = config(&golden, normalize_targets);
    let params = part(&golden, "param.");
    let count = params.len();
    let store = ParamStore::with_values(params, 0, &device);
    let mae = Mae::new(&config, &store.root()).unwrap();
    assert!(
        store.initialised_names().is_empty(),
        "{:?}",
        store.initialised_names()
    );
    assert!(
        store.unused_values().is_empty(),
        "{:?}",
        store.unused_values()
    );

    let images = &golden["images"];
    let noise = golden["noise"].flatten_all().unwrap();
    let (batch, patches) = golden["noise"].dims2().unwrap();
    let noise = noise.to_vec1::<f32>().unwrap();
    let masking = Masking::from_noise(&noise, batch, patches, ratio, &device).unwrap();
    let predictions = mae.forward(images, &masking, Mode::Eval).unwrap();
    assert!(relative(&predictions, &golden["predictions"]) < 1e-4);
    assert!(relative(&mae.target(images).unwrap(), &golden["target"]) < 1e-4);

    let vessels = golden.get("vessels");
    let vessels = vessels.map(|map| VesselWeight { map, strength });
    let loss = mae.loss(images, &predictions, &masking, vessels).unwrap();
    assert!(relative(&loss.reshape(1).unwrap(), &golden["loss"]) < 1e-5);

    let gradients = loss.backward().unwrap();
    let trainable = store.trainable();
    assert_eq!(trainable.len(), count);
    for (variable, var) in trainable {
        let gradient = gradients.get(&var).unwrap_or_else(|| panic!("{variable}"));
        let error = relative(gradient, &golden[&format!("grad.{variable}")]);
        assert!(error < 1e-4, "{name} {variable}: {error}");
    }

    let maps = Encoder::forward(mae.encoder(), images, Mode::Eval)
        .unwrap()
        .maps;
    assert_eq!(maps.len(), 2);
    for (i, map) in maps.iter().enumerate() {
        let expected = &golden[&format!("map{}", i + 1)];
        assert!(relative(&map.tensor, expected) < 1e-4);
        assert_eq!(map.stride, 4);
    }
}

#[test]
fn square_images_with_learned_positions() {
    check("mae_square.safetensors", 0.75, false, 0.0);
}

#[test]
fn wide_images_with_resampled_positions_normalised_targets_and_vessel_weights() {
    check("mae_wide.safetensors", 0.5, true, 1.5);
}

#[test]
fn tall_colour_images_with_sin_cos_positions() {
    check("mae_rgb.safetensors", 0.5, false, 2.0);
}

#[test]
fn a_timm_transformer_imports_from_pth_and_safetensors() {
    let expected = golden("timm_expected.safetensors");
    for file in ["timm.pth", "timm.safetensors"] {
        let mut options = ImportOptions::default();
        options.heads = Some(2);
        let weights = PretrainedWeights::read_with(fixture(file), &options).unwrap();
        let mut config = VitConfig::from_tensors(weights.tensors(), Some(2)).unwrap();
        let derived = VitConfig {
            image_size: [16, 16],
            patch_size: 4,
            in_channels: 3,
            width: 16,
            depth: 2,
            heads: 2,
            qkv_bias: true,
            positions: Positions::Learned,
            ..VitConfig::seed()
        };
        assert_eq!(config, derived);
        config.in_channels = 1;
        let store = ParamStore::new(9, &Device::Cpu);
        let encoder = VitEncoder::new(&config, &store.root().pp("encoder")).unwrap();
        let report = weights.load(&store, "encoder", &config).unwrap();
        let counter = (file == "timm.pth").then_some("counter");
        let left_out: Vec<_> = counter
            .into_iter()
            .chain(["head.bias", "head.weight"])
            .collect();
        assert_eq!(report.left_out, left_out);
        let reshaped: Vec<_> = report.reshaped.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(
            reshaped,
            ["patch_embed.proj.weight", "cls_token", "pos_embed"]
        );
        assert_eq!(weights.skipped().is_empty(), file == "timm.safetensors");

        let tokens = encoder
            .forward_tokens(&expected["images"], None, Mode::Eval)
            .unwrap();
        let error = relative(&tokens, &expected["tokens"]);
        assert!(error < 1e-4, "{file}: {error}");
    }
}
