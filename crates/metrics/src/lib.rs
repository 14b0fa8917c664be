//! Segmentation metrics on plain slices: counts that accumulate, ratios computed once.
//!
//! Scores are `&[f32]`, targets and the map of valid pixels (a field of view, say) are `&[bool]`, all row-major.
//! Nothing here knows tensors, image files or models.
//!
//! # Example: one image
//! Functions for one shot: [`roc_auc`], [`average_precision`], [`best_f1_threshold`], [`Confusion::from_scores`],
//! [`thin_map`], [`skeletonize`], [`connected_components`], [`vessel_width`], [`squared_distance`]. A [`Comparison`] holds the counts of
//! one image at a threshold.
//!
//! ```
//! use venule_metrics::{Comparison, Confusion, ScoredImage, roc_auc};
//!
//! let scores = [0.9, 0.8, 0.2, 0.6, 0.1, 0.3];
//! let target = [true, true, false, false, false, true];
//! // tp = 2, fp = 1, fn = 1: F1 = 4 / 6. Of the 3·3 pairs, 8 are ranked right.
//! let counts = Confusion::from_scores(&scores, &target, None, 0.5)?;
//! assert_eq!(counts.f1(), Some(4.0 / 6.0));
//! assert_eq!(roc_auc(&scores, &target, None)?, Some(8.0 / 9.0));
//! // As an image of 3x2 pixels both masks are one vessel.
//! let image = ScoredImage::new(3, 2, &scores, &target, None)?;
//! let comparison = Comparison::new(&image, 0.5)?;
//! assert_eq!(comparison.component_error()?, 0);
//! # Ok::<(), venule_metrics::Error>(())
//! ```
//!
//! # Example: many images, all metrics, and one of one's own
//! An [`Evaluator`] is a list of metrics: the table below, and every [`Metric`] that is added. Its [`Report`] has them pooled, for each
//! image, as means and with bootstrap intervals.
//!
//! ```
//! use venule_metrics::{Bootstrap, Comparison, Evaluator, Metric, Result, ScoredImage};
//!
//! /// Predicted vessel pixels per vessel pixel of the target: above 1 the vessels are drawn too wide.
//! struct AreaRatio;
//!
//! impl Metric for AreaRatio {
//!     fn name(&self) -> &'static str {
//!         "area_ratio"
//!     }
//!     fn count(&self, image: &Comparison<'_>) -> Result<Vec<u128>> {
//!         let counts = image.confusion();
//!         Ok(vec![(counts.tp + counts.fp).into(), (counts.tp + counts.fn_).into()])
//!     }
//!     fn value(&self, sums: &[u128]) -> Option<f64> {
//!         (sums[1] > 0).then(|| sums[0] as f64 / sums[1] as f64)
//!     }
//! }
//!
//! let target = [true, true, false, false];
//! let mut evaluator = Evaluator::new(0.5)?.with_metric(Box::new(AreaRatio))?;
//! for scores in [[0.9, 0.8, 0.7, 0.1], [0.9, 0.2, 0.1, 0.1]] {
//!     evaluator.update(&ScoredImage::new(2, 2, &scores, &target, None)?)?;
//! }
//! let report = evaluator.finish();
//! // Pooled tp = 3, fp = 1, fn = 1.
//! assert_eq!(report.pooled.get("f1"), Some(3.0 / 4.0));
//! assert_eq!(report.pooled.get("area_ratio"), Some(4.0 / 4.0));
//! assert_eq!(report.per_image[1].get("area_ratio"), Some(1.0 / 2.0));
//! let intervals = report.pooled_intervals(&Bootstrap::default())?;
//! assert_eq!(intervals.last().map(|(name, _)| *name), Some("area_ratio"));
//! # Ok::<(), venule_metrics::Error>(())
//! ```
//!
//! # The metrics
//! The rows of [`METRICS`], which an evaluator computes and every report names. tp, fp, tn, fn are counts of valid pixels. Of the last three,
//! smaller is better.
//!
//! | name | definition | range |
//! | --- | --- | --- |
//! | `accuracy` | (tp + tn) / all | [0, 1] |
//! | `precision` | tp / (tp + fp) | [0, 1] |
//! | `recall` | tp / (tp + fn), also called sensitivity | [0, 1] |
//! | `specificity` | tn / (tn + fp) | [0, 1] |
//! | `f1` | 2 tp / (2 tp + fp + fn) | [0, 1] |
//! | `dice` | as f1; two empty masks give 1 | [0, 1] |
//! | `iou` | tp / (tp + fp + fn) | [0, 1] |
//! | `mcc` | (tp·tn − fp·fn) / √((tp + fp)(tp + fn)(tn + fp)(tn + fn)) | [−1, 1] |
//! | `balanced_accuracy` | (recall + specificity) / 2 | [0, 1] |
//! | `roc_auc` | chance that a vessel pixel outranks a background pixel, ties count half | [0, 1] |
//! | `average_precision` | Σ (Rₙ − Rₙ₋₁) Pₙ over the distinct scores, not interpolated | [0, 1] |
//! | `cl_dice` | harmonic mean of the shares of each mask's skeleton inside the other mask | [0, 1] |
//! | `thin_recall` | share of the target's thin-vessel pixels that are predicted vessel | [0, 1] |
//! | `thin_precision` | share of the prediction's thin-vessel pixels that are vessel in the target | [0, 1] |
//! | `thin_f1` | harmonic mean of thin_recall and thin_precision | [0, 1] |
//! | `betti0_error` | difference of the numbers of 8-connected components; mean over images | [0, ∞) |
//! | `expected_calibration_error` | Σ over 15 bins of (share of pixels) · abs(mean probability − share of vessel) | [0, 1] |
//! | `brier` | mean of (probability − target)² | [0, 1] |
//!
//! # Conventions
//! - A pixel is predicted vessel when `score > threshold`.
//! - Counts are whole numbers, of pixels `u64`. A ratio is computed once, at the end. An undefined ratio is `None`, never NaN and never
//!   softened by an epsilon.
//! - Accumulators of shards merge into exactly what one pass over all images gives: [`Evaluator`], [`Confusion`], [`CoverCounts`],
//!   [`Calibration`], [`PooledScores`], [`ThresholdSweep`].
//! - Pixels outside the valid map never influence a value. The two-dimensional metrics (thin vessels, widths,
//!   skeletons, components) therefore see background there, in prediction and target alike.
//! - A NaN score at a valid pixel is an [`Error`], as are scores outside [0, 1] where probabilities are needed.
//!
//! # Uncertainty
//! [`summarize`] gives mean and standard deviation over images, [`Bootstrap`] seeded percentile intervals, and
//! [`paired_permutation_test`] the significance of a difference between two systems on the same images.
#![forbid(unsafe_code)]

mod auc_matrix;
mod bootstrap;
mod calibration;
mod column;
mod comparison;
mod components;
mod confusion;
mod cover;
mod curve;
mod details;
mod distance;
mod error;
mod evaluator;
mod metric;
mod morphology;
mod order;
mod radix;
mod random;
mod ranking;
mod report;
mod score_histogram;
mod scored_image;
mod scores;
mod significance;
mod skeleton;
mod summary;
mod sweep;
mod table;
mod width;

pub use bootstrap::{Bootstrap, Interval};
pub use calibration::{Calibration, CalibrationReport, ReliabilityBin};
pub use comparison::Comparison;
pub use components::{Components, betti0, connected_components};
pub use confusion::Confusion;
pub use cover::CoverCounts;
pub use curve::CurvePoint;
pub use distance::squared_distance;
pub use error::{Error, Result};
pub use evaluator::Evaluator;
pub use metric::Metric;
pub use morphology::thin_map;
pub use ranking::{PooledScores, RankedScores, average_precision, roc_auc};
pub use report::Report;
pub use scored_image::{ScoredImage, scores_from_mask};
pub use scores::Scores;
pub use significance::{PairedTest, paired_permutation_test};
pub use skeleton::skeletonize;
pub use summary::{Summary, summarize};
pub use sweep::{BestF1, ThresholdSweep, best_f1_threshold};
pub use table::{BuiltIn, METRICS};
pub use width::{WidthClass, vessel_width};

/// The examples of the crate page are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
