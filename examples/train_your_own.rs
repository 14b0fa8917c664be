//! venule's training loop with a network and data of one's own: a small convolutional net tells which half is brighter.
//!
//! `cargo run --release --example train_your_own`

use venule::candle_core::{Device, Module, Result as TensorResult, Tensor};
use venule::nn::{Conv3x3, Linear, Noise, ParamStore};
use venule::train::{
    BoxError, Callback, EpochInfo, Parameter, Position, StepOutput, Task, TrainConfig, Trainer,
};

struct Halves(ParamStore, Conv3x3, Linear);

/// Eight noisy 8×8 images, and 1 for those that are brighter on the left.
fn batch(key: u64) -> TensorResult<(Tensor, Tensor)> {
    let mut noise = Noise::keyed(&[key]);
    let bright = |at: usize| f32::from((at % 8 < 4) == (at / 64).is_multiple_of(2));
    let pixels = (0..512)
        .map(|at| bright(at) + 0.5 * noise.normal())
        .collect();
    let left = (0..8).map(|image| f32::from(image % 2 == 0)).collect();
    let images = Tensor::from_vec(pixels, (8, 1, 8, 8), &Device::Cpu)?;
    Ok((images, Tensor::from_vec(left, (8, 1), &Device::Cpu)?))
}

impl Task for Halves {
    fn name(&self) -> &str {
        "halves"
    }

    fn parameters(&self) -> Vec<Parameter> {
        let params = self.0.trainable().into_iter();
        params
            .map(|(name, var)| Parameter::new(name, var))
            .collect()
    }

    fn batches_per_epoch(&self) -> usize {
        20
    }

    fn step(&mut self, at: Position) -> Result<StepOutput, BoxError> {
        let (images, left) = batch(((at.epoch as u64) << 32) + at.batch as u64)?;
        let hidden = self.1.forward(&images)?.relu()?.flatten_from(1)?;
        let loss = (self.2.forward(&hidden)? - left)?.sqr()?.mean_all()?;
        Ok(StepOutput {
            loss,
            terms: Vec::new(),
            samples: 8,
        })
    }
}

struct Print;

impl Callback for Print {
    fn name(&self) -> &str {
        "print"
    }

    fn on_epoch(&mut self, info: &EpochInfo<'_>) -> Result<(), BoxError> {
        let loss = info.loss.unwrap_or(f64::NAN);
        println!("epoch {}: loss {loss:.4}", info.epoch + 1);
        Ok(())
    }
}

fn main() -> Result<(), BoxError> {
    let store = ParamStore::new(1, &Device::Cpu);
    let conv = Conv3x3::new(1, 8, true, &store.root().pp("conv"))?;
    let head = Linear::new(8 * 64, 1, true, &store.root().pp("head"))?;
    let mut config = TrainConfig::default();
    (config.epochs, config.learning_rate) = (10, 2e-3);
    let trainer = Trainer::new(config)?.with_callback(Print);
    trainer.fit(&mut Halves(store, conv, head))?;
    Ok(())
}
