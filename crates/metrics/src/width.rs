use crate::confusion::{ratio, same_threshold};
use crate::distance::nearest_site;
use crate::scored_image::check_threshold;
use crate::{Error, Metric, Result, ScoredImage, skeletonize, squared_distance};

/// The local width of the vessels in px, for every vessel pixel; 0 on background.
///
/// The width at a pixel of the skeleton ([`skeletonize`]) is 2d − 1, with d its exact Euclidean distance to the
/// nearest background pixel ([`squared_distance`]); every other vessel pixel takes the width at the nearest
/// skeleton pixel (of equally near ones the leftmost, then the uppermost). Exact for straight vessels an odd
/// number of pixels wide; one an even number wide counts as one less, so that class bounds at odd numbers part
/// widths cleanly: 3 parts {1, 2} from {3, 4}. Without any background the width is infinite.
///
/// ```
/// use venule_metrics::vessel_width;
/// let mut mask = vec![false; 9 * 7];
/// mask[2 * 9..5 * 9].fill(true); // rows 2, 3 and 4: a horizontal vessel 3 px wide
/// let width = vessel_width(&mask, 9, 7)?;
/// assert_eq!(width[3 * 9 + 4], 3.0);
/// assert_eq!(width[0], 0.0);
/// # Ok::<(), venule_metrics::Error>(())
/// ```
///
/// # Errors
/// If `mask` has not `width * height` values, or the squared diagonal exceeds 32 bits.
pub fn vessel_width(mask: &[bool], width: usize, height: usize) -> Result<Vec<f32>> {
    let squared = squared_distance(mask, width, height)?;
    let at = |pixel: usize| match squared[pixel] {
        u32::MAX => f32::INFINITY,
        squared => (2.0 * f64::from(squared).sqrt() - 1.0) as f32,
    };
    let nearest = nearest_site(&skeletonize(mask, width, height)?, width, height)?;
    let pixels = mask.iter().enumerate();
    Ok(match nearest {
        Some(nearest) => pixels
            .map(|(i, &m)| if m { at(nearest[i] as usize) } else { 0.0 })
            .collect(),
        None => pixels.map(|(i, &m)| if m { at(i) } else { 0.0 }).collect(),
    })
}

/// Recall among the vessel pixels of one class of width.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WidthClass {
    /// Smallest width of the class in px; 0 for the first.
    pub low: f32,
    /// The class ends before this width in px; +∞ for the last.
    pub high: f32,
    /// Vessel pixels of the target in this class.
    pub target: u64,
    /// Those of them that are predicted vessel.
    pub found: u64,
}

impl WidthClass {
    /// found / target; `None` if the class is empty.
    pub fn recall(&self) -> Option<f64> {
        ratio(self.found.into(), self.target.into())
    }

    /// The widths of the class in words, for tables and files: `below 3 px`, `3 to 5 px` (5 itself excluded), `from 7 px`.
    pub fn name(&self) -> String {
        match (self.low > 0.0, self.high < f32::INFINITY) {
            (false, false) => "any width".to_owned(),
            (false, true) => format!("below {} px", self.high),
            (true, true) => format!("{} to {} px", self.low, self.high),
            (true, false) => format!("from {} px", self.low),
        }
    }
}

/// Recall by the width of the target's vessels ([`vessel_width`]), pooled over images, at a fixed threshold.
///
/// The classes' counts add up to those of the overall recall. Outside the valid pixels both masks are background.
#[derive(Debug, Clone, PartialEq)]
pub struct WidthRecall {
    threshold: f32,
    classes: Vec<WidthClass>,
}

impl WidthRecall {
    /// Bounds that part widths of 1–2, 3–4, 5–6 and more pixels.
    pub const BOUNDS: [f32; 3] = [3.0, 5.0, 7.0];

    /// Starts empty, with the classes `[0, b₀), [b₀, b₁), … [bₙ, ∞)`; predicted vessel is `score > threshold`.
    ///
    /// # Errors
    /// If the threshold is NaN, or the bounds are not finite, positive and strictly rising.
    pub fn new(threshold: f32, bounds: &[f32]) -> Result<Self> {
        check_threshold(threshold)?;
        let rising = bounds.windows(2).all(|pair| pair[0] < pair[1]);
        if !rising || !bounds.iter().all(|&b| b.is_finite() && b > 0.0) {
            return Err(Error::InvalidBounds {
                bounds: bounds.to_vec(),
            });
        }
        let lows = std::iter::once(0.0).chain(bounds.iter().copied());
        let highs = bounds.iter().copied().chain([f32::INFINITY]);
        let classes = lows.zip(highs).map(|(low, high)| WidthClass {
            low,
            high,
            target: 0,
            found: 0,
        });
        Ok(Self {
            threshold,
            classes: classes.collect(),
        })
    }

    /// The threshold.
    pub fn threshold(&self) -> f32 {
        self.threshold
    }

    /// Adds the counts of another with the same classes.
    pub(crate) fn add(&mut self, other: &Self) {
        for (class, other) in self.classes.iter_mut().zip(&other.classes) {
            class.target += other.target;
            class.found += other.found;
        }
    }

    pub(crate) fn count(
        &mut self,
        prediction: &[bool],
        target: &[bool],
        width: usize,
        height: usize,
    ) -> Result<()> {
        let widths = vessel_width(target, width, height)?;
        for ((&w, &predicted), _) in widths
            .iter()
            .zip(prediction)
            .zip(target)
            .filter(|(_, y)| **y)
        {
            let class = self.classes.partition_point(|class| class.high <= w);
            // An infinite width (no background at all) belongs to the last class.
            let class = class.min(self.classes.len() - 1);
            self.classes[class].target += 1;
            self.classes[class].found += u64::from(predicted);
        }
        Ok(())
    }
}

impl Metric for WidthRecall {
    type Output = Vec<WidthClass>;

    fn update(&mut self, image: &ScoredImage<'_>) -> Result<()> {
        let (prediction, target) = (image.prediction(self.threshold), image.valid_targets());
        self.count(&prediction, &target, image.width(), image.height())
    }

    fn compute(&self) -> Vec<WidthClass> {
        self.classes.clone()
    }

    fn merge(&mut self, other: &Self) -> Result<()> {
        same_threshold(self.threshold, other.threshold)?;
        let bounds = |metric: &Self| {
            metric
                .classes
                .iter()
                .map(|class| class.low)
                .collect::<Vec<_>>()
        };
        let (left, right) = (bounds(self), bounds(other));
        if left != right {
            let (left, right) = (format!("{left:?}"), format!("{right:?}"));
            return Err(Error::MergeMismatch {
                what: "width bounds",
                left,
                right,
            });
        }
        self.add(other);
        Ok(())
    }
}
