use crate::score_histogram::{ScoreHistogram, average_precision};
use crate::scores::Tally;
use crate::{
    AucMatrix, Bootstrap, CalibrationReport, Confusion, CurvePoint, Interval, Metric, RankedScores,
    Result, Scores, Summary, WidthClass, summarize,
};

/// What an [`Evaluator`](crate::Evaluator) computes. Its size depends on the number of images, not of pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The threshold of the binary metrics.
    pub threshold: f32,
    /// All valid pixels of all images as one.
    pub pooled: Scores,
    /// The pooled counts.
    pub confusion: Confusion,
    /// The pooled counts at threshold 0.5.
    pub confusion_at_half: Confusion,
    /// Pooled recall by vessel width, in the classes of [`WidthRecall::BOUNDS`](crate::WidthRecall::BOUNDS).
    pub width_recall: Vec<WidthClass>,
    /// Pooled calibration with the bins of the reliability diagram.
    pub calibration: CalibrationReport,
    /// About [`CURVE_POINTS`](Self::CURVE_POINTS) points of the [ROC curve](RankedScores::roc_curve); empty if a class
    /// is missing.
    pub roc: Vec<CurvePoint>,
    /// As many of the [precision–recall curve](RankedScores::precision_recall_curve); empty without a vessel pixel.
    pub precision_recall: Vec<CurvePoint>,
    /// Every image by itself, in the order in which they came.
    pub per_image: Vec<Scores>,
    /// The counts of every image.
    pub per_image_confusion: Vec<Confusion>,
    /// Recall by vessel width of every image.
    pub per_image_width_recall: Vec<Vec<WidthClass>>,
    /// The ROC AUC of any draw of the images.
    pub auc: AucMatrix,
    draws: Draws,
}

/// What the pooled metrics of any draw of images are summed from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Draws {
    /// The sums of no image.
    pub(crate) empty: Tally,
    pub(crate) tallies: Vec<Tally>,
    pub(crate) histograms: Vec<ScoreHistogram>,
}

impl Report {
    /// Points kept of a curve; more than a screen shows.
    pub const CURVE_POINTS: usize = 400;

    pub(crate) fn new(
        pooled: Tally,
        ranked: &RankedScores,
        per_image: Vec<Scores>,
        auc: AucMatrix,
        draws: Draws,
    ) -> Self {
        let tallies = &draws.tallies;
        let points = Self::CURVE_POINTS;
        Self {
            threshold: draws.empty.widths.threshold(),
            pooled: pooled.scores(ranked.roc_auc(), ranked.average_precision()),
            confusion: pooled.confusion,
            confusion_at_half: pooled.at_half,
            width_recall: pooled.widths.compute(),
            calibration: pooled.calibration.compute(),
            roc: ranked.roc_curve(points).unwrap_or_default(),
            precision_recall: ranked.precision_recall_curve(points).unwrap_or_default(),
            per_image,
            per_image_confusion: tallies.iter().map(|tally| tally.confusion).collect(),
            per_image_width_recall: tallies.iter().map(|tally| tally.widths.compute()).collect(),
            auc,
            draws,
        }
    }

    /// Name, mean and standard deviation over images of each metric, in the order of [`Scores::entries`]; `None`
    /// where no image defines it.
    ///
    /// # Errors
    /// If a value is not finite, which no metric of this crate produces.
    pub fn summaries(&self) -> Result<Vec<(&'static str, Option<Summary>)>> {
        let column =
            |index: usize| summarize(self.per_image.iter().map(move |row| row.values()[index]));
        let names = Scores::names().into_iter().enumerate();
        names
            .map(|(index, name)| Ok((name, column(index)?)))
            .collect()
    }

    /// The intervals of the means over images, by the names of [`Scores::entries`]. Images that do not define a metric are
    /// left out of its mean; `None` where none does.
    ///
    /// # Errors
    /// If the bootstrap's settings are out of range.
    pub fn mean_intervals(
        &self,
        bootstrap: &Bootstrap,
    ) -> Result<Vec<(&'static str, Option<Interval>)>> {
        let mut intervals = Vec::with_capacity(Scores::COUNT);
        for (column, name) in Scores::names().into_iter().enumerate() {
            let rows = self.per_image.iter();
            let values: Vec<f64> = rows.filter_map(|row| row.values()[column]).collect();
            let interval = match values.is_empty() {
                true => None,
                false => Some(bootstrap.mean(&values)?),
            };
            intervals.push((name, interval));
        }
        Ok(intervals)
    }

    /// The intervals of the pooled values, by the names of [`Scores::entries`]: images are drawn and their sums added.
    /// The ends of those of `roc_auc` and `average_precision` come from scores in bins less than one per cent wide, as in
    /// the [`AucMatrix`], shifted by what the bins change in the estimate. `None` where a value is undefined.
    ///
    /// # Errors
    /// If there is no image, or the bootstrap's settings are out of range.
    pub fn pooled_intervals(
        &self,
        bootstrap: &Bootstrap,
    ) -> Result<Vec<(&'static str, Option<Interval>)>> {
        let Draws {
            empty,
            tallies,
            histograms,
        } = &self.draws;
        let intervals = bootstrap.statistics(tallies.len(), |drawn| {
            let mut sum = empty.clone();
            let drawn_tallies = drawn.iter().filter_map(|&index| tallies.get(index));
            drawn_tallies.for_each(|tally| sum.add(tally));
            let precision = average_precision(histograms, drawn);
            sum.scores(self.auc.roc_auc(drawn), precision).values()
        })?;
        let exact = intervals.into_iter().zip(self.pooled.values());
        let exact = exact.map(|(interval, value)| {
            interval.zip(value).map(|(interval, estimate)| {
                // What bins change in the estimate they change in the ends as well.
                let shift = estimate - interval.estimate;
                // Not out of the metric's range, though.
                let end = |end: f64| (end + shift).clamp(end.min(0.0), end.max(1.0));
                Interval {
                    estimate,
                    low: end(interval.low),
                    high: end(interval.high),
                }
            })
        });
        Ok(Scores::names().into_iter().zip(exact).collect())
    }
}
