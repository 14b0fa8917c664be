use crate::scored_image::{check_lengths, check_numbers, check_threshold};
use crate::{Error, Result};

/// Counts of a binary decision against the truth, and every ratio made of them.
///
/// Counts accumulate over images; ratios are computed once from the totals. A ratio with a zero denominator is
/// `None`. All ratios lie in [0, 1], except [`mcc`](Confusion::mcc) in [−1, 1].
///
/// ```
/// use venule_metrics::Confusion;
/// let scores = [0.9, 0.6, 0.4, 0.5];
/// let target = [true, false, true, false];
/// // 0.5 itself is not above the threshold.
/// let counts = Confusion::from_scores(&scores, &target, None, 0.5)?;
/// assert_eq!(counts, Confusion { tp: 1, fp: 1, tn: 1, fn_: 1 });
/// assert_eq!(counts.f1(), Some(0.5));
/// assert_eq!(Confusion::default().f1(), None);
/// # Ok::<(), venule_metrics::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Confusion {
    /// Vessel predicted as vessel.
    pub tp: u64,
    /// Background predicted as vessel.
    pub fp: u64,
    /// Background predicted as background.
    pub tn: u64,
    /// Vessel predicted as background (`fn` is a keyword).
    pub fn_: u64,
}

impl Confusion {
    /// The counts of `score > threshold` against the targets over the valid pixels.
    ///
    /// # Errors
    /// As [`update`](Confusion::update).
    pub fn from_scores(
        scores: &[f32],
        targets: &[bool],
        valid: Option<&[bool]>,
        threshold: f32,
    ) -> Result<Self> {
        let mut counts = Self::default();
        counts.update(scores, targets, valid, threshold)?;
        Ok(counts)
    }

    /// The counts of a binary prediction against the targets over the valid pixels.
    ///
    /// # Errors
    /// If the slices differ in length.
    pub fn from_mask(
        prediction: &[bool],
        targets: &[bool],
        valid: Option<&[bool]>,
    ) -> Result<Self> {
        let mut counts = Self::default();
        counts.update_mask(prediction, targets, valid)?;
        Ok(counts)
    }

    /// Adds the pixels of an image, predicted vessel where `score > threshold`.
    ///
    /// # Errors
    /// If the slices differ in length, the threshold is NaN, or a score at a valid pixel is NaN.
    pub fn update(
        &mut self,
        scores: &[f32],
        targets: &[bool],
        valid: Option<&[bool]>,
        threshold: f32,
    ) -> Result<()> {
        check_lengths(scores.len(), targets, valid)?;
        check_numbers(scores, valid)?;
        check_threshold(threshold)?;
        self.count(scores, targets, valid, |p| p > threshold);
        Ok(())
    }

    /// Adds the pixels of an image with a binary prediction.
    ///
    /// # Errors
    /// If the slices differ in length.
    pub fn update_mask(
        &mut self,
        prediction: &[bool],
        targets: &[bool],
        valid: Option<&[bool]>,
    ) -> Result<()> {
        check_lengths(prediction.len(), targets, valid)?;
        self.count(prediction, targets, valid, |p| p);
        Ok(())
    }

    pub(crate) fn count<T: Copy>(
        &mut self,
        scores: &[T],
        targets: &[bool],
        valid: Option<&[bool]>,
        predicted: impl Fn(T) -> bool,
    ) {
        // Narrow sums over short chunks vectorise; they cannot overflow within a chunk.
        const CHUNK: usize = 1 << 12;
        for (chunk, (scores, targets)) in
            scores.chunks(CHUNK).zip(targets.chunks(CHUNK)).enumerate()
        {
            let (mut both, mut positive, mut actual, mut total) = (0u32, 0u32, 0u32, 0u32);
            match valid {
                None => {
                    total = scores.len() as u32;
                    for (&p, &y) in scores.iter().zip(targets) {
                        let p = predicted(p);
                        both += u32::from(p & y);
                        positive += u32::from(p);
                        actual += u32::from(y);
                    }
                }
                Some(valid) => {
                    let start = chunk * CHUNK;
                    let valid = &valid[start..start + scores.len()];
                    for ((&p, &y), &v) in scores.iter().zip(targets).zip(valid) {
                        let p = predicted(p) & v;
                        both += u32::from(p & y);
                        positive += u32::from(p);
                        actual += u32::from(y & v);
                        total += u32::from(v);
                    }
                }
            }
            self.merge(&Self {
                tp: u64::from(both),
                fp: u64::from(positive - both),
                fn_: u64::from(actual - both),
                tn: u64::from(total + both - positive - actual),
            });
        }
    }

    /// The counts as a metric sums them.
    pub(crate) fn counts(&self) -> [u128; 4] {
        [self.tp, self.fp, self.tn, self.fn_].map(u128::from)
    }

    /// Of sums of [`counts`](Self::counts).
    pub(crate) fn from_counts(sums: &[u128]) -> Self {
        let [tp, fp, tn, fn_] = narrow(sums);
        Self { tp, fp, tn, fn_ }
    }

    /// Adds the counts of another (saturating, so that no input can overflow).
    pub fn merge(&mut self, other: &Self) {
        self.tp = self.tp.saturating_add(other.tp);
        self.fp = self.fp.saturating_add(other.fp);
        self.tn = self.tn.saturating_add(other.tn);
        self.fn_ = self.fn_.saturating_add(other.fn_);
    }

    /// Number of pixels counted.
    pub fn total(&self) -> u64 {
        self.tp
            .saturating_add(self.fp)
            .saturating_add(self.tn)
            .saturating_add(self.fn_)
    }

    /// (tp + tn) / all.
    pub fn accuracy(&self) -> Option<f64> {
        let right = sum(self.tp, self.tn);
        ratio(right, right + sum(self.fp, self.fn_))
    }

    /// tp / (tp + fp), the positive predictive value.
    pub fn precision(&self) -> Option<f64> {
        ratio(self.tp.into(), sum(self.tp, self.fp))
    }

    /// tp / (tp + fn), also called sensitivity.
    pub fn recall(&self) -> Option<f64> {
        ratio(self.tp.into(), sum(self.tp, self.fn_))
    }

    /// tn / (tn + fp), the recall of the background.
    pub fn specificity(&self) -> Option<f64> {
        ratio(self.tn.into(), sum(self.tn, self.fp))
    }

    /// 2 tp / (2 tp + fp + fn); `None` if neither prediction nor target holds a vessel.
    pub fn f1(&self) -> Option<f64> {
        let doubled = 2 * u128::from(self.tp);
        ratio(doubled, doubled + sum(self.fp, self.fn_))
    }

    /// F1 with the convention of segmentation that two empty masks agree: both empty gives 1, one empty gives 0.
    /// `None` only if no pixel was counted at all.
    pub fn dice(&self) -> Option<f64> {
        match self.f1() {
            None if self.tn > 0 => Some(1.0),
            defined => defined,
        }
    }

    /// Intersection over union (Jaccard): tp / (tp + fp + fn); `None` if both masks are empty.
    pub fn iou(&self) -> Option<f64> {
        ratio(self.tp.into(), sum(self.tp, self.fp) + u128::from(self.fn_))
    }

    /// (recall + specificity) / 2; `None` if the target lacks one of the classes.
    pub fn balanced_accuracy(&self) -> Option<f64> {
        Some((self.recall()? + self.specificity()?) / 2.0)
    }

    /// Matthews correlation (Matthews 1975): (tp·tn − fp·fn) / √((tp+fp)(tp+fn)(tn+fp)(tn+fn)), in [−1, 1].
    /// `None` if a factor is zero, that is if prediction or target is constant (scikit-learn then says 0).
    pub fn mcc(&self) -> Option<f64> {
        let agree = u128::from(self.tp) * u128::from(self.tn);
        let differ = u128::from(self.fp) * u128::from(self.fn_);
        // Subtracted as integers: the two products may agree in all but the last digits.
        let numerator = if agree >= differ {
            (agree - differ) as f64
        } else {
            -((differ - agree) as f64)
        };
        let roots = [
            sum(self.tp, self.fp),
            sum(self.tp, self.fn_),
            sum(self.tn, self.fp),
            sum(self.tn, self.fn_),
        ];
        if roots.contains(&0) {
            return None;
        }
        let denominator: f64 = roots.iter().map(|&r| (r as f64).sqrt()).product();
        Some((numerator / denominator).clamp(-1.0, 1.0))
    }
}

fn sum(a: u64, b: u64) -> u128 {
    u128::from(a) + u128::from(b)
}

/// Four sums of counts, each ending at `u64::MAX`.
pub(crate) fn narrow(sums: &[u128]) -> [u64; 4] {
    std::array::from_fn(|index| {
        let sum = sums.get(index).copied().unwrap_or_default();
        u64::try_from(sum).unwrap_or(u64::MAX)
    })
}

/// The quotient, or `None` for a zero denominator.
pub(crate) fn ratio(numerator: u128, denominator: u128) -> Option<f64> {
    (denominator > 0).then(|| numerator as f64 / denominator as f64)
}

/// An error if two accumulators decide at different thresholds.
pub(crate) fn same_threshold(left: f32, right: f32) -> Result<()> {
    if left == right {
        return Ok(());
    }
    Err(Error::MergeMismatch {
        what: "thresholds",
        left: left.to_string(),
        right: right.to_string(),
    })
}
