use crate::order::Ranking;
use crate::{Calibration, Comparison, Confusion, CoverCounts, Result};

/// A built-in metric: a row of [`METRICS`].
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct BuiltIn {
    /// The name in reports.
    pub name: &'static str,
    /// What it is, in the counts of pixels tp, fp, tn, fn or in words.
    pub definition: &'static str,
    /// Its smallest and its largest value.
    pub range: (f64, f64),
    /// Whether the largest value is the best one, and not the smallest.
    pub larger_is_better: bool,
    pub(crate) source: Source,
}

/// What a built-in metric is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    /// Of counts that add up over images, as a [`Metric`](crate::Metric).
    Counts {
        count: fn(&Comparison<'_>) -> Result<Vec<u128>>,
        value: fn(&[u128]) -> Option<f64>,
    },
    /// Of the order of all pixels, which only the scores themselves give.
    Ranking(Ranking),
}

/// All built-in metrics, in the order of reports: an [`Evaluator`](crate::Evaluator) computes each row, and every table and file takes
/// names and values from here. A new metric is a file with its counts and its value, and a row here.
#[rustfmt::skip] // A table is read by columns.
pub const METRICS: &[BuiltIn] = &[
    share("accuracy", "(tp + tn) / all", Larger, CONFUSION, |s| confusion(s).accuracy()),
    share("precision", "tp / (tp + fp)", Larger, CONFUSION, |s| confusion(s).precision()),
    share("recall", "tp / (tp + fn), also called sensitivity", Larger, CONFUSION, |s| confusion(s).recall()),
    share("specificity", "tn / (tn + fp)", Larger, CONFUSION, |s| confusion(s).specificity()),
    share("f1", "2 tp / (2 tp + fp + fn)", Larger, CONFUSION, |s| confusion(s).f1()),
    share("dice", "as f1; two empty masks give 1", Larger, CONFUSION, |s| confusion(s).dice()),
    share("iou", "tp / (tp + fp + fn)", Larger, CONFUSION, |s| confusion(s).iou()),
    ranged("mcc", "(tp·tn − fp·fn) / √((tp + fp)(tp + fn)(tn + fp)(tn + fn))", Larger, (-1.0, 1.0), CONFUSION, |s| confusion(s).mcc()),
    share("balanced_accuracy", "(recall + specificity) / 2", Larger, CONFUSION, |s| confusion(s).balanced_accuracy()),
    ranking("roc_auc", "chance that a vessel pixel outranks a background pixel, ties count half", Ranking::RocAuc),
    ranking("average_precision", "Σ (Rₙ − Rₙ₋₁) Pₙ over the distinct scores, not interpolated", Ranking::AveragePrecision),
    share("cl_dice", "harmonic mean of the shares of each mask's skeleton inside the other mask", Larger, SKELETONS, |s| cover(s).f1()),
    share("thin_recall", "share of the target's thin-vessel pixels that are predicted vessel", Larger, THIN, |s| cover(s).recall()),
    share("thin_precision", "share of the prediction's thin-vessel pixels that are vessel in the target", Larger, THIN, |s| cover(s).precision()),
    share("thin_f1", "harmonic mean of thin_recall and thin_precision", Larger, THIN, |s| cover(s).f1()),
    ranged("betti0_error", "difference of the numbers of 8-connected components; mean over images", Smaller, (0.0, f64::INFINITY), COMPONENTS, mean),
    share("expected_calibration_error", "Σ over 15 bins of (share of pixels) · abs(mean probability − share of vessel)", Smaller, CALIBRATION, |s| calibration(s).expected_calibration_error()),
    share("brier", "mean of (probability − target)²", Smaller, CALIBRATION, |s| calibration(s).brier()),
];

#[derive(Clone, Copy)]
enum Better {
    Larger,
    Smaller,
}
use Better::{Larger, Smaller};

type Count = fn(&Comparison<'_>) -> Result<Vec<u128>>;
type Value = fn(&[u128]) -> Option<f64>;

const CONFUSION: Count = |image| Ok(image.confusion().counts().into());
const SKELETONS: Count = |image| Ok(image.skeletons()?.counts().into());
const THIN: Count = |image| Ok(image.thin_vessels()?.counts().into());
const COMPONENTS: Count = |image| Ok(vec![image.component_error()?.into(), 1]);
const CALIBRATION: Count = |image| Ok(image.calibration()?.counts());

fn confusion(sums: &[u128]) -> Confusion {
    Confusion::from_counts(sums)
}

fn cover(sums: &[u128]) -> CoverCounts {
    CoverCounts::from_counts(sums)
}

fn calibration(sums: &[u128]) -> Calibration {
    Calibration::from_counts(sums)
}

/// Of a sum over images and their number.
fn mean(sums: &[u128]) -> Option<f64> {
    crate::confusion::ratio(*sums.first()?, *sums.get(1)?)
}

const fn share(
    name: &'static str,
    definition: &'static str,
    better: Better,
    count: Count,
    value: Value,
) -> BuiltIn {
    ranged(name, definition, better, (0.0, 1.0), count, value)
}

const fn ranged(
    name: &'static str,
    definition: &'static str,
    better: Better,
    range: (f64, f64),
    count: Count,
    value: Value,
) -> BuiltIn {
    BuiltIn {
        name,
        definition,
        range,
        larger_is_better: matches!(better, Larger),
        source: Source::Counts { count, value },
    }
}

const fn ranking(name: &'static str, definition: &'static str, ranking: Ranking) -> BuiltIn {
    BuiltIn {
        name,
        definition,
        range: (0.0, 1.0),
        larger_is_better: true,
        source: Source::Ranking(ranking),
    }
}
