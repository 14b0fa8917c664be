//! Weights as others publish them. The files and the expected features come from fixtures/public.py.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use venule_file::{load_weights, save_weights};
use venule_mae::{
    Difference, Error, Family, ImportOptions, ImportReport, MissingNorm, Normalisation, Positions,
    PretrainedWeights, VitConfig, VitEncoder, export_encoder,
};
use venule_nn::{Mode, Noise, ParamStore};

mod damaged;
mod refused;

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/public");
    folder.join(name)
}

fn expected() -> HashMap<String, Tensor> {
    let weights = load_weights(&fixture("expected.safetensors")).unwrap();
    weights.tensors.into_iter().collect()
}

/// Three heads, which width 12 does not tell.
fn options() -> ImportOptions {
    let mut options = ImportOptions::default();
    options.heads = Some(3);
    options
}

fn read(name: &str, options: &ImportOptions) -> PretrainedWeights {
    PretrainedWeights::read_with(fixture(name), options).unwrap()
}

/// An encoder of `config` with the weights in it.
fn load(
    weights: &PretrainedWeights,
    config: &VitConfig,
) -> Result<(VitEncoder, ImportReport), Error> {
    let store = ParamStore::new(1, &Device::Cpu);
    let encoder = VitEncoder::new(config, &store.root().pp("encoder"))?;
    let before = values_of(&store);
    match weights.load(&store, "encoder", config) {
        Ok(report) => Ok((encoder, report)),
        Err(error) => {
            assert_eq!(
                before,
                values_of(&store),
                "a refused file changed the model"
            );
            Err(error)
        }
    }
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn values_of(store: &ParamStore) -> Vec<(String, Vec<f32>)> {
    let tensors = store.tensors().into_iter();
    tensors
        .map(|(name, tensor)| (name, values(&tensor)))
        .collect()
}

fn assert_close(found: &Tensor, expected: &Tensor, what: &str) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let difference = (found - expected).unwrap().abs().unwrap();
    let largest = difference.max_all().unwrap().to_scalar::<f32>().unwrap();
    // The features lie within 6: a final norm with scales near 1.
    assert!(largest < 1e-4, "{what}: {largest}");
}

fn features(encoder: &VitEncoder, images: &Tensor) -> Tensor {
    encoder.forward_tokens(images, None, Mode::Eval).unwrap()
}

fn differences(result: Result<(VitEncoder, ImportReport), Error>) -> Vec<String> {
    match result {
        Err(Error::Misfit { differences, .. }) => {
            differences.iter().map(ToString::to_string).collect()
        }
        Err(error) => panic!("{error}"),
        Ok((_, report)) => panic!("loaded: {report}"),
    }
}

fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
}

#[test]
fn every_public_layout_computes_what_its_own_framework_computes() {
    let expected = expected();
    let cases = [
        ("timm_vit.pth", "timm_vit", Family::Timm),
        ("mae.pth", "mae", Family::Mae),
        ("dino.pth", "dino", Family::Dino),
        ("dinov2.pth", "dinov2", Family::DinoV2),
        ("hf_vitmae.bin", "hf_vitmae", Family::HuggingFaceMae),
        ("hf_vit.safetensors", "hf_vit", Family::HuggingFaceVit),
        (
            "hf_dinov2.safetensors",
            "hf_dinov2",
            Family::HuggingFaceDinoV2,
        ),
    ];
    for (file, name, family) in cases {
        let weights = read(file, &options());
        let description = weights.describe().unwrap();
        assert_eq!(description.family, family, "{file}");
        let config = description.config;
        let sizes = (config.width, config.depth, config.heads, config.patch_size);
        assert_eq!(sizes, (12, 2, 3, 4), "{file}");
        assert_eq!(config.image_size, [16, 16], "{file}");
        assert!(config.qkv_bias && config.in_channels == 3, "{file}");
        let (encoder, report) = load(&weights, &config).unwrap();
        assert!(report.unused.is_empty(), "{file}: {report}");
        assert_close(
            &features(&encoder, &expected["images"]),
            &expected[name],
            file,
        );
        let imagenet = !matches!(family, Family::Timm | Family::HuggingFaceVit);
        let known = imagenet.then_some(Normalisation::IMAGENET);
        assert_eq!(report.normalisation, known, "{file}");
    }
}

#[test]
fn rgb_weights_on_a_gray_image_compute_what_they_do_on_three_equal_channels() {
    let expected = expected();
    let weights = read("timm_vit.pth", &options());
    let mut config = weights.describe().unwrap().config;
    config.in_channels = 1;
    let (encoder, report) = load(&weights, &config).unwrap();
    let found = features(&encoder, &expected["gray"]);
    assert_close(&found, &expected["timm_vit_gray"], "gray");
    assert_says(
        &report.to_string(),
        &["summed to gray: patch_embed.proj.weight [12, 3, 4, 4] -> [12, 1, 4, 4]"],
    );
}

#[test]
fn the_report_tells_what_became_of_every_name() {
    let weights = read("mae.pth", &options());
    let (_, report) = load(&weights, &weights.describe().unwrap().config).unwrap();
    assert_eq!(report.loaded.len(), 30); // 12 a block, norm 2, patch embedding 2, class token, positions
    assert_eq!(report.key.as_deref(), Some("model"));
    assert!(report.left_out.contains(&"mask_token".to_owned()));
    let decoder = |name: &&String| name.starts_with("decoder");
    assert_eq!(
        report.left_out.len(),
        1 + report.left_out.iter().filter(decoder).count()
    );
    assert_says(
        &report.to_string(),
        &[
            "30 variables loaded, weights of MAE",
            "key `model`",
            "left out: decoder_blocks.*.attn.proj.bias, ",
            "and 8 more",
        ],
    );

    let weights = read("dino.pth", &options());
    let (_, report) = load(&weights, &weights.describe().unwrap().config).unwrap();
    assert_eq!(
        (report.key.as_deref(), &report.other_keys[..]),
        (Some("teacher"), &["student".to_owned()][..])
    );
    assert_says(
        &report.to_string(),
        &["key `teacher` of the file; also there: student"],
    );

    let weights = read("dinov2.pth", &options());
    let (_, report) = load(&weights, &weights.describe().unwrap().config).unwrap();
    assert_says(
        &report.to_string(),
        &[
            "LayerScale multiplied in: blocks.*.attn.proj.weight, blocks.*.attn.proj.bias, blocks.*.mlp.fc2.weight",
            "left out: mask_token",
        ],
    );
    let weights = read("hf_vitmae.bin", &options());
    let (_, report) = load(&weights, &weights.describe().unwrap().config).unwrap();
    assert_says(
        &report.to_string(),
        &[
            "query, key and value joined: blocks.*.attn.qkv.weight [12, 12] -> [36, 12], blocks.*.attn.qkv.bias [12] -> [36]",
        ],
    );
}

#[test]
fn the_fixed_positions_of_mae_are_those_the_encoder_computes() {
    let expected = expected();
    let weights = read("mae.pth", &options());
    let config = VitConfig {
        positions: Positions::SinCos,
        ..weights.describe().unwrap().config
    };
    let (encoder, report) = load(&weights, &config).unwrap();
    assert_close(
        &features(&encoder, &expected["images"]),
        &expected["mae"],
        "sin-cos",
    );
    assert_says(
        &report.to_string(),
        &["pos_embed is the fixed sine-cosine table"],
    );
}

#[test]
fn a_key_chooses_among_several() {
    let student = |key: &str| {
        let mut options = options();
        options.key = Some(key.to_owned());
        PretrainedWeights::read_with(fixture("dino.pth"), &options)
    };
    let norm = |weights: &PretrainedWeights| values(&weights.tensors()["norm.weight"]);
    let teacher = norm(&read("dino.pth", &options()));
    assert_eq!(norm(&student("teacher").unwrap()), teacher);
    assert_ne!(norm(&student("student").unwrap()), teacher);
    let message = student("pupil").unwrap_err().to_string();
    assert_says(&message, &["dino.pth", "pupil", "student, teacher"]);

    // The same in one flat dictionary.
    let (folder, mut flat) = (tempfile::tempdir().unwrap(), Vec::new());
    for key in ["student", "teacher"] {
        for (name, tensor) in student(key).unwrap().tensors() {
            flat.push((format!("{key}.backbone.{name}"), tensor.clone()));
        }
    }
    let path = folder.path().join("flat.safetensors");
    save_weights(&path, &flat, &BTreeMap::new()).unwrap();
    let mut options = options();
    let weights = PretrainedWeights::read_with(&path, &options).unwrap();
    assert_eq!(
        (norm(&weights), weights.key()),
        (teacher, Some("teacher.backbone"))
    );
    assert_eq!(weights.other_keys(), ["student.backbone"]);
    options.key = Some("student".to_owned());
    let weights = PretrainedWeights::read_with(&path, &options).unwrap();
    assert_eq!(norm(&weights), norm(&student("student").unwrap()));
    // Nothing says which of these.
    let unnamed: Vec<_> = flat
        .iter()
        .map(|(name, tensor)| {
            (
                name.replace("teacher", "b").replace("student", "a"),
                tensor.clone(),
            )
        })
        .collect();
    save_weights(&path, &unnamed, &BTreeMap::new()).unwrap();
    let message = PretrainedWeights::read(&path).unwrap_err().to_string();
    assert_says(
        &message,
        &[
            "flat.safetensors",
            "several",
            "`--pretrained-key`",
            "a.backbone, b.backbone",
        ],
    );
}

#[test]
fn every_difference_is_named_with_the_setting_that_takes_it() {
    let weights = read("timm_vit.pth", &options());
    let right = weights.describe().unwrap().config;
    type Spoil = fn(&mut VitConfig);
    let cases: [(Spoil, &str); 9] = [
        (
            |c| c.qkv_bias = false,
            "set qkv_bias=true: the model has false (see `blocks.0.attn.qkv.bias`)",
        ),
        (
            |c| c.depth = 1,
            "set depth=2: the model has 1 (see `blocks.1.norm1.weight`)",
        ),
        (|c| c.depth = 3, "set depth=2: the model has 3"),
        (
            |c| c.heads = 4,
            "set heads=3, as the caller says: the model has 4",
        ),
        (
            |c| c.positions = Positions::SinCos,
            "set positions=learned: the model has sin_cos (see `pos_embed`)",
        ),
        (|c| c.patch_size = 8, "set patch_size=4: the model has 8"),
        (|c| c.width = 24, "set width=12: the model has 24"),
        (|c| c.mlp_ratio = 2.0, "set mlp_ratio=4: the model has 2"),
        (|c| c.registers = 2, "set registers=0: the model has 2"),
    ];
    for (spoil, expected) in cases {
        let mut config = right.clone();
        spoil(&mut config);
        let found = differences(load(&weights, &config));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(expected), "{found:?}");
    }
    // All at once, in one message that names the file.
    let config = VitConfig {
        qkv_bias: false,
        depth: 1,
        heads: 4,
        positions: Positions::SinCos,
        ..right
    };
    let message = load(&weights, &config).unwrap_err().to_string();
    assert_says(
        &message,
        &[
            "timm_vit.pth",
            "qkv_bias=true",
            "depth=2",
            "heads=3",
            "positions=learned",
            "left as it was",
        ],
    );
}

#[test]
fn registers_and_strange_tensors_are_refused_or_listed() {
    let weights = read("dinov2.pth", &options());
    let config = VitConfig {
        registers: 0,
        ..weights.describe().unwrap().config
    };
    let found = differences(load(&weights, &config));
    assert_eq!(
        found,
        ["set registers=4: the model has 0 (see `register_tokens`)"]
    );

    let mut tensors = read("timm_vit.pth", &options()).tensors().clone();
    let odd = Tensor::ones(12, DType::F32, &Device::Cpu).unwrap();
    tensors.insert("blocks.1.attn.q_norm.weight".to_owned(), odd);
    let strict = PretrainedWeights::from_tensors(tensors.clone(), &options()).unwrap();
    let config = strict.describe().unwrap().config;
    let found = differences(load(&strict, &config));
    assert_eq!(found.len(), 1);
    assert_says(
        &found[0],
        &["no place for blocks.1.attn.q_norm.weight", "--allow-unused"],
    );

    let mut options = options();
    options.allow_unused = true;
    let lenient = PretrainedWeights::from_tensors(tensors, &options).unwrap();
    let config = VitConfig {
        depth: 1,
        qkv_bias: false,
        ..config
    };
    let (_, report) = load(&lenient, &config).unwrap();
    assert_eq!(report.unused.len(), 1 + 1 + 12); // qkv bias of block 0, and block 1 with the odd one
    assert_says(
        &report.to_string(),
        &["NOT LOADED, though it changes the features: blocks.0.attn.qkv.bias"],
    );
    // What the model has and the file has not stays an error.
    let deeper = VitConfig { depth: 3, ..config };
    assert_eq!(differences(load(&lenient, &deeper)).len(), 1);
}

#[test]
fn heads_of_a_public_width_are_known() {
    // ViT-Ti in names and shapes, of one block.
    let config = VitConfig {
        depth: 1,
        image_size: [32, 32],
        ..VitConfig::vit_tiny()
    };
    let store = ParamStore::new(5, &Device::Cpu);
    VitEncoder::new(&config, &store.root()).unwrap();
    let tensors: HashMap<_, _> = store.tensors().into_iter().collect();
    let weights =
        PretrainedWeights::from_tensors(tensors.clone(), &ImportOptions::default()).unwrap();
    assert_eq!(weights.describe().unwrap().config, config);
    let six = VitConfig { heads: 6, ..config };
    let found = differences(load(&weights, &six));
    assert_eq!(found.len(), 1);
    assert_says(
        &found[0],
        &[
            "set heads=3, as the published models of this width have",
            "the model has 6",
        ],
    );
    let mut options = ImportOptions::default();
    options.heads = Some(6);
    let weights = PretrainedWeights::from_tensors(tensors, &options).unwrap();
    assert!(load(&weights, &six).is_ok());
}

#[test]
fn an_own_file_keeps_its_heads_and_its_configuration() {
    // `compact` has 6 heads where the published models of its width have 3.
    let config = VitConfig {
        depth: 1,
        ..VitConfig::compact()
    };
    let store = ParamStore::new(5, &Device::Cpu);
    VitEncoder::new(&config, &store.root()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.safetensors");
    save_weights(&path, &store.tensors(), &BTreeMap::new()).unwrap();
    let weights = PretrainedWeights::read(&path).unwrap();
    assert_eq!(weights.family(), Family::Venule);
    load(&weights, &config).unwrap();

    let mae = venule_mae::MaeConfig {
        encoder: config.clone(),
        ..venule_mae::MaeConfig::compact()
    };
    let metadata = BTreeMap::from([("mae".to_owned(), serde_json::to_string(&mae).unwrap())]);
    save_weights(&path, &store.tensors(), &metadata).unwrap();
    assert_eq!(
        VitConfig::from_file(&path, &ImportOptions::default()).unwrap(),
        config
    );
    let three = VitConfig { heads: 3, ..config };
    let found = differences(load(&PretrainedWeights::read(&path).unwrap(), &three));
    assert_says(&found[0], &["set heads=6, as its metadata says"]);
}

#[test]
fn a_fine_tuned_classifier_without_norm_needs_a_choice() {
    let expected = expected();
    let weights = read("retfound_finetuned.pth", &options());
    assert_eq!(weights.family(), Family::MaeFineTuned);
    let config = weights.describe().unwrap().config;
    match load(&weights, &config) {
        Err(Error::Misfit { differences, .. }) => assert_eq!(differences, [Difference::Norm]),
        other => panic!("{:?}", other.map(|(_, report)| report)),
    }
    let message = load(&weights, &config).unwrap_err().to_string();
    assert_says(
        &message,
        &[
            "retfound_finetuned.pth",
            "`fc_norm`",
            "file of the pretraining",
            "--missing-norm fc-norm",
        ],
    );
    for (choice, name) in [
        (MissingNorm::FcNorm, "retfound_finetuned"),
        (MissingNorm::Fresh, "retfound_finetuned_fresh"),
    ] {
        let mut options = options();
        options.missing_norm = choice;
        let (encoder, report) = load(&read("retfound_finetuned.pth", &options), &config).unwrap();
        assert_close(
            &features(&encoder, &expected["images"]),
            &expected[name],
            name,
        );
        assert!(report.notes[0].starts_with("norm.weight is"), "{report}");
    }
}

#[test]
fn an_exported_encoder_is_read_again_and_is_a_public_layout() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vit.safetensors");
    let public = read("timm_vit.pth", &options()).describe().unwrap().config;
    let configs = [
        public.clone(),
        VitConfig {
            registers: 2,
            in_channels: 1,
            qkv_bias: false,
            ..public.clone()
        },
        VitConfig {
            positions: Positions::SinCos,
            image_size: [24, 16],
            ..public
        },
    ];
    for config in configs {
        let store = ParamStore::new(3, &Device::Cpu);
        let encoder = VitEncoder::new(&config, &store.root().pp("encoder")).unwrap();
        // timm 1.0.31 loads such files strictly, with features that differ by 1.4e-6 at most.
        store
            .root()
            .pp("decoder")
            .get(3, "weight", venule_nn::Init::Zeros)
            .unwrap();
        export_encoder(&store, "encoder", &config, &path).unwrap();

        let tensors = load_weights(&path).unwrap().tensors;
        let patches = config.grid().0 * config.grid().1;
        assert_eq!(tensors["pos_embed"].dims(), [1, 1 + patches, 12]);
        let table = tensors["pos_embed"].narrow(1, 0, 1).unwrap();
        assert_eq!(values(&table), [0.0; 12]);
        assert!(!tensors.contains_key("weight") && tensors.contains_key("blocks.1.mlp.fc2.bias"));

        let weights = PretrainedWeights::read(&path).unwrap();
        assert_eq!(weights.describe().unwrap().config, config);
        let again = ParamStore::new(4, &Device::Cpu);
        VitEncoder::new(&config, &again.root()).unwrap();
        weights.load(&again, "", &config).unwrap();
        let strip = |(name, values): (String, Vec<f32>)| {
            (name.trim_start_matches("encoder.").to_owned(), values)
        };
        let mut own: Vec<_> = values_of(&store).into_iter().map(strip).collect();
        own.retain(|(name, _)| name != "decoder.weight");
        assert_eq!(own, values_of(&again));
        let image = noise((1, config.in_channels, 16, 16));
        assert_eq!(
            features(&encoder, &image).dims(),
            [1, 1 + config.registers + 16, 12]
        );
    }
    let store = ParamStore::new(3, &Device::Cpu);
    let error = export_encoder(&store, "encoder", &VitConfig::tiny(), &path).unwrap_err();
    assert_says(&error.to_string(), &["encoder.cls_token", "prefix"]);
}

fn noise(shape: (usize, usize, usize, usize)) -> Tensor {
    let mut noise = Noise::keyed(&[7]);
    let count = shape.0 * shape.1 * shape.2 * shape.3;
    let values: Vec<f32> = (0..count).map(|_| noise.normal()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

#[test]
#[ignore = "needs the files of `public.py --large` in VENULE_LARGE_WEIGHTS"]
fn vit_tiny_and_vit_base_compute_what_timm_computes() {
    let folder = PathBuf::from(std::env::var("VENULE_LARGE_WEIGHTS").unwrap());
    let expected = load_weights(&folder.join("expected.safetensors")).unwrap();
    let expected = expected.tensors;
    for (name, preset) in [("vit_ti", "vit-tiny"), ("vit_b", "vit-base")] {
        let weights = PretrainedWeights::read(folder.join(format!("{name}.pth"))).unwrap();
        let config = VitConfig::preset(preset).unwrap();
        assert_eq!(weights.describe().unwrap().config, config);
        let (encoder, report) = load(&weights, &config).unwrap();
        println!("{report}");
        let found = features(&encoder, &expected["images"]);
        let difference = (&found - &expected[name]).unwrap().abs().unwrap();
        println!("{name}: {}", difference.max_all().unwrap());
        assert_close(&found, &expected[name], name);
    }
}
