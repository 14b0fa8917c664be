use std::fmt;

use venule_metrics::Report;

use super::EvaluationRow;

/// Something odd about results that can be computed all the same.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EvaluationWarning {
    /// Probabilities are higher where the truth marks no vessel: black and white of one of the two seem exchanged.
    Inverted {
        /// ROC AUC of all pixels, below 0.5.
        roc_auc: f64,
        /// Share of the pixels that the predictions call vessel.
        predicted: f64,
        /// Share of the pixels that the labels mark.
        labelled: f64,
    },
    /// As [`Inverted`](Self::Inverted), but of one image among others.
    InvertedImage {
        /// Its name.
        id: String,
        /// ROC AUC of its pixels, below 0.5.
        roc_auc: f64,
    },
}

impl EvaluationWarning {
    /// What is odd about a report of these images.
    pub(super) fn of(report: &Report, rows: &[EvaluationRow]) -> Vec<Self> {
        let counts = &report.confusion;
        let total = counts.total().max(1) as f64;
        let below = |auc: Option<f64>| auc.filter(|auc| *auc < 0.5);
        if let Some(roc_auc) = below(report.pooled.get("roc_auc")) {
            return vec![Self::Inverted {
                roc_auc,
                predicted: (counts.tp + counts.fp) as f64 / total,
                labelled: (counts.tp + counts.fn_) as f64 / total,
            }];
        }
        let images = report.per_image.iter().zip(rows);
        let inverted = images.filter_map(|(image, row)| {
            Some(Self::InvertedImage {
                id: row.id.clone(),
                roc_auc: below(image.get("roc_auc"))?,
            })
        });
        inverted.collect()
    }
}

impl fmt::Display for EvaluationWarning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inverted {
                roc_auc,
                predicted,
                labelled,
            } => {
                let which = match (*predicted > 0.5, *labelled > 0.5) {
                    (true, false) => "the predictions seem inverted",
                    (false, true) => "the labels seem inverted",
                    _ => "the predictions or the labels seem inverted",
                };
                write!(
                    formatter,
                    "ROC AUC is {roc_auc:.4}, below 0.5; predictions call {:.1} % of the pixels vessel, labels {:.1} %: {which}: are black and white exchanged?",
                    100.0 * predicted,
                    100.0 * labelled
                )
            }
            Self::InvertedImage { id, roc_auc } => write!(
                formatter,
                "ROC AUC of '{id}' is {roc_auc:.4}, below 0.5: its prediction or its label seems inverted, or belongs to another image"
            ),
        }
    }
}
