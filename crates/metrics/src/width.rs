use crate::confusion::ratio;
use crate::distance::nearest_site;
use crate::{Error, Result, skeletonize, squared_distance};

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
    width_along(mask, &skeletonize(mask, width, height)?, width, height)
}

/// The widths along the skeleton of the mask.
pub(crate) fn width_along(
    mask: &[bool],
    skeleton: &[bool],
    width: usize,
    height: usize,
) -> Result<Vec<f32>> {
    let squared = squared_distance(mask, width, height)?;
    let at = |pixel: usize| match squared[pixel] {
        u32::MAX => f32::INFINITY,
        squared => (2.0 * f64::from(squared).sqrt() - 1.0) as f32,
    };
    let nearest = nearest_site(skeleton, width, height)?;
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
    /// Bounds that part widths of 1–2, 3–4, 5–6 and more pixels.
    pub const BOUNDS: [f32; 3] = [3.0, 5.0, 7.0];

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

/// Empty classes `[0, b₀), [b₀, b₁), … [bₙ, ∞)`.
pub(crate) fn width_classes(bounds: &[f32]) -> Result<Vec<WidthClass>> {
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
    Ok(classes.collect())
}

/// Counts the vessel pixels of a target by its widths.
pub(crate) fn count_widths(
    classes: &mut [WidthClass],
    widths: &[f32],
    prediction: &[bool],
    target: &[bool],
) {
    let last = classes.len() - 1;
    let pixels = widths.iter().zip(prediction).zip(target);
    for ((&width, &predicted), _) in pixels.filter(|(_, vessel)| **vessel) {
        let class = classes.partition_point(|class| class.high <= width);
        // An infinite width (no background at all) belongs to the last class.
        let class = &mut classes[class.min(last)];
        class.target += 1;
        class.found += u64::from(predicted);
    }
}

/// Adds the counts of the same classes.
pub(crate) fn add_classes(classes: &mut [WidthClass], other: &[WidthClass]) {
    for (class, other) in classes.iter_mut().zip(other) {
        class.target += other.target;
        class.found += other.found;
    }
}
