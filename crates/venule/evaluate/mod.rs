//! Systems against labels: which pixels count, what is computed, and for whom.

use std::path::Path;

use venule_data::{Dataset, FolderSet, FovPolicy, PredictionRange, Sample, full_frame};

use crate::{Error, Predict, Result, Segmentation};

mod common_threshold;
mod protocol;
mod scoring;
mod warning;

pub use common_threshold::CommonThreshold;
pub use protocol::Protocol;
pub use scoring::{Evaluated, EvaluationRow};
pub use warning::EvaluationWarning;

use scoring::Scoring;

/// Lets a system segment every image of a data set and compares with its labels by the default [`Protocol`]: in the field of view,
/// at native size, at the system's threshold. `each` sees every result, to write pictures.
///
/// # Errors
/// As [`Protocol::evaluate`].
pub fn evaluate(
    system: &dyn Predict,
    dataset: &dyn Dataset,
    each: impl FnMut(&Sample, &Segmentation) -> Result<()>,
) -> Result<Evaluated> {
    Protocol::default().evaluate(system, dataset, each)
}

/// Scores prediction images of any program: for each sample the image file is a [map of probabilities](venule_data::read_probability),
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
/// assert_eq!(scored.report.pooled.get("f1"), Some(1.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// What the values mean is decided over the whole folder and [stated](Evaluated::predictions); labels and fields of view are read and
/// checked as [`FolderSet::with_reading`] says.
///
/// # Errors
/// If there is no file, one cannot be read, a truth is missing, sizes differ, the predictions' range is not one of probabilities
/// ([`venule_data::PredictionRange`]), or a label or field of view is not what it should be.
pub fn evaluate_predictions(files: &FolderSet, threshold: f32) -> Result<Evaluated> {
    let protocol = Protocol {
        fov: match files.files().iter().any(|sample| sample.fov.is_some()) {
            true => FovPolicy::Given,
            false => FovPolicy::FullFrame,
        },
        ..Protocol::default()
    };
    let folder = files.files().first().and_then(|first| first.image.parent());
    let mut range = PredictionRange::new(folder.unwrap_or(Path::new("")));
    for sample in files.files() {
        range.add(&sample.image)?;
    }
    files.add_notes(range.notes());
    let scale = range.scale()?;
    let mut scoring = Scoring::new(threshold, protocol, files.len())?;
    for (index, sample) in files.files().iter().enumerate() {
        let prediction = scale.read(&sample.image)?;
        let maps = files.load_maps(index, prediction.size())?;
        let label = maps.label.ok_or_else(|| Error::Unlabelled {
            id: sample.id.clone(),
        })?;
        let fov = maps.fov.unwrap_or_else(|| full_frame(prediction.size()));
        let row = EvaluationRow {
            id: sample.id.clone(),
            seconds: None,
        };
        scoring.add(row, &protocol.truth(&label, fov)?.image(&prediction)?)?;
    }
    Ok(Evaluated {
        predictions: Some(scale),
        ..scoring.finish()?
    })
}
