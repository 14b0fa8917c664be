//! Masked encoders of one's own, and what the Vision Transformer says of its variables.

use candle_core::{Device, Result, Tensor, bail};
use venule_mae::{
    Error, Mae, MaeConfig, MaeDecoderConfig, MaskedEncoder, Masking, Positions, VitConfig,
    VitEncoder,
};
use venule_nn::{
    Encoder, FeatureInfo, Features, Init, Linear, Mode, Noise, Param, ParamStore, Params, patchify,
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

const PATCH: usize = 4;
const WIDTH: usize = 12;

/// Two linear maps of each patch of three channels, and `extra` tokens, to which the patches' mean is added.
struct Patches {
    map: Linear,
    tokens: Option<Param>,
    extra: usize,
    /// How many tokens it gives beyond what it promises.
    surplus: usize,
}

impl Patches {
    fn new(extra: usize, surplus: usize, params: &Params) -> Self {
        let map = Linear::new(3 * PATCH * PATCH, WIDTH, true, &params.pp("map")).unwrap();
        let init = Init::TruncatedNormal(0.02);
        let count = extra + surplus;
        let tokens = || params.get_undecayed((1, count, WIDTH), "tokens", init);
        Self {
            map,
            tokens: (count > 0).then(|| tokens().unwrap()),
            extra,
            surplus,
        }
    }
}

impl Encoder for Patches {
    fn forward(&self, _: &Tensor, _: Mode) -> Result<Features> {
        bail!("it is only pretrained here")
    }

    fn outputs(&self) -> Vec<FeatureInfo> {
        Vec::new()
    }
}

impl MaskedEncoder for Patches {
    fn patch_size(&self) -> usize {
        PATCH
    }

    fn in_channels(&self) -> usize {
        3
    }

    fn token_width(&self) -> usize {
        WIDTH
    }

    fn extra_tokens(&self) -> usize {
        self.extra
    }

    fn forward_visible(&self, images: &Tensor, masking: &Masking, _: Mode) -> Result<Tensor> {
        let visible = masking.visible(&patchify(images, PATCH)?)?;
        let patches = visible.apply(&self.map)?;
        let Some(tokens) = &self.tokens else {
            return Ok(patches);
        };
        let extra = patches.mean_keepdim(1)?.broadcast_add(&tokens.tensor())?;
        assert_eq!(extra.dim(1)?, self.extra + self.surplus);
        Tensor::cat(&[extra, patches], 1)
    }
}

fn decoder(positions: Positions) -> MaeDecoderConfig {
    MaeDecoderConfig {
        width: 16,
        depth: 1,
        heads: 2,
        positions,
        grid: [4, 4],
        ..MaeDecoderConfig::default()
    }
}

#[test]
fn an_encoder_of_ones_own_is_pretrained_with_any_number_of_extra_tokens() {
    for (extra, positions) in [
        (0, Positions::SinCos),
        (1, Positions::Learned),
        (3, Positions::Learned),
    ] {
        let store = ParamStore::new(3, &Device::Cpu);
        let encoder: Box<dyn MaskedEncoder> = Box::new(Patches::new(extra, 0, &store.root()));
        let mae = Mae::with_encoder(encoder, &decoder(positions), &store.root()).unwrap();
        let original = images(1, (2, 3, 12, 16));
        assert_eq!(mae.grid(&original).unwrap(), (3, 4));
        let masking = Masking::from_seed(2, 2, 12, 0.75, &Device::Cpu).unwrap();
        let run = |images: &Tensor| {
            let mode = Mode::Train { seed: 1 };
            mae.forward(images, &masking, mode).unwrap()
        };
        let predictions = run(&original);
        assert_eq!(predictions.dims(), [2, 12, 3 * PATCH * PATCH]);
        let loss = mae.loss(&original, &predictions, &masking, None).unwrap();
        let gradients = loss.backward().unwrap();
        for (name, var) in store.trainable() {
            let gradient = values(gradients.get(&var).unwrap_or_else(|| panic!("{name}")));
            assert!(gradient.iter().all(|g| g.is_finite()), "{name}");
            assert!(gradient.iter().any(|g| *g != 0.0), "{name}");
        }
        // Each image sees its own tokens alone.
        let first = original.narrow(0, 0, 1).unwrap();
        let other = Tensor::cat(&[&first, &images(9, (1, 3, 12, 16))], 0).unwrap();
        let found = values(&run(&other).narrow(0, 0, 1).unwrap());
        let expected = values(&predictions.narrow(0, 0, 1).unwrap());
        for (a, b) in found.iter().zip(&expected) {
            assert!((a - b).abs() < 1e-5, "{extra}: {a}, not {b}");
        }
        let pictures = mae.reconstruct(&original, &masking).unwrap();
        assert_eq!(pictures.combined.dims(), original.dims());
    }
}

#[test]
fn a_transformer_behind_a_pointer_gives_the_same_bits() {
    let config = MaeConfig::tiny();
    let (first, second) = (
        ParamStore::new(5, &Device::Cpu),
        ParamStore::new(5, &Device::Cpu),
    );
    let plain = Mae::new(&config, &first.root()).unwrap();
    let encoder = VitEncoder::new(&config.encoder, &second.root()).unwrap();
    let encoder: Box<dyn MaskedEncoder> = Box::new(encoder);
    let pointed =
        Mae::with_encoder(encoder, &MaeDecoderConfig::from(&config), &second.root()).unwrap();
    assert_eq!(plain.config(), config);
    assert_eq!(plain.decoder_config(), pointed.decoder_config());
    let names = |store: &ParamStore| -> Vec<String> {
        let params = store.params();
        params.iter().map(|p| p.name().to_owned()).collect()
    };
    assert_eq!(names(&first), names(&second));
    let images = images(6, (2, 1, 32, 24));
    let masking = Masking::from_seed(7, 2, 12, 0.5, &Device::Cpu).unwrap();
    let mode = Mode::Train { seed: 8 };
    assert_eq!(
        values(&plain.forward(&images, &masking, mode).unwrap()),
        values(&pointed.forward(&images, &masking, mode).unwrap())
    );
}

#[test]
fn what_an_encoder_promises_and_does_not_keep_is_named() {
    let store = ParamStore::new(3, &Device::Cpu);
    let encoder = Patches::new(1, 1, &store.root());
    let mae = Mae::with_encoder(encoder, &decoder(Positions::SinCos), &store.root()).unwrap();
    let masking = Masking::from_seed(2, 1, 4, 0.5, &Device::Cpu).unwrap();
    let error = |shape| {
        let result = mae.forward(&images(1, shape), &masking, Mode::Eval);
        result.unwrap_err().to_string()
    };
    let found = error((1, 3, 8, 8));
    assert!(
        found.contains("[1, 4, 12]") && found.contains("[1, 3, 12]"),
        "{found}"
    );
    assert!(error((1, 1, 8, 8)).contains("3 channels"));
    assert!(error((1, 3, 8, 9)).contains("multiples of the patch size 4"));
}

#[test]
fn decoders_out_of_range_name_their_field() {
    type Spoil = fn(&mut MaeDecoderConfig);
    let cases: [(&str, Spoil); 6] = [
        ("width", |c| c.width = 0),
        ("depth", |c| c.depth = 1000),
        ("heads", |c| c.heads = 3),
        ("mlp_ratio", |c| c.mlp_ratio = f64::NAN),
        ("layer_norm_eps", |c| c.layer_norm_eps = 0.0),
        ("grid", |c| c.grid = [0, 4]),
    ];
    MaeDecoderConfig::default().validate().unwrap();
    for (expected, spoil) in cases {
        let mut config = decoder(Positions::Learned);
        spoil(&mut config);
        let store = ParamStore::new(1, &Device::Cpu);
        let encoder = Patches::new(0, 0, &store.root());
        match Mae::with_encoder(encoder, &config, &store.root()).map(|_| ()) {
            Err(Error::Config { field, .. }) => assert_eq!(field, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

/// The transformer of three blocks with learned positions and all biases, and its decoder.
fn transformer() -> (ParamStore, Mae) {
    let mut config = MaeConfig::tiny();
    config.encoder = VitConfig {
        positions: Positions::Learned,
        qkv_bias: true,
        ..config.encoder
    };
    let store = ParamStore::new(1, &Device::Cpu);
    let mae = Mae::new(&config, &store.root()).unwrap();
    (store, mae)
}

#[test]
fn the_stages_of_a_transformer_are_its_embedding_and_its_blocks() {
    let (store, mae) = transformer();
    let encoder: &dyn Encoder = mae.encoder();
    assert_eq!(encoder.stages(), 4);
    let mut seen = [0usize; 5];
    for param in store.params() {
        let stage = encoder.stage_of(param.name());
        // The names of the public MAE and timm; three blocks.
        let expected = match param.name().split('.').collect::<Vec<_>>()[..] {
            ["cls_token"] | ["pos_embed"] | ["patch_embed", ..] => Some(0),
            ["blocks", number, ..] => Some(number.parse::<usize>().unwrap() + 1),
            _ => None,
        };
        assert_eq!(stage, expected, "{}", param.name());
        seen[stage.unwrap_or(4)] += 1;
    }
    // Projection with bias, class token, positions; twelve variables a block; final norm, mask token, positions, three layers
    // with biases and twelve variables of the decoder.
    assert_eq!(seen, [4, 12, 12, 12, 2 + 2 + 6 + 12]);
    for unknown in [
        "blocks.3.norm1.weight",
        "blocks",
        "blocks.x",
        "",
        "head.weight",
    ] {
        assert_eq!(encoder.stage_of(unknown), None, "{unknown}");
    }
}

#[test]
fn kernels_and_matrices_decay_but_no_token_and_no_position() {
    // The rule by names that the fine-tuning code of the MAE paper has.
    let by_name = |name: &str, rank: usize| {
        let exempt = ["cls_token", "mask_token", "pos_embed", ".bias"];
        rank > 1 && !exempt.iter().any(|suffix| name.ends_with(suffix))
    };
    let (store, _) = transformer();
    for param in store.params() {
        let expected = by_name(param.name(), param.var().rank());
        assert_eq!(param.decays(), expected, "{}", param.name());
    }
    let exempt = |name: &str| !store.get(name).unwrap().decays();
    assert!(["cls_token", "mask_token", "pos_embed", "decoder_pos_embed"].map(exempt) == [true; 4]);
}
