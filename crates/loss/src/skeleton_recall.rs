//! Skeleton recall.

use crate::aggregation::Aggregation;
use crate::error::{Result, check, positive};
use crate::loss::Loss;
use crate::maps::Maps;
use crate::skeleton::tubed_skeleton;
use crate::sums::{Request, Sums};
use candle_core::Tensor;

/// Skeleton recall (Kirchhoff et al., ECCV 2024): 1 − (Σ p·k + s) / (Σ k + s), k the target's tubed
/// skeleton ([`tubed_skeleton`]).
///
/// It asks that no centreline be missed, thin vessels counting as much as wide ones of the same
/// length, at the cost of a sum; nothing in it punishes a false vessel, so use it beside Dice or
/// BCE. The target outside the valid map counts as background.
///
/// ```
/// use venule_loss::{Loss, SkeletonRecall, candle_core::{Device, Tensor}};
///
/// let mut vessel = [[0f32; 8]; 5];
/// vessel[2] = [1.; 8];
/// let target = Tensor::new(&vessel, &Device::Cpu)?.reshape((1, 1, 5, 8))?;
/// let loss = SkeletonRecall::default().forward(&target.zeros_like()?, &target, None)?;
/// // The line is its own skeleton, p = ½ on it: 1 − (4 + 1) / (8 + 1)
/// assert!((loss.to_scalar::<f32>()? - 4. / 9.).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SkeletonRecall {
    radius: usize,
    smooth: f64,
    aggregation: Aggregation,
}

impl SkeletonRecall {
    /// With a skeleton widened by `radius` pixels; s = 1, per image.
    ///
    /// # Errors
    /// If `radius` is above 64.
    pub fn new(radius: usize) -> Result<Self> {
        let (value, holds) = (radius as f64, radius <= 64);
        check("skeleton_recall", "radius", value, holds, "at most 64")?;
        Ok(Self {
            radius,
            ..Self::default()
        })
    }

    /// The same with another s.
    ///
    /// # Errors
    /// If `smooth` is not finite and above 0: without it the loss of empty images is 0 / 0.
    pub fn with_smooth(mut self, smooth: f64) -> Result<Self> {
        self.smooth = positive("skeleton_recall", "smooth", smooth)?;
        Ok(self)
    }

    /// The same, brought together over the batch in another way.
    pub fn with_aggregation(mut self, aggregation: Aggregation) -> Self {
        self.aggregation = aggregation;
        self
    }

    /// As [`Loss::forward`], with the skeleton, tubed or not, in the target's place.
    ///
    /// # Errors
    /// As [`Loss::forward`].
    pub fn forward_with_skeleton(
        &self,
        logits: &Tensor,
        skeleton: &Tensor,
        valid: Option<&Tensor>,
    ) -> candle_core::Result<Tensor> {
        let maps = Maps::with_target_name(self.name(), "skeleton", logits, skeleton, valid)?;
        let sums = Sums::new(&maps, Request::default(), None)?;
        let columns = [&sums.overlap, &sums.target];
        let loss = self
            .aggregation
            .reduce(&sums.count, columns, |[hit, all]| {
                ((hit + self.smooth)? / (all + self.smooth)?)?.affine(-1.0, 1.0)
            })?;
        loss.to_dtype(maps.logits.dtype())
    }
}

/// Radius 2, s = 1, per image.
impl Default for SkeletonRecall {
    fn default() -> Self {
        Self {
            radius: 2,
            smooth: 1.0,
            aggregation: Aggregation::PerImage,
        }
    }
}

impl Loss for SkeletonRecall {
    fn name(&self) -> &str {
        "skeleton_recall"
    }

    fn forward(
        &self,
        logits: &Tensor,
        target: &Tensor,
        valid: Option<&Tensor>,
    ) -> candle_core::Result<Tensor> {
        let maps = Maps::new(self.name(), logits, target, valid)?;
        // Before the skeleton, whose own error would not name the loss.
        maps.planes(self.name())?;
        let target = maps.masked(&maps.target)?.reshape(logits.shape())?;
        self.forward_with_skeleton(logits, &tubed_skeleton(&target, self.radius)?, valid)
    }
}
