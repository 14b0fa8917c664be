//! Metrics of the order of all pixels.

use crate::RankedScores;
use crate::auc_matrix::AucMatrix;
use crate::score_histogram::{ScoreHistogram, average_precision};

/// The metrics that rank all pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ranking {
    RocAuc,
    AveragePrecision,
}

/// Where the order of the pixels is known from.
pub(crate) enum Order<'a> {
    /// The pixels themselves.
    Exact(&'a RankedScores),
    /// Bins of the pixels of the images drawn.
    Drawn {
        auc: &'a AucMatrix,
        histograms: &'a [ScoreHistogram],
        drawn: &'a [usize],
    },
}

impl Ranking {
    pub(crate) fn value(self, order: &Order<'_>) -> Option<f64> {
        match (self, order) {
            (Self::RocAuc, Order::Exact(ranked)) => ranked.roc_auc(),
            (Self::RocAuc, Order::Drawn { auc, drawn, .. }) => auc.roc_auc(drawn),
            (Self::AveragePrecision, Order::Exact(ranked)) => ranked.average_precision(),
            (
                Self::AveragePrecision,
                Order::Drawn {
                    histograms, drawn, ..
                },
            ) => average_precision(histograms, drawn),
        }
    }
}
