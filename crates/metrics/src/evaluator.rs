use crate::confusion::same_threshold;
use crate::report::Draws;
use crate::score_histogram::ScoreHistogram;
use crate::scored_image::check_threshold;
use crate::scores::Tally;
use crate::{AucMatrix, Metric, PooledScores, Report, Result, ScoredImage, Scores};

/// All metrics at once, pooled and per image, for images of probabilities at a fixed threshold.
///
/// Holds 4 bytes a valid pixel (for the exact pooled AUC) and about 70 KB an image. [`finish`](Self::finish) sorts the
/// scores where they are and needs up to 4 bytes more for each pixel of a share of them; [`compute`](Metric::compute)
/// works on a copy of everything. The [`Report`] holds no scores. Images are told apart by the order in which they came;
/// merging appends the other's rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluator {
    threshold: f32,
    total: Tally,
    empty: Tally,
    scores: PooledScores,
    images: Vec<Image>,
}

/// What is kept of an image besides its scores.
#[derive(Debug, Clone, PartialEq)]
struct Image {
    tally: Tally,
    histogram: ScoreHistogram,
    row: Scores,
}

impl Evaluator {
    /// Starts empty; a pixel is predicted vessel when `score > threshold`.
    ///
    /// # Errors
    /// [`NanThreshold`](crate::Error::NanThreshold) if the threshold is NaN.
    pub fn new(threshold: f32) -> Result<Self> {
        check_threshold(threshold)?;
        Ok(Self {
            threshold,
            total: Tally::new(threshold)?,
            empty: Tally::new(threshold)?,
            scores: PooledScores::new(),
            images: Vec::new(),
        })
    }

    /// The value over everything seen, as [`compute`](Metric::compute), without a copy of the scores.
    pub fn finish(self) -> Report {
        let auc = AucMatrix::new(self.images.iter().map(|image| &image.histogram));
        let parts = self.images.into_iter();
        let (per_image, (tallies, histograms)) = parts
            .map(|image| (image.row, (image.tally, image.histogram)))
            .unzip();
        let ranked = self.scores.rank();
        let draws = Draws {
            empty: self.empty,
            tallies,
            histograms,
        };
        Report::new(self.total, &ranked, per_image, auc, draws)
    }
}

impl Metric for Evaluator {
    type Output = Report;

    /// Adds one image of probabilities.
    ///
    /// # Errors
    /// If a valid score lies outside [0, 1], or the image is too large for 32-bit distances.
    fn update(&mut self, image: &ScoredImage<'_>) -> Result<()> {
        let tally = Tally::of(image, self.threshold)?;
        let mut scores = PooledScores::new();
        scores.update(image)?;
        self.scores.merge(&scores)?;
        let ranked = scores.rank();
        let row = tally.scores(ranked.roc_auc(), ranked.average_precision());
        let histogram = ScoreHistogram::of(image);
        self.total.add(&tally);
        self.images.push(Image {
            tally,
            histogram,
            row,
        });
        Ok(())
    }

    fn compute(&self) -> Report {
        self.clone().finish()
    }

    fn merge(&mut self, other: &Self) -> Result<()> {
        same_threshold(self.threshold, other.threshold)?;
        self.scores.merge(&other.scores)?;
        self.total.add(&other.total);
        self.images.extend_from_slice(&other.images);
        Ok(())
    }
}
