//! venule's training loop with a network and data of one's own: a small convolutional net tells bright discs from squares.
//!
//! `cargo run --release --example train_your_own`

use candle_core::{DType, Device, Tensor, Var};
use venule::candle_core;
use venule::nn::{Conv3x3, Linear, Noise, ParamStore};
use venule::train::{BoxError, Position, StepOutput, Task, TrainConfig, Trainer, Validation};

struct Shapes {
    store: ParamStore,
    conv: Conv3x3,
    head: Linear,
}

/// Eight 16² images of a disc or a square, half each, and which they are.
fn batch(key: u64) -> candle_core::Result<(Tensor, Tensor)> {
    let mut noise = Noise::keyed(&[key]);
    let (mut pixels, mut kinds) = (Vec::new(), Vec::new());
    for index in 0..8 {
        let (disc, x0, y0) = (
            index % 2 == 0,
            5.0 + 5.0 * noise.uniform(),
            5.0 + 5.0 * noise.uniform(),
        );
        for at in 0..256 {
            let (dx, dy) = ((at % 16) as f32 - x0, (at / 16) as f32 - y0);
            let inside = if disc {
                dx.hypot(dy) < 4.0
            } else {
                dx.abs().max(dy.abs()) < 3.5
            };
            pixels.push(f32::from(u8::from(inside)) + 0.1 * noise.normal());
        }
        kinds.push(f32::from(u8::from(disc)));
    }
    let images = Tensor::from_vec(pixels, (8, 1, 16, 16), &Device::Cpu)?;
    Ok((images, Tensor::from_vec(kinds, (8, 1), &Device::Cpu)?))
}

impl Shapes {
    fn logits(&self, images: &Tensor) -> candle_core::Result<Tensor> {
        self.head
            .forward(&self.conv.forward(images)?.relu()?.flatten_from(1)?)
    }
}

impl Task for Shapes {
    fn name(&self) -> &str {
        "shapes"
    }

    fn parameters(&self) -> Vec<(String, Var)> {
        let params = self.store.params();
        params
            .iter()
            .map(|p| (p.name().to_owned(), p.var().clone()))
            .collect()
    }

    fn batches_per_epoch(&self) -> usize {
        20
    }

    fn step(&mut self, at: Position) -> Result<StepOutput, BoxError> {
        let (images, kinds) = batch(((at.epoch as u64) << 32) + at.batch as u64)?;
        let loss = (self.logits(&images)? - kinds)?.sqr()?.mean_all()?;
        Ok(StepOutput {
            loss,
            terms: Vec::new(),
            samples: 8,
        })
    }

    fn validate(&mut self, _epoch: usize) -> Result<Option<Validation>, BoxError> {
        let (images, kinds) = batch(u64::MAX)?;
        let right = self
            .logits(&images)?
            .gt(0.5)?
            .to_dtype(DType::F32)?
            .eq(&kinds)?;
        let score = f64::from(right.to_dtype(DType::F32)?.mean_all()?.to_scalar::<f32>()?);
        Ok(Some(Validation {
            score,
            metrics: Vec::new(),
        }))
    }
}

fn main() -> Result<(), BoxError> {
    let store = ParamStore::new(1, &Device::Cpu);
    let conv = Conv3x3::new(1, 8, true, &store.root().pp("conv"))?;
    let head = Linear::new(8 * 256, 1, true, &store.root().pp("head"))?;
    let config = TrainConfig {
        epochs: 10,
        learning_rate: 2e-3,
        ..TrainConfig::default()
    };
    let report = Trainer::new(config)?.fit(&mut Shapes { store, conv, head })?;
    let best = report.best.ok_or("no validation took place")?;
    println!(
        "{} steps, {:.0} % right after epoch {}",
        report.steps,
        100.0 * best.score,
        best.epoch + 1
    );
    Ok(())
}
