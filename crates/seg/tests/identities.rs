//! Properties that hold for any segmentation model, sizes of the presets, and bad input.

mod common;

use candle_core::{DType, Device, Result as TensorResult, Tensor};
use common::Patches;
use venule_nn::{Encoder, FeatureInfo, Features, Mode, NoEncoder, Noise, ParamStore};
use venule_seg::{
    Decoder, Error, Freeze, MultiScaleConfig, MultiScaleDecoder, ProgressiveConfig,
    ProgressiveDecoder, SegmentationModel,
};

fn images(seed: u64, shape: (usize, usize, usize, usize)) -> Tensor {
    let mut noise = Noise::keyed(&[seed]);
    let (b, c, h, w) = shape;
    let values: Vec<f32> = (0..b * c * h * w).map(|_| noise.normal()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn info(channels: usize, stride: usize) -> FeatureInfo {
    FeatureInfo { channels, stride }
}

type Model = SegmentationModel<Patches, Box<dyn Decoder>>;

/// Both decoders over the test encoder, as the `tiny` presets have them.
fn models() -> [(ParamStore, Model); 2] {
    [false, true].map(|multi_scale| {
        let store = ParamStore::new(5, &Device::Cpu);
        let encoder = Patches::new(&[8], &store.root().pp("encoder"));
        let (outputs, params) = (encoder.outputs(), store.root().pp("decoder"));
        let decoder: Box<dyn Decoder> = if multi_scale {
            let config = MultiScaleConfig::tiny();
            Box::new(MultiScaleDecoder::new(&config, &outputs, &params).unwrap())
        } else {
            let config = ProgressiveConfig::tiny();
            Box::new(ProgressiveDecoder::new(&config, &outputs, &params).unwrap())
        };
        (store, SegmentationModel::new(encoder, decoder).unwrap())
    })
}

#[test]
fn the_presets_have_the_parameters_of_the_definition() {
    let store = ParamStore::new(0, &Device::Cpu);
    let config = ProgressiveConfig::seed();
    ProgressiveDecoder::new(&config, &[info(768, 16)], &store.root()).unwrap();
    // a stage i -> o: 9·i·o + o + 9·o·o + o + 4·o; the head 17
    let stage = |i: usize, o: usize| 9 * i * o + 9 * o * o + 6 * o;
    let expected = stage(768, 128) + stage(128, 64) + stage(64, 32) + stage(32, 16) + 17;
    assert_eq!(store.element_count(), expected);
    // the seed preset's 58,849,457 less its encoder's 57,670,656 (counted in venule-mae)
    assert_eq!(expected, 58_849_457 - 57_670_656);

    let store = ParamStore::new(0, &Device::Cpu);
    let config = MultiScaleConfig::compact();
    MultiScaleDecoder::new(&config, &[info(192, 16)], &store.root()).unwrap();
    // without convolution biases
    let stage = |i: usize, o: usize| 9 * i * o + 9 * o * o + 4 * o;
    let detail = stage(1, 16) + stage(16, 32) + stage(32, 64);
    let fuse = stage(160, 96) + stage(160, 64) + stage(96, 32) + stage(48, 16);
    assert_eq!(store.element_count(), detail + fuse + 192 * 96 + 96 + 17);
}

#[test]
fn every_variable_gets_a_finite_gradient_that_is_not_zero() {
    for (store, model) in models() {
        let images = images(1, (2, 1, 24, 33));
        let logits = model.forward(&images, Mode::Train { seed: 1 }).unwrap();
        let weight = self::images(2, (2, 1, 24, 33));
        let loss = (logits * weight).unwrap().mean_all().unwrap();
        let gradients = loss.backward().unwrap();
        for (name, var) in store.trainable() {
            let gradient = values(gradients.get(&var).unwrap_or_else(|| panic!("{name}")));
            assert!(gradient.iter().all(|g| g.is_finite()), "{name}");
            assert!(gradient.iter().any(|g| *g != 0.0), "{name}");
        }
    }
}

#[test]
fn a_frozen_encoder_gets_no_gradient_and_the_decoder_does() {
    for (store, model) in models() {
        Freeze::All
            .apply(&store, "encoder", model.encoder())
            .unwrap();
        let logits = model
            .forward(&images(1, (1, 1, 16, 16)), Mode::Eval)
            .unwrap();
        let gradients = logits
            .sqr()
            .unwrap()
            .mean_all()
            .unwrap()
            .backward()
            .unwrap();
        for param in store.params() {
            let inside = param.name().starts_with("encoder.");
            assert_eq!(
                gradients.get(param.var()).is_some(),
                !inside,
                "{}",
                param.name()
            );
        }
    }
}

#[test]
fn kernels_and_matrices_decay_and_nothing_else_does() {
    // The rule by names that the fine-tuning code of the MAE paper has.
    let by_name = |name: &str, rank: usize| {
        let exempt = ["cls_token", "mask_token", "pos_embed", ".bias"];
        rank > 1 && !exempt.iter().any(|suffix| name.ends_with(suffix))
    };
    let deep = ParamStore::new(1, &Device::Cpu);
    let config = MultiScaleConfig::compact().deeply_supervised();
    MultiScaleDecoder::new(&config, &[info(8, 16), info(8, 8)], &deep.root()).unwrap();
    let [(progressive, _), (multi_scale, _)] = models();
    for store in [deep, progressive, multi_scale] {
        for param in store.params() {
            let expected = by_name(param.name(), param.var().rank());
            assert_eq!(param.decays(), expected, "{}", param.name());
        }
    }
}

#[test]
fn permuting_the_batch_permutes_the_logits() {
    for (_, model) in models() {
        let batch = images(3, (3, 1, 16, 24));
        let order = Tensor::new(&[2u32, 0, 1], &Device::Cpu).unwrap();
        let forward = |x: &Tensor| model.forward(x, Mode::Eval).unwrap();
        let expected = forward(&batch).index_select(&order, 0).unwrap();
        let actual = forward(&batch.index_select(&order, 0).unwrap());
        for (a, b) in values(&actual).iter().zip(values(&expected)) {
            assert!((a - b).abs() < 1e-5);
        }
    }
}

#[test]
fn any_size_comes_back_and_padding_is_by_zeros() {
    for (_, model) in models() {
        assert_eq!(model.multiple(), 8);
        for (h, w) in [(1, 1), (8, 8), (17, 5), (23, 64)] {
            let image = images(4, (1, 1, h, w));
            let logits = model.forward(&image, Mode::Eval).unwrap();
            assert_eq!(logits.dims(), [1, 1, h, w]);
            let (right, down) = (w.next_multiple_of(8) - w, h.next_multiple_of(8) - h);
            let padded = image.pad_with_zeros(2, 0, down).unwrap();
            let padded = padded.pad_with_zeros(3, 0, right).unwrap();
            let whole = model.forward(&padded, Mode::Eval).unwrap();
            let cropped = whole.narrow(2, 0, h).unwrap().narrow(3, 0, w).unwrap();
            assert_eq!(values(&logits), values(&cropped));
            let p = values(&model.probabilities(&image).unwrap());
            for (p, logit) in p.iter().zip(values(&logits)) {
                assert!((p - 1.0 / (1.0 + (-logit).exp())).abs() < 1e-6);
            }
        }
        let empty = Tensor::zeros((1, 1, 0, 8), DType::F32, &Device::Cpu).unwrap();
        assert!(model.forward(&empty, Mode::Eval).is_err());
        let colour = images(1, (1, 3, 8, 8));
        assert!(model.forward(&colour, Mode::Eval).is_err());
    }
}

#[test]
fn encoders_and_configurations_that_do_not_suit_are_errors() {
    let store = ParamStore::new(0, &Device::Cpu);
    let params = store.root();
    let progressive = ProgressiveConfig::seed();
    let multi_scale = MultiScaleConfig::compact();
    for outputs in [
        vec![],
        vec![info(8, 8)],
        vec![info(8, 16); 2],
        vec![info(8, 12)],
    ] {
        let result = ProgressiveDecoder::new(&progressive, &outputs, &params);
        assert!(matches!(result, Err(Error::Encoder { .. })), "{outputs:?}");
    }
    for outputs in [
        vec![info(8, 4)],
        vec![info(8, 24)],
        vec![info(8, 8), info(8, 0)],
    ] {
        let result = MultiScaleDecoder::new(&multi_scale, &outputs, &params);
        assert!(matches!(result, Err(Error::Encoder { .. })), "{outputs:?}");
    }
    let fields = [
        ("channels", r#"{"channels": [12]}"#),
        ("channels", r#"{"channels": []}"#),
        ("groups", r#"{"groups": 0}"#),
    ];
    for (expected, text) in fields {
        let config: ProgressiveConfig = serde_json::from_str(text).unwrap();
        match config.validate() {
            Err(Error::Config { field, .. }) => assert_eq!(field, expected),
            other => panic!("{other:?}"),
        }
    }
    assert!(serde_json::from_str::<MultiScaleConfig>(r#"{"detials": 1}"#).is_err());
    let config = MultiScaleConfig {
        logit_bias: f32::NAN,
        ..multi_scale
    };
    assert!(config.validate().is_err());
}

#[test]
fn deep_supervision_gives_training_logits_of_coarser_maps_and_changes_nothing_else() {
    let model = |deep_supervision| {
        let store = ParamStore::new(4, &Device::Cpu);
        let config = MultiScaleConfig {
            deep_supervision,
            ..MultiScaleConfig::tiny()
        };
        let encoder = Patches::new(&[8], &store.root().pp("encoder"));
        let params = store.root().pp("decoder");
        let decoder = MultiScaleDecoder::new(&config, &encoder.outputs(), &params).unwrap();
        (store, SegmentationModel::new(encoder, decoder).unwrap())
    };
    let images = images(5, (2, 1, 19, 26));
    let mode = Mode::Train { seed: 1 };
    let ((_, plain), (store, deep)) = (model(false), model(true));
    let expected = values(&plain.forward(&images, mode).unwrap());
    assert_eq!(values(&deep.forward(&images, mode).unwrap()), expected);
    let alone = plain.training_logits(&images, mode).unwrap();
    assert_eq!((alone.len(), values(&alone[0])), (1, expected.clone()));

    let all = deep.training_logits(&images, mode).unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(values(&all[0]), expected);
    for (logits, head) in all[1..].iter().zip(["deep4", "deep2"]) {
        assert_eq!(logits.dims(), [2, 1, 19, 26]);
        assert_ne!(values(logits), expected);
        let gradients = logits.sum_all().unwrap().backward().unwrap();
        // Its own head and what lies before it, not the head of the finest map.
        for (name, learns) in [(head, true), ("fuse8.conv1", true), ("head", false)] {
            let param = store.get(&format!("decoder.{name}.weight")).unwrap();
            assert_eq!(
                gradients.get(param.var()).is_some(),
                learns,
                "{head}: {name}"
            );
        }
    }
}

#[test]
fn without_an_encoder_the_multi_scale_decoder_sees_the_image_alone() {
    let store = ParamStore::new(3, &Device::Cpu);
    let decoder = MultiScaleDecoder::new(&MultiScaleConfig::tiny(), &[], &store.root()).unwrap();
    let model = SegmentationModel::new(NoEncoder, decoder).unwrap();
    assert_eq!(model.multiple(), 8);
    let forward = |seed| {
        let logits = model.forward(&images(seed, (2, 1, 19, 26)), Mode::Eval);
        let logits = logits.unwrap();
        assert_eq!(logits.dims(), [2, 1, 19, 26]);
        values(&logits)
    };
    assert_ne!(forward(1), forward(2));
    let named = store.params();
    assert!(named.iter().all(|param| !param.name().contains("project")));
}

/// Promises strides it may not have.
struct Strides(Vec<usize>);

impl Encoder for Strides {
    fn forward(&self, _: &Tensor, _: Mode) -> TensorResult<Features> {
        Ok(Features { maps: Vec::new() })
    }
    fn outputs(&self) -> Vec<FeatureInfo> {
        self.0.iter().map(|&stride| info(1, stride)).collect()
    }
}

/// Gives back the image.
struct Identity;

impl Decoder for Identity {
    fn forward(&self, _: &Features, images: &Tensor, _: Mode) -> TensorResult<Tensor> {
        Ok(images.clone())
    }
}

#[test]
fn the_padding_grid_is_the_common_multiple_of_all_strides() {
    let multiple = |strides: &[usize]| {
        let model = SegmentationModel::new(Strides(strides.to_vec()), Identity);
        model.map(|model| model.multiple())
    };
    assert_eq!(multiple(&[]).unwrap(), 1);
    assert_eq!(multiple(&[8, 12]).unwrap(), 24);
    for strides in [&[0][..], &[1023, 1024], &[usize::MAX]] {
        assert!(matches!(multiple(strides), Err(Error::Encoder { .. })));
    }
}
