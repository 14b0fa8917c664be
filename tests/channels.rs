//! Images of three channels, from the photograph to the mask, and presets of the public layouts.

use std::path::Path;

use venule::candle_core::{DType, Device, Tensor};
use venule::data::{
    Channel, FovPolicy, InMemory, Plane, Planes, Prepared, Preprocess, Sample, full_frame,
};
use venule::mae::{Normalisation, VitConfig, VitEncoder};
use venule::nn::{Encoder, Mode, ParamStore};
use venule::seg::TiledInference;
use venule::synthetic::{SyntheticFundus, SyntheticSet, synthetic_fundus};
use venule::tasks::{Finetuning, FinetuningData, Pretraining, PretrainingData};
use venule::train::{RunOptions, Trainer};
use venule::{
    Calibration, Checkpoint, Error, ModelConfig, Predict, Preset, PretrainRecipe, Provenance,
    Recipe, Segmenter, VesselModel,
};
use venule_lab::{FinetuneConfig, RunFile};

const IMAGENET: Channel = Channel::NormalizedRgb {
    mean: [0.485, 0.456, 0.406],
    deviation: [0.229, 0.224, 0.225],
};

fn photograph(index: usize) -> Sample {
    synthetic_fundus(&SyntheticFundus::square(96), 5, index).unwrap()
}

/// The model of `tiny`, of as many channels as given.
fn tiny(encoder: usize, decoder: usize) -> ModelConfig {
    let mut model = ModelConfig::preset("tiny").unwrap();
    for (part, channels) in [(&mut model.encoder, encoder), (&mut model.decoder, decoder)] {
        part.config
            .insert("in_channels".to_owned(), channels.into());
    }
    model
}

/// `tiny` on crops of 64², for three steps.
fn recipe(channel: Channel) -> Recipe {
    let mut recipe = Recipe::preset("tiny").unwrap();
    recipe.model = tiny(channel.count(), channel.count());
    recipe.preprocess.channel = channel;
    (recipe.crop, recipe.crops_per_image, recipe.batch_size) = (64, 3, 2);
    (recipe.train.epochs, recipe.train.max_steps) = (1, Some(3));
    recipe
}

fn data(count: usize) -> FinetuningData {
    let set = |seed, count| {
        let set = SyntheticSet::new(SyntheticFundus::square(96), seed, count);
        Box::new(set.unwrap())
    };
    FinetuningData {
        unlabelled: None,
        train: set(1, count),
        validation: set(2, 1),
        fov: FovPolicy::GivenOrDetect,
        workers: 0,
        cache_bytes: 1 << 24,
    }
}

fn planes(width: usize, height: usize, channels: usize) -> Planes {
    let plane = |channel: usize| {
        Plane::from_fn(width, height, |x, y| {
            ((x * (channel + 1) + y * 3) as f32 * 0.05).sin()
        })
    };
    Planes::new((0..channels).map(plane).collect()).unwrap()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let pairs = a.iter().zip(b);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn a_model_of_three_channels_trains_saves_loads_and_segments() {
    for channel in [Channel::Rgb, IMAGENET] {
        let folder = tempfile::tempdir().unwrap();
        let recipe = recipe(channel);
        let mut task = Finetuning::new(&recipe, data(2), &Device::Cpu).unwrap();
        let report = Trainer::new(recipe.train.clone())
            .unwrap()
            .with_options(RunOptions::in_folder(folder.path()))
            .unwrap()
            .fit(&mut task)
            .unwrap();
        assert_eq!(report.steps, 3);
        let segmenter = Segmenter::from_file(report.final_path.unwrap()).unwrap();
        assert_eq!(segmenter.checkpoint().preprocess.channel, channel);
        assert_eq!(segmenter.model().image_channels(), Some(3));

        // What it finds is what its model makes of the three channels.
        let sample = photograph(7);
        let fov = sample.fov.clone().unwrap();
        let input = recipe.preprocess.apply(&sample.image, &fov).unwrap();
        assert_eq!(input.channels(), 3);
        let within = |map: &Plane| -> Vec<f32> {
            let pixels = map.data().iter().zip(fov.data());
            pixels.map(|(&p, &on)| if on { p } else { 0.0 }).collect()
        };
        let expected = segmenter.model().predict(&input).unwrap();
        let found = segmenter.segment_sample(&sample).unwrap();
        assert_eq!(found.probability.data(), within(&expected));
        let batch = segmenter.segment_batch(std::slice::from_ref(&sample));
        assert_eq!(batch.unwrap()[0].probability, found.probability);

        // Each colour counts.
        for colour in 0..3 {
            let mut other = sample.clone();
            other.image.pixels_mut().for_each(|pixel| {
                pixel.0[colour] = (pixel.0[colour] / 2).saturating_add((pixel.0[1] % 8) * 9);
            });
            let changed = segmenter.segment_sample(&other).unwrap();
            assert_ne!(changed.probability, found.probability, "colour {colour}");
        }

        // The mean over the mirror images, each turned back.
        let turns: [fn(&Plane) -> Plane; 4] = [
            Plane::clone,
            Plane::flip_horizontal,
            Plane::flip_vertical,
            |plane| plane.flip_horizontal().flip_vertical(),
        ];
        let mut mean = vec![0.0; expected.data().len()];
        for turn in turns {
            let view = input.clone().map(|plane| turn(&plane)).unwrap();
            let map = turn(&segmenter.model().predict(&view).unwrap());
            let values = mean.iter_mut().zip(map.data());
            values.for_each(|(mean, value)| *mean += value / 4.0);
        }
        let (width, height) = expected.size();
        let mean = Plane::new(width, height, mean).unwrap();
        let flipped = segmenter.with_flips(true).segment_sample(&sample).unwrap();
        // Four maps in one batch and four by themselves are summed in another order: a few roundings of 2^-24.
        let off = largest_difference(flipped.probability.data(), &within(&mean));
        assert!(off < 1e-5, "{off}");
    }
}

#[test]
fn a_large_image_of_three_channels_goes_through_in_tiles() {
    let mut config = tiny(3, 3);
    config.encoder = venule::PartConfig::plain("none");
    let model = VesselModel::new(&config, 3, &Device::Cpu).unwrap();
    // More than a million pixels, the most that go through at once.
    let (width, height) = (1040, 1016);
    let image = planes(width, height, 3);
    let shape = (1, 3, height, width);
    let tensor = Tensor::from_slice(image.data(), shape, &Device::Cpu).unwrap();
    let _frozen = model.store().no_grad();
    let tiles = TiledInference {
        tile: 768,
        overlap: 128,
    };
    let expected = tiles.run(&tensor, |tile| {
        let logits = model.forward(tile, Mode::Eval)?;
        logits.affine(0.5, 0.0)?.tanh()?.affine(0.5, 0.5)
    });
    let expected = expected.unwrap().flatten_all().unwrap();
    let found = model.predict(&image).unwrap();
    assert_eq!(found.data(), expected.to_vec1::<f32>().unwrap());
}

#[test]
fn many_images_are_grouped_by_size() {
    let model = VesselModel::new(&tiny(3, 3), 3, &Device::Cpu).unwrap();
    let images = [planes(32, 24, 3), planes(32, 24, 3), planes(16, 40, 3)];
    let maps = model.predict_batch(&images).unwrap();
    for (map, image) in maps.iter().zip(&images) {
        let alone = model.predict(image).unwrap();
        assert_eq!(map.size(), image.size());
        assert!(largest_difference(map.data(), alone.data()) < 1e-5);
    }
}

#[test]
fn channels_that_do_not_fit_are_named_with_their_settings() {
    let says = |error: &Error, parts: &[&str]| {
        let text = error.to_string();
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    };
    let mut three = recipe(Channel::Rgb);
    three.preprocess.channel = Channel::Green;
    let mut one = recipe(Channel::Green);
    one.preprocess.channel = IMAGENET;
    for (wrong, given, taken, name, remedy) in [
        (&three, 1, 3, "'green'", "to 'rgb' or a table"),
        (&one, 3, 1, "'normalized_rgb'", "to 'green' or 'gray'"),
    ] {
        // Before photographs are asked for: there are none.
        let error = Finetuning::new(wrong, data(0), &Device::Cpu).err().unwrap();
        let expected =
            matches!(error, Error::Channels { given: g, taken: t, .. } if (g, t) == (given, taken));
        assert!(expected, "{error}");
        says(&error, &["preprocess.channel", "in_channels", name, remedy]);

        let checkpoint = Checkpoint {
            model: wrong.model.clone(),
            preprocess: wrong.preprocess.clone(),
            fov: FovPolicy::FullFrame,
            threshold: 0.5,
            calibration: Calibration::default(),
            provenance: Provenance::default(),
        };
        let model = VesselModel::new(&wrong.model, 1, &Device::Cpu).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let saved = checkpoint.save(folder.path().join("a"), &model, DType::F32);
        assert!(matches!(saved, Err(Error::Channels { .. })));
        let error = Segmenter::new(checkpoint, model).unwrap_err();
        assert!(matches!(error, Error::Channels { .. }), "{error}");
    }

    let error = VesselModel::new(&tiny(3, 1), 1, &Device::Cpu).unwrap_err();
    assert!(matches!(error, Error::Parts { .. }), "{error}");
    says(&error, &["'vit'", "'multi_scale'", "in_channels", "3", "1"]);

    let mut masked = PretrainRecipe::preset("tiny").unwrap();
    masked.preprocess.channel = Channel::Rgb;
    let photographs = || PretrainingData {
        photographs: Box::new(InMemory::new(Vec::new())),
        fov: FovPolicy::FullFrame,
        workers: 0,
        cache_bytes: 0,
    };
    let error = Pretraining::new(&masked, photographs(), &Device::Cpu);
    says(
        &error.err().unwrap(),
        &["'rgb'", "3 channel", "'green' or 'gray'"],
    );

    let model = VesselModel::new(&tiny(3, 3), 1, &Device::Cpu).unwrap();
    let error = model.predict(&planes(16, 16, 1)).unwrap_err();
    assert!(
        matches!(error, Error::Config { field: "image", .. }),
        "{error}"
    );
}

#[test]
fn a_masked_autoencoder_of_three_channels_is_pretrained_and_shown_in_colours() {
    let mut recipe = PretrainRecipe::preset("tiny").unwrap();
    let channels = ("in_channels".to_owned(), 3.into());
    recipe.model.encoder.config.extend([channels]);
    recipe.preprocess.channel = IMAGENET;
    (recipe.crop, recipe.batch_size, recipe.vessel_weight) = (64, 2, 1.0);
    (recipe.train.epochs, recipe.train.max_steps) = (2, Some(2));
    let photographs = SyntheticSet::new(SyntheticFundus::square(96), 1, 2).unwrap();
    let data = PretrainingData {
        photographs: Box::new(photographs),
        fov: FovPolicy::GivenOrDetect,
        workers: 0,
        cache_bytes: 1 << 24,
    };
    let mut task = Pretraining::new(&recipe, data, &Device::Cpu).unwrap();
    let report = Trainer::new(recipe.train).unwrap().fit(&mut task).unwrap();
    assert_eq!(report.steps, 2);

    // The first crop in the picture's left third: x · deviation + mean, in 255 levels.
    let (images, _) = task.reconstruct().unwrap();
    let picture = task.reconstruction_picture().unwrap().into_rgb8();
    assert_eq!(picture.dimensions(), (3 * 64, 2 * 64));
    let values = images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let Normalisation { mean, deviation } = Normalisation::IMAGENET;
    for (x, y) in [(0, 0), (31, 17), (40, 60)] {
        for colour in 0..3 {
            let value = values[(colour * 64 + y) * 64 + x];
            let level = 255.0 * (value * deviation[colour] + mean[colour]);
            let found = f32::from(picture.get_pixel(x as u32, y as u32).0[colour]);
            assert!((found - level.clamp(0.0, 255.0)).abs() <= 1.0, "{x} {y}");
        }
    }
}

/// A file of an encoder as timm writes it, and that encoder.
fn public_weights(path: &Path) -> VitEncoder {
    let store = ParamStore::new(9, &Device::Cpu);
    let encoder = VitEncoder::new(&VitConfig::vit_tiny(), &store.root()).unwrap();
    venule::file::save_weights(path, &store.tensors(), &Default::default()).unwrap();
    encoder
}

#[test]
fn public_weights_see_what_they_were_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vit_tiny.safetensors");
    let public = public_weights(&path);

    let recipe = Recipe::preset("vit-tiny").unwrap();
    let mut task = Finetuning::new(&recipe, data(1), &Device::Cpu).unwrap();
    let report = task.load_encoder(&path).unwrap();
    // 12 blocks of 12 tensors; class token, positions, patches of two and the last norm's two
    assert_eq!(report.loaded.len(), 12 * 12 + 6, "{report}");

    let mut sample = photograph(3);
    sample.fov = Some(full_frame(sample.size()));
    let preprocess = Preprocess {
        resize: None,
        ..recipe.preprocess
    };
    let prepared = Prepared::from_sample(&sample, &preprocess, FovPolicy::Given).unwrap();
    let (width, height) = prepared.size();
    let shape = (1, 3, height, width);
    let own = Tensor::from_slice(prepared.image.data(), shape, &Device::Cpu).unwrap();
    // As torchvision's `ToTensor` and `Normalize` with ImageNet's numbers.
    let (mean, deviation) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    let mut values = Vec::new();
    for colour in 0..3 {
        let pixels = sample.image.pixels().map(|pixel| pixel.0[colour]);
        values.extend(pixels.map(|x| (f32::from(x) / 255.0 - mean[colour]) / deviation[colour]));
    }
    let theirs = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
    let features = |encoder: &dyn Encoder, image: &Tensor| {
        let maps = encoder.forward(image, Mode::Eval).unwrap().maps;
        assert_eq!(maps[0].tensor.dims(), [1, 192, height / 16, width / 16]);
        let values = maps[0].tensor.flatten_all().unwrap();
        values.to_vec1::<f32>().unwrap()
    };
    let found = features(task.model().encoder(), &own);
    let off = largest_difference(&found, &features(&public, &theirs));
    assert!(off < 1e-4, "{off}");
}

#[test]
fn presets_of_public_layouts_are_what_was_published() {
    for (name, width, depth, heads) in [
        ("vit-tiny", 192, 12, 3),
        ("vit-small", 384, 12, 6),
        ("vit-base", 768, 12, 12),
        ("vit-large", 1024, 24, 16),
    ] {
        let preset = Preset::named(name).unwrap();
        let recipe = preset.recipe().unwrap();
        recipe.preprocess.validate().unwrap();
        assert_eq!(recipe.preprocess.channel, IMAGENET);
        assert_eq!(recipe.crop, 256);
        let vit: VitConfig = recipe.model.encoder.settings().unwrap();
        vit.validate().unwrap();
        assert_eq!((vit.width, vit.depth, vit.heads), (width, depth, heads));
        assert_eq!((vit.patch_size, vit.in_channels), (16, 3));
        assert!(vit.qkv_bias && vit.layer_norm_eps == 1e-6 && vit.mlp_ratio == 4.0);
        let masked = preset.pretraining().unwrap();
        assert_eq!(masked.preprocess, recipe.preprocess);
        let decoder = &masked.model.decoder;
        assert_eq!(
            (decoder.width, decoder.depth, decoder.heads),
            (512, 8, 16),
            "{name}"
        );
    }
}

#[test]
fn a_run_takes_channels_and_normalisation_from_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vit_tiny.safetensors");
    public_weights(&path);
    let compact = FinetuneConfig::preset("compact").unwrap();
    let (run, said) = compact.clone().with_encoder_of(&path).unwrap();
    assert_eq!(run.recipe.preprocess.channel, IMAGENET);
    // timm's files differ in their normalisation.
    assert!(
        said.contains("timm") && said.contains("of ImageNet, which is assumed"),
        "{said}"
    );
    let model = VesselModel::new(&run.recipe.model, 1, &Device::Cpu).unwrap();
    assert_eq!(model.image_channels(), Some(3));
    let read: FinetuneConfig = run.to_toml().unwrap().parse().unwrap();
    assert_eq!(read.recipe.preprocess, run.recipe.preprocess);
    assert_eq!(read.recipe.model.decoder, run.recipe.model.decoder);

    // One channel remains a choice.
    let gray = run
        .with_all([
            ("recipe.preprocess.channel", "green"),
            ("recipe.model.encoder.in_channels", "1"),
            ("recipe.model.decoder.in_channels", "1"),
        ])
        .unwrap();
    let mut task = Finetuning::new(&gray.recipe, data(1), &Device::Cpu).unwrap();
    let report = task.load_encoder(&path).unwrap().to_string();
    assert!(report.contains("patch_embed.proj.weight"), "{report}");

    // A pretraining of one's own says what its photographs became.
    let path = folder.path().join("own.safetensors");
    let masked = PretrainRecipe::preset("tiny").unwrap();
    let mut encoder = masked.model.clone();
    let channels = ("in_channels".to_owned(), 3.into());
    encoder.encoder.config.extend([channels]);
    let store = ParamStore::new(9, &Device::Cpu);
    let vit: VitConfig = encoder.encoder.settings().unwrap();
    VitEncoder::new(&vit, &store.root()).unwrap();
    let preprocess = Preprocess {
        channel: Channel::Rgb,
        ..Preprocess::default()
    };
    let metadata = [
        ("mae".to_owned(), serde_json::to_string(&encoder).unwrap()),
        (
            "preprocess".to_owned(),
            serde_json::to_string(&preprocess).unwrap(),
        ),
    ];
    venule::file::save_weights(&path, &store.tensors(), &metadata.into()).unwrap();
    let (run, said) = compact.with_encoder_of(&path).unwrap();
    assert_eq!(run.recipe.preprocess.channel, Channel::Rgb);
    assert!(said.contains("channel=rgb (as the file says)"), "{said}");
}
