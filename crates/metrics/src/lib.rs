//! Segmentation metrics on plain slices: counts that accumulate, ratios computed once.
//!
//! Scores are `&[f32]`, targets and the map of valid pixels (a field of view, say) are `&[bool]`, all row-major.
//! Nothing here knows tensors, image files or models.
//!
//! # Two ways in
//! - Functions for one shot: [`roc_auc`], [`average_precision`], [`best_f1_threshold`], [`Confusion`],
//!   [`thin_map`], [`skeletonize`], [`connected_components`], [`vessel_width`], [`squared_distance`].
//! - Accumulators over many images, each a [`Metric`] (update, compute, merge): [`ThresholdedConfusion`],
//!   [`ThresholdSweep`], [`PooledScores`], [`ThinVessels`], [`WidthRecall`], [`ClDice`], [`ComponentError`],
//!   [`Calibration`], and [`Evaluator`], which is all of them at once with per-image rows.
//!   Merging accumulators of shards gives exactly what one pass over all images gives.
//!
//! # Conventions
//! - A pixel is predicted vessel when `score > threshold`.
//! - Counts are `u64`; a ratio is computed once, at the end; an undefined ratio is `None`, never NaN and never
//!   softened by an epsilon.
//! - Pixels outside the valid map never influence a value. The two-dimensional metrics (thin vessels, widths,
//!   skeletons, components) therefore see background there, in prediction and target alike.
//! - A NaN score at a valid pixel is an [`Error`], as are scores outside [0, 1] where probabilities are needed.
//!
//! # Uncertainty
//! [`summarize`] gives mean and standard deviation over images, [`Bootstrap`] seeded percentile intervals, and
//! [`paired_permutation_test`] the significance of a difference between two systems on the same images.
//!
//! ```
//! use venule_metrics::{Evaluator, Metric, ScoredImage};
//!
//! let scores = [0.9, 0.8, 0.2, 0.6, 0.1, 0.3];
//! let target = [true, true, false, false, false, true];
//! let mut evaluator = Evaluator::new(0.5)?;
//! evaluator.update(&ScoredImage::new(3, 2, &scores, &target, None)?)?;
//! let report = evaluator.compute();
//! // tp = 2, fp = 1, fn = 1: F1 = 4 / 6. Of the 3·3 pairs, 8 are ranked right.
//! assert!((report.pooled.f1.unwrap() - 4.0 / 6.0).abs() < 1e-12);
//! assert!((report.pooled.roc_auc.unwrap() - 8.0 / 9.0).abs() < 1e-12);
//! # Ok::<(), venule_metrics::Error>(())
//! ```
#![forbid(unsafe_code)]

mod auc_matrix;
mod bootstrap;
mod calibration;
mod components;
mod confusion;
mod cover;
mod curve;
mod distance;
mod error;
mod evaluator;
mod metric;
mod morphology;
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
mod width;

pub use auc_matrix::AucMatrix;
pub use bootstrap::{Bootstrap, Interval};
pub use calibration::{Calibration, CalibrationReport, ReliabilityBin};
pub use components::{ComponentError, Components, betti0, connected_components};
pub use confusion::{Confusion, ThresholdedConfusion};
pub use cover::{ClDice, CoverCounts, ThinVessels};
pub use curve::CurvePoint;
pub use distance::squared_distance;
pub use error::{Error, Result};
pub use evaluator::Evaluator;
pub use metric::Metric;
pub use morphology::{dilate3x3, erode3x3, thin_map};
pub use ranking::{PooledScores, RankedScores, average_precision, roc_auc};
pub use report::Report;
pub use scored_image::{ScoredImage, scores_from_mask};
pub use scores::Scores;
pub use significance::{PairedTest, paired_permutation_test};
pub use skeleton::skeletonize;
pub use summary::{Summary, summarize};
pub use sweep::{BestF1, ThresholdSweep, best_f1_threshold};
pub use width::{WidthClass, WidthRecall, vessel_width};
