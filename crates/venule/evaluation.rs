use venule_data::{Dataset, FovPolicy};
use venule_metrics::{Evaluator, Metric, Report, ScoredImage, scores_from_mask};

use crate::{Error, Result, Segmentation, Segmenter};

/// One evaluated image.
#[derive(Clone, Debug)]
pub struct EvaluationRow {
    /// Name of the image.
    pub id: String,
    /// Seconds from photograph to maps, reading excluded.
    pub seconds: f64,
}

/// A system's results on a data set.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// All metrics, pooled and per image, in the field of view at native size.
    pub report: Report,
    /// The images, in the order of [`Report::per_image`].
    pub rows: Vec<EvaluationRow>,
}

/// Segments every image of a data set and compares with its labels, in the field of view, at native size, at the
/// segmenter's threshold. `each` sees every result, to write pictures.
///
/// # Errors
/// If the set is empty, an image cannot be read or has no label, or `each` fails.
pub fn evaluate(
    segmenter: &Segmenter,
    dataset: &dyn Dataset,
    mut each: impl FnMut(&venule_data::Sample, &Segmentation) -> Result<()>,
) -> Result<Evaluated> {
    let mut evaluator = Evaluator::new(segmenter.checkpoint().threshold)?;
    let mut rows = Vec::with_capacity(dataset.len());
    for index in 0..dataset.len() {
        let sample = dataset.load(index)?;
        let start = std::time::Instant::now();
        let result = segmenter.segment_sample(&sample)?;
        let seconds = start.elapsed().as_secs_f64();
        let Some(label) = &sample.label else {
            return Err(Error::Unlabelled { id: sample.id });
        };
        let (width, height) = result.probability.size();
        let scores = result.probability.data();
        let valid = Some(result.fov.data());
        evaluator.update(&ScoredImage::new(
            width,
            height,
            scores,
            label.data(),
            valid,
        )?)?;
        each(&sample, &result)?;
        rows.push(EvaluationRow {
            id: sample.id,
            seconds,
        });
    }
    finish(evaluator, rows)
}

/// Scores the second annotator of a data set against the first, as if it were a system. `None` if an image has none.
///
/// # Errors
/// If the set is empty, or an image cannot be read or has no label.
pub fn evaluate_second_annotator(
    dataset: &dyn Dataset,
    fov: FovPolicy,
) -> Result<Option<Evaluated>> {
    let mut evaluator = Evaluator::new(0.5)?;
    let mut rows = Vec::with_capacity(dataset.len());
    for index in 0..dataset.len() {
        let sample = dataset.load(index)?;
        let Some(second) = &sample.second_label else {
            return Ok(None);
        };
        let Some(label) = &sample.label else {
            return Err(Error::Unlabelled { id: sample.id });
        };
        let (width, height) = sample.size();
        let (fov, scores) = (fov.resolve(&sample)?, scores_from_mask(second.data()));
        let valid = Some(fov.data());
        evaluator.update(&ScoredImage::new(
            width,
            height,
            &scores,
            label.data(),
            valid,
        )?)?;
        rows.push(EvaluationRow {
            id: sample.id.clone(),
            seconds: 0.0,
        });
    }
    finish(evaluator, rows).map(Some)
}

fn finish(evaluator: Evaluator, rows: Vec<EvaluationRow>) -> Result<Evaluated> {
    if rows.is_empty() {
        return Err(Error::NoData {
            what: "images to evaluate on",
            remedy: "choose another split or folder",
        });
    }
    Ok(Evaluated {
        report: evaluator.compute(),
        rows,
    })
}
