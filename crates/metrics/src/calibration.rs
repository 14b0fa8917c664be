use crate::confusion::{narrow, ratio};
use crate::{Error, Result, ScoredImage};

/// Calibration of the vessel probability: expected calibration error and Brier score, pooled over images.
///
/// Bins have equal width and are closed on the right, (k/M, (k+1)/M], with 0 in the first, as in Guo et al. 2017
/// ("On calibration of modern neural networks") and scikit-learn's `calibration_curve`. The calibrated quantity
/// is the probability of vessel, not the confidence of the predicted class. Sums are kept in fixed point
/// (2⁻⁶² per pixel), so merging in any order gives exactly what one pass gives.
///
/// ```
/// use venule_metrics::{Calibration, ScoredImage};
/// let mut calibration = Calibration::new(10)?;
/// calibration.update(&ScoredImage::flat(&[0.25, 0.25, 0.75, 0.75], &[false, true, true, true], None)?)?;
/// let report = calibration.compute();
/// // Two bins of two pixels: |0.25 − 0.5| and |0.75 − 1|, each with weight ½.
/// assert_eq!(report.expected_calibration_error, Some(0.25));
/// // (0.0625 + 0.5625 + 0.0625 + 0.0625) / 4
/// assert_eq!(report.brier, Some(0.1875));
/// # Ok::<(), venule_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calibration {
    bins: Vec<BinSums>,
    squared_error: u128,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct BinSums {
    count: u64,
    positives: u64,
    probability: u128,
}

/// One in fixed point: 2⁶².
const ONE: f64 = (1u64 << 62) as f64;

/// What [`Calibration`] computes; every value in [0, 1].
#[derive(Debug, Clone, PartialEq)]
pub struct CalibrationReport {
    /// Σ over the bins of (share of pixels) · |mean probability − share of vessel|; `None` without pixels.
    pub expected_calibration_error: Option<f64>,
    /// Mean of (probability − target)² (Brier 1950); `None` without pixels.
    pub brier: Option<f64>,
    /// The bins of the reliability diagram, rising.
    pub bins: Vec<ReliabilityBin>,
}

/// One bin of a reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReliabilityBin {
    /// The bin holds probabilities above this (the first also 0),
    pub low: f64,
    /// up to and including this.
    pub high: f64,
    /// Number of pixels.
    pub count: u64,
    /// Mean predicted probability; `None` in an empty bin.
    pub mean_probability: Option<f64>,
    /// Share of vessel pixels; `None` in an empty bin.
    pub vessel_fraction: Option<f64>,
}

impl Calibration {
    /// The usual number of bins.
    pub const BINS: usize = 15;

    /// Starts empty.
    ///
    /// # Errors
    /// [`Error::CountOutOfRange`] unless 1 ≤ `bins` ≤ 65536.
    pub fn new(bins: usize) -> Result<Self> {
        let (minimum, maximum) = (1, 1 << 16);
        if !(minimum..=maximum).contains(&bins) {
            return Err(Error::CountOutOfRange {
                what: "the number of bins",
                minimum,
                maximum,
                found: bins,
            });
        }
        Ok(Self {
            bins: vec![BinSums::default(); bins],
            squared_error: 0,
        })
    }

    /// Adds the sums of another with as many bins.
    pub(crate) fn add(&mut self, other: &Self) {
        for (bin, other) in self.bins.iter_mut().zip(&other.bins) {
            bin.count += other.count;
            bin.positives += other.positives;
            bin.probability += other.probability;
        }
        self.squared_error += other.squared_error;
    }

    /// The sums as a metric adds them.
    pub(crate) fn counts(&self) -> Vec<u128> {
        let bins = self.bins.iter();
        let bins = bins.flat_map(|bin| [bin.count.into(), bin.positives.into(), bin.probability]);
        bins.chain([self.squared_error]).collect()
    }

    /// Of sums of [`counts`](Self::counts).
    pub(crate) fn from_counts(sums: &[u128]) -> Self {
        let bins = sums.chunks_exact(3).map(|bin| {
            let [count, positives, ..] = narrow(bin);
            let probability = bin[2];
            BinSums {
                count,
                positives,
                probability,
            }
        });
        Self {
            bins: bins.collect(),
            squared_error: sums.last().copied().unwrap_or_default(),
        }
    }

    /// Adds an image of probabilities. On an error the sums are as before the call.
    ///
    /// # Errors
    /// [`NotAProbability`](Error::NotAProbability) if a valid score lies outside [0, 1].
    pub fn update(&mut self, image: &ScoredImage<'_>) -> Result<()> {
        image.check_probabilities()?;
        let scale = self.bins.len() as f64;
        let mut add = |p: f32, y: bool| {
            let p = f64::from(p);
            // Exact: 24 bits of an f32 times at most 17 bits. The ceiling minus one, and 0 for 0.
            let scaled = p * scale;
            let floor = scaled as i64;
            let above = i64::from(floor as f64 == scaled);
            let bin = &mut self.bins[(floor - above).max(0) as usize];
            bin.count += 1;
            bin.positives += u64::from(y);
            bin.probability += fixed(p);
            let error = if y { 1.0 - p } else { p };
            self.squared_error += fixed(error * error);
        };
        let pixels = image.scores().iter().zip(image.targets());
        match image.valid() {
            None => pixels.for_each(|(&p, &y)| add(p, y)),
            Some(valid) => pixels.zip(valid).for_each(|((&p, &y), &v)| {
                if v {
                    add(p, y);
                }
            }),
        }
        Ok(())
    }

    fn total(&self) -> u64 {
        self.bins.iter().map(|bin| bin.count).sum()
    }

    pub(crate) fn expected_calibration_error(&self) -> Option<f64> {
        let gap = |bin: &BinSums| (bin.probability as f64 / ONE - bin.positives as f64).abs();
        let gap: f64 = self.bins.iter().map(gap).sum();
        let total = self.total();
        (total > 0).then(|| gap / total as f64)
    }

    pub(crate) fn brier(&self) -> Option<f64> {
        let total = self.total();
        (total > 0).then(|| self.squared_error as f64 / ONE / total as f64)
    }

    /// The values over everything seen so far.
    pub fn compute(&self) -> CalibrationReport {
        let scale = self.bins.len() as f64;
        let bins = self
            .bins
            .iter()
            .enumerate()
            .map(|(index, bin)| ReliabilityBin {
                low: index as f64 / scale,
                high: (index + 1) as f64 / scale,
                count: bin.count,
                mean_probability: (bin.count > 0)
                    .then(|| bin.probability as f64 / ONE / bin.count as f64),
                vessel_fraction: ratio(bin.positives.into(), bin.count.into()),
            });
        CalibrationReport {
            expected_calibration_error: self.expected_calibration_error(),
            brier: self.brier(),
            bins: bins.collect(),
        }
    }

    /// Adds everything `other` has seen.
    ///
    /// # Errors
    /// [`MergeMismatch`](Error::MergeMismatch) if the two have different numbers of bins.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.bins.len() != other.bins.len() {
            let (left, right) = (self.bins.len().to_string(), other.bins.len().to_string());
            return Err(Error::MergeMismatch {
                what: "numbers of bins",
                left,
                right,
            });
        }
        self.add(other);
        Ok(())
    }
}

/// A number in [0, 1] in fixed point.
fn fixed(value: f64) -> u128 {
    (value * ONE) as i64 as u128
}
