use crate::auc_matrix::AucMatrix;
use crate::column::Column;
use crate::details::Details;
use crate::order::Order;
use crate::score_histogram::ScoreHistogram;
use crate::{
    Bootstrap, CalibrationReport, Confusion, CurvePoint, Interval, RankedScores, Result, Scores,
    Summary, WidthClass, summarize,
};

/// What an [`Evaluator`](crate::Evaluator) computes. Its size depends on the number of images, not of pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The threshold of the binary metrics.
    pub threshold: f32,
    /// All valid pixels of all images as one; undefined without an image.
    pub pooled: Scores,
    /// The pooled counts.
    pub confusion: Confusion,
    /// The pooled counts at threshold 0.5.
    pub confusion_at_half: Confusion,
    /// Pooled recall by vessel width, in the classes of [`WidthClass::BOUNDS`].
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
    draws: Draws,
}

/// What the pooled metrics of any draw of images are summed from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Draws {
    pub(crate) columns: Vec<Column>,
    /// Of every image the counts of each column.
    pub(crate) counts: Vec<Vec<Vec<u128>>>,
    pub(crate) histograms: Vec<ScoreHistogram>,
    pub(crate) auc: AucMatrix,
}

impl Draws {
    /// The value of each column over these images and the order of their pixels; undefined of no image.
    fn values(&self, images: &[usize], order: &Order<'_>) -> Vec<Option<f64>> {
        let Some(mut sums) = images.first().map(|&image| self.counts[image].clone()) else {
            return vec![None; self.columns.len()];
        };
        for &image in &images[1..] {
            let counts = sums.iter_mut().flatten();
            for (sum, &count) in counts.zip(self.counts[image].iter().flatten()) {
                *sum = sum.saturating_add(count);
            }
        }
        let columns = self.columns.iter().zip(&sums);
        columns
            .map(|(column, sums)| column.value(sums, order))
            .collect()
    }

    fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.columns.iter().map(Column::name)
    }
}

impl Report {
    /// Points kept of a curve; more than a screen shows.
    pub const CURVE_POINTS: usize = 400;

    pub(crate) fn new(
        threshold: f32,
        ranked: &RankedScores,
        per_image: Vec<Scores>,
        (pooled, details): (Details, Vec<Details>),
        draws: Draws,
    ) -> Self {
        let points = Self::CURVE_POINTS;
        let images: Vec<usize> = (0..per_image.len()).collect();
        let values = draws.values(&images, &Order::Exact(ranked));
        let values = values
            .into_iter()
            .map(|value| value.filter(|v| v.is_finite()));
        Self {
            threshold,
            pooled: Scores::new(draws.names().zip(values).collect()),
            confusion: pooled.confusion,
            confusion_at_half: pooled.at_half,
            width_recall: pooled.widths,
            calibration: pooled.calibration.compute(),
            roc: ranked.roc_curve(points).unwrap_or_default(),
            precision_recall: ranked.precision_recall_curve(points).unwrap_or_default(),
            per_image,
            per_image_confusion: details.iter().map(|image| image.confusion).collect(),
            per_image_width_recall: details.into_iter().map(|image| image.widths).collect(),
            draws,
        }
    }

    /// The names of all metrics, in the order of [`Scores::entries`].
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.draws.names()
    }

    /// Name, mean and standard deviation over images of each metric, in the order of [`Scores::entries`]; `None`
    /// where no image defines it.
    ///
    /// # Errors
    /// If the values of a metric are so large that their squares overflow.
    pub fn summaries(&self) -> Result<Vec<(&'static str, Option<Summary>)>> {
        self.names()
            .map(|name| Ok((name, summarize(self.column(name))?)))
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
        let interval = |name| {
            let values: Vec<f64> = self.column(name).flatten().collect();
            Ok(match values.is_empty() {
                true => (name, None),
                false => (name, Some(bootstrap.mean(&values)?)),
            })
        };
        self.names().map(interval).collect()
    }

    /// A metric of every image.
    fn column<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Option<f64>> + 'a {
        self.per_image.iter().map(move |row| row.get(name))
    }

    /// The intervals of the pooled values, by the names of [`Scores::entries`]: images are drawn and their sums added.
    /// The ends of those of `roc_auc` and `average_precision` come from scores in bins less than one per cent wide, shifted by what the
    /// bins change in the estimate; they are good to about 10⁻⁴. `None` where a value is undefined.
    ///
    /// # Errors
    /// If there is no image, or the bootstrap's settings are out of range.
    pub fn pooled_intervals(
        &self,
        bootstrap: &Bootstrap,
    ) -> Result<Vec<(&'static str, Option<Interval>)>> {
        let Draws {
            counts,
            histograms,
            auc,
            ..
        } = &self.draws;
        let intervals = bootstrap.statistics(counts.len(), |drawn| {
            let order = Order::Drawn {
                auc,
                histograms,
                drawn,
            };
            self.draws.values(drawn, &order)
        })?;
        let exact = intervals.into_iter().zip(self.pooled.entries());
        let exact = exact.map(|(interval, (name, value))| {
            let interval = interval.zip(value).map(|(interval, estimate)| {
                // What bins change in the estimate they change in the ends as well.
                let shift = estimate - interval.estimate;
                // Not out of the metric's range, though.
                let end = |end: f64| (end + shift).clamp(end.min(0.0), end.max(1.0));
                Interval {
                    estimate,
                    low: end(interval.low),
                    high: end(interval.high),
                }
            });
            (name, interval)
        });
        Ok(exact.collect())
    }
}
