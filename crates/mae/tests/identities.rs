//! Properties that hold for any masked autoencoder, and bad input.

use std::collections::{BTreeMap, HashMap};

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use venule_file::save_weights;
use venule_mae::{
    Error, ImportOptions, Mae, MaeConfig, Masking, PretrainedWeights, VesselWeight, VitConfig,
    VitEncoder,
};
use venule_nn::{Encoder, Mode, Noise, ParamStore};

fn images(seed: u64, shape: (usize, usize, usize, usize)) -> Tensor {
    let mut noise = Noise::keyed(&[seed]);
    let (b, c, h, w) = shape;
    let values: Vec<f32> = (0..b * c * h * w).map(|_| noise.normal()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn tiny() -> (MaeConfig, ParamStore, Mae) {
    let config = MaeConfig::tiny();
    let store = ParamStore::new(11, &Device::Cpu);
    let mae = Mae::new(&config, &store.root()).unwrap();
    (config, store, mae)
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn scalar(tensor: &Tensor) -> f32 {
    tensor.to_scalar().unwrap()
}

#[test]
fn checkpointed_blocks_give_the_same_tokens_and_gradients() {
    let run = |checkpoint_blocks: bool| -> Vec<Vec<f32>> {
        let config = VitConfig {
            checkpoint_blocks,
            drop_path: 0.3,
            ..VitConfig::tiny()
        };
        let store = ParamStore::new(1, &Device::Cpu);
        let encoder = VitEncoder::new(&config, &store.root()).unwrap();

        let images = images(5, (2, 1, 32, 48));
        let mode = Mode::Train { seed: 4 };
        let tokens = encoder.forward_tokens(&images, None, mode).unwrap();
        let gradients = tokens.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        let of = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1().unwrap();
        let params = store.params();
        let params = params.iter().map(|p| of(gradients.get(p.var()).unwrap()));
        params.chain([of(&tokens)]).collect()
    };
    assert_eq!(run(true), run(false));
}

/// The maps of an encoder with these windows and the gradients of their sum of squares.
fn maps_and_gradients(window: Option<usize>, images: &[Tensor]) -> (Vec<Tensor>, Vec<Tensor>) {
    let config = VitConfig {
        window,
        ..VitConfig::tiny()
    };
    let store = ParamStore::new(1, &Device::Cpu);
    let encoder = VitEncoder::new(&config, &store.root()).unwrap();
    let map = |images| encoder.forward(images, Mode::Eval).unwrap().maps[0].clone();
    let maps: Vec<_> = images.iter().map(|images| map(images).tensor).collect();
    let squares = maps.iter().map(|map| map.sqr().unwrap().sum_all().unwrap());
    let loss = squares.reduce(|a, b| (a + b).unwrap()).unwrap();
    let gradients = loss.backward().unwrap();
    let gradient = |param: &venule_nn::Param| gradients.get(param.var()).unwrap().clone();
    (maps, store.params().iter().map(gradient).collect())
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
    scalar(&(a - b).unwrap().abs().unwrap().max_all().unwrap())
}

#[test]
fn a_windowed_encoder_sees_each_window_as_an_image_of_its_own() {
    // 4×6 patches of 8 pixels in 2×3 windows without overlap.
    let whole = images(5, (2, 1, 32, 48));
    let crop = |row: usize, column: usize| {
        let band = whole.narrow(2, row * 16, 16).unwrap();
        band.narrow(3, column * 16, 16).unwrap()
    };
    let crops: Vec<_> = (0..6).map(|i| crop(i / 3, i % 3)).collect();
    let (maps, gradients) = maps_and_gradients(Some(2), std::slice::from_ref(&whole));
    let (of_crops, of_crops_gradients) = maps_and_gradients(None, &crops);
    assert_eq!(maps[0].dims(), [2, 64, 4, 6]);
    for (i, expected) in of_crops.iter().enumerate() {
        let band = maps[0].narrow(2, i / 3 * 2, 2).unwrap();
        let window = band.narrow(3, i % 3 * 2, 2).unwrap();
        assert!(largest_difference(&window, expected) < 1e-5, "window {i}");
    }
    for (ours, theirs) in gradients.iter().zip(&of_crops_gradients) {
        let scale = scalar(&theirs.abs().unwrap().max_all().unwrap());
        assert!(scale > 0.0 && largest_difference(ours, theirs) < 1e-4 * scale);
    }
    // Not what the encoder gives when it sees the image at once.
    let (at_once, _) = maps_and_gradients(None, std::slice::from_ref(&whole));
    assert!(largest_difference(&maps[0], &at_once[0]) > 1e-2);
}

#[test]
fn overlapping_windows_of_every_tap_are_those_of_the_crops() {
    // 5×7 patches: windows of 2 patches start at 0, 1, 3 and at 0, 1, 3, 5.
    let whole = images(7, (2, 1, 40, 56));
    let config = VitConfig {
        positions: venule_mae::Positions::Learned,
        taps: vec![1, 3],
        window: Some(2),
        ..VitConfig::tiny()
    };
    let store = ParamStore::new(2, &Device::Cpu);
    let encoder = VitEncoder::new(&config, &store.root()).unwrap();
    let found = encoder.forward(&whole, Mode::Eval).unwrap().maps;
    assert_eq!(found.len(), 2);
    for (row, rows) in [(0, 1), (1, 2), (3, 2)] {
        for (column, columns) in [(0, 1), (1, 2), (3, 2), (5, 2)] {
            let crop = whole.narrow(2, row * 8, 16).unwrap();
            let crop = crop.narrow(3, column * 8, 16).unwrap();
            let expected = encoder.forward(&crop, Mode::Eval).unwrap().maps;
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!((found.tensor.dims(), found.stride), (&[2, 64, 5, 7][..], 8));
                let part = found.tensor.narrow(2, row, rows).unwrap();
                let part = part.narrow(3, column, columns).unwrap();
                let expected = expected.tensor.narrow(2, 0, rows).unwrap();
                let expected = expected.narrow(3, 0, columns).unwrap();
                assert!(largest_difference(&part, &expected) < 1e-5);
            }
        }
    }
}

#[test]
fn training_and_the_autoencoder_see_images_at_once() {
    let image = images(8, (1, 1, 32, 48));
    let run = |window: Option<usize>| {
        let config = VitConfig {
            window,
            drop_path: 0.3,
            ..VitConfig::tiny()
        };
        let store = ParamStore::new(3, &Device::Cpu);
        let encoder = VitEncoder::new(&config, &store.root()).unwrap();
        let map = encoder.forward(&image, Mode::Train { seed: 4 }).unwrap();
        let tokens = encoder.forward_tokens(&image, None, Mode::Eval).unwrap();
        (values(&map.maps[0].tensor), values(&tokens))
    };
    assert_eq!(run(Some(2)), run(None));
}

#[test]
fn windows_that_hold_the_image_change_nothing() {
    let image = [images(6, (1, 1, 32, 24))];
    let (at_once, gradients) = maps_and_gradients(None, &image);
    let (maps, same) = maps_and_gradients(Some(4), &image);
    assert_eq!(values(&maps[0]), values(&at_once[0]));
    let all = |tensors: &[Tensor]| tensors.iter().flat_map(values).collect::<Vec<_>>();
    assert_eq!(all(&same), all(&gradients));
}

#[test]
fn the_seed_encoder_has_its_share_of_the_parameters() {
    let store = ParamStore::new(0, &Device::Cpu);
    VitEncoder::new(&VitConfig::seed(), &store.root().pp("encoder")).unwrap();
    // patch 768·256 + 768, class 768, positions 1024·768; a block: 2 norms 4·768, qkv 3·768², proj 768² + 768,
    // mlp 8·768² + 4·768 + 768; the norm 2·768
    let block = 4 * 768 + 4 * 768 * 768 + 768 + 8 * 768 * 768 + 5 * 768;
    let expected = 768 * 256 + 768 + 768 + 1024 * 768 + 8 * block + 2 * 768;
    assert_eq!(store.element_count(), expected);
    // together with the progressive decoder's 1,178,801 (counted in venule-seg) the 58,849,457 of the seed preset
    assert_eq!(expected, 58_849_457 - 1_178_801);
}

#[test]
fn every_variable_gets_a_finite_gradient_that_is_not_zero() {
    let (_, store, mae) = tiny();
    let images = images(1, (2, 1, 32, 40));
    let masking = Masking::from_seed(2, 2, 20, 0.75, &Device::Cpu).unwrap();
    let predictions = mae
        .forward(&images, &masking, Mode::Train { seed: 3 })
        .unwrap();
    let loss = mae.loss(&images, &predictions, &masking, None).unwrap();
    let gradients = loss.backward().unwrap();
    for (name, var) in store.trainable() {
        let gradient = values(gradients.get(&var).unwrap_or_else(|| panic!("{name}")));
        assert!(gradient.iter().all(|g| g.is_finite()), "{name}");
        assert!(gradient.iter().any(|g| *g != 0.0), "{name}");
    }
}

#[test]
fn visible_patches_change_nothing_in_the_loss_target_and_hidden_ones_nothing_in_the_prediction() {
    let (_, _, mae) = tiny();
    let original = images(4, (1, 1, 32, 32));
    let masking = Masking::from_seed(5, 1, 16, 0.5, &Device::Cpu).unwrap();
    let predictions = mae.forward(&original, &masking, Mode::Eval).unwrap();
    let mask = masking.mask().reshape((1, 1, 4, 1, 4, 1)).unwrap();
    let hidden = mask.broadcast_as((1, 1, 4, 8, 4, 8)).unwrap();
    let hidden = hidden.reshape((1, 1, 32, 32)).unwrap();
    let other = images(6, (1, 1, 32, 32));
    let visible_changed = hidden
        .to_dtype(DType::U8)
        .unwrap()
        .where_cond(&original, &other)
        .unwrap();
    let hidden_changed = hidden
        .to_dtype(DType::U8)
        .unwrap()
        .where_cond(&other, &original)
        .unwrap();

    let loss = |target| scalar(&mae.loss(target, &predictions, &masking, None).unwrap());
    assert_eq!(loss(&original), loss(&visible_changed));
    assert_ne!(loss(&original), loss(&hidden_changed));
    let again = mae.forward(&hidden_changed, &masking, Mode::Eval).unwrap();
    assert_eq!(values(&predictions), values(&again));
}

#[test]
fn a_vessel_weight_of_nothing_is_the_plain_loss_and_of_everything_scales_it() {
    let (_, _, mae) = tiny();
    let images = images(7, (2, 1, 16, 24));
    let masking = Masking::from_seed(8, 2, 6, 0.5, &Device::Cpu).unwrap();
    let predictions = mae.forward(&images, &masking, Mode::Eval).unwrap();
    let loss = |map: &Tensor, strength| {
        let vessels = VesselWeight { map, strength };
        scalar(
            &mae.loss(&images, &predictions, &masking, Some(vessels))
                .unwrap(),
        )
    };
    let plain = scalar(&mae.loss(&images, &predictions, &masking, None).unwrap());
    let ones = images.ones_like().unwrap();
    let zeros = images.zeros_like().unwrap();
    assert!((loss(&zeros, 3.0) - plain).abs() < 1e-6 * plain);
    assert!((loss(&ones, 3.0) - 4.0 * plain).abs() < 1e-5 * plain);
    let vessels = VesselWeight {
        map: &ones,
        strength: f64::NAN,
    };
    assert!(
        mae.loss(&images, &predictions, &masking, Some(vessels))
            .is_err()
    );
}

#[test]
fn permuting_the_batch_permutes_the_maps() {
    let (_, _, mae) = tiny();
    let batch = images(9, (3, 1, 16, 24));
    let order = Tensor::new(&[2u32, 0, 1], &Device::Cpu).unwrap();
    let maps = |x: &Tensor| Encoder::forward(mae.encoder(), x, Mode::Eval).unwrap().maps;
    let expected = maps(&batch)[0].tensor.index_select(&order, 0).unwrap();
    let actual = &maps(&batch.index_select(&order, 0).unwrap())[0].tensor;
    for (a, b) in values(actual).iter().zip(values(&expected)) {
        assert!((a - b).abs() < 1e-5);
    }
}

#[test]
fn reconstruction_shows_visible_patches_and_normalised_targets_come_back() {
    for (normalize_targets, channels) in [(false, 1), (true, 1), (true, 3)] {
        let mut config = MaeConfig::tiny();
        config.normalize_targets = normalize_targets;
        config.encoder.in_channels = channels;
        let store = ParamStore::new(12, &Device::Cpu);
        let mae = Mae::new(&config, &store.root()).unwrap();
        let images = images(10, (1, channels, 16, 16));
        // patches 1 and 2 stay visible
        let masking = Masking::from_noise(&[0.9, 0.1, 0.2, 0.8], 1, 4, 0.5, &Device::Cpu).unwrap();
        let pictures = mae.reconstruct(&images, &masking).unwrap();
        let quarter = |x: &Tensor, row: usize, column: usize| {
            let x = x.narrow(2, row * 8, 8).unwrap();
            values(&x.narrow(3, column * 8, 8).unwrap())
        };
        assert_eq!(quarter(&pictures.combined, 0, 1), quarter(&images, 0, 1));
        assert_eq!(quarter(&pictures.masked, 1, 0), quarter(&images, 1, 0));
        assert_eq!(quarter(&pictures.masked, 0, 0), vec![0.0; 64 * channels]);
        assert_eq!(
            quarter(&pictures.combined, 1, 1),
            quarter(&pictures.predicted, 1, 1)
        );
        if normalize_targets {
            // normalised: each patch of the target has mean 0
            let target = mae.target(&images).unwrap();
            let mean = target.mean(2).unwrap();
            assert!(values(&mean).iter().all(|m| m.abs() < 1e-5));
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = |seed, name: &str| {
        let store = ParamStore::new(seed, &Device::Cpu);
        Mae::new(&MaeConfig::tiny(), &store.root()).unwrap();
        let path = folder.path().join(name);
        save_weights(&path, &store.tensors(), &BTreeMap::new()).unwrap();
        std::fs::read(path).unwrap()
    };
    assert_eq!(bytes(1, "a"), bytes(1, "b"));
    assert_ne!(bytes(1, "a"), bytes(2, "c"));
}

#[test]
fn a_transfer_changes_exactly_the_encoders_variables() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mae.safetensors");
    let (config, store, _) = tiny();
    save_weights(&path, &store.tensors(), &BTreeMap::new()).unwrap();

    let model = ParamStore::new(99, &Device::Cpu);
    VitEncoder::new(&config.encoder, &model.root().pp("encoder")).unwrap();
    let head = model.root().pp("decoder");
    head.get((4, 4), "weight", venule_nn::Init::XavierUniform)
        .unwrap();
    let copy = |store: &ParamStore| -> HashMap<String, Vec<f32>> {
        let pairs = store.tensors().into_iter();
        pairs
            .map(|(name, tensor)| (name, values(&tensor)))
            .collect()
    };
    let before = copy(&model);
    let weights = PretrainedWeights::read(&path).unwrap();
    let report = weights.load(&model, "encoder", &config.encoder).unwrap();
    assert!(report.reshaped.is_empty(), "{report}");
    let decoder = |name: &String| name.starts_with("decoder_") || name == "mask_token";
    assert!(report.left_out.iter().all(decoder));
    let (after, source) = (copy(&model), copy(&store));
    for (name, value) in &after {
        match name.strip_prefix("encoder.") {
            Some(short) => assert_eq!(value, &source[short], "{name}"),
            None => assert_eq!(value, &before[name], "{name}"),
        }
    }
}

#[test]
fn misfits_and_strangers_are_refused() {
    let (config, store, _) = tiny();
    let options = ImportOptions::default();
    let tensors = store.tensors().into_iter().collect();
    let weights = PretrainedWeights::from_tensors(tensors, &options).unwrap();
    let deeper = VitConfig {
        depth: 4,
        mlp_ratio: 2.0,
        ..config.encoder.clone()
    };
    let model = ParamStore::new(1, &Device::Cpu);
    VitEncoder::new(&deeper, &model.root()).unwrap();
    let message = weights.load(&model, "", &deeper).unwrap_err().to_string();
    for part in ["set depth=3: the model has 4", "set mlp_ratio=4"] {
        assert!(message.contains(part), "{message}");
    }

    let strangers = HashMap::from([("conv.weight".to_owned(), images(1, (1, 1, 3, 3)))]);
    let strangers = PretrainedWeights::from_tensors(strangers, &options).unwrap();
    let error = strangers.load(&model, "", &deeper).unwrap_err();
    assert!(matches!(error, Error::Architecture { .. }));
    assert!(error.to_string().contains("conv.weight"), "{error}");
    assert!(VitConfig::from_tensors(strangers.tensors(), None).is_err());
}

#[test]
fn wrong_sizes_are_errors_that_say_so() {
    let (_, _, mae) = tiny();
    let masking = Masking::from_seed(1, 1, 4, 0.5, &Device::Cpu).unwrap();
    let message = |shape| {
        mae.forward(&images(1, shape), &masking, Mode::Eval)
            .unwrap_err()
            .to_string()
    };
    assert!(message((1, 1, 16, 17)).contains("multiples of the patch size 8"));
    assert!(message((1, 3, 16, 16)).contains("1 channels"));
    assert!(message((2, 1, 16, 16)).contains("does not fit images"));
    assert!(message((1, 1, 16, 24)).contains("does not fit images"));
}

#[test]
fn a_patch_that_does_not_exist_cannot_be_kept() {
    let (_, _, mae) = tiny();
    // Four patches an image.
    let images = images(1, (2, 1, 16, 16));
    let tokens = |keep: [[u32; 2]; 2]| {
        let keep = Tensor::new(&keep, &Device::Cpu).unwrap();
        let encoder = mae.encoder();
        encoder.forward_tokens(&images, Some(&keep), Mode::Eval)
    };
    assert_eq!(tokens([[0, 3], [3, 1]]).unwrap().dims()[..2], [2, 3]);
    // Of these candle takes the largest for zeros, and 4 would be the second image's first patch.
    for patch in [4, 7, 8, u32::MAX - 3, u32::MAX] {
        for keep in [[[0, patch], [1, 2]], [[1, 2], [patch, 0]]] {
            let error = tokens(keep).unwrap_err().to_string();
            assert!(error.contains(&format!("names patch {patch}")), "{error}");
        }
    }
    let none = Tensor::zeros((2, 0), DType::U32, &Device::Cpu).unwrap();
    let class = mae
        .encoder()
        .forward_tokens(&images, Some(&none), Mode::Eval);
    assert_eq!(class.unwrap().dims()[..2], [2, 1]);
}

fn pth() -> Vec<u8> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::read(folder.join("tests/fixtures/timm.pth")).unwrap()
}

fn read(bytes: &[u8]) -> Result<PretrainedWeights, Error> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    PretrainedWeights::read(file.path())
}

#[test]
fn unreadable_files_are_errors_that_name_them() {
    let missing = PretrainedWeights::read("no/such/file.pth").unwrap_err();
    assert!(missing.to_string().contains("no/such/file.pth"));
    let whole = pth();
    for bytes in [
        &b""[..],
        b"PK\x03\x04",
        b"\x80\x02}q\x00.",
        &whole[..whole.len() / 2],
    ] {
        assert!(read(bytes).is_err());
    }
    assert!(read(&whole).is_ok());
}

/// A safetensors file with one value 1 in `F32` and tensors of a single byte of these types.
fn safetensors_with(types: &[&str]) -> Vec<u8> {
    let mut header = r#"{"weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#.to_owned();
    for (i, dtype) in types.iter().enumerate() {
        let (from, to) = (4 + i, 5 + i);
        header += &format!(
            r#","odd.{dtype}":{{"dtype":"{dtype}","shape":[1],"data_offsets":[{from},{to}]}}"#
        );
    }
    header.push('}');
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(1f32.to_le_bytes());
    bytes.extend(types.iter().map(|_| 1));
    bytes
}

#[test]
fn entries_of_other_types_are_skipped_and_the_rest_is_read() {
    let types = ["BOOL", "I8", "F8_E5M2", "F8_E8M0", "U8"];
    let weights = read(&safetensors_with(&types)).unwrap();
    assert_eq!(values(&weights.tensors()["weight"]), [1.0]);
    assert_eq!(weights.tensors().len(), 1);
    let mut names: Vec<String> = types.iter().map(|dtype| format!("odd.{dtype}")).collect();
    names.sort();
    assert_eq!(weights.skipped(), names);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn a_damaged_archive_never_panics(places in prop::collection::vec((0usize..39_000, any::<u8>()), 1..20)) {
        let mut bytes = pth();
        for (place, value) in places {
            let place = place % bytes.len();
            bytes[place] = value;
        }
        let _ = read(&bytes);
    }
}
