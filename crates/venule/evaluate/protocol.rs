use std::fmt;
use std::time::Instant;

use venule_data::{Dataset, FovPolicy, Mask, Plane, Sample, full_frame, resize_mask};
use venule_metrics::{BestF1, Metric, ScoredImage, ThresholdSweep, scores_from_mask};

use super::scoring::Scoring;
use super::{Evaluated, EvaluationRow};
use crate::predict::within;
use crate::{Error, Predict, Result, Segmentation};

/// Which pixels an evaluation counts, and at which size. The default is the project's: in the field of view, at native size.
///
/// It never changes what the system sees: a segmenter prepares a photograph as its weights say, whatever is counted then.
///
/// ```
/// use venule::Protocol;
/// assert_eq!(Protocol::default().to_string(), "field of view, native size");
/// let published = Protocol { full_frame: true, square: Some(512), ..Protocol::default() };
/// assert_eq!(published.to_string(), "full frame, resized to 512x512 pixels");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protocol {
    /// Where the field of view comes from, for every system alike, whatever a weights file says of its own. Default: the
    /// given mask, else detection.
    pub fov: FovPolicy,
    /// Whether pixels outside the field of view count too; every system has probability 0 there.
    pub full_frame: bool,
    /// Side in pixels of the square to which the network's map (bilinearly, if the network did not give it at this size),
    /// label and field of view (by nearest neighbour) are brought before they are compared. Default: none, native size.
    pub square: Option<usize>,
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, {}", self.pixels(), self.size())
    }
}

impl Protocol {
    /// Which pixels count, in words: `field of view` or `full frame`.
    pub fn pixels(&self) -> &'static str {
        match self.full_frame || self.fov == FovPolicy::FullFrame {
            true => "full frame",
            false => "field of view",
        }
    }

    /// The size of the comparison in words: `native size` or `resized to 512x512 pixels`.
    pub fn size(&self) -> String {
        match self.square {
            None => "native size".to_owned(),
            Some(side) => format!("resized to {side}x{side} pixels"),
        }
    }

    /// Lets a system segment every image of a data set and compares with its labels, at the system's threshold. `each` sees every
    /// result, at native size, to write pictures.
    ///
    /// ```
    /// use venule::synthetic::{SyntheticFundus, SyntheticSet};
    /// use venule::{Protocol, Segmenter};
    /// # fn main() -> venule::Result<()> {
    /// # #[cfg(feature = "bundled")] {
    /// let set = SyntheticSet::new(SyntheticFundus::square(96), 1, 1)?;
    /// let whole = Protocol { full_frame: true, ..Protocol::default() };
    /// let evaluated = whole.evaluate(&Segmenter::bundled()?, &set, |_, _| Ok(()))?;
    /// assert_eq!(evaluated.report.confusion.total(), 96 * 96);
    /// # } Ok(()) }
    /// ```
    ///
    /// # Errors
    /// If the set is empty, an image cannot be read or has no label, or one that [`Sample::check_label`] refuses, no field of view is
    /// found, or `each` fails.
    pub fn evaluate(
        &self,
        system: &dyn Predict,
        dataset: &dyn Dataset,
        each: impl FnMut(&Sample, &Segmentation) -> Result<()>,
    ) -> Result<Evaluated> {
        self.evaluate_with(Vec::new(), system, dataset, each)
    }

    /// As [`evaluate`](Self::evaluate), with metrics of one's own beside the built-in ones.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate), and if a metric has a name that is taken.
    pub fn evaluate_with(
        &self,
        metrics: Vec<Box<dyn Metric>>,
        system: &dyn Predict,
        dataset: &dyn Dataset,
        mut each: impl FnMut(&Sample, &Segmentation) -> Result<()>,
    ) -> Result<Evaluated> {
        let (threshold, images) = (system.threshold(), dataset.len());
        let mut scoring = Scoring::with_metrics(metrics, threshold, *self, images)?;
        self.compare(system, dataset, |sample, result, row, image| {
            scoring.add(row, image)?;
            each(sample, result)
        })?;
        scoring.finish()
    }

    /// What [`evaluate`](Self::evaluate) and [`choose_threshold`](Self::choose_threshold) share: each sample with the system's result,
    /// the time it took, and the map and label that are compared.
    pub(super) fn compare(
        &self,
        system: &dyn Predict,
        dataset: &dyn Dataset,
        mut each: impl FnMut(&Sample, &Segmentation, EvaluationRow, &ScoredImage<'_>) -> Result<()>,
    ) -> Result<()> {
        for index in 0..dataset.len() {
            let sample = dataset.load(index)?;
            let label = label(&sample)?;
            let fov = self.fov.resolve(&sample)?;
            sample.check_label(&fov)?;
            let start = Instant::now();
            let prediction = system.predict(&sample)?;
            // The map as the system gives it, if it is to be compared at another size.
            let square = self.square.map(|_| prediction.probability.clone());
            let result = prediction.segmentation(system.threshold())?;
            let row = EvaluationRow {
                id: sample.id.clone(),
                seconds: Some(start.elapsed().as_secs_f64()),
            };
            let map = square.unwrap_or_else(|| result.probability.clone());
            let truth = self.truth(label, fov)?;
            let map = within(map, &truth.fov)?;
            each(&sample, &result, row, &truth.image(&map)?)?;
        }
        Ok(())
    }

    /// Scores the second annotator of a data set against the first, as if it were a system, on the images that have one:
    /// [`Evaluated::set_size`] says of how many. `None` if no image has one.
    ///
    /// # Errors
    /// If an image cannot be read or has no label, or its field of view is not found.
    pub fn evaluate_second_annotator(&self, dataset: &dyn Dataset) -> Result<Option<Evaluated>> {
        let mut scoring = Scoring::new(0.5, *self, dataset.len())?;
        for index in 0..dataset.len() {
            let sample = dataset.load(index)?;
            let Some(second) = &sample.second_label else {
                continue;
            };
            sample.check_sizes()?;
            let truth = self.truth(label(&sample)?, self.fov.resolve(&sample)?)?;
            let (width, height) = truth.label.size();
            let mask = match self.square {
                None => second.clone(),
                Some(side) => resize_mask(second, (side, side))?,
            };
            let scores = Plane::new(width, height, scores_from_mask(mask.data()))?;
            let row = EvaluationRow {
                id: sample.id.clone(),
                seconds: None,
            };
            scoring.add(row, &truth.image(&within(scores, &truth.fov)?)?)?;
        }
        match scoring.is_empty() {
            true => Ok(None),
            false => scoring.finish().map(Some),
        }
    }

    /// The threshold, a multiple of 1 / 8192, at which a system has the highest pooled F1 on a data set, which must not be the one
    /// that is tested on.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate); [`Error::NoData`] if no label marks a counted pixel.
    pub fn choose_threshold(&self, system: &dyn Predict, dataset: &dyn Dataset) -> Result<BestF1> {
        let mut sweep = ThresholdSweep::new();
        self.compare(system, dataset, |_, _, _, image| Ok(sweep.update(image)?))?;
        sweep.compute().ok_or(NO_VESSELS)
    }

    /// Label and field of view at the size of the comparison.
    pub(super) fn truth(&self, label: &Mask, fov: Mask) -> Result<Truth> {
        let (label, fov) = match self.square {
            None => (label.clone(), fov),
            Some(side) => (
                resize_mask(label, (side, side))?,
                resize_mask(&fov, (side, side))?,
            ),
        };
        let counted = self.full_frame.then(|| full_frame(fov.size()));
        Ok(Truth {
            label,
            fov,
            counted,
        })
    }
}

pub(super) const NO_VESSELS: Error = Error::NoData {
    what: "vessel pixels to choose a threshold by",
    remedy: "choose another split",
};

/// What a map of probabilities is compared with, all of one size.
pub(super) struct Truth {
    label: Mask,
    /// Outside of it the probability is 0.
    fov: Mask,
    /// The pixels that count, if they are not those of the field of view.
    counted: Option<Mask>,
}

impl Truth {
    pub(super) fn image<'a>(&'a self, map: &'a Plane) -> Result<ScoredImage<'a>> {
        let (width, height) = self.label.size();
        let counted = self.counted.as_ref().unwrap_or(&self.fov);
        Ok(ScoredImage::new(
            width,
            height,
            map.data(),
            self.label.data(),
            Some(counted.data()),
        )?)
    }
}

fn label(sample: &Sample) -> Result<&Mask> {
    sample.label.as_ref().ok_or_else(|| Error::Unlabelled {
        id: sample.id.clone(),
    })
}
