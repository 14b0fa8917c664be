//! A toy task: a small network learns to tell whether the left or right half is brighter.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};
use serde_json::{Value, json};
use venule_train::{
    BoxError, LOG_FILE, LogLine, Parameter, Picture, Position, Report, Result, StepOutput, Task,
    TrainConfig, Trainer, Validation,
};

/// A run that nothing watches and that writes nothing.
pub fn fit(task: &mut dyn Task, config: &TrainConfig) -> Result<Report> {
    Trainer::new(config.clone())?.fit(task)
}

/// The log in a run folder.
pub fn read_log(folder: &Path) -> Vec<LogLine> {
    let text = std::fs::read_to_string(folder.join(LOG_FILE)).unwrap();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

pub const BATCHES: usize = 5;
const BATCH: usize = 4;
const SIZE: usize = 6;

pub struct Toy {
    params: Vec<Parameter>,
    /// Batches of this epoch and these numbers give a loss that is not finite.
    pub poisoned: Vec<(usize, usize)>,
    /// Every position asked for.
    pub seen: Vec<Position>,
    /// Stands for what a task finds out in validation, a threshold for example.
    validations: u64,
    pub scores: Option<Vec<f64>>,
    pub name: &'static str,
    /// Batches that are joined to a larger one.
    pub joined: usize,
}

/// A cheap hash of a position, so that a batch depends on it alone.
fn noise(key: u64) -> f32 {
    let mut x = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
    x ^= x >> 29;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 32;
    (x >> 40) as f32 / (1u64 << 24) as f32 * 2.0 - 1.0
}

fn batch(seed: u64, epoch: usize, number: usize) -> (Tensor, Tensor) {
    let mut images = Vec::new();
    let mut labels = Vec::new();
    for sample in 0..BATCH {
        let key = (seed << 40) ^ ((epoch as u64) << 24) ^ ((number * BATCH + sample) as u64) << 8;
        let side = noise(key) > 0.0;
        for i in 0..SIZE * SIZE {
            let bright = (i % SIZE < SIZE / 2) == side;
            images.push(0.3 * noise(key + 1 + i as u64) + if bright { 0.5 } else { -0.5 });
        }
        labels.push(if side { 1.0f32 } else { 0.0 });
    }
    let images = Tensor::from_vec(images, (BATCH, 1, SIZE, SIZE), &Device::Cpu).unwrap();
    (
        images,
        Tensor::from_vec(labels, (BATCH, 1), &Device::Cpu).unwrap(),
    )
}

impl Toy {
    pub fn new() -> Self {
        let var = |shape: &[usize], scale: f32, salt: u64| {
            let n = shape.iter().product::<usize>() as u64;
            let values = (0..n).map(|i| scale * noise(i + 1000 * salt)).collect();
            Var::from_vec(values, shape, &Device::Cpu).unwrap()
        };
        let params = vec![
            Parameter::new("conv.weight", var(&[3, 1, 3, 3], 0.3, 1)),
            Parameter::new("conv.bias", var(&[3], 0.1, 2)),
            Parameter::new("head.weight", var(&[3 * SIZE * SIZE, 1], 0.05, 3)),
            Parameter::new("head.bias", var(&[1], 0.0, 4)),
            // Never part of the graph.
            Parameter {
                trainable: false,
                ..Parameter::new("frozen.weight", var(&[2, 2], 1.0, 5))
            },
        ];
        Self {
            params,
            poisoned: Vec::new(),
            seen: Vec::new(),
            validations: 0,
            scores: None,
            name: "toy",
            joined: 1,
        }
    }

    pub fn var(&self, name: &str) -> &Var {
        let mut params = self.params.iter();
        &params.find(|param| param.name == name).unwrap().var
    }

    pub fn values(&self) -> Vec<Vec<f32>> {
        let params = self.params.iter();
        params
            .map(|param| param.var.flatten_all().unwrap().to_vec1().unwrap())
            .collect()
    }

    fn logits(&self, images: &Tensor) -> candle_core::Result<Tensor> {
        let conv = images.conv2d(self.var("conv.weight"), 1, 1, 1, 1)?;
        let hidden = conv
            .broadcast_add(&self.var("conv.bias").reshape((1, 3, 1, 1))?)?
            .tanh()?;
        let flat = hidden.flatten_from(1)?;
        flat.matmul(self.var("head.weight"))?
            .broadcast_add(self.var("head.bias"))
    }

    /// ln(1 + e^x) − x·y, without overflow for the sizes met here.
    fn loss(&self, images: &Tensor, labels: &Tensor) -> candle_core::Result<Tensor> {
        let logits = self.logits(images)?;
        ((logits.exp()? + 1.0)?.log()? - (logits * labels)?)?.mean_all()
    }
}

impl Task for Toy {
    fn name(&self) -> &str {
        self.name
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.params.clone()
    }

    fn batches_per_epoch(&self) -> usize {
        BATCHES.div_ceil(self.joined)
    }

    fn samples_per_batch(&self) -> Option<usize> {
        Some(BATCH * self.joined)
    }

    fn pictures(&mut self, epoch: usize) -> Result<Vec<Picture>, BoxError> {
        Ok(vec![Picture {
            name: format!("after epoch {epoch}"),
            width: 2,
            height: 1,
            png: b"\x89PNG".to_vec(),
        }])
    }

    fn step(&mut self, position: Position) -> Result<StepOutput, BoxError> {
        self.seen.push(position);
        let first = position.batch * self.joined;
        let parts = first..(first + self.joined).min(BATCHES);
        let parts = parts.map(|number| batch(position.seed, position.epoch, number));
        let (images, labels): (Vec<_>, Vec<_>) = parts.unzip();
        let (images, labels) = (Tensor::cat(&images, 0)?, Tensor::cat(&labels, 0)?);
        let mut loss = self.loss(&images, &labels)?;
        if self.poisoned.contains(&(position.epoch, position.batch)) {
            loss = (loss * f64::NAN)?;
        }
        let terms = vec![(
            "labels".to_string(),
            f64::from(labels.mean_all()?.to_scalar::<f32>()?),
        )];
        Ok(StepOutput {
            loss,
            terms,
            samples: images.dim(0)?,
        })
    }

    fn validate(&mut self, epoch: usize) -> Result<Option<Validation>, BoxError> {
        self.validations += 1;
        let (images, labels) = batch(999, 0, 0);
        let predicted = self.logits(&images)?.gt(0.0)?.to_dtype(DType::F32)?;
        let right = predicted.eq(&labels)?.to_dtype(DType::F32)?.mean_all()?;
        let accuracy = f64::from(right.to_scalar::<f32>()?);
        let loss = f64::from(self.loss(&images, &labels)?.to_scalar::<f32>()?);
        let score = self.scores.as_ref().map_or(-loss, |scores| scores[epoch]);
        let metrics = vec![("accuracy".to_string(), accuracy)];
        Ok(Some(Validation { score, metrics }))
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        let threshold = json!({ "threshold": 0.5, "validations": self.validations });
        BTreeMap::from([
            ("config".to_string(), json!({ "size": SIZE }).to_string()),
            ("threshold".to_string(), threshold.to_string()),
        ])
    }

    fn state(&self) -> Value {
        json!({ "validations": self.validations })
    }

    fn load_state(&mut self, state: &Value) -> Result<(), BoxError> {
        self.validations = state["validations"].as_u64().ok_or("no count")?;
        Ok(())
    }
}
