//! An encoder of one's own under venule's decoder: ten lines of convolution in place of the Vision Transformer.

use venule::candle_core::{Device, Module, Result as TensorResult, Tensor};
use venule::data::{Batcher, FovPolicy, Prepared, Preprocess, SyntheticFundus, synthetic_fundus};
use venule::loss::{Composite, Loss};
use venule::nn::{
    Conv3x3, Encoder, FeatureInfo, FeatureMap, Features, Mode, ParamStore, max_pool2x2,
};
use venule::seg::{MultiScaleConfig, MultiScaleDecoder, SegmentationModel};
use venule::train::{AdamW, AdamWConfig, Parameter, decay_groups};

/// Three convolutions with pooling between: one map of stride 8.
struct ConvEncoder([Conv3x3; 3]);

impl Encoder for ConvEncoder {
    fn forward(&self, images: &Tensor, _: Mode) -> TensorResult<Features> {
        let mut x = images.clone();
        for conv in &self.0 {
            x = max_pool2x2(&conv.forward(&x)?.gelu_erf()?)?;
        }
        Ok(Features {
            maps: vec![FeatureMap {
                tensor: x,
                stride: 8,
            }],
        })
    }

    fn outputs(&self) -> Vec<FeatureInfo> {
        vec![FeatureInfo {
            channels: 32,
            stride: 8,
        }]
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = ParamStore::new(1, &Device::Cpu);
    let params = store.root().pp("encoder");
    let conv = |i: usize, inputs, outputs| Conv3x3::new(inputs, outputs, true, &params.pp(i));
    let encoder = ConvEncoder([conv(0, 1, 16)?, conv(1, 16, 24)?, conv(2, 24, 32)?]);
    let outputs = encoder.outputs();
    let decoder = MultiScaleDecoder::new(
        &MultiScaleConfig::tiny(),
        &outputs,
        &store.root().pp("decoder"),
    )?;
    let model = SegmentationModel::new(encoder, decoder)?;
    println!("{} parameters", store.element_count());

    let sample = synthetic_fundus(&SyntheticFundus::square(128), 5, 0)?;
    let prepared = Prepared::from_sample(&sample, &Preprocess::default(), FovPolicy::Given)?;
    let batch = Batcher::new(Device::Cpu).batch(&[prepared])?;
    let labels = batch.labels.ok_or("a synthetic photograph has a label")?;
    let loss = Composite::preset("bce-dice")?;
    let params = store.trainable().into_iter();
    let params: Vec<_> = params
        .map(|(name, var)| Parameter::new(name, var))
        .collect();
    let mut optimizer = AdamW::new(decay_groups(&params, 0.02, 1.0), AdamWConfig::default())?;
    for step in 0..=40 {
        let logits = model.forward(&batch.images, Mode::Train { seed: step })?;
        let value = loss.forward(&logits, &labels, Some(&batch.valid))?;
        if step % 10 == 0 {
            println!("step {step}: loss {:.4}", value.to_scalar::<f32>()?);
        }
        optimizer.step(&value.backward()?, 3e-3)?;
    }
    Ok(())
}
