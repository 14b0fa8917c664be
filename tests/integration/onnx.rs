//! ONNX files of every preset give what the model gives, in the runtime of tract.

use venule::candle_core::{Device, Tensor};
use venule::data::{FovPolicy, Preprocess};
use venule::mae::{Positions, VitConfig};
use venule::nn::{Mode, Noise};
use venule::onnx::{InputSize, OnnxNetwork};
use venule::seg::MultiScaleConfig;
use venule::{
    Calibration, Checkpoint, ModelConfig, OnnxOptions, OnnxSegmenter, PartConfig, Predict, Preset,
    Provenance, Segmenter, VesselModel,
};

use crate::support::{darken_rim, photograph, preset};

/// Largest difference of probabilities that is allowed.
const CLOSE: f32 = 1e-4;

fn checkpoint(model: &ModelConfig, preprocess: Preprocess) -> Checkpoint {
    Checkpoint {
        model: model.clone(),
        preprocess,
        fov: FovPolicy::GivenOrDetect,
        threshold: 0.4,
        // What the file says of it is applied.
        calibration: Calibration {
            offset: 0.5,
            per_doubling: -1.0,
        },
        provenance: Provenance::default(),
    }
}

fn noise(shape: &[usize], deviation: f32, key: u64) -> Tensor {
    let mut noise = Noise::keyed(&[key]);
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| deviation * noise.normal())
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// A model whose probabilities are not all alike: fresh weights of norms and biases are drawn anew.
fn model(config: &ModelConfig) -> VesselModel {
    let model = VesselModel::new(config, 7, &Device::Cpu).unwrap();
    for (index, parameter) in model.store().params().iter().enumerate() {
        let tensor = parameter.tensor().detach();
        if tensor.dims().len() == 1 {
            let noise = noise(tensor.dims(), 0.3, index as u64);
            parameter.var().set(&(tensor + noise).unwrap()).unwrap();
        }
    }
    model
}

/// The largest difference between a model and its ONNX file, of this size, on images of these heights and widths.
fn difference(config: &ModelConfig, size: InputSize, images: &[(usize, usize)]) -> f32 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let model = model(config);
    let channels = model.image_channels().unwrap();
    let preprocess = Preprocess {
        channel: match channels {
            3 => venule::data::Channel::Rgb,
            _ => venule::data::Channel::Green,
        },
        ..Preprocess::default()
    };
    checkpoint(config, preprocess)
        .save_onnx(&path, &model, size)
        .unwrap();
    let network = OnnxNetwork::load(&path, None).unwrap();
    let mut largest = 0f32;
    for &(height, width) in images {
        let image = noise(&[1, channels, height, width], 1.0, height as u64);
        let values = image.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let found = network
            .probabilities(&values, [channels, height, width])
            .unwrap();
        let found = Tensor::from_vec(found, (1, 1, height, width), &Device::Cpu).unwrap();
        let logits = model.forward(&image, Mode::Eval).unwrap();
        let expected = venule::candle_nn::ops::sigmoid(&logits).unwrap();
        let spread = expected.max_all().unwrap().to_scalar::<f32>().unwrap()
            - expected.min_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(spread > 0.05, "a map that is flat shows nothing: {spread}");
        let difference = (found - expected)
            .unwrap()
            .abs()
            .unwrap()
            .max_all()
            .unwrap();
        largest = largest.max(difference.to_scalar().unwrap());
    }
    largest
}

/// A preset's model, of two blocks at most: the other blocks are of the same layers.
fn shallow(preset: &Preset) -> ModelConfig {
    let mut config = preset.recipe().unwrap().model;
    if config.encoder.kind == "vit" {
        let mut vit: VitConfig = config.encoder.settings().unwrap();
        vit.depth = vit.depth.min(2);
        config.encoder = PartConfig::new("vit", &vit).unwrap();
    }
    config
}

#[test]
fn every_preset_gives_what_its_model_gives() {
    for preset in Preset::all() {
        let config = shallow(preset);
        let fixed = InputSize::fixed(50, 61).unwrap();
        let found = difference(&config, fixed, &[(50, 61)]);
        assert!(found <= CLOSE, "{}, fixed: {found}", preset.name);
        let found = difference(&config, InputSize::Dynamic, &[(48, 64), (33, 41)]);
        assert!(found <= CLOSE, "{}, dynamic: {found}", preset.name);
    }
}

#[test]
fn the_small_presets_do_so_at_their_full_depth() {
    for name in ["compact", "tiny", "unet"] {
        let found = difference(&preset(name), InputSize::Dynamic, &[(80, 72)]);
        assert!(found <= CLOSE, "{name}: {found}");
    }
}

#[test]
fn windows_positions_registers_and_taps_are_the_encoders() {
    let vit = |window, positions| VitConfig {
        window,
        positions,
        registers: 2,
        taps: vec![1, 3],
        qkv_bias: true,
        ..VitConfig::tiny()
    };
    for positions in [Positions::SinCos, Positions::Learned] {
        for window in [Some(3), Some(50), None] {
            let config = ModelConfig {
                encoder: PartConfig::new("vit", &vit(window, positions)).unwrap(),
                decoder: PartConfig::new("multi_scale", &MultiScaleConfig::tiny()).unwrap(),
            };
            // Grids of 5 by 7 patches, whose windows overlap, of 6 by 9, and of one window.
            let sizes = [(40, 50), (48, 72), (20, 24)];
            let found = difference(&config, InputSize::Dynamic, &sizes);
            assert!(found <= CLOSE, "{positions:?} {window:?}: {found}");
            for (height, width) in sizes {
                let size = InputSize::fixed(height, width).unwrap();
                let found = difference(&config, size, &[(height, width)]);
                assert!(found <= CLOSE, "{positions:?} {window:?} {size}: {found}");
            }
        }
    }
}

#[test]
fn a_photograph_is_segmented_as_by_the_segmenter() {
    let folder = tempfile::tempdir().unwrap();
    let config = preset("tiny");
    // What the file says of the rim is applied too.
    let preprocess = Preprocess {
        dark_rim: 0.9,
        ..Preprocess::default()
    };
    let checkpoint = checkpoint(&config, preprocess);
    let mut sample = photograph(100, 0);
    darken_rim(&mut sample);
    for size in [InputSize::Dynamic, InputSize::fixed(100, 100).unwrap()] {
        let path = folder.path().join(format!("{size}.onnx"));
        checkpoint.save_onnx(&path, &model(&config), size).unwrap();
        let segmenter = |flips| {
            let segmenter = Segmenter::new(checkpoint.clone(), model(&config)).unwrap();
            segmenter.with_flips(flips)
        };
        let onnx = |flips| {
            let onnx = OnnxSegmenter::from_file(&path, &OnnxOptions::default()).unwrap();
            onnx.with_flips(flips)
        };
        assert_eq!(onnx(false).threshold(), 0.4);
        assert_eq!(onnx(false).preprocess(), &checkpoint.preprocess);
        for flips in [false, true] {
            let expected = segmenter(flips).segment_sample(&sample).unwrap();
            let found = onnx(flips).segment_sample(&sample).unwrap();
            let pairs = expected
                .probability
                .data()
                .iter()
                .zip(found.probability.data());
            let largest = pairs.map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
            assert!(largest <= CLOSE, "{size} {flips}: {largest}");
        }
    }
}
