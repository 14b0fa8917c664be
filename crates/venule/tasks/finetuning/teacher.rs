//! Learning from photographs without labels, by a mean teacher or by trained ones.

use std::path::Path;
use std::sync::Arc;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use venule_data::{
    Augment, AugmentedSet, Batcher, Checksum, Dataset, FovPolicy, Loader, LoaderConfig, Mask,
    Planes, Prepared, PreparedSet, Sample,
};
use venule_loss::Bce;
use venule_nn::{Mode, mix};
use venule_train::{BoxError, Position};

use crate::predict::within;
use crate::tasks::batches::{Batches, save_batch};
use crate::{Error, Recipe, Result, Segmenter, SelfTraining, VesselModel};

/// Keeps the order, crops and intensities of these photographs apart from those of the labelled ones.
const KEY: u64 = 0x7465_6163_6865_7221;
/// Photographs on which the teacher is watched.
const WATCHED: usize = 8;
/// The vessels of a teacher that has not collapsed: so many times more or fewer than at the start, and never most of the field of view.
const FEWER: f64 = 0.25;
const MORE: f64 = 4.0;
const MOST: f64 = 0.5;

/// A teacher with the photographs it teaches on.
pub(super) struct Teacher {
    settings: SelfTraining,
    /// Trained models, the mean of whose probabilities is the target; without any it is that of the model's own averaged weights.
    pub(super) trained: Vec<Segmenter>,
    /// Of views in the photographs' own intensities.
    batches: Batches,
    batcher: Batcher,
    intensities: Augment,
    seed: u64,
    /// Batches of the task in an epoch.
    per_epoch: usize,
    lesson: Option<Lesson>,
    watched: Vec<Watched>,
    /// None before the first lesson.
    pub(super) start: Option<Start>,
}

/// What the teacher found in the watched photographs before its first lesson.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Start {
    /// The share of vessel pixels in the field of view.
    vessels: f64,
    /// The threshold by which they are vessels, then and later: another would find others.
    threshold: f32,
}

/// Photographs whose labels, if they have any, are not looked at.
struct Unlabelled(Box<dyn Dataset>);

impl Unlabelled {
    fn without(sample: Sample) -> Sample {
        Sample {
            label: None,
            second_label: None,
            ..sample
        }
    }
}

impl Dataset for Unlabelled {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn id(&self, index: usize) -> &str {
        self.0.id(index)
    }

    fn load(&self, index: usize) -> venule_data::Result<Sample> {
        self.0.load(index).map(Self::without)
    }

    fn drawn(&self, index: usize) -> Option<&str> {
        self.0.drawn(index)
    }

    fn load_in(&self, epoch: u64, index: usize) -> venule_data::Result<Sample> {
        self.0.load_in(epoch, index).map(Self::without)
    }

    fn checksum(&self, index: usize) -> venule_data::Result<Checksum> {
        self.0.checksum(index)
    }
}

/// What a step is to learn.
struct Lesson {
    position: Position,
    images: Tensor,
    targets: Tensor,
    counted: Tensor,
}

struct Watched {
    input: Planes,
    other: Planes,
    fov: Mask,
}

/// How the teacher does on the watched photographs.
pub(super) struct Watch {
    /// The share of vessel pixels in the field of view.
    pub(super) vessels: f64,
    /// Dice coefficient of the probabilities found in photographs as they are and in changed intensities.
    pub(super) agreement: f64,
}

impl Teacher {
    pub(super) fn new(
        recipe: &Recipe,
        photographs: Box<dyn Dataset>,
        (fov, workers, cache_bytes): (FovPolicy, usize, usize),
        batcher: Batcher,
    ) -> Result<Self> {
        let settings = recipe.self_training;
        settings.validate()?;
        if photographs.is_empty() {
            return Err(Error::NoData {
                what: "photographs to learn from without labels",
                remedy: "choose a folder that holds some",
            });
        }
        photographs.check_ids()?;
        let photographs = Unlabelled(photographs);
        let seed = mix(&[recipe.train.seed, KEY]);
        let mut watched = Vec::new();
        for index in 0..photographs.len().min(WATCHED) {
            let sample = photographs.load(index)?;
            let prepared = Prepared::from_sample(&sample, &recipe.preprocess, fov)?;
            let (input, fov) = (prepared.image.clone(), prepared.fov.clone());
            let other = recipe
                .augment
                .change_intensity(prepared, seed, u64::MAX, index as u64)?;
            watched.push(Watched {
                input,
                other: other.image,
                fov,
            });
        }
        let set = PreparedSet::new(photographs, recipe.preprocess.clone(), fov);
        let set = Arc::new(set.with_cache_limit(cache_bytes));
        let crop = (recipe.crop, recipe.crop);
        let views = AugmentedSet::new(set, recipe.augment.geometry(), crop, seed)?;
        let loader = Loader::new(
            Arc::new(views),
            LoaderConfig {
                batch_size: settings.batch_size,
                repeats: recipe.crops_per_image,
                seed,
                workers,
                ..LoaderConfig::default()
            },
        )?;
        Ok(Self {
            settings,
            trained: Vec::new(),
            per_epoch: loader.batches(),
            batches: Batches::new(loader, batcher.clone()),
            batcher,
            intensities: recipe.augment.clone(),
            seed,
            lesson: None,
            watched,
            start: None,
        })
    }

    /// Batches of its own in an epoch of its own.
    pub(super) fn per_epoch(&self) -> usize {
        self.batches.per_epoch()
    }

    /// Expects that of `ranks` batches one is asked for.
    pub(super) fn share(&mut self, ranks: usize) {
        self.batches.share(ranks);
    }

    /// Says how many batches an epoch of the task has.
    pub(super) fn set_task_batches(&mut self, per_epoch: usize) {
        self.per_epoch = per_epoch;
    }

    /// Where among its own batches a position of the task lies, once it has begun: they go round as often as the task lasts.
    fn own(&self, position: Position) -> Option<Position> {
        let epoch = position.epoch.checked_sub(self.settings.from_epoch)?;
        let count = epoch * self.per_epoch + position.batch;
        Some(Position {
            epoch: count / self.batches.per_epoch(),
            batch: count % self.batches.per_epoch(),
            ..position
        })
    }

    /// Notes how many vessels there are before the first lesson.
    fn begin(&mut self, model: &VesselModel, threshold: f32) -> Result<()> {
        if self.start.is_some() {
            return Ok(());
        }
        let vessels = self.watch(model, threshold)?.vessels;
        if vessels == 0.0 || vessels > MOST {
            return Err(Error::Collapse {
                vessels,
                at_start: None,
            });
        }
        self.start = Some(Start { vessels, threshold });
        Ok(())
    }

    /// The views that the teacher and the model see, at a position among its own batches.
    fn views(&mut self, own: Position) -> Result<(Vec<Prepared>, Vec<Prepared>)> {
        let weak = self.batches.samples(own)?;
        let strong = weak.iter().enumerate().map(|(place, view)| {
            let index = (own.batch * self.settings.batch_size + place) as u64;
            let epoch = own.epoch as u64;
            let change = &self.intensities;
            change.change_intensity(view.clone(), self.seed, epoch, index)
        });
        let strong = strong.collect::<venule_data::Result<_>>()?;
        Ok((weak, strong))
    }

    /// Asks the mean teacher, whose weights the model has now, what to learn at this position.
    pub(super) fn teach(
        &mut self,
        model: &VesselModel,
        threshold: f32,
        position: Position,
    ) -> Result<()> {
        let Some(own) = self.own(position) else {
            return Ok(());
        };
        self.begin(model, threshold)?;
        let (weak, strong) = self.views(own)?;
        let weak = self.batcher.batch(&weak)?;
        let targets = targets(model, &weak.images)?;
        self.lesson = Some(self.lesson(position, targets, &strong)?);
        Ok(())
    }

    /// What the trained teachers find, in the mean.
    fn ask_trained(&mut self, own: Position, position: Position) -> Result<Lesson> {
        let (weak, strong) = self.views(own)?;
        let weak = self.batcher.batch(&weak)?;
        let mut found = Vec::with_capacity(self.trained.len());
        for teacher in &self.trained {
            found.push(targets(teacher.model(), &weak.images)?);
        }
        let targets = Tensor::stack(&found, 0)?.mean(0)?;
        self.lesson(position, targets, &strong)
    }

    fn lesson(&self, position: Position, targets: Tensor, strong: &[Prepared]) -> Result<Lesson> {
        let strong = self.batcher.batch(strong)?;
        Ok(Lesson {
            position,
            images: strong.images,
            counted: self.counted(&targets, &strong.valid)?,
            targets,
        })
    }

    /// The pixels of the field of view but for the share of which the teacher is least sure.
    fn counted(&self, targets: &Tensor, valid: &Tensor) -> candle_core::Result<Tensor> {
        let probabilities: Vec<f32> = targets.flatten_all()?.to_vec1()?;
        let valid_pixels: Vec<f32> = valid.flatten_all()?.to_vec1()?;
        let sure = |p: f32| (p - 0.5).abs();
        let pixels = probabilities.iter().zip(&valid_pixels);
        let inside = pixels.filter(|(_, inside)| **inside > 0.0);
        let mut all: Vec<f32> = inside.map(|(&p, _)| sure(p)).collect();
        let unsure = (self.settings.unsure * all.len() as f64) as usize;
        if unsure == 0 {
            return Ok(valid.clone());
        }
        let (_, &mut least, _) = all.select_nth_unstable_by(unsure, f32::total_cmp);
        let counted = probabilities.iter().zip(&valid_pixels);
        let counted: Vec<f32> = counted
            .map(|(&p, &inside)| match sure(p) < least {
                true => 0.0,
                // What is not a number counts too, so that the trainer sees it.
                false => inside,
            })
            .collect();
        Tensor::from_vec(counted, valid.shape(), valid.device())
    }

    /// The weighted loss of what was taught last, and how many samples it is of; none before the beginning.
    pub(super) fn loss(
        &mut self,
        model: &VesselModel,
        position: Position,
    ) -> std::result::Result<Option<(Tensor, f64, usize)>, BoxError> {
        let Some(own) = self.own(position) else {
            return Ok(None);
        };
        let lesson = match self.trained.is_empty() {
            true => {
                let lesson = self.lesson.take().filter(|it| it.position == position);
                lesson.ok_or("nothing was taught for this step")?
            }
            false => self.ask_trained(own, position)?,
        };
        let seed = mix(&[
            position.seed,
            KEY,
            position.epoch as u64,
            position.batch as u64,
        ]);
        let (loss, _) = model.training_loss(
            &Bce::new(),
            (&lesson.images, &lesson.targets),
            Some(&lesson.counted),
            Mode::Train { seed },
        )?;
        let value = f64::from(loss.to_scalar::<f32>()?);
        let samples = lesson.images.dim(0)?;
        Ok(Some(((loss * self.settings.weight)?, value, samples)))
    }

    /// How the model, with the teacher's weights, does on the watched photographs.
    fn watch(&self, model: &VesselModel, threshold: f32) -> Result<Watch> {
        let (mut vessels, mut pixels) = (0_u64, 0_u64);
        let (mut both, mut sum) = (0.0_f64, 0.0_f64);
        for watched in &self.watched {
            let map = within(model.predict(&watched.input)?, &watched.fov)?;
            let other = within(model.predict(&watched.other)?, &watched.fov)?;
            vessels += map.data().iter().filter(|&&p| p > threshold).count() as u64;
            pixels += watched.fov.data().iter().filter(|&&inside| inside).count() as u64;
            for (&p, &q) in map.data().iter().zip(other.data()) {
                let (p, q) = (f64::from(p), f64::from(q));
                both += 2.0 * p * q;
                sum += p * p + q * q;
            }
        }
        Ok(Watch {
            vessels: vessels as f64 / pixels.max(1) as f64,
            agreement: if sum > 0.0 { both / sum } else { 0.0 },
        })
    }

    /// As [`watch`](Self::watch) in a validation, if teaching has begun.
    ///
    /// # Errors
    /// [`Error::Collapse`] if there are far more or far fewer vessels than at the start.
    pub(super) fn check(&self, model: &VesselModel) -> Result<Option<Watch>> {
        let Some(start) = self.start else {
            return Ok(None);
        };
        let watch = self.watch(model, start.threshold)?;
        let (vessels, at_start) = (watch.vessels, start.vessels);
        if vessels < FEWER * at_start || vessels > (MORE * at_start).min(MOST) {
            return Err(Error::Collapse {
                vessels,
                at_start: Some(at_start),
            });
        }
        Ok(Some(watch))
    }

    /// Saves for inspection what the model saw at a position.
    pub(super) fn save(
        &mut self,
        position: Position,
        folder: &Path,
    ) -> std::result::Result<(), BoxError> {
        let Some(own) = self.own(position) else {
            return Ok(());
        };
        let (_, strong) = self.views(own)?;
        let batch = self.batcher.batch(&strong)?;
        save_batch(batch, "unlabelled_", position, folder)
    }
}

/// The probabilities that a model finds, in the mean of the views and their mirror images; no gradient reaches it.
fn targets(model: &VesselModel, images: &Tensor) -> candle_core::Result<Tensor> {
    let _frozen = model.store().no_grad();
    let seen = |images: &Tensor| candle_nn::ops::sigmoid(&model.forward(images, Mode::Eval)?);
    let mirrored = seen(&images.flip(&[3])?.contiguous()?)?.flip(&[3])?;
    Ok(((seen(images)? + mirrored)? * 0.5)?.detach())
}
