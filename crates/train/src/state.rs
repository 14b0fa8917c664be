//! The part of a run's state that is no tensor.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

use crate::{Best, RunOptions, TrainConfig};

/// Where a run stands; a JSON document in the metadata of the state file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunState {
    /// The epoch of the next batch.
    pub(crate) epoch: usize,
    /// The next batch; equal to `batches_per_epoch` if only the epoch's end is left to do.
    pub(crate) batch: usize,
    /// Optimizer steps taken.
    pub(crate) step: usize,
    pub(crate) seed: u64,
    pub(crate) batches_per_epoch: usize,
    pub(crate) best: Option<Best>,
    /// Validations since the best one.
    pub(crate) since_best: usize,
    /// Steps skipped because something was not finite.
    pub(crate) skipped: usize,
    /// The learning rate of the last step.
    pub(crate) lr: f64,
    /// Running sums of the present epoch.
    pub(crate) sums: Sums,
    pub(crate) average_updates: u64,
    pub(crate) schedule: Value,
    pub(crate) task: Value,
    pub(crate) callbacks: BTreeMap<String, Value>,
    #[serde(deserialize_with = "config")]
    pub(crate) config: TrainConfig,
    /// Ties the state to the weights saved with it.
    pub(crate) weights_checksum: String,
}

impl RunState {
    pub(crate) fn new(config: &TrainConfig, batches_per_epoch: usize) -> Self {
        Self {
            epoch: 0,
            batch: 0,
            step: 0,
            seed: config.seed,
            batches_per_epoch,
            best: None,
            since_best: 0,
            skipped: 0,
            lr: 0.0,
            sums: Sums::default(),
            average_updates: 0,
            schedule: Value::Null,
            task: Value::Null,
            callbacks: BTreeMap::new(),
            config: config.clone(),
            weights_checksum: String::new(),
        }
    }

    pub(crate) fn to_json(&self) -> crate::Result<String> {
        serde_json::to_string(self).map_err(|error| crate::Error::Restore {
            what: "training state",
            reason: error.to_string(),
        })
    }

    pub(crate) fn from_json(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }
}

/// The settings of a state; those of version 0.1 hold some that have gone to [`RunOptions`].
fn config<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TrainConfig, D::Error> {
    let mut config = Value::deserialize(deserializer)?;
    if let Some(settings) = config.as_object_mut() {
        for moved in RunOptions::OF_TRAIN_CONFIG_0_1 {
            settings.remove(moved);
        }
    }
    serde_json::from_value(config).map_err(de::Error::custom)
}

/// Sample-weighted sums, for means over an epoch or over the batches of a step.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Sums {
    samples: usize,
    loss: f64,
    terms: Vec<(String, f64)>,
    /// The samples behind each term: not every batch has every one. States of before this was kept lack it.
    #[serde(default)]
    term_samples: BTreeMap<String, usize>,
}

impl Sums {
    /// Adds means over `samples` samples. A term that is not finite is left out: JSON has no word
    /// for it, and one bad batch should not blank the epoch.
    pub(crate) fn add(&mut self, loss: f64, terms: &[(String, f64)], samples: usize) {
        let weight = samples as f64;
        for (name, value) in terms.iter().filter(|(_, value)| value.is_finite()) {
            let before = match self.terms.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => {
                    *sum += value * weight;
                    self.samples
                }
                None => {
                    self.terms.push((name.clone(), value * weight));
                    0
                }
            };
            *self.term_samples.entry(name.clone()).or_insert(before) += samples;
        }
        self.samples += samples;
        self.loss += loss * weight;
    }

    pub(crate) fn samples(&self) -> usize {
        self.samples
    }

    pub(crate) fn loss(&self) -> Option<f64> {
        (self.samples > 0).then(|| self.loss / self.samples as f64)
    }

    pub(crate) fn terms(&self) -> Vec<(String, f64)> {
        let terms = self.terms.iter();
        terms
            .map(|(name, sum)| {
                let samples = self.term_samples.get(name).unwrap_or(&self.samples);
                (name.clone(), sum / (*samples).max(1) as f64)
            })
            .collect()
    }
}
