//! An encoder partly of candle's layers under the multi-scale decoder: trained, saved, loaded and frozen as any other.

use std::collections::HashMap;

use candle_core::{Device, Result, Tensor};
use candle_nn::{Conv2d, Conv2dConfig, conv2d, group_norm};
use venule_nn::{
    Conv3x3, ConvNormRelu, Encoder, FeatureInfo, FeatureMap, Features, GroupNorm, Mode, Noise,
    ParamStore, Params, max_pool2x2,
};
use venule_seg::{Error, Freeze, MultiScaleConfig, MultiScaleDecoder, SegmentationModel};

/// Stage 0: a convolution and a group norm of candle's. Stage 1: our own. Behind both a group norm of candle's.
struct Mixed {
    stem: (Conv2d, candle_nn::GroupNorm),
    body: ConvNormRelu,
    norm: candle_nn::GroupNorm,
}

impl Mixed {
    fn new(params: &Params) -> Result<Self> {
        let vb = params.var_builder();
        let same = Conv2dConfig {
            padding: 1,
            ..Conv2dConfig::default()
        };
        let stem = vb.pp("stem");
        let body = params.pp("body");
        let ours = || -> venule_nn::Result<ConvNormRelu> {
            let conv = Conv3x3::new(8, 8, false, &body.pp("conv"))?;
            let norm = GroupNorm::new(4, 8, 1e-5, &body.pp("norm"))?;
            Ok(ConvNormRelu::new(conv, norm))
        };
        Ok(Self {
            stem: (
                conv2d(1, 8, 3, same, stem.pp("conv"))?,
                group_norm(4, 8, 1e-5, stem.pp("norm"))?,
            ),
            body: ours().map_err(candle_core::Error::wrap)?,
            norm: group_norm(4, 8, 1e-5, vb.pp("norm"))?,
        })
    }
}

impl Encoder for Mixed {
    fn forward(&self, images: &Tensor, _: Mode) -> Result<Features> {
        let (conv, norm) = &self.stem;
        let x = images.apply(conv)?.apply(norm)?.relu()?;
        let x = max_pool2x2(&x)?.apply(&self.body)?;
        let tensor = max_pool2x2(&max_pool2x2(&x)?)?.apply(&self.norm)?;
        Ok(Features {
            maps: vec![FeatureMap { tensor, stride: 8 }],
        })
    }

    fn outputs(&self) -> Vec<FeatureInfo> {
        vec![FeatureInfo {
            channels: 8,
            stride: 8,
        }]
    }

    fn stages(&self) -> usize {
        2
    }

    fn stage_of(&self, name: &str) -> Option<usize> {
        let (part, _) = name.split_once('.')?;
        ["stem", "body"].iter().position(|known| *known == part)
    }
}

type Model = SegmentationModel<Mixed, MultiScaleDecoder>;

fn model(store: &ParamStore) -> std::result::Result<Model, Error> {
    let encoder = Mixed::new(&store.root().pp("encoder"))?;
    let config = MultiScaleConfig::tiny();
    let params = store.root().pp("decoder");
    let decoder = MultiScaleDecoder::new(&config, &encoder.outputs(), &params)?;
    SegmentationModel::new(encoder, decoder)
}

fn images() -> Tensor {
    let mut noise = Noise::keyed(&[4]);
    let values: Vec<f32> = (0..2 * 21 * 30).map(|_| noise.normal()).collect();
    Tensor::from_vec(values, (2, 1, 21, 30), &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn every_variable_gets_a_finite_gradient_that_is_not_zero() -> std::result::Result<(), Error> {
    let store = ParamStore::new(6, &Device::Cpu);
    let model = model(&store)?;
    let logits = model.forward(&images(), Mode::Train { seed: 1 })?;
    assert_eq!(logits.dims(), [2, 1, 21, 30]);
    let gradients = logits.sqr()?.mean_all()?.backward()?;
    let trained = store.trainable();
    assert_eq!(
        trained
            .iter()
            .filter(|(n, _)| n.starts_with("encoder."))
            .count(),
        9
    );
    for (name, var) in trained {
        let gradient = values(gradients.get(&var).unwrap_or_else(|| panic!("{name}")));
        assert!(gradient.iter().all(|g| g.is_finite()), "{name}");
        assert!(gradient.iter().any(|g| *g != 0.0), "{name}");
    }
    Ok(())
}

#[test]
fn a_step_moves_it_and_its_tensors_make_it_again() -> std::result::Result<(), Error> {
    let store = ParamStore::new(6, &Device::Cpu);
    let trained = model(&store)?;
    let before = values(&trained.probabilities(&images())?);
    let loss = trained.forward(&images(), Mode::Train { seed: 1 })?.sqr()?;
    let gradients = loss.mean_all()?.backward()?;
    for (_, var) in store.trainable() {
        let step = (gradients.get(&var).unwrap() * 0.05)?;
        var.set(&(var.as_tensor() - step)?)?;
    }
    let after = values(&trained.probabilities(&images())?);
    assert_ne!(before, after);

    let saved: HashMap<String, Tensor> = store.tensors().into_iter().collect();
    let again = ParamStore::from_values(saved.clone(), &Device::Cpu);
    let loaded = model(&again)?;
    assert!(again.unused_values().is_empty());
    assert_eq!(values(&loaded.probabilities(&images())?), after);

    let mut without = saved;
    without.remove("encoder.stem.norm.bias");
    let incomplete = ParamStore::from_values(without, &Device::Cpu);
    let error = model(&incomplete).err().map(|error| error.to_string());
    let error = error.unwrap_or_default();
    assert!(error.contains("`encoder.stem.norm.bias`"), "{error}");
    Ok(())
}

#[test]
fn it_is_frozen_by_its_stages() -> std::result::Result<(), Error> {
    let store = ParamStore::new(6, &Device::Cpu);
    let model = model(&store)?;
    let trained = |freeze: Freeze| -> std::result::Result<Vec<String>, Error> {
        freeze.apply(&store, "encoder", model.encoder())?;
        let names = store.trainable().into_iter().map(|(name, _)| name);
        Ok(names.filter(|name| name.starts_with("encoder.")).collect())
    };
    let last = [
        "encoder.body.conv.weight",
        "encoder.body.norm.weight",
        "encoder.body.norm.bias",
        "encoder.norm.weight",
        "encoder.norm.bias",
    ];
    assert_eq!(trained(Freeze::AllBut(1))?, last);
    assert!(trained(Freeze::All)?.is_empty());
    assert_eq!(trained(Freeze::AllBut(2))?.len(), 9);
    assert!(matches!(
        trained(Freeze::AllBut(3)),
        Err(Error::Freeze { asked: 3, found: 2 })
    ));
    Ok(())
}
