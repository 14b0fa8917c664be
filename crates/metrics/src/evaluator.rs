use std::sync::Arc;

use crate::auc_matrix::AucMatrix;
use crate::column::Column;
use crate::confusion::same_threshold;
use crate::details::Details;
use crate::order::Order;
use crate::report::Draws;
use crate::score_histogram::ScoreHistogram;
use crate::scored_image::check_threshold;
use crate::{
    Comparison, Error, METRICS, Metric, PooledScores, Report, Result, ScoredImage, Scores,
};

/// A list of metrics, pooled and per image, for images of probabilities at a fixed threshold: all of [`METRICS`] and those added by
/// [`with_metric`](Self::with_metric).
///
/// Holds 4 bytes a valid pixel (for the exact pooled AUC) and about 75 KB an image. [`finish`](Self::finish) sorts the
/// scores where they are and needs up to 4 bytes more for each pixel of a share of them; [`compute`](Self::compute)
/// works on a copy of everything. The [`Report`] holds no scores. Images are told apart by the order in which they came;
/// merging appends the other's rows, which gives what one pass over all images gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluator {
    threshold: f32,
    columns: Vec<Column>,
    empty: Details,
    scores: PooledScores,
    images: Vec<Image>,
}

/// What is kept of an image besides its scores.
#[derive(Debug, Clone, PartialEq)]
struct Image {
    /// The counts of each column.
    counts: Vec<Vec<u128>>,
    details: Details,
    histogram: ScoreHistogram,
    row: Scores,
}

fn invalid(name: &str, problem: String) -> Error {
    Error::InvalidMetric {
        name: name.to_owned(),
        problem,
    }
}

/// What tables of reports call their other columns.
const TAKEN: [&str; 18] = [
    "dataset",
    "system",
    "split",
    "pixels",
    "size",
    "threshold",
    "threshold_from",
    "id",
    "images",
    "images_in_set",
    "seconds",
    "counts",
    "width_recall",
    "tp",
    "fp",
    "tn",
    "fn",
    "f1_at_0.5",
];

impl Evaluator {
    /// Starts empty; a pixel is predicted vessel when `score > threshold`.
    ///
    /// # Errors
    /// [`NanThreshold`](Error::NanThreshold) if the threshold is NaN.
    pub fn new(threshold: f32) -> Result<Self> {
        check_threshold(threshold)?;
        Ok(Self {
            threshold,
            columns: METRICS.iter().map(Column::BuiltIn).collect(),
            empty: Details::none()?,
            scores: PooledScores::new(),
            images: Vec::new(),
        })
    }

    /// Adds a metric of one's own: every value, mean and interval of the [`Report`] has it too, under its name.
    ///
    /// # Errors
    /// [`InvalidMetric`](Error::InvalidMetric) if its name is empty or taken, or an image was evaluated without it.
    pub fn with_metric(mut self, metric: Box<dyn Metric>) -> Result<Self> {
        let name = metric.name();
        let problem = if name.is_empty() {
            "its name is empty; give it one"
        } else if self.columns.iter().any(|column| column.name() == name) {
            "another metric has this name; give it another"
        } else if TAKEN.contains(&name) {
            "reports call another column so; give it another name"
        } else if !self.images.is_empty() {
            "images were evaluated without it; add metrics first"
        } else {
            self.columns.push(Column::Added(Arc::from(metric)));
            return Ok(self);
        };
        Err(invalid(name, problem.to_owned()))
    }

    /// Adds one image of probabilities. On an error the evaluator is as before the call.
    ///
    /// # Errors
    /// If a valid score lies outside [0, 1], the image is too large for 32-bit distances, or an added metric refuses it, gives
    /// another number of counts than before, or a value that is not finite.
    pub fn update(&mut self, image: &ScoredImage<'_>) -> Result<()> {
        let comparison = Comparison::new(image, self.threshold)?;
        let details = Details::of(&comparison)?;
        let mut scores = PooledScores::new();
        scores.update(image);
        let ranked = scores.clone().rank();
        let order = Order::Exact(&ranked);
        let (mut counts, mut row) = (Vec::new(), Vec::new());
        for (index, column) in self.columns.iter().enumerate() {
            let (name, of_image) = (column.name(), column.count(&comparison)?);
            let before = self.images.first().map(|image| image.counts[index].len());
            if let Some(before) = before.filter(|&before| before != of_image.len()) {
                let found = of_image.len();
                let problem = format!("it gave {before} counts before and {found} now");
                return Err(invalid(name, problem));
            }
            let value = column.value(&of_image, &order);
            if let Some(value) = value.filter(|value| !value.is_finite()) {
                let problem = format!("its value is {value}; an undefined one is None");
                return Err(invalid(name, problem));
            }
            counts.push(of_image);
            row.push((name, value));
        }
        self.scores.merge(&scores);
        self.images.push(Image {
            counts,
            details,
            histogram: ScoreHistogram::of(image),
            row: Scores::new(row),
        });
        Ok(())
    }

    /// The values over everything seen so far.
    pub fn compute(&self) -> Report {
        self.clone().finish()
    }

    /// The values over everything seen, as [`compute`](Self::compute), without a copy of the scores.
    pub fn finish(self) -> Report {
        let auc = AucMatrix::new(self.images.iter().map(|image| &image.histogram));
        let ranked = self.scores.rank();
        let (mut per_image, mut details) = (Vec::new(), Vec::new());
        let (mut counts, mut histograms) = (Vec::new(), Vec::new());
        for image in self.images {
            per_image.push(image.row);
            details.push(image.details);
            counts.push(image.counts);
            histograms.push(image.histogram);
        }
        let draws = Draws {
            columns: self.columns,
            counts,
            histograms,
            auc,
        };
        let mut pooled = self.empty;
        details.iter().for_each(|image| pooled.add(image));
        Report::new(self.threshold, &ranked, per_image, (pooled, details), draws)
    }

    /// Adds everything `other` has seen.
    ///
    /// # Errors
    /// [`MergeMismatch`](Error::MergeMismatch) if the two have different thresholds or metrics.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        same_threshold(self.threshold, other.threshold)?;
        let shape = |evaluator: &Self| -> Vec<Option<usize>> {
            let first = evaluator.images.first();
            let lengths = (0..evaluator.columns.len()).map(|i| first.map(|f| f.counts[i].len()));
            lengths.collect()
        };
        let (mine, theirs) = (shape(self), shape(other));
        let unlike = mine
            .iter()
            .zip(&theirs)
            .any(|pair| matches!(pair, (Some(a), Some(b)) if a != b));
        if self.columns != other.columns || unlike {
            return Err(Error::MergeMismatch {
                what: "metrics",
                left: format!("{:?} with counts {mine:?}", self.columns),
                right: format!("{:?} with counts {theirs:?}", other.columns),
            });
        }
        self.scores.merge(&other.scores);
        self.images.extend_from_slice(&other.images);
        Ok(())
    }
}
