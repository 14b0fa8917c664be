use std::collections::BTreeMap;

use serde::Serialize;
use venule::data::{Dataset, Error as DataError, FovPolicy};
use venule::metrics::{Confusion, summarize};

use crate::Result;

/// What a data set, or one of its splits, holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DatasetSummary {
    /// Photographs.
    pub images: usize,
    /// Those with a label.
    pub labels: usize,
    /// Those with a label by a second annotator.
    pub second_labels: usize,
    /// Those that come with a field of view; of the others it is detected.
    pub fovs: usize,
    /// Names of labelled photographs in which none was found; their pixels are not counted.
    pub fov_not_found: Vec<String>,
    /// How many photographs there are of each size, width x height in pixels.
    pub sizes: BTreeMap<String, usize>,
    /// Pixels in the fields of view of the labelled photographs.
    pub fov_pixels: u64,
    /// Vessel pixels among them.
    pub vessel_pixels: u64,
    /// How far the second annotator agrees with the first; `None` without a second label.
    pub agreement: Option<Agreement>,
}

/// The second annotator's labels scored against the first's, in the field of view.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// Photographs with both labels.
    pub images: usize,
    /// F1 of all their pixels; `None` if no one marks a vessel.
    pub f1: Option<f64>,
    /// Mean F1 over the photographs.
    pub mean_f1: Option<f64>,
}

impl DatasetSummary {
    /// Reads every sample of a data set and counts. A field of view that is not found is noted and the rest counted.
    ///
    /// ```
    /// use venule_lab::DatasetSummary;
    /// use venule_lab::venule::data::FovPolicy;
    /// use venule_lab::venule::synthetic::{SyntheticFundus, SyntheticSet};
    /// let set = SyntheticSet::new(SyntheticFundus::default(), 1, 3)?;
    /// let summary = DatasetSummary::of(&set, FovPolicy::GivenOrDetect)?;
    /// assert_eq!((summary.images, summary.labels), (3, 3));
    /// assert!(summary.vessel_share().unwrap() > 0.01);
    /// # Ok::<(), venule_lab::Error>(())
    /// ```
    ///
    /// # Errors
    /// If a sample cannot be read, or a labelled one lacks the mask that `fov` asks for.
    pub fn of(dataset: &dyn Dataset, fov: FovPolicy) -> Result<Self> {
        let mut summary = Self::default();
        let mut counts: Vec<Confusion> = Vec::new();
        for index in 0..dataset.len() {
            let sample = dataset.load(index)?;
            sample.check_sizes()?;
            let (width, height) = sample.size();
            summary.images += 1;
            summary.labels += usize::from(sample.label.is_some());
            summary.second_labels += usize::from(sample.second_label.is_some());
            summary.fovs += usize::from(sample.fov.is_some());
            *summary
                .sizes
                .entry(format!("{width}x{height}"))
                .or_default() += 1;
            let Some(label) = &sample.label else {
                continue;
            };
            let fov = match fov.resolve(&sample) {
                Err(DataError::Sample { error, .. })
                    if matches!(*error, DataError::FieldOfViewNotFound { .. }) =>
                {
                    summary.fov_not_found.push(sample.id);
                    continue;
                }
                fov => fov?,
            };
            let pixels = label.data().iter().zip(fov.data());
            summary.fov_pixels += fov.count() as u64;
            summary.vessel_pixels += pixels.filter(|(v, f)| **v && **f).count() as u64;
            if let Some(second) = &sample.second_label {
                let (second, first) = (second.data(), label.data());
                counts.push(Confusion::from_mask(second, first, Some(fov.data()))?);
            }
        }
        if !counts.is_empty() {
            let mut pooled = Confusion::default();
            counts.iter().for_each(|image| pooled.merge(image));
            summary.agreement = Some(Agreement {
                images: counts.len(),
                f1: pooled.f1(),
                mean_f1: summarize(counts.iter().map(Confusion::f1))?.map(|f1| f1.mean),
            });
        }
        Ok(summary)
    }

    /// Share of vessel pixels in the field of view, in [0, 1]; `None` without labels.
    pub fn vessel_share(&self) -> Option<f64> {
        (self.fov_pixels > 0).then(|| self.vessel_pixels as f64 / self.fov_pixels as f64)
    }
}
