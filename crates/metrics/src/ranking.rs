use crate::radix::{key_of, score_of, sort};
use crate::scored_image::{check_lengths, check_numbers};
use crate::{BestF1, Confusion, Result, ScoredImage};

/// The scores of all valid pixels, vessel and background apart, pooled over images.
///
/// Takes any scores but NaN: probabilities or logits. Holds 4 bytes a pixel. [`compute`](PooledScores::compute) sorts
/// a copy; [`rank`](PooledScores::rank) sorts in place.
///
/// ```
/// use venule_metrics::{PooledScores, ScoredImage};
/// let mut pooled = PooledScores::new();
/// pooled.update(&ScoredImage::flat(&[0.1, 0.4], &[false, false], None)?);
/// pooled.update(&ScoredImage::flat(&[0.35, 0.8], &[true, true], None)?);
/// let ranked = pooled.compute();
/// assert_eq!(ranked.roc_auc(), Some(0.75)); // 3 of 4 pairs are in order
/// # Ok::<(), venule_metrics::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PooledScores {
    positives: Vec<u32>,
    negatives: Vec<u32>,
}

impl PooledScores {
    /// Starts empty.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the valid pixels of an image.
    pub fn update(&mut self, image: &ScoredImage<'_>) {
        self.extend(image.scores(), image.targets(), image.valid());
    }

    /// Adds everything `other` has seen.
    pub fn merge(&mut self, other: &Self) {
        self.positives.extend_from_slice(&other.positives);
        self.negatives.extend_from_slice(&other.negatives);
    }

    /// A sorted copy.
    pub fn compute(&self) -> RankedScores {
        self.clone().rank()
    }

    /// Sorts the scores in place.
    pub fn rank(mut self) -> RankedScores {
        sort(&mut self.positives);
        sort(&mut self.negatives);
        RankedScores {
            positives: self.positives,
            negatives: self.negatives,
        }
    }

    fn extend(&mut self, scores: &[f32], targets: &[bool], valid: Option<&[bool]>) {
        let positives = match valid {
            None => targets.iter().filter(|&&y| y).count(),
            Some(valid) => targets.iter().zip(valid).filter(|&(&y, &v)| y & v).count(),
        };
        let total = valid.map_or(targets.len(), |valid| valid.iter().filter(|&&v| v).count());
        self.positives.reserve(positives);
        self.negatives.reserve(total - positives);
        let mut add = |p: f32, y: bool| {
            let keys = if y {
                &mut self.positives
            } else {
                &mut self.negatives
            };
            keys.push(key_of(p));
        };
        let pixels = scores.iter().zip(targets);
        match valid {
            None => pixels.for_each(|(&p, &y)| add(p, y)),
            Some(valid) => pixels.zip(valid).for_each(|((&p, &y), &v)| {
                if v {
                    add(p, y);
                }
            }),
        }
    }
}

/// Sorted scores: everything that depends on the order of the pixels alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RankedScores {
    positives: Vec<u32>,
    negatives: Vec<u32>,
}

/// The counts at one distinct score: pixels with `score ≥ score` are predicted vessel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) score: f32,
    /// Vessel pixels with exactly this score.
    pub(crate) positives: u64,
    /// Background pixels with exactly this score.
    pub(crate) negatives: u64,
    /// Vessel pixels with this score or a higher one.
    pub(crate) tp: u64,
    /// Background pixels with this score or a higher one.
    pub(crate) fp: u64,
}

impl RankedScores {
    /// Number of vessel pixels.
    pub fn positives(&self) -> u64 {
        self.positives.len() as u64
    }

    /// Number of background pixels.
    pub fn negatives(&self) -> u64 {
        self.negatives.len() as u64
    }

    /// The distinct scores from the highest down, with running counts.
    pub(crate) fn steps(&self) -> impl Iterator<Item = Step> + '_ {
        let (mut positives, mut negatives) = (self.positives.as_slice(), self.negatives.as_slice());
        let (mut tp, mut fp) = (0, 0);
        std::iter::from_fn(move || {
            let key = match (positives.last(), negatives.last()) {
                (Some(&p), Some(&n)) => p.max(n),
                (Some(&key), None) | (None, Some(&key)) => key,
                (None, None) => return None,
            };
            let (here, not_here) = (
                drop_equal(&mut positives, key),
                drop_equal(&mut negatives, key),
            );
            tp += here;
            fp += not_here;
            Some(Step {
                score: score_of(key),
                positives: here,
                negatives: not_here,
                tp,
                fp,
            })
        })
    }

    /// Area under the ROC curve: the probability that a vessel pixel outranks a background pixel, ties counting
    /// half (Mann–Whitney), in [0, 1]. `None` if one of the classes is missing.
    ///
    /// Counted in integers, so exact up to the last division; equals scikit-learn's `roc_auc_score`.
    pub fn roc_auc(&self) -> Option<f64> {
        let pairs = u128::from(self.positives()) * u128::from(self.negatives());
        let twice_won: u128 = self
            .steps()
            // Background pixels here lose against vessels above and draw with those of the same score.
            .map(|step| u128::from(step.negatives) * u128::from(2 * step.tp - step.positives))
            .sum();
        (pairs > 0).then(|| twice_won as f64 / (2 * pairs) as f64)
    }

    /// Average precision Σ (R_n − R_{n−1}) P_n over the distinct scores, without interpolation, in (0, 1];
    /// equals scikit-learn's `average_precision_score`. `None` without a vessel pixel (scikit-learn then says 0).
    pub fn average_precision(&self) -> Option<f64> {
        let sum: f64 = self
            .steps()
            .filter(|step| step.positives > 0)
            .map(|step| step.positives as f64 * (step.tp as f64 / (step.tp + step.fp) as f64))
            .sum();
        (!self.positives.is_empty()).then(|| sum / self.positives.len() as f64)
    }

    /// The threshold of maximal F1 over all distinct scores; `None` without a vessel pixel or a score above −∞.
    ///
    /// The threshold lies halfway between the lowest score called vessel and the next one below it, and just
    /// below the lowest score if every pixel is called vessel. Of equal F1 the highest threshold is taken. Pixels of score −∞
    /// lie above no threshold and are never called vessel.
    pub fn best_f1(&self) -> Option<BestF1> {
        if self.positives.is_empty() {
            return None;
        }
        let mut best: Option<(Step, Option<f32>)> = None;
        let mut was_best = false;
        for step in self.steps() {
            if let (Some((_, below)), true) = (&mut best, was_best) {
                *below = Some(step.score);
            }
            if step.score == f32::NEG_INFINITY {
                break; // the last, and below every threshold
            }
            // 2tp/(tp + fp + all positives), compared without division so that ties are seen as ties.
            let denominator = |s: &Step| u128::from(s.tp + s.fp) + self.positives.len() as u128;
            was_best = match &best {
                Some((found, _)) => {
                    u128::from(step.tp) * denominator(found)
                        > u128::from(found.tp) * denominator(&step)
                }
                None => true,
            };
            if was_best {
                best = Some((step, None));
            }
        }
        let (step, below) = best?;
        let counts = Confusion {
            tp: step.tp,
            fp: step.fp,
            tn: self.negatives() - step.fp,
            fn_: self.positives() - step.tp,
        };
        let threshold = match below {
            None => step.score.next_down(),
            Some(below) => {
                let middle = below + (step.score - below) / 2.0;
                // Rounding, or an infinity, may leave the gap; its lower end always divides the two.
                if middle >= below && middle < step.score {
                    middle
                } else {
                    below
                }
            }
        };
        Some(BestF1 {
            threshold,
            f1: counts.f1()?,
            counts,
        })
    }
}

/// Removes the trailing run of `key` from a sorted slice and returns its length.
fn drop_equal(keys: &mut &[u32], key: u32) -> u64 {
    let before = keys.len();
    while let [rest @ .., last] = *keys
        && *last == key
    {
        *keys = rest;
    }
    (before - keys.len()) as u64
}

/// ROC AUC of one set of pixels; see [`RankedScores::roc_auc`], and [`PooledScores`] to pool images.
///
/// ```
/// // The example of scikit-learn's documentation.
/// let auc = venule_metrics::roc_auc(&[0.1, 0.4, 0.35, 0.8], &[false, false, true, true], None)?;
/// assert_eq!(auc, Some(0.75));
/// # Ok::<(), venule_metrics::Error>(())
/// ```
///
/// # Errors
/// If the slices differ in length, or a score at a valid pixel is NaN.
pub fn roc_auc(scores: &[f32], targets: &[bool], valid: Option<&[bool]>) -> Result<Option<f64>> {
    Ok(rank(scores, targets, valid)?.roc_auc())
}

/// Average precision of one set of pixels; see [`RankedScores::average_precision`], and [`PooledScores`] to pool.
///
/// # Errors
/// If the slices differ in length, or a score at a valid pixel is NaN.
pub fn average_precision(
    scores: &[f32],
    targets: &[bool],
    valid: Option<&[bool]>,
) -> Result<Option<f64>> {
    Ok(rank(scores, targets, valid)?.average_precision())
}

fn rank(scores: &[f32], targets: &[bool], valid: Option<&[bool]>) -> Result<RankedScores> {
    check_lengths(scores.len(), targets, valid)?;
    check_numbers(scores, valid)?;
    let mut pooled = PooledScores::new();
    pooled.extend(scores, targets, valid);
    Ok(pooled.rank())
}
