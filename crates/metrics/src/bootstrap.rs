use crate::random::SplitMix64;
use crate::summary::{check_finite, mean};
use crate::{Error, Result};

/// A value with its interval of confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The value on the images themselves.
    pub estimate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Percentile bootstrap over images (Efron 1979): images are drawn with replacement, the statistic is computed on
/// each draw, and the interval spans the central `confidence` of the values found.
///
/// Images, not pixels, are resampled, because pixels of one image are far from independent. The same seed gives
/// the same interval on every machine.
///
/// ```
/// use venule_metrics::{Bootstrap, Confusion};
/// let bootstrap = Bootstrap { seed: 7, ..Bootstrap::default() };
/// let per_image = [0.79, 0.81, 0.83, 0.78, 0.84];
/// let interval = bootstrap.mean(&per_image)?;
/// assert!(0.78 < interval.low && interval.low < interval.estimate && interval.estimate < interval.high);
///
/// // Any statistic, for example pooled F1: pool the counts of the drawn images.
/// let images = [Confusion { tp: 8, fp: 2, tn: 9, fn_: 1 }, Confusion { tp: 5, fp: 1, tn: 9, fn_: 3 }];
/// let pooled = bootstrap.statistic(images.len(), |drawn| {
///     let mut sum = Confusion::default();
///     drawn.iter().for_each(|&index| sum.merge(&images[index]));
///     sum.f1()
/// })?.unwrap();
/// assert_eq!(pooled.estimate, 26.0 / 33.0);
/// # Ok::<(), venule_metrics::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrap {
    /// Number of draws, 1 to 10⁶.
    pub resamples: usize,
    /// Share of the draws inside the interval, strictly between 0 and 1.
    pub confidence: f64,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for Bootstrap {
    /// 2,000 draws, 95 %, seed 0.
    fn default() -> Self {
        Self {
            resamples: 2000,
            confidence: 0.95,
            seed: 0,
        }
    }
}

/// More draws than this only cost memory and time.
const MAX_RESAMPLES: usize = 1_000_000;

impl Bootstrap {
    /// The interval of the mean of per-image values.
    ///
    /// # Errors
    /// If there is no value, one is not finite, or the settings are out of range.
    pub fn mean(&self, values: &[f64]) -> Result<Interval> {
        for (index, &value) in values.iter().enumerate() {
            check_finite(index, value)?;
        }
        let count = values.len();
        let resampled = |drawn: &[usize]| {
            // Summed in the given order for the estimate, so that it equals the plain mean to the last bit.
            Some(drawn.iter().map(|&index| values[index]).sum::<f64>() / count as f64)
        };
        match self.statistic(count, resampled)? {
            Some(interval) => Ok(interval),
            None => Err(Error::NotFinite {
                index: 0,
                value: mean(values),
            }),
        }
    }

    /// The interval of the mean difference a − b between two systems on the same images.
    ///
    /// # Errors
    /// As [`mean`](Bootstrap::mean), or if the two have different lengths.
    pub fn mean_difference(&self, a: &[f64], b: &[f64]) -> Result<Interval> {
        self.mean(&differences(a, b)?)
    }

    /// The interval of any statistic of `count` images. `statistic` gets the indices of the images drawn, `count`
    /// of them, first once 0, 1, … in order for the estimate.
    ///
    /// Draws on which the statistic is undefined (`None`, or not finite) are left out; `Ok(None)` if it is
    /// undefined on the images themselves or on every draw.
    ///
    /// # Errors
    /// If `count` is 0 or the settings are out of range.
    pub fn statistic(
        &self,
        count: usize,
        mut statistic: impl FnMut(&[usize]) -> Option<f64>,
    ) -> Result<Option<Interval>> {
        let intervals = self.statistics(count, |drawn| vec![statistic(drawn)])?;
        Ok(intervals.into_iter().next().flatten())
    }

    /// The intervals of several statistics of `count` images, all over the same draws; each as
    /// [`statistic`](Self::statistic) gives it.
    pub(crate) fn statistics(
        &self,
        count: usize,
        mut statistics: impl FnMut(&[usize]) -> Vec<Option<f64>>,
    ) -> Result<Vec<Option<Interval>>> {
        self.check()?;
        if count == 0 {
            return Err(Error::Empty {
                what: "a bootstrap interval",
            });
        }
        let mut drawn: Vec<usize> = (0..count).collect();
        let finite = |value: &f64| value.is_finite();
        let estimates = statistics(&drawn);
        let mut random = SplitMix64::new(self.seed);
        let mut values = vec![Vec::new(); estimates.len()];
        for _ in 0..self.resamples {
            drawn
                .iter_mut()
                .for_each(|index| *index = random.below(count as u64) as usize);
            for (values, value) in values.iter_mut().zip(statistics(&drawn)) {
                values.extend(value.filter(finite));
            }
        }
        let tail = (1.0 - self.confidence) / 2.0;
        let intervals = estimates
            .into_iter()
            .zip(values)
            .map(|(estimate, mut values)| {
                values.sort_unstable_by(f64::total_cmp);
                let ends = quantile(&values, tail).zip(quantile(&values, 1.0 - tail));
                let estimate = estimate.filter(finite);
                estimate.zip(ends).map(|(estimate, (low, high))| Interval {
                    estimate,
                    low,
                    high,
                })
            });
        Ok(intervals.collect())
    }

    fn check(&self) -> Result<()> {
        let (minimum, maximum) = (1, MAX_RESAMPLES);
        if !(minimum..=maximum).contains(&self.resamples) {
            let what = "the number of bootstrap draws";
            return Err(Error::CountOutOfRange {
                what,
                minimum,
                maximum,
                found: self.resamples,
            });
        }
        if !(self.confidence > 0.0 && self.confidence < 1.0) {
            return Err(Error::InvalidConfidence {
                confidence: self.confidence,
            });
        }
        Ok(())
    }
}

/// The paired differences a − b.
pub(crate) fn differences(a: &[f64], b: &[f64]) -> Result<Vec<f64>> {
    if a.len() != b.len() {
        return Err(Error::LengthMismatch {
            what: "the second system",
            expected: a.len(),
            found: b.len(),
        });
    }
    Ok(a.iter().zip(b).map(|(a, b)| a - b).collect())
}

/// Quantile of sorted values with linear interpolation, as `numpy.quantile`.
fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let position = q * sorted.len().checked_sub(1)? as f64;
    let index = position as usize;
    let low = *sorted.get(index)?;
    let high = sorted.get(index + 1).copied().unwrap_or(low);
    Some(low + (position - index as f64) * (high - low))
}

#[cfg(test)]
mod tests {
    use super::quantile;

    #[test]
    fn quantile_interpolates_as_numpy() {
        // numpy.quantile([1, 2, 4, 8], [0, 0.025, 0.5, 0.9, 1]) = [1, 1.075, 3, 6.8, 8]
        let values = [1.0, 2.0, 4.0, 8.0];
        for (q, expected) in [
            (0.0, 1.0),
            (0.025, 1.075),
            (0.5, 3.0),
            (0.9, 6.8),
            (1.0, 8.0),
        ] {
            let found = quantile(&values, q).unwrap();
            assert!((found - expected).abs() < 1e-12, "{q}: {found}");
        }
        assert_eq!(quantile(&[], 0.5), None);
    }
}
