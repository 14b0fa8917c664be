//! The presets as networks: sizes, gradients, independence of the images of a batch.

use venule::candle_core::{DType, Device, Tensor};
use venule::loss::{Composite, Loss, PreparedTarget};
use venule::mae::{Mae, MaeConfig, Masking};
use venule::nn::{Mode, ParamStore};
use venule::{COARSER_WEIGHT, ModelConfig, VesselModel};

use crate::support::{noise, preset};

fn model(config: &ModelConfig) -> VesselModel {
    VesselModel::new(config, 11, &Device::Cpu).unwrap()
}

/// Fails unless every trainable variable has a finite gradient that is not all zero.
fn assert_gradients(store: &ParamStore, loss: &Tensor) {
    let gradients = loss.backward().unwrap();
    let variables = store.trainable();
    assert_eq!(variables.len(), store.params().len());
    for (name, variable) in variables {
        let gradient = gradients
            .get(&variable)
            .unwrap_or_else(|| panic!("{name} has no gradient"));
        let sum = gradient.to_dtype(DType::F64).unwrap().abs().unwrap();
        let sum = sum.sum_all().unwrap().to_scalar::<f64>().unwrap();
        assert!(
            sum.is_finite() && sum > 0.0,
            "{name}: sum of |gradient| is {sum}"
        );
    }
}

#[test]
fn the_seed_preset_has_the_parameters_of_the_reference() {
    // The published size of the reference's model.
    assert_eq!(model(&preset("seed")).store().element_count(), 58_849_457);
}

#[test]
fn the_compact_preset_keeps_its_size() {
    // The count that a training of it printed, and the heads of deep supervision.
    assert_eq!(
        model(&preset("compact")).store().element_count(),
        3_203_329 + 65 + 33
    );
}

#[test]
fn the_yardstick_is_small() {
    // Convolutions 648 + 3456 + 13824 + 34560 + 32256 + 9216 + 2304, norms 4 · 160, head 9; heads of deep supervision.
    assert_eq!(
        model(&preset("unet")).store().element_count(),
        96_913 + 33 + 17
    );
}

#[test]
fn every_variable_of_a_segmentation_model_gets_a_gradient() {
    for config in [preset("tiny"), preset("compact"), preset("unet")] {
        let model = model(&config);
        let images = noise(1, (2, 64, 48));
        let target = noise(2, (2, 64, 48)).gt(0.6).unwrap();
        let target = target.to_dtype(DType::F32).unwrap();
        let logits = model
            .training_logits(&images, Mode::Train { seed: 4 })
            .unwrap();
        for loss in [
            Composite::preset("bce-dice").unwrap(),
            Composite::preset("thin-vessels").unwrap(),
            Composite::preset("reference").unwrap(),
        ] {
            let losses = logits
                .iter()
                .map(|logits| loss.forward(logits, &target, None).unwrap());
            let sum = losses.reduce(|sum, loss| (sum + loss).unwrap()).unwrap();
            assert_gradients(model.store(), &sum);
        }
    }
}

#[test]
fn the_training_loss_is_that_of_the_logits_and_a_share_of_the_coarser_ones() {
    let model = model(&preset("unet"));
    let images = noise(1, (2, 64, 48));
    let labels = noise(2, (2, 64, 48)).gt(0.6).unwrap();
    let labels = labels.to_dtype(DType::F32).unwrap();
    let mode = Mode::Train { seed: 4 };
    let loss = Composite::preset("bce-dice").unwrap();
    let value = |loss: Tensor| f64::from(loss.to_scalar::<f32>().unwrap());
    let (found, terms) = model
        .training_loss(&loss, (&images, &labels), None, mode)
        .unwrap();
    let logits = model.training_logits(&images, mode).unwrap();
    let parts: Vec<f64> = logits
        .iter()
        .map(|logits| value(loss.forward(logits, &labels, None).unwrap()))
        .collect();
    assert_eq!(parts.len(), 3);
    let expected = parts[0] + COARSER_WEIGHT * (parts[1] + parts[2]);
    assert!((value(found) - expected).abs() < 1e-5 * expected);
    assert_eq!(
        terms,
        loss.forward_with_terms(&logits[0], &PreparedTarget::new(&labels, None))
            .unwrap()
            .1
    );
}

#[test]
fn every_variable_of_the_autoencoder_gets_a_gradient() {
    let store = ParamStore::new(11, &Device::Cpu);
    let mae = Mae::new(&MaeConfig::tiny(), &store.root()).unwrap();
    let images = noise(1, (2, 64, 48));
    let (rows, columns) = mae.grid(&images).unwrap();
    let masking = Masking::from_seed(7, 2, rows * columns, 0.75, &Device::Cpu).unwrap();
    let predictions = mae
        .forward(&images, &masking, Mode::Train { seed: 4 })
        .unwrap();
    let loss = mae.loss(&images, &predictions, &masking, None).unwrap();
    assert_gradients(&store, &loss);
}

#[test]
fn permuting_the_batch_permutes_the_logits() {
    for config in [preset("tiny"), preset("compact")] {
        let model = model(&config);
        let images = noise(3, (3, 48, 64));
        let order = Tensor::new(&[2u32, 0, 1], &Device::Cpu).unwrap();
        let forward = |images: &Tensor| model.forward(images, Mode::Eval).unwrap();
        let permuted = forward(&images.index_select(&order, 0).unwrap());
        let expected = forward(&images).index_select(&order, 0).unwrap();
        let values = |map: &Tensor| map.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let (found, expected) = (values(&permuted), values(&expected));
        let scale = expected.iter().fold(0f32, |most, v| most.max(v.abs()));
        for (a, b) in found.iter().zip(&expected) {
            assert!((a - b).abs() <= 1e-5 * scale, "{a} {b}");
        }
        // Else a constant output would pass.
        let first = &expected[..48 * 64];
        assert!(first != &expected[48 * 64..2 * 48 * 64]);
    }
}
