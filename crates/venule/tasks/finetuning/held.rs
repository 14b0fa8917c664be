//! The labelled images that an epoch and a threshold are chosen on.

use image::RgbImage;
use venule_data::{Dataset, FovPolicy, Mask, Plane, Planes, Prepared, Preprocess, overlay};
use venule_metrics::{Confusion, ScoredImage, ThresholdSweep};
use venule_train::{BoxError, Picture};

use crate::predict::{seen_only, within};
use crate::tasks::pictures::picture;
use crate::{Error, ImageRecord, Result, VesselModel};

/// Validation images that pictures are made of.
const SHOWN: usize = 4;

/// The validation images, in memory.
pub(super) struct HeldOut {
    preprocess: Preprocess,
    images: Vec<Held>,
    records: Vec<ImageRecord>,
}

/// A validation image: the network's input, and the truth at native size.
struct Held {
    input: Planes,
    /// The pixels that the network sees.
    seen: Mask,
    label: Mask,
    fov: Mask,
    /// Its name and the photograph itself, if it is one of those that pictures are made of.
    shown: Option<(String, RgbImage)>,
}

/// How the model does on them.
pub(super) struct Score {
    /// Pooled F1 at the threshold.
    pub(super) f1: f64,
    pub(super) threshold: f32,
    pub(super) at_half: Confusion,
}

impl HeldOut {
    pub(super) fn load(
        images: &dyn Dataset,
        preprocess: &Preprocess,
        policy: FovPolicy,
    ) -> Result<Self> {
        let mut held = Vec::with_capacity(images.len());
        for index in 0..images.len() {
            let sample = images.load(index)?;
            let fov = policy.resolve(&sample)?;
            // Checks sizes and label as for a training image.
            let prepared = Prepared::from_sample(&sample, preprocess, policy)?;
            let Some(label) = sample.label else {
                return Err(Error::Unlabelled { id: sample.id });
            };
            held.push(Held {
                input: prepared.image,
                seen: prepared.fov,
                label,
                fov,
                shown: (index < SHOWN).then_some((sample.id, sample.image)),
            });
        }
        Ok(Self {
            preprocess: preprocess.clone(),
            images: held,
            records: ImageRecord::of(images, "")?,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    pub(super) fn records(&self) -> &[ImageRecord] {
        &self.records
    }

    /// Pooled F1 at the `fixed` threshold, or at the one that maximises it; none without images.
    pub(super) fn score(&self, model: &VesselModel, fixed: Option<f32>) -> Result<Option<Score>> {
        if self.is_empty() {
            return Ok(None);
        }
        let mut sweep = ThresholdSweep::new();
        let mut at_half = Confusion::default();
        let mut at_fixed = Confusion::default();
        for held in &self.images {
            let map = self.found(model, held)?;
            let (width, height) = map.size();
            let (scores, label, valid) = (map.data(), held.label.data(), Some(held.fov.data()));
            sweep.update(&ScoredImage::new(width, height, scores, label, valid)?)?;
            at_half.update(scores, label, valid, 0.5)?;
            at_fixed.update(scores, label, valid, fixed.unwrap_or(0.5))?;
        }
        let (f1, threshold) = match (fixed, sweep.compute()) {
            (Some(threshold), _) => (at_fixed.f1().unwrap_or(0.0), threshold),
            (None, Some(best)) => (best.f1, best.threshold),
            (None, None) => (0.0, 0.5),
        };
        Ok(Some(Score {
            f1,
            threshold,
            at_half,
        }))
    }

    /// The probabilities that the model finds in an image, at native size.
    fn found(&self, model: &VesselModel, held: &Held) -> Result<Plane> {
        let map = model.predict(&held.input)?;
        within(seen_only(map, &self.preprocess, &held.seen)?, &held.fov)
    }

    /// The vessels found in the first images, over the photographs.
    pub(super) fn pictures(
        &self,
        model: &VesselModel,
        threshold: f32,
    ) -> std::result::Result<Vec<Picture>, BoxError> {
        let mut pictures = Vec::new();
        for held in &self.images {
            let Some((id, photo)) = &held.shown else {
                continue;
            };
            let map = self.found(model, held)?;
            let found = map.map(|&p| p > threshold);
            let over = overlay(photo, &found, Some(&held.label), Some(&held.fov))?;
            pictures.push(picture(format!("validation/{id}"), over)?);
        }
        Ok(pictures)
    }
}
