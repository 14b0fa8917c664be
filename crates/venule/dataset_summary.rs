use std::collections::BTreeMap;

use serde::Serialize;
use venule_data::{Dataset, FovPolicy};

use crate::Result;

/// What a data set, or one of its splits, holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DatasetSummary {
    /// Photographs.
    pub images: usize,
    /// Those with a label.
    pub labels: usize,
    /// Those with a label by a second observer.
    pub second_labels: usize,
    /// Those that come with a field of view; of the others it is detected.
    pub fovs: usize,
    /// How many photographs there are of each size, width x height in pixels.
    pub sizes: BTreeMap<String, usize>,
    /// Pixels in the fields of view of the labelled photographs.
    pub fov_pixels: u64,
    /// Vessel pixels among them.
    pub vessel_pixels: u64,
}

impl DatasetSummary {
    /// Reads every sample of a data set and counts.
    ///
    /// ```
    /// use venule::DatasetSummary;
    /// use venule::data::{FovPolicy, SyntheticFundus, SyntheticSet};
    /// let set = SyntheticSet::new(SyntheticFundus::default(), 1, 3)?;
    /// let summary = DatasetSummary::of(&set, FovPolicy::GivenOrDetect)?;
    /// assert_eq!((summary.images, summary.labels), (3, 3));
    /// assert!(summary.vessel_share().unwrap() > 0.01);
    /// # Ok::<(), venule::Error>(())
    /// ```
    ///
    /// # Errors
    /// If a sample cannot be read, or a labelled one's field of view cannot be found.
    pub fn of(dataset: &dyn Dataset, fov: FovPolicy) -> Result<Self> {
        let mut summary = Self::default();
        for index in 0..dataset.len() {
            let sample = dataset.load(index)?;
            let (width, height) = sample.size();
            summary.images += 1;
            summary.second_labels += usize::from(sample.second_label.is_some());
            summary.fovs += usize::from(sample.fov.is_some());
            *summary
                .sizes
                .entry(format!("{width}x{height}"))
                .or_default() += 1;
            if let Some(label) = &sample.label {
                let fov = fov.resolve(&sample)?;
                let pixels = label.data().iter().zip(fov.data());
                summary.labels += 1;
                summary.fov_pixels += fov.count() as u64;
                summary.vessel_pixels += pixels.filter(|(v, f)| **v && **f).count() as u64;
            }
        }
        Ok(summary)
    }

    /// Share of vessel pixels in the field of view, in [0, 1]; `None` without labels.
    pub fn vessel_share(&self) -> Option<f64> {
        (self.fov_pixels > 0).then(|| self.vessel_pixels as f64 / self.fov_pixels as f64)
    }
}
