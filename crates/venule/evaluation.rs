use std::time::Instant;

use venule_data::{
    Dataset, FolderSet, FovPolicy, Mask, Plane, Sample, full_frame, read_mask, read_probability,
};
use venule_metrics::{
    Bootstrap, Confusion, Evaluator, Interval, Metric, Report, ScoredImage, scores_from_mask,
};

use crate::{Error, Result, Segmentation, Segmenter};

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
    /// All metrics, pooled and per image, in the field of view at native size.
    pub report: Report,
    /// The images, in the order of [`Report::per_image`].
    pub rows: Vec<EvaluationRow>,
}

impl Evaluated {
    /// Mean over the images of each metric with its 95 % bootstrap interval, by the names of
    /// [`Scores::entries`](venule_metrics::Scores::entries); images that do not define a metric are left out of its mean, and
    /// `None` stands where none does. The same seed gives the same intervals.
    ///
    /// # Errors
    /// If a value is not finite, which no metric gives.
    pub fn intervals(&self, seed: u64) -> Result<Vec<(&'static str, Option<Interval>)>> {
        let bootstrap = Bootstrap {
            seed,
            ..Bootstrap::default()
        };
        let names = self.report.pooled.entries().map(|(name, _)| name);
        let mut intervals = Vec::with_capacity(names.len());
        for (column, name) in names.into_iter().enumerate() {
            let rows = self.report.per_image.iter();
            let values: Vec<f64> = rows.filter_map(|row| row.entries()[column].1).collect();
            let interval = match values.is_empty() {
                true => None,
                false => Some(bootstrap.mean(&values)?),
            };
            intervals.push((name, interval));
        }
        Ok(intervals)
    }

    /// Pooled F1 with `score >= threshold` called vessel, from the ranked scores; `None` without vessel pixels.
    pub fn f1_at(&self, threshold: f32) -> Option<f64> {
        let curve = self.report.ranked.precision_recall_curve(usize::MAX)?;
        let point = curve.iter().rev().find(|p| p.threshold >= threshold)?;
        let called = point.tp + point.fp;
        Some(2.0 * point.tp as f64 / (called + self.report.ranked.positives()) as f64)
    }

    /// The 95 % bootstrap interval of the pooled F1: images are drawn, their counts added.
    ///
    /// # Errors
    /// None for the results of an evaluation.
    pub fn pooled_f1_interval(&self, seed: u64) -> Result<Option<Interval>> {
        let bootstrap = Bootstrap {
            seed,
            ..Bootstrap::default()
        };
        let counts = &self.report.per_image_confusion;
        Ok(bootstrap.statistic(counts.len(), |drawn| {
            let mut sum = Confusion::default();
            drawn.iter().for_each(|&index| sum.merge(&counts[index]));
            sum.f1()
        })?)
    }
}

/// Collects a system's maps image by image.
struct Scoring {
    evaluator: Evaluator,
    rows: Vec<EvaluationRow>,
}

impl Scoring {
    fn new(threshold: f32) -> Result<Self> {
        Ok(Self {
            evaluator: Evaluator::new(threshold)?,
            rows: Vec::new(),
        })
    }

    fn add(
        &mut self,
        id: &str,
        seconds: Option<f64>,
        scores: &[f32],
        label: &Mask,
        fov: &Mask,
    ) -> Result<()> {
        let (width, height) = label.size();
        let valid = Some(fov.data());
        let image = ScoredImage::new(width, height, scores, label.data(), valid)?;
        self.evaluator.update(&image)?;
        self.rows.push(EvaluationRow {
            id: id.to_owned(),
            seconds,
        });
        Ok(())
    }

    fn finish(self) -> Result<Evaluated> {
        if self.rows.is_empty() {
            return Err(Error::NoData {
                what: "images to evaluate on",
                remedy: "choose another split or folder",
            });
        }
        Ok(Evaluated {
            report: self.evaluator.compute(),
            rows: self.rows,
        })
    }
}

/// Segments every image of a data set and compares with its labels, in the field of view, at native size, at the
/// segmenter's threshold. `each` sees every result, to write pictures.
///
/// # Errors
/// If the set is empty, an image cannot be read or has no label, or `each` fails.
pub fn evaluate(
    segmenter: &Segmenter,
    dataset: &dyn Dataset,
    mut each: impl FnMut(&Sample, &Segmentation) -> Result<()>,
) -> Result<Evaluated> {
    let mut scoring = Scoring::new(segmenter.checkpoint().threshold)?;
    for index in 0..dataset.len() {
        let sample = dataset.load(index)?;
        let start = Instant::now();
        let result = segmenter.segment_sample(&sample)?;
        let seconds = start.elapsed().as_secs_f64();
        let Some(label) = &sample.label else {
            return Err(Error::Unlabelled { id: sample.id });
        };
        let scores = result.probability.data();
        scoring.add(&sample.id, Some(seconds), scores, label, &result.fov)?;
        each(&sample, &result)?;
    }
    scoring.finish()
}

/// Scores the second annotator of a data set against the first, as if it were a system. `None` if an image has none.
///
/// # Errors
/// If the set is empty, or an image cannot be read or has no label.
pub fn evaluate_second_annotator(
    dataset: &dyn Dataset,
    fov: FovPolicy,
) -> Result<Option<Evaluated>> {
    let mut scoring = Scoring::new(0.5)?;
    for index in 0..dataset.len() {
        let sample = dataset.load(index)?;
        let Some(second) = &sample.second_label else {
            return Ok(None);
        };
        let Some(label) = &sample.label else {
            return Err(Error::Unlabelled { id: sample.id });
        };
        let (fov, scores) = (fov.resolve(&sample)?, scores_from_mask(second.data()));
        scoring.add(&sample.id, None, &scores, label, &fov)?;
    }
    scoring.finish().map(Some)
}

/// Scores prediction images of any program: for each sample the image file is a [map of probabilities](read_probability),
/// its label the truth, and its field of view, where there is none, the whole frame.
///
/// ```
/// use image::{GrayImage, Luma};
/// use venule::data::FolderSet;
/// let folder = tempfile::tempdir()?;
/// for part in ["predictions", "truth"] {
///     std::fs::create_dir(folder.path().join(part))?;
///     let picture = GrayImage::from_fn(32, 32, |x, _| Luma([if x % 8 < 2 { 255 } else { 0 }]));
///     picture.save(folder.path().join(part).join("1.png"))?;
/// }
/// let truth = folder.path().join("truth");
/// let files = FolderSet::new(&folder.path().join("predictions"), Some(truth), None)?;
/// let scored = venule::evaluate_predictions(&files, 0.5)?;
/// assert_eq!(scored.report.pooled.f1, Some(1.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If there is no file, one cannot be read, a truth is missing, or sizes differ.
pub fn evaluate_predictions(files: &FolderSet, threshold: f32) -> Result<Evaluated> {
    let mut scoring = Scoring::new(threshold)?;
    for sample in files.files() {
        let Some(label) = &sample.label else {
            return Err(Error::Unlabelled {
                id: sample.id.clone(),
            });
        };
        let prediction: Plane = read_probability(&sample.image)?;
        let label = checked(label, &sample.image, prediction.size())?;
        let fov = match &sample.fov {
            Some(path) => checked(path, &sample.image, prediction.size())?,
            None => full_frame(prediction.size()),
        };
        scoring.add(&sample.id, None, prediction.data(), &label, &fov)?;
    }
    scoring.finish()
}

/// A mask that must have its prediction's size.
fn checked(
    path: &std::path::Path,
    prediction: &std::path::Path,
    size: (usize, usize),
) -> Result<Mask> {
    let mask = read_mask(path)?;
    if mask.size() != size {
        return Err(Error::Data(venule_data::Error::SizeMismatch {
            what: format!(
                "{}, which belongs to prediction {},",
                path.display(),
                prediction.display()
            ),
            expected: size,
            found: mask.size(),
        }));
    }
    Ok(mask)
}
