use crate::confusion::same_threshold;
use crate::scored_image::check_threshold;
use crate::{
    Calibration, CalibrationReport, ClDice, ClDiceCounts, ComponentError, Confusion, Metric,
    PooledScores, RankedScores, Result, ScoredImage, Summary, ThinCounts, ThinVessels, WidthClass,
    WidthRecall, summarize,
};

/// Every number of one image, or of all images pooled. `None` where a value is undefined.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Scores {
    /// [`Confusion::accuracy`].
    pub accuracy: Option<f64>,
    /// [`Confusion::precision`].
    pub precision: Option<f64>,
    /// [`Confusion::recall`].
    pub recall: Option<f64>,
    /// [`Confusion::specificity`].
    pub specificity: Option<f64>,
    /// [`Confusion::f1`].
    pub f1: Option<f64>,
    /// [`Confusion::dice`]: F1, and 1 if both masks are empty.
    pub dice: Option<f64>,
    /// [`Confusion::iou`].
    pub iou: Option<f64>,
    /// [`Confusion::mcc`].
    pub mcc: Option<f64>,
    /// [`Confusion::balanced_accuracy`].
    pub balanced_accuracy: Option<f64>,
    /// [`RankedScores::roc_auc`].
    pub roc_auc: Option<f64>,
    /// [`RankedScores::average_precision`].
    pub average_precision: Option<f64>,
    /// [`ClDiceCounts::cl_dice`].
    pub cl_dice: Option<f64>,
    /// [`ThinCounts::recall`].
    pub thin_recall: Option<f64>,
    /// [`ThinCounts::precision`].
    pub thin_precision: Option<f64>,
    /// [`ThinCounts::f1`].
    pub thin_f1: Option<f64>,
    /// [`ComponentError`]; pooled, the mean over the images.
    pub betti0_error: Option<f64>,
    /// [`CalibrationReport::expected_calibration_error`] with [`Calibration::BINS`] bins.
    pub expected_calibration_error: Option<f64>,
    /// [`CalibrationReport::brier`].
    pub brier: Option<f64>,
}

impl Scores {
    /// Names and values in the order of the fields, for tables and files.
    pub fn entries(&self) -> [(&'static str, Option<f64>); 18] {
        [
            ("accuracy", self.accuracy),
            ("precision", self.precision),
            ("recall", self.recall),
            ("specificity", self.specificity),
            ("f1", self.f1),
            ("dice", self.dice),
            ("iou", self.iou),
            ("mcc", self.mcc),
            ("balanced_accuracy", self.balanced_accuracy),
            ("roc_auc", self.roc_auc),
            ("average_precision", self.average_precision),
            ("cl_dice", self.cl_dice),
            ("thin_recall", self.thin_recall),
            ("thin_precision", self.thin_precision),
            ("thin_f1", self.thin_f1),
            ("betti0_error", self.betti0_error),
            (
                "expected_calibration_error",
                self.expected_calibration_error,
            ),
            ("brier", self.brier),
        ]
    }

    fn new(
        confusion: &Confusion,
        ranked: &RankedScores,
        cl_dice: &ClDiceCounts,
        thin: &ThinCounts,
        betti0_error: Option<f64>,
        calibration: &CalibrationReport,
    ) -> Self {
        Self {
            accuracy: confusion.accuracy(),
            precision: confusion.precision(),
            recall: confusion.recall(),
            specificity: confusion.specificity(),
            f1: confusion.f1(),
            dice: confusion.dice(),
            iou: confusion.iou(),
            mcc: confusion.mcc(),
            balanced_accuracy: confusion.balanced_accuracy(),
            roc_auc: ranked.roc_auc(),
            average_precision: ranked.average_precision(),
            cl_dice: cl_dice.cl_dice(),
            thin_recall: thin.recall(),
            thin_precision: thin.precision(),
            thin_f1: thin.f1(),
            betti0_error,
            expected_calibration_error: calibration.expected_calibration_error,
            brier: calibration.brier,
        }
    }
}

/// All metrics at once, pooled and per image, for images of probabilities at a fixed threshold.
///
/// Holds 4 bytes a valid pixel (for the pooled AUC) and one row an image. Images are told apart by the order in
/// which they came; merging appends the other's rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluator {
    threshold: f32,
    confusion: Confusion,
    scores: PooledScores,
    cl_dice: ClDiceCounts,
    thin: ThinCounts,
    components: ComponentError,
    widths: WidthRecall,
    calibration: Calibration,
    per_image: Vec<Scores>,
    counts: Vec<Confusion>,
}

/// What [`Evaluator`] computes.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The threshold of the binary metrics.
    pub threshold: f32,
    /// All valid pixels of all images as one.
    pub pooled: Scores,
    /// The pooled counts.
    pub confusion: Confusion,
    /// Pooled recall by vessel width, in the classes of [`WidthRecall::BOUNDS`].
    pub width_recall: Vec<WidthClass>,
    /// Pooled calibration with the bins of the reliability diagram.
    pub calibration: CalibrationReport,
    /// The pooled scores, sorted: curves and the best threshold come from here.
    pub ranked: RankedScores,
    /// Every image by itself, in the order in which they came.
    pub per_image: Vec<Scores>,
    /// The counts of every image, for pooled bootstrap intervals.
    pub per_image_confusion: Vec<Confusion>,
}

impl Report {
    /// Name, mean and standard deviation over images of each metric, in the order of [`Scores::entries`]; `None`
    /// where no image defines it.
    ///
    /// # Errors
    /// If a value is not finite, which no metric of this crate produces.
    pub fn summaries(&self) -> Result<Vec<(&'static str, Option<Summary>)>> {
        let names = Scores::default().entries().map(|(name, _)| name);
        let column =
            |index: usize| summarize(self.per_image.iter().map(move |row| row.entries()[index].1));
        names
            .into_iter()
            .enumerate()
            .map(|(index, name)| Ok((name, column(index)?)))
            .collect()
    }
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
            confusion: Confusion::default(),
            scores: PooledScores::new(),
            cl_dice: ClDiceCounts::default(),
            thin: ThinCounts::default(),
            components: ComponentError::new(threshold)?,
            widths: WidthRecall::new(threshold, &WidthRecall::BOUNDS)?,
            calibration: Calibration::new(Calibration::BINS)?,
            per_image: Vec::new(),
            counts: Vec::new(),
        })
    }
}

impl Metric for Evaluator {
    type Output = Report;

    /// Adds one image of probabilities.
    ///
    /// # Errors
    /// If a valid score lies outside [0, 1], or the image is too large for 32-bit distances.
    fn update(&mut self, image: &ScoredImage<'_>) -> Result<()> {
        let (width, height) = (image.width(), image.height());
        let (prediction, target) = (image.prediction(self.threshold), image.valid_targets());
        let confusion = Confusion::from_mask(&prediction, &target, image.valid())?;
        let cl_dice = ClDice::count(&prediction, &target, width, height)?;
        let thin = ThinVessels::count(&prediction, &target, width, height)?;
        let betti0_error = ComponentError::error(&prediction, &target, width, height)?;
        let mut scores = PooledScores::new();
        scores.update(image)?;
        let mut calibration = Calibration::new(Calibration::BINS)?;
        calibration.update(image)?;
        self.widths.count(&prediction, &target, width, height)?;

        // Nothing below can fail, so an error leaves the totals as they were.
        self.scores.merge(&scores)?;
        self.calibration.merge(&calibration)?;
        self.confusion.merge(&confusion);
        self.cl_dice.merge(&cl_dice);
        self.thin.merge(&thin);
        self.components.add(betti0_error);
        let row = Scores::new(
            &confusion,
            &scores.rank(),
            &cl_dice,
            &thin,
            Some(betti0_error as f64),
            &calibration.compute(),
        );
        self.per_image.push(row);
        self.counts.push(confusion);
        Ok(())
    }

    fn compute(&self) -> Report {
        let ranked = self.scores.compute();
        let calibration = self.calibration.compute();
        let betti0_error = self.components.compute();
        Report {
            threshold: self.threshold,
            pooled: Scores::new(
                &self.confusion,
                &ranked,
                &self.cl_dice,
                &self.thin,
                betti0_error,
                &calibration,
            ),
            confusion: self.confusion,
            width_recall: self.widths.compute(),
            calibration,
            ranked,
            per_image: self.per_image.clone(),
            per_image_confusion: self.counts.clone(),
        }
    }

    fn merge(&mut self, other: &Self) -> Result<()> {
        same_threshold(self.threshold, other.threshold)?;
        self.scores.merge(&other.scores)?;
        self.components.merge(&other.components)?;
        self.widths.merge(&other.widths)?;
        self.calibration.merge(&other.calibration)?;
        self.confusion.merge(&other.confusion);
        self.cl_dice.merge(&other.cl_dice);
        self.thin.merge(&other.thin);
        self.per_image.extend_from_slice(&other.per_image);
        self.counts.extend_from_slice(&other.counts);
        Ok(())
    }
}
