use venule_data::PredictionScale;
use venule_metrics::{Bootstrap, Evaluator, Interval, Metric, Report, ScoredImage};

use super::{EvaluationWarning, Protocol};
use crate::{Error, Result};

/// One evaluated image.
#[derive(Clone, Debug)]
pub struct EvaluationRow {
    /// Name of the image.
    pub id: String,
    /// Seconds from photograph to maps, reading excluded; `None` where nothing was computed.
    pub seconds: Option<f64>,
}

/// A system's results on a data set.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// All metrics, pooled and per image.
    pub report: Report,
    /// The images, in the order of [`Report::per_image`].
    pub rows: Vec<EvaluationRow>,
    /// Which pixels counted, and at which size.
    pub protocol: Protocol,
    /// Number of images in the data set; more than [`rows`](Self::rows) where a second annotator labelled some only.
    pub set_size: usize,
    /// What the values of prediction images mean; `None` where a system was run.
    pub predictions: Option<PredictionScale>,
    /// What is odd about the results.
    pub warnings: Vec<EvaluationWarning>,
}

impl Evaluated {
    /// Mean over the images of each metric with its 95 % bootstrap interval, by the names of
    /// [`Scores::entries`](venule_metrics::Scores::entries), as [`Report::mean_intervals`]. The same seed gives the same
    /// intervals.
    ///
    /// # Errors
    /// If a value is not finite, which no metric gives.
    pub fn intervals(&self, seed: u64) -> Result<Vec<(&'static str, Option<Interval>)>> {
        Ok(self.report.mean_intervals(&bootstrap(seed))?)
    }

    /// The pooled metrics with their 95 % bootstrap intervals: images are drawn, their counts added; as
    /// [`Report::pooled_intervals`].
    ///
    /// # Errors
    /// None for the results of an evaluation.
    pub fn pooled_intervals(&self, seed: u64) -> Result<Vec<(&'static str, Option<Interval>)>> {
        Ok(self.report.pooled_intervals(&bootstrap(seed))?)
    }

    /// Pooled F1 with `probability > 0.5` called vessel: 0 if nothing is, `None` if there is no vessel either.
    pub fn f1_at_half(&self) -> Option<f64> {
        self.report.confusion_at_half.f1()
    }

    /// Mean seconds an image; `None` where nothing was computed.
    pub fn seconds(&self) -> Option<f64> {
        let total: Option<f64> = self.rows.iter().map(|row| row.seconds).sum();
        total.map(|total| total / self.rows.len() as f64)
    }
}

fn bootstrap(seed: u64) -> Bootstrap {
    Bootstrap {
        seed,
        ..Bootstrap::default()
    }
}

/// Collects a system's maps image by image.
pub(super) struct Scoring {
    evaluator: Evaluator,
    rows: Vec<EvaluationRow>,
    protocol: Protocol,
    set_size: usize,
}

impl Scoring {
    pub(super) fn new(threshold: f32, protocol: Protocol, set_size: usize) -> Result<Self> {
        Self::with_metrics(Vec::new(), threshold, protocol, set_size)
    }

    /// With metrics beside the built-in ones.
    pub(super) fn with_metrics(
        metrics: Vec<Box<dyn Metric>>,
        threshold: f32,
        protocol: Protocol,
        set_size: usize,
    ) -> Result<Self> {
        let built_in = Evaluator::new(threshold)?;
        let evaluator = metrics
            .into_iter()
            .try_fold(built_in, Evaluator::with_metric);
        Ok(Self {
            evaluator: evaluator?,
            rows: Vec::new(),
            protocol,
            set_size,
        })
    }

    pub(super) fn add(&mut self, row: EvaluationRow, image: &ScoredImage<'_>) -> Result<()> {
        self.evaluator.update(image)?;
        self.rows.push(row);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn finish(self) -> Result<Evaluated> {
        if self.rows.is_empty() {
            return Err(Error::NoData {
                what: "images to evaluate on",
                remedy: "choose another split or folder",
            });
        }
        let report = self.evaluator.finish();
        Ok(Evaluated {
            warnings: EvaluationWarning::of(&report, &self.rows),
            predictions: None,
            report,
            rows: self.rows,
            protocol: self.protocol,
            set_size: self.set_size,
        })
    }
}
