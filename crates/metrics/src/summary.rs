use crate::{Error, Result};

/// Mean and spread of a metric over images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Number of images on which the metric is defined.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// Their sample standard deviation (divided by count − 1); `None` for a single image.
    pub std: Option<f64>,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
}

/// Summarises per-image values; undefined ones (`None`) are left out and do not count. `None` if none is defined.
///
/// ```
/// let summary = venule_metrics::summarize([Some(0.8), None, Some(0.6)])?.unwrap();
/// assert_eq!(summary.count, 2);
/// assert!((summary.mean - 0.7).abs() < 1e-12);
/// assert!((summary.std.unwrap() - 0.02f64.sqrt()).abs() < 1e-12); // √((0.1² + 0.1²) / 1)
/// # Ok::<(), venule_metrics::Error>(())
/// ```
///
/// # Errors
/// [`Error::NotFinite`] if a value is NaN or infinite; its index counts the undefined ones too.
pub fn summarize(values: impl IntoIterator<Item = Option<f64>>) -> Result<Option<Summary>> {
    let mut defined = Vec::new();
    for (index, value) in values.into_iter().enumerate() {
        if let Some(value) = value {
            check_finite(index, value)?;
            defined.push(value);
        }
    }
    if defined.is_empty() {
        return Ok(None);
    }
    let count = defined.len();
    let mean = mean(&defined);
    let squares: f64 = defined.iter().map(|value| (value - mean).powi(2)).sum();
    check_finite(0, squares)?; // values near the largest f64 overflow
    Ok(Some(Summary {
        count,
        mean,
        std: (count > 1).then(|| (squares / (count - 1) as f64).sqrt()),
        min: defined.iter().copied().fold(f64::INFINITY, f64::min),
        max: defined.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    }))
}

pub(crate) fn check_finite(index: usize, value: f64) -> Result<()> {
    if value.is_finite() {
        Ok(())
    } else {
        Err(Error::NotFinite { index, value })
    }
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
