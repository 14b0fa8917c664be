use venule_data::{Dataset, Sample, equivalent_diameter};
use venule_metrics::{BestF1, Confusion, ThresholdSweep};

use super::Protocol;
use super::protocol::NO_VESSELS;
use crate::{Calibration, Cancel, Predict, Prediction, Result, Segmenter};

/// A threshold for several data sets at once, found by [`Protocol::choose_common_threshold`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CommonThreshold {
    /// Pixels with a larger probability, once [`calibration`](Self::calibration) is applied, are vessels.
    pub threshold: f32,
    /// How the size of a photograph moves its probabilities; nothing by default.
    pub calibration: Calibration,
    /// The mean over the data sets of their pooled F1.
    pub mean_f1: f64,
    /// Of each data set its pooled F1, and the best that a threshold of its own reaches.
    pub sets: Vec<(f64, BestF1)>,
}

/// The counts of a photograph at every threshold k / 4096.
struct Counted {
    doublings: f64,
    counts: Vec<(f32, Confusion)>,
}

impl Counted {
    /// The counts where logits above `-shift` are vessels.
    fn at(&self, shift: f64) -> &Confusion {
        let threshold = 1.0 / (1.0 + shift.exp());
        let index = (threshold * ThresholdSweep::RESOLUTION as f64).round() as usize;
        &self.counts[index.min(ThresholdSweep::RESOLUTION)].1
    }
}

/// A segmenter without the calibration of its weights.
struct Uncalibrated<'a>(&'a Segmenter);

impl Predict for Uncalibrated<'_> {
    fn predict(&self, sample: &Sample) -> Result<Prediction> {
        self.0
            .raw_prediction(sample, self.0.checkpoint().fov, &Cancel::default())
    }

    fn threshold(&self) -> f32 {
        self.0.threshold()
    }
}

impl Protocol {
    /// One threshold for data sets of several cameras, by the highest mean of their pooled F1: each counts alike, however large.
    ///
    /// With `by_size` the threshold is 0.5 of probabilities that a [`Calibration`] corrects, whose two numbers are searched: offsets
    /// of the logits in steps of 0.05, and their change per doubling in steps of 0.1. Without, the calibration changes nothing.
    /// A calibration of the segmenter's own is left out of account. None of the images may be tested on afterwards.
    ///
    /// # Errors
    /// As [`choose_threshold`](Self::choose_threshold); [`Error::NoData`](crate::Error::NoData) without a data set.
    pub fn choose_common_threshold(
        &self,
        segmenter: &Segmenter,
        datasets: &[&dyn Dataset],
        by_size: bool,
    ) -> Result<CommonThreshold> {
        let raw = Uncalibrated(segmenter);
        let mut sets = Vec::new();
        let mut best = Vec::new();
        for dataset in datasets {
            let (mut images, mut pooled) = (Vec::new(), ThresholdSweep::new());
            self.compare(&raw, *dataset, |_, result, _, image| {
                let mut sweep = ThresholdSweep::new();
                sweep.update(image)?;
                pooled.merge(&sweep);
                images.push(Counted {
                    doublings: Calibration::doublings(equivalent_diameter(&result.fov)),
                    counts: sweep.counts(),
                });
                Ok(())
            })?;
            best.push(pooled.compute().ok_or(NO_VESSELS)?);
            sets.push(images);
        }
        if sets.is_empty() {
            return Err(NO_VESSELS);
        }
        let f1 = |offset: f64, per_doubling: f64| -> Vec<f64> {
            let of_set = |images: &Vec<Counted>| {
                let mut sum = Confusion::default();
                for image in images {
                    sum.merge(image.at(offset + per_doubling * image.doublings));
                }
                sum.f1().unwrap_or(0.0)
            };
            sets.iter().map(of_set).collect()
        };
        let mean = |f1: &[f64]| f1.iter().sum::<f64>() / f1.len() as f64;
        let steps = |most: i32, step: f64| (-most..=most).map(move |k| f64::from(k) * step);
        let slopes: Vec<f64> = match by_size {
            // The smallest change first, so that sets of one size leave it at 0.
            true => (0..=40)
                .flat_map(|k| [0.1 * f64::from(k), -0.1 * f64::from(k)])
                .collect(),
            false => vec![0.0],
        };
        let (mut found, mut highest) = ((0.0, 0.0), f64::MIN);
        for &slope in &slopes {
            for offset in steps(140, 0.05) {
                let reached = mean(&f1(offset, slope));
                if reached > highest + 1e-12 {
                    (found, highest) = ((offset, slope), reached);
                }
            }
        }
        let (offset, slope) = found;
        let (threshold, calibration) = match by_size {
            true => (
                0.5,
                Calibration {
                    offset: offset as f32,
                    per_doubling: slope as f32,
                },
            ),
            false => ((1.0 / (1.0 + offset.exp())) as f32, Calibration::default()),
        };
        Ok(CommonThreshold {
            threshold,
            calibration,
            mean_f1: highest,
            sets: f1(offset, slope).into_iter().zip(best).collect(),
        })
    }
}
