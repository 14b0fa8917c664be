use crate::{
    Calibration, ClDice, ComponentError, Confusion, CoverCounts, Metric, Result, ScoredImage,
    ThinVessels, WidthRecall,
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
    /// [`RankedScores::roc_auc`](crate::RankedScores::roc_auc).
    pub roc_auc: Option<f64>,
    /// [`RankedScores::average_precision`](crate::RankedScores::average_precision).
    pub average_precision: Option<f64>,
    /// [`CoverCounts::f1`] of [`ClDice`].
    pub cl_dice: Option<f64>,
    /// [`CoverCounts::recall`] of [`ThinVessels`].
    pub thin_recall: Option<f64>,
    /// [`CoverCounts::precision`] of [`ThinVessels`].
    pub thin_precision: Option<f64>,
    /// [`CoverCounts::f1`] of [`ThinVessels`].
    pub thin_f1: Option<f64>,
    /// [`ComponentError`]; pooled, the mean over the images.
    pub betti0_error: Option<f64>,
    /// [`CalibrationReport::expected_calibration_error`](crate::CalibrationReport::expected_calibration_error) with [`Calibration::BINS`] bins.
    pub expected_calibration_error: Option<f64>,
    /// [`CalibrationReport::brier`](crate::CalibrationReport::brier).
    pub brier: Option<f64>,
}

impl Scores {
    /// Number of metrics.
    pub const COUNT: usize = 18;

    /// Names and values in the order of the fields, for tables and files.
    pub fn entries(&self) -> [(&'static str, Option<f64>); Self::COUNT] {
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

    /// The names of [`entries`](Self::entries).
    pub fn names() -> [&'static str; Self::COUNT] {
        Self::default().entries().map(|(name, _)| name)
    }

    /// The values of [`entries`](Self::entries).
    pub fn values(&self) -> [Option<f64>; Self::COUNT] {
        self.entries().map(|(_, value)| value)
    }
}

/// What adds up over images: the sums behind every metric but those of the order of the pixels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tally {
    pub(crate) confusion: Confusion,
    pub(crate) at_half: Confusion,
    pub(crate) cl_dice: CoverCounts,
    pub(crate) thin: CoverCounts,
    pub(crate) components: ComponentError,
    pub(crate) widths: WidthRecall,
    pub(crate) calibration: Calibration,
}

impl Tally {
    pub(crate) fn new(threshold: f32) -> Result<Self> {
        Ok(Self {
            confusion: Confusion::default(),
            at_half: Confusion::default(),
            cl_dice: CoverCounts::default(),
            thin: CoverCounts::default(),
            components: ComponentError::new(threshold)?,
            widths: WidthRecall::new(threshold, &WidthRecall::BOUNDS)?,
            calibration: Calibration::new(Calibration::BINS)?,
        })
    }

    /// Of one image of probabilities.
    pub(crate) fn of(image: &ScoredImage<'_>, threshold: f32) -> Result<Self> {
        let (width, height) = (image.width(), image.height());
        let (prediction, target) = (image.prediction(threshold), image.valid_targets());
        let mut tally = Self::new(threshold)?;
        tally.calibration.update(image)?;
        tally.confusion = Confusion::from_mask(&prediction, &target, image.valid())?;
        tally.at_half =
            Confusion::from_scores(image.scores(), image.targets(), image.valid(), 0.5)?;
        tally.cl_dice = ClDice::count(&prediction, &target, width, height)?;
        tally.thin = ThinVessels::count(&prediction, &target, width, height)?;
        let error = ComponentError::error(&prediction, &target, width, height)?;
        tally.components.add(error);
        tally.widths.count(&prediction, &target, width, height)?;
        Ok(tally)
    }

    /// Adds the sums of another of the same threshold.
    pub(crate) fn add(&mut self, other: &Self) {
        self.confusion.merge(&other.confusion);
        self.at_half.merge(&other.at_half);
        self.cl_dice.merge(&other.cl_dice);
        self.thin.merge(&other.thin);
        self.components.add_all(&other.components);
        self.widths.add(&other.widths);
        self.calibration.add(&other.calibration);
    }

    /// The metrics of these sums and of the order of the same pixels.
    pub(crate) fn scores(&self, roc_auc: Option<f64>, average_precision: Option<f64>) -> Scores {
        let calibration = self.calibration.compute();
        Scores {
            accuracy: self.confusion.accuracy(),
            precision: self.confusion.precision(),
            recall: self.confusion.recall(),
            specificity: self.confusion.specificity(),
            f1: self.confusion.f1(),
            dice: self.confusion.dice(),
            iou: self.confusion.iou(),
            mcc: self.confusion.mcc(),
            balanced_accuracy: self.confusion.balanced_accuracy(),
            roc_auc,
            average_precision,
            cl_dice: self.cl_dice.f1(),
            thin_recall: self.thin.recall(),
            thin_precision: self.thin.precision(),
            thin_f1: self.thin.f1(),
            betti0_error: self.components.compute(),
            expected_calibration_error: calibration.expected_calibration_error,
            brier: calibration.brier,
        }
    }
}
