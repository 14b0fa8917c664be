//! Forward, loss and gradients against PyTorch; the expected values come from fixtures/generate.py.

mod common;

use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use common::Patches;
use venule_nn::{Encoder, Mode, ParamStore};
use venule_seg::{
    Decoder, MultiScaleConfig, MultiScaleDecoder, ProgressiveConfig, ProgressiveDecoder,
    SegmentationModel,
};

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

fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

fn check(
    name: &str,
    patches: &[usize],
    decoder: impl Fn(&Patches, &ParamStore) -> Box<dyn Decoder>,
) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let path = folder.join(format!("{name}.safetensors"));
    let golden = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    let params = golden.iter().filter_map(|(name, tensor)| {
        Some((name.strip_prefix("param.")?.to_owned(), tensor.clone()))
    });
    let store = ParamStore::with_values(params.collect(), 0, &Device::Cpu);
    let encoder = Patches::new(patches, &store.root().pp("encoder"));
    let decoder = decoder(&encoder, &store);
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

    let model = SegmentationModel::new(encoder, decoder).unwrap();
    let mode = Mode::Train { seed: 1 };
    let all = model.training_logits(&golden["images"], mode).unwrap();
    let finest = model.forward(&golden["images"], mode).unwrap();
    assert_eq!(values(&all[0]), values(&finest));
    let logits = Tensor::cat(&all, 1).unwrap();
    let error = relative(&logits, &golden["logits"]);
    assert!(error < 1e-4, "{name}: {error}");
    let linear = (&logits * &golden["weight"]).unwrap().mean_all().unwrap();
    let square = (logits.sqr().unwrap().mean_all().unwrap() * 0.5).unwrap();
    let loss = (linear + square).unwrap();
    assert!(relative(&loss.reshape(1).unwrap(), &golden["loss"]) < 1e-4);
    let gradients = loss.backward().unwrap();
    for (variable, var) in store.trainable() {
        let gradient = gradients.get(&var).unwrap_or_else(|| panic!("{variable}"));
        let error = relative(gradient, &golden[&format!("grad.{variable}")]);
        assert!(error < 1e-4, "{name} {variable}: {error}");
    }
}

fn progressive(name: &str) {
    let config = ProgressiveConfig {
        channels: vec![8, 4],
        groups: 2,
    };
    check(name, &[4], |encoder, store| {
        let params = store.root().pp("decoder");
        let decoder = ProgressiveDecoder::new(&config, &encoder.outputs(), &params);
        Box::new(decoder.unwrap())
    });
}

fn multi_scale(name: &str, patches: &[usize], deep_supervision: bool) {
    let config = MultiScaleConfig {
        detail: [4, 4, 4],
        project: 4,
        groups: 2,
        deep_supervision,
        ..MultiScaleConfig::compact()
    };
    check(name, patches, |encoder, store| {
        let params = store.root().pp("decoder");
        let decoder = MultiScaleDecoder::new(&config, &encoder.outputs(), &params);
        Box::new(decoder.unwrap())
    });
}

#[test]
fn the_progressive_decoder_on_square_images() {
    progressive("progressive_square");
}

#[test]
fn the_progressive_decoder_on_odd_images_padded_and_cropped() {
    progressive("progressive_odd");
}

#[test]
fn the_multi_scale_decoder_on_square_images() {
    multi_scale("multi_scale_square", &[16], false);
}

#[test]
fn the_multi_scale_decoder_on_wide_images_with_maps_of_two_strides() {
    multi_scale("multi_scale_wide", &[8, 16], false);
}

#[test]
fn every_logits_map_of_deep_supervision() {
    multi_scale("multi_scale_deep", &[16], true);
}
