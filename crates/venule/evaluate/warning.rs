use std::fmt;

use venule_metrics::Report;

/// Something odd about results that can be computed all the same.
#[derive(Clone, Copy, Debug, PartialEq)]
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
}

impl EvaluationWarning {
    /// What is odd about a report.
    pub(super) fn of(report: &Report) -> Vec<Self> {
        let counts = &report.confusion;
        let total = counts.total().max(1) as f64;
        let inverted = report.pooled.get("roc_auc").filter(|auc| *auc < 0.5);
        let warning = inverted.map(|roc_auc| Self::Inverted {
            roc_auc,
            predicted: (counts.tp + counts.fp) as f64 / total,
            labelled: (counts.tp + counts.fn_) as f64 / total,
        });
        warning.into_iter().collect()
    }
}

impl fmt::Display for EvaluationWarning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Inverted {
            roc_auc,
            predicted,
            labelled,
        } = *self;
        let which = match (predicted > 0.5, labelled > 0.5) {
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
}
