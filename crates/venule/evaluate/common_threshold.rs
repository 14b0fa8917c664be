use std::collections::BTreeMap;

use venule_data::{Dataset, Sample, equivalent_diameter};
use venule_metrics::{BestF1, Confusion, ThresholdSweep};

use super::Protocol;
use super::protocol::NO_VESSELS;
use crate::{Calibration, Cancel, Error, Predict, Prediction, Result, Segmenter};

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

/// The photographs of a data set by size, together where that is alike: memory does not grow with their number.
type BySize = BTreeMap<u32, ThresholdSweep>;

/// Sizes that are told apart between a diameter and its double.
const SIZES: f64 = 64.0;

/// The least difference of sizes, in doublings, from which their influence is told.
const LEAST_SPREAD: f64 = 0.25;

/// Counts at every threshold k / 4096.
type Counts = Vec<(f32, Confusion)>;

/// The counts where logits above `-shift` are vessels.
fn at(counts: &Counts, shift: f64) -> &Confusion {
    let threshold = 1.0 / (1.0 + shift.exp());
    let index = (threshold * ThresholdSweep::RESOLUTION as f64).round() as usize;
    &counts[index.min(ThresholdSweep::RESOLUTION)].1
}

fn f1(counts: &Confusion) -> f64 {
    counts.f1().unwrap_or(0.0)
}

fn mean(f1: &[f64]) -> f64 {
    f1.iter().sum::<f64>() / f1.len() as f64
}

/// The middle of the highest run of thresholds with the highest mean F1 over the sets, and that of each set there.
fn best_plain(sets: &[Counts]) -> (f32, Vec<f64>) {
    let of_sets = |k: usize| sets.iter().map(|set| f1(&set[k].1)).collect::<Vec<f64>>();
    let means: Vec<f64> = (0..=ThresholdSweep::RESOLUTION)
        .map(|k| mean(&of_sets(k)))
        .collect();
    let highest = means.iter().copied().fold(f64::MIN, f64::max);
    let is_highest = |mean: &f64| *mean == highest;
    let last = means.iter().rposition(is_highest).unwrap_or(0);
    let run = means[..=last]
        .iter()
        .rev()
        .take_while(|mean| is_highest(mean));
    let first = last + 1 - run.count();
    let middle = (first + last) as f32 / (2 * ThresholdSweep::RESOLUTION) as f32;
    (middle, of_sets(last))
}

/// The calibration with the highest mean F1 over the sets at 0.5, and that of each set with it.
///
/// Where no step of the search is better than one `threshold` for every size, the calibration says just that threshold.
fn best_by_size(sets: &[Vec<(f64, Counts)>], threshold: f32) -> (Calibration, Vec<f64>) {
    let of_sets = |offset: f64, per_doubling: f64| -> Vec<f64> {
        let of_set = |sizes: &Vec<(f64, Counts)>| {
            let mut sum = Confusion::default();
            for (doublings, counts) in sizes {
                sum.merge(at(counts, offset + per_doubling * doublings));
            }
            f1(&sum)
        };
        sets.iter().map(of_set).collect()
    };
    let plain = f64::from(threshold).clamp(1e-6, 1.0 - 1e-6);
    let plain = (1.0 / plain - 1.0).ln();
    let mut found = (mean(&of_sets(plain, 0.0)), plain, 0.0);
    // The smallest change by size first: of equals it is taken.
    let slopes = (0..=40).flat_map(|k| [0.1 * f64::from(k), -0.1 * f64::from(k)]);
    for per_doubling in slopes {
        for offset in (-140..=140).map(|k| 0.05 * f64::from(k)) {
            let reached = mean(&of_sets(offset, per_doubling));
            if reached > found.0 + 1e-12 {
                found = (reached, offset, per_doubling);
            }
        }
    }
    let (_, offset, per_doubling) = found;
    let calibration = Calibration {
        offset: offset as f32,
        per_doubling: per_doubling as f32,
    };
    (calibration, of_sets(offset, per_doubling))
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
    /// of the logits in steps of 0.05, and their change per doubling in steps of 0.1. It is never worse than one threshold for all.
    /// Without, the calibration changes nothing.
    /// A calibration of the segmenter's own is left out of account. None of the images may be tested on afterwards.
    /// For one data set without `by_size` it is [`choose_threshold`](Self::choose_threshold).
    ///
    /// # Errors
    /// As [`choose_threshold`](Self::choose_threshold); [`Error::NoData`] without a data set, [`Error::Config`] for `by_size` and
    /// photographs of one size, from which nothing follows for others.
    pub fn choose_common_threshold(
        &self,
        segmenter: &Segmenter,
        datasets: &[&dyn Dataset],
        by_size: bool,
    ) -> Result<CommonThreshold> {
        let raw = Uncalibrated(segmenter);
        let mut sets: Vec<BySize> = Vec::new();
        for dataset in datasets {
            let mut sizes = BySize::new();
            self.compare(&raw, *dataset, |_, result, _, image| {
                let doublings = Calibration::doublings(equivalent_diameter(&result.fov));
                let size = (SIZES * doublings).round() as u32;
                Ok(sizes.entry(size).or_default().update(image)?)
            })?;
            sets.push(sizes);
        }
        let pooled = sets.iter().map(|sizes| {
            let mut pooled = ThresholdSweep::new();
            sizes.values().for_each(|sweep| pooled.merge(sweep));
            pooled
        });
        let pooled: Vec<ThresholdSweep> = pooled.collect();
        let best = pooled.iter().map(ThresholdSweep::compute);
        let best: Option<Vec<BestF1>> = best.collect();
        let best = best.filter(|best| !best.is_empty()).ok_or(NO_VESSELS)?;
        let counts: Vec<Counts> = pooled.iter().map(ThresholdSweep::counts).collect();
        let (threshold, f1) = best_plain(&counts);
        let (threshold, calibration, f1) = match by_size {
            false => (threshold, Calibration::default(), f1),
            true => {
                let of_set = |sizes: &BySize| {
                    let sizes = sizes.iter();
                    let sizes =
                        sizes.map(|(&size, sweep)| (f64::from(size) / SIZES, sweep.counts()));
                    sizes.collect::<Vec<_>>()
                };
                let sets: Vec<Vec<(f64, Counts)>> = sets.iter().map(of_set).collect();
                let sizes = || sets.iter().flatten().map(|(doublings, _)| *doublings);
                let spread = sizes().fold(f64::MIN, f64::max) - sizes().fold(f64::MAX, f64::min);
                if spread < LEAST_SPREAD {
                    return Err(Error::Config {
                        field: "by_size",
                        value: "photographs of one size".to_owned(),
                        expected: "some with fields of view of 535 pixels or less, and some with half as much more at least",
                    });
                }
                let (calibration, f1) = best_by_size(&sets, threshold);
                (0.5, calibration, f1)
            }
        };
        Ok(CommonThreshold {
            threshold,
            calibration,
            mean_f1: mean(&f1),
            sets: f1.into_iter().zip(best).collect(),
        })
    }
}
