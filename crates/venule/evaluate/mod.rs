//! Systems against labels: which pixels count, what is computed, and for whom.

use std::path::Path;

use venule_data::{
    Dataset, FolderSet, FovPolicy, Mask, Sample, full_frame, read_mask, read_probability,
};

use crate::{Error, Predict, Result, Segmentation};

mod protocol;
mod scoring;

pub use protocol::Protocol;
pub use scoring::{Evaluated, EvaluationRow};

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
/// assert_eq!(scored.report.pooled.get("f1"), Some(1.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If there is no file, one cannot be read, a truth is missing, or sizes differ.
pub fn evaluate_predictions(files: &FolderSet, threshold: f32) -> Result<Evaluated> {
    let protocol = Protocol {
        fov: match files.files().iter().any(|sample| sample.fov.is_some()) {
            true => FovPolicy::Given,
            false => FovPolicy::FullFrame,
        },
        ..Protocol::default()
    };
    let mut scoring = Scoring::new(threshold, protocol, files.len())?;
    for sample in files.files() {
        let Some(label) = &sample.label else {
            return Err(Error::Unlabelled {
                id: sample.id.clone(),
            });
        };
        let prediction = read_probability(&sample.image)?;
        let label = checked(label, &sample.image, prediction.size())?;
        let fov = match &sample.fov {
            Some(path) => checked(path, &sample.image, prediction.size())?,
            None => full_frame(prediction.size()),
        };
        let row = EvaluationRow {
            id: sample.id.clone(),
            seconds: None,
        };
        scoring.add(row, &protocol.truth(&label, fov)?.image(&prediction)?)?;
    }
    scoring.finish()
}

/// A mask that must have its prediction's size.
fn checked(path: &Path, prediction: &Path, size: (usize, usize)) -> Result<Mask> {
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
