use crate::RankedScores;

/// One point of a ROC or precision–recall curve: the counts when every pixel with `score ≥ threshold` is called
/// vessel (scikit-learn's convention for curves).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// The lowest score still called vessel; +∞ at the start of a ROC curve, where nothing is.
    pub threshold: f32,
    /// True positives here.
    pub tp: u64,
    /// False positives here.
    pub fp: u64,
    positives: u64,
    negatives: u64,
}

impl CurvePoint {
    /// True-positive rate, tp / all vessel pixels, in [0, 1].
    pub fn recall(&self) -> f64 {
        self.tp as f64 / self.positives as f64
    }

    /// False-positive rate, fp / all background pixels, in [0, 1]; `None` without background.
    pub fn false_positive_rate(&self) -> Option<f64> {
        (self.negatives > 0).then(|| self.fp as f64 / self.negatives as f64)
    }

    /// tp / (tp + fp), in [0, 1]; `None` where nothing is called vessel.
    pub fn precision(&self) -> Option<f64> {
        let called = self.tp + self.fp;
        (called > 0).then(|| self.tp as f64 / called as f64)
    }
}

impl RankedScores {
    /// The points of the ROC curve from (0, 0) to (1, 1), at most about `limit` of them, thresholds falling.
    ///
    /// With `limit` as large as the number of distinct scores plus one, these are the points of scikit-learn's
    /// `roc_curve(…, drop_intermediate=False)`. With fewer, points are left out where the curve advances least;
    /// those that stay are exact. `None` if one of the classes is missing.
    pub fn roc_curve(&self, limit: usize) -> Option<Vec<CurvePoint>> {
        if self.positives() == 0 || self.negatives() == 0 {
            return None;
        }
        let mut points = vec![self.point(f32::INFINITY, 0, 0)];
        points.extend(self.thinned(limit.saturating_sub(1)));
        Some(points)
    }

    /// The points of the precision–recall curve, at most about `limit` of them, thresholds falling, so recall
    /// rising to 1. With a large `limit` these are the points of scikit-learn's `precision_recall_curve` in
    /// reverse, without its last point (1, 0), which belongs to no threshold. `None` without a vessel pixel.
    pub fn precision_recall_curve(&self, limit: usize) -> Option<Vec<CurvePoint>> {
        (self.positives() > 0).then(|| self.thinned(limit).collect())
    }

    fn point(&self, threshold: f32, tp: u64, fp: u64) -> CurvePoint {
        CurvePoint {
            threshold,
            tp,
            fp,
            positives: self.positives(),
            negatives: self.negatives(),
        }
    }

    /// Every step if `limit` allows, else those at which recall plus false-positive rate has grown enough since
    /// the last point kept, and always the first and the last.
    fn thinned(&self, limit: usize) -> impl Iterator<Item = CurvePoint> + '_ {
        let least = if self.steps().take(limit.saturating_add(1)).count() <= limit {
            0.0
        } else {
            2.0 / (limit.max(3) - 2) as f64
        };
        let (positives, negatives) = (self.positives(), self.negatives());
        let advance = move |tp: u64, fp: u64| {
            tp as f64 / positives.max(1) as f64 + fp as f64 / negatives.max(1) as f64
        };
        let mut kept = f64::NEG_INFINITY;
        self.steps().filter_map(move |step| {
            let here = advance(step.tp, step.fp);
            let last = step.tp + step.fp == positives + negatives;
            (last || here - kept >= least).then(|| {
                kept = here;
                self.point(step.score, step.tp, step.fp)
            })
        })
    }
}
