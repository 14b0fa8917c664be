use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Device;
use serde_json::{Value, json};
use venule_data::{Batcher, Dataset, FovPolicy, Loader, LoaderConfig};
use venule_loss::Loss;
use venule_mae::{ImportOptions, ImportReport};
use venule_nn::{Mode, mix};
use venule_seg::Freeze;
use venule_train::{BoxError, Parameter, Picture, Position, StepOutput, Task, Validation};

mod held;
mod start;
mod teacher;
mod views;

pub use start::StartParts;

use held::HeldOut;
use teacher::Teacher;
use views::training_views;

use super::batches::Batches;
use super::parameters::parameters;
use crate::segmenter::check_threshold;
use crate::{
    Calibration, Checkpoint, Error, ImageRecord, Provenance, Recipe, Registry, Result, VesselModel,
};

/// The photographs of a fine-tuning.
pub struct FinetuningData {
    /// Labelled images to fit weights on; there may be none beside `unlabelled` ones.
    pub train: Box<dyn Dataset>,
    /// Photographs to learn from without labels, as [`Recipe::self_training`] says; labels that they have are not looked at.
    pub unlabelled: Option<Box<dyn Dataset>>,
    /// Images to choose the threshold and the best epoch on; all are kept in memory: two bytes a pixel, and four a pixel and
    /// channel of the network's input.
    pub validation: Box<dyn Dataset>,
    /// Where the field of view comes from.
    pub fov: FovPolicy,
    /// Threads that load and augment; 0 does it between steps.
    pub workers: usize,
    /// Bytes of training photographs kept in memory at most, half of them without labels where there are both kinds; what is not kept is
    /// read anew in each epoch.
    pub cache_bytes: usize,
}

/// Fine-tuning of a segmentation model on labelled photographs by [`VesselModel::training_loss`], and on photographs without labels by
/// [self-training](crate::SelfTraining).
pub struct Finetuning {
    model: VesselModel,
    loss: Box<dyn Loss>,
    /// Of labelled photographs, if there are any; else the teacher's batches make the epochs.
    batches: Option<Batches>,
    teacher: Option<Teacher>,
    held: HeldOut,
    /// Set by hand, or found by validation.
    threshold: f32,
    fixed_threshold: bool,
    /// Whether a validation has chosen it.
    chosen_threshold: bool,
    batch_size: usize,
    checkpoint: Checkpoint,
    /// Epochs from one stage of the encoder to the next, if it is unfrozen gradually.
    unfreeze_every: Option<usize>,
}

impl Finetuning {
    /// A fresh model of a recipe of built-in parts on these photographs.
    ///
    /// # Errors
    /// If a setting is out of range, there are no photographs, or one has no label; [`Error::Channels`] if the preprocessing gives other
    /// channels than the model takes.
    pub fn new(recipe: &Recipe, data: FinetuningData, device: &Device) -> Result<Self> {
        Self::from_registry(&Registry::built_in(), recipe, data, device)
    }

    /// As [`new`](Self::new), of the parts and losses of a registry.
    ///
    /// # Errors
    /// As [`new`](Self::new), and if the registry lacks a kind that the recipe names.
    pub fn from_registry(
        registry: &Registry,
        recipe: &Recipe,
        data: FinetuningData,
        device: &Device,
    ) -> Result<Self> {
        // Before photographs are read: a model that cannot be is told at once.
        let loss = registry.losses().build(&recipe.loss)?;
        let seed = recipe.train.seed;
        let model = VesselModel::from_registry(registry, &recipe.model, seed, device)?;
        Self::with_parts(recipe, model, Box::new(loss), data)
    }

    /// Trains this model by this loss, whatever the recipe says of both; the rest is the recipe's.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_parts(
        recipe: &Recipe,
        model: VesselModel,
        loss: Box<dyn Loss>,
        data: FinetuningData,
    ) -> Result<Self> {
        model.expect_channels(&recipe.preprocess)?;
        if data.train.is_empty() && data.unlabelled.is_none() {
            return Err(Error::NoData {
                what: "training images",
                remedy: "choose a folder or split that holds some",
            });
        }
        let from_epoch = recipe.self_training.from_epoch;
        // Without labels there is nothing to learn before it.
        let latest = if data.train.is_empty() {
            1
        } else {
            recipe.train.epochs
        };
        if data.unlabelled.is_some() && from_epoch >= latest {
            return Err(Error::Config {
                field: "self_training.from_epoch",
                value: from_epoch.to_string(),
                expected: "self-training begins before the last epoch ends, and in epoch 0 where no photograph has a label",
            });
        }
        data.train.check_ids()?;
        data.validation.check_ids()?;
        let seed = recipe.train.seed;
        let mut provenance = Provenance::of(&data.train, seed)?;
        if let Some(unlabelled) = &data.unlabelled {
            provenance.unlabelled = ImageRecord::of(unlabelled, "")?;
        }
        let checkpoint = Checkpoint {
            model: model.config().clone(),
            preprocess: recipe.preprocess.clone(),
            fov: data.fov,
            threshold: 0.5,
            calibration: Calibration::default(),
            provenance,
        };
        let held = HeldOut::load(&data.validation, &recipe.preprocess, data.fov)?;
        let batcher = Batcher::new(model.device().clone());
        let both = data.unlabelled.is_some() && !data.train.is_empty();
        let cache_bytes = data.cache_bytes / if both { 2 } else { 1 };
        let loading = (data.fov, data.workers, cache_bytes);
        let mut teacher = match data.unlabelled {
            Some(photographs) => Some(Teacher::new(recipe, photographs, loading, batcher.clone())?),
            None => None,
        };
        let batches = match data.train.is_empty() {
            true => None,
            false => {
                let loader = Loader::new(
                    training_views(recipe, data.train, data.fov, cache_bytes, seed)?,
                    LoaderConfig {
                        batch_size: recipe.batch_size,
                        repeats: recipe.crops_per_image,
                        seed,
                        workers: data.workers,
                        ..LoaderConfig::default()
                    },
                )?;
                if let Some(teacher) = &mut teacher {
                    teacher.set_task_batches(loader.batches());
                }
                Some(Batches::new(loader, batcher))
            }
        };
        let batch_size = match &batches {
            Some(_) => recipe.batch_size,
            None => recipe.self_training.batch_size,
        };
        Ok(Self {
            batches,
            teacher,
            model,
            loss,
            held,
            threshold: 0.5,
            fixed_threshold: false,
            chosen_threshold: false,
            batch_size,
            checkpoint,
            unfreeze_every: None,
        })
    }

    /// Keeps this threshold instead of the one that maximises validation F1.
    ///
    /// # Errors
    /// [`Error::Config`] if it is not in [0, 1].
    pub fn with_threshold(mut self, threshold: f32) -> Result<Self> {
        check_threshold(threshold)?;
        self.threshold = threshold;
        self.fixed_threshold = true;
        Ok(self)
    }

    /// Starts from a pretrained encoder: a masked autoencoder of this project, or, for an encoder of the kind `vit`, public MAE,
    /// RETFound, timm, DINO or Hugging Face weights. What was loaded, reshaped and left out is in the report.
    ///
    /// # Errors
    /// If the file is unreadable or of another architecture; the error names each difference and the setting that takes it.
    pub fn load_encoder(&mut self, path: &Path) -> Result<ImportReport> {
        self.load_encoder_with(path, &ImportOptions::default())
    }

    /// As [`load_encoder`](Self::load_encoder), with a say in what is read of the file.
    ///
    /// # Errors
    /// As [`load_encoder`](Self::load_encoder).
    pub fn load_encoder_with(
        &mut self,
        path: &Path,
        options: &ImportOptions,
    ) -> Result<ImportReport> {
        let report = self.model.load_encoder(path, options)?;
        self.name_encoder(path);
        Ok(report)
    }

    /// Says that the encoder started from this file.
    pub fn name_encoder(&mut self, path: &Path) {
        self.checkpoint.provenance.pretrained = Some(path.display().to_string());
    }

    /// Freezes a part of the encoder.
    ///
    /// # Errors
    /// If there are fewer stages than `freeze` names, or there is no encoder. One without stages is frozen as a whole.
    pub fn freeze(&mut self, freeze: Freeze) -> Result<()> {
        let encoder = self.model.encoder();
        let whole =
            matches!(freeze, Freeze::All | Freeze::AllBut(0)) && !encoder.outputs().is_empty();
        if freeze != Freeze::None && !whole {
            self.expect_stages("freeze")?;
        }
        self.model.freeze(freeze)
    }

    /// Freezes the encoder at first and thaws one more [stage](venule_nn::Encoder::stages), from the last to the first, after every
    /// `epochs` epochs (Howard & Ruder 2018): a block of a Vision Transformer, at last its patch embedding. It takes the place of
    /// [`freeze`](Self::freeze).
    ///
    /// # Errors
    /// [`Error::Config`] if `epochs` is 0 or the encoder has no stages.
    pub fn with_gradual_unfreezing(mut self, epochs: usize) -> Result<Self> {
        self.expect_stages("unfreeze_every")?;
        if epochs == 0 {
            return Err(Error::Config {
                field: "unfreeze_every",
                value: epochs.to_string(),
                expected: "a stage is thawed after at least 1 epoch",
            });
        }
        self.unfreeze_every = Some(epochs);
        Ok(self)
    }

    fn expect_stages(&self, field: &'static str) -> Result<()> {
        match self.model.encoder().stages() {
            0 => Err(Error::Config {
                field,
                value: format!("set for the encoder '{}'", self.model.config().encoder.kind),
                expected: "only an encoder that has stages (`Encoder::stages`) is frozen; leave the setting out, or take another preset",
            }),
            _ => Ok(()),
        }
    }

    /// The model in training.
    pub fn model(&self) -> &VesselModel {
        &self.model
    }

    /// Whether there are labelled images to choose the epoch and the threshold on; without them a teacher's agreement with itself
    /// chooses the epoch.
    pub fn validates(&self) -> bool {
        !self.held.is_empty()
    }

    /// What a checkpoint of this moment says.
    pub fn checkpoint(&self) -> Checkpoint {
        let mut checkpoint = self.checkpoint.clone();
        checkpoint.threshold = self.threshold;
        if self.chosen_threshold {
            checkpoint.provenance.threshold_images = self.held.records().to_vec();
        }
        checkpoint
    }
}

impl Task for Finetuning {
    fn name(&self) -> &str {
        "finetuning"
    }

    fn parameters(&self) -> Vec<Parameter> {
        parameters(self.model.store(), "encoder.", self.model.encoder())
    }

    fn batches_per_epoch(&self) -> usize {
        let labelled = self.batches.as_ref().map(Batches::per_epoch);
        let teacher = || self.teacher.as_ref().map_or(0, Teacher::per_epoch);
        labelled.unwrap_or_else(teacher)
    }

    fn samples_per_batch(&self) -> Option<usize> {
        Some(self.batch_size)
    }

    fn share(&mut self, ranks: usize) {
        if let Some(batches) = &mut self.batches {
            batches.share(ranks);
        }
        if let Some(teacher) = &mut self.teacher {
            teacher.share(ranks);
        }
    }

    fn start_epoch(&mut self, position: Position) -> std::result::Result<(), BoxError> {
        if let Some(batches) = &mut self.batches {
            batches.start(position);
        }
        if let Some(every) = self.unfreeze_every {
            let freeze = match position.epoch / every {
                0 => Freeze::All,
                stages if stages >= self.model.encoder().stages() => Freeze::None,
                stages => Freeze::AllBut(stages),
            };
            self.freeze(freeze)?;
        }
        Ok(())
    }

    fn has_teacher(&self) -> bool {
        let own = |teacher: &Teacher| teacher.trained.is_empty();
        self.teacher.as_ref().is_some_and(own)
    }

    fn teach(&mut self, position: Position) -> std::result::Result<(), BoxError> {
        let threshold = self.checkpoint.calibration.raw_threshold(self.threshold);
        match &mut self.teacher {
            Some(teacher) => Ok(teacher.teach(&self.model, threshold, position)?),
            None => Ok(()),
        }
    }

    fn step(&mut self, position: Position) -> std::result::Result<StepOutput, BoxError> {
        let labelled = match &mut self.batches {
            Some(batches) => Some(batches.next(position)?),
            None => None,
        };
        let seed = mix(&[position.seed, position.epoch as u64, position.batch as u64]);
        let mut output: Option<StepOutput> = None;
        if let Some(batch) = labelled {
            let Some(labels) = &batch.labels else {
                return Err("a training batch has no labels".into());
            };
            let (loss, terms) = self.model.training_loss(
                &*self.loss,
                (&batch.images, labels),
                Some(&batch.valid),
                Mode::Train { seed },
            )?;
            output = Some(StepOutput {
                loss,
                terms,
                samples: batch.len(),
            });
        }
        if let Some(teacher) = &mut self.teacher
            && let Some((loss, value, samples)) = teacher.loss(&self.model, position)?
        {
            let term = ("self_training".to_owned(), value);
            output = Some(match output {
                Some(labelled) => StepOutput {
                    loss: (labelled.loss + loss)?,
                    terms: labelled.terms.into_iter().chain([term]).collect(),
                    // By which accumulated batches are weighted: those with labels are what the epochs are made of.
                    samples: labelled.samples,
                },
                None => StepOutput {
                    loss,
                    terms: vec![term],
                    samples,
                },
            });
        }
        Ok(output.ok_or("there is nothing to learn from in this step")?)
    }

    fn validate(&mut self, _epoch: usize) -> std::result::Result<Option<Validation>, BoxError> {
        let fixed = self.fixed_threshold.then_some(self.threshold);
        let found = self.held.score(&self.model, fixed)?;
        if let Some(found) = &found {
            self.threshold = found.threshold;
            self.chosen_threshold = !self.fixed_threshold;
            // That of a start belonged to its threshold.
            self.checkpoint.calibration = Calibration::default();
        }
        let watch = match &self.teacher {
            Some(teacher) => teacher.check(&self.model)?,
            None => None,
        };
        let mut metrics = Vec::new();
        // What is undefined, such as the precision where nothing was found, is left out.
        let mut say = |name: &str, value: Option<f64>| {
            metrics.extend(value.map(|value| (name.to_owned(), value)));
        };
        if let Some(found) = &found {
            say("f1", Some(found.f1));
            say("threshold", Some(f64::from(found.threshold)));
            say("f1_at_0.5", found.at_half.f1());
            say("recall_at_0.5", found.at_half.recall());
            say("precision_at_0.5", found.at_half.precision());
        }
        if let Some(watch) = &watch {
            say("vessels", Some(watch.vessels));
            say("agreement", Some(watch.agreement));
        }
        let score = match (&found, &watch) {
            (Some(found), _) => Some(found.f1),
            (None, Some(watch)) => Some(watch.agreement),
            (None, None) => None,
        };
        Ok(score.map(|score| Validation { score, metrics }))
    }

    /// The vessels found in the first validation images at the present threshold, over the photographs.
    fn pictures(&mut self, _epoch: usize) -> std::result::Result<Vec<Picture>, BoxError> {
        self.held.pictures(&self.model, self.threshold)
    }

    fn on_non_finite(
        &mut self,
        position: Position,
        directory: Option<&Path>,
    ) -> std::result::Result<(), BoxError> {
        if let Some(folder) = directory {
            if let Some(batches) = &mut self.batches {
                batches.save(position, folder)?;
            }
            if let Some(teacher) = &mut self.teacher {
                teacher.save(position, folder)?;
            }
        }
        Ok(())
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        self.checkpoint().metadata()
    }

    fn state(&self) -> Value {
        json!({
            "threshold": self.threshold,
            "chosen": self.chosen_threshold,
            "provenance": self.checkpoint.provenance,
            "teacher": self.teacher.as_ref().and_then(|teacher| teacher.start),
        })
    }

    fn load_state(&mut self, state: &Value) -> std::result::Result<(), BoxError> {
        let threshold = state.get("threshold").and_then(Value::as_f64);
        let threshold = threshold.ok_or("the state of a fine-tuning must hold a threshold")?;
        // What the weights started from, whatever is named now. States of version 0.1 keep the name alone.
        match (state.get("provenance"), state.get("pretrained")) {
            (Some(provenance), _) => {
                self.checkpoint.provenance = serde_json::from_value(provenance.clone())?;
            }
            (None, Some(pretrained)) => {
                self.checkpoint.provenance.pretrained = pretrained.as_str().map(str::to_owned);
            }
            (None, None) => {}
        }
        if let Some(teacher) = &mut self.teacher {
            teacher.start = match state.get("teacher") {
                Some(start) => serde_json::from_value(start.clone())?,
                None => None,
            };
        }
        if self.fixed_threshold {
            return Ok(());
        }
        self.threshold = threshold as f32;
        // States of before this was kept do not say.
        self.chosen_threshold = state
            .get("chosen")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        if self.chosen_threshold {
            self.checkpoint.calibration = Calibration::default();
        }
        Ok(())
    }
}
