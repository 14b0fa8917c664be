//! Skeleton recall.

use crate::aggregation::Aggregation;
use crate::error::{Result, check, positive};
use crate::loss::Loss;
use crate::maps::Maps;
use crate::prepared::PreparedTarget;
use crate::skeleton::tubed_skeleton;
use crate::sums::{Request, Sums};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

pub(crate) const NAME: &str = "skeleton_recall";

/// Skeleton recall (Kirchhoff et al., ECCV 2024): 1 − (Σ p·k + s) / (Σ k + s), k the target's tubed
/// skeleton ([`tubed_skeleton`]), as its authors' code makes it with scikit-image's `skeletonize`.
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
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SkeletonRecall(Parameters);

/// As a configuration names them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Parameters {
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
        Self::build(Parameters {
            radius,
            ..Parameters::default()
        })
    }

    /// The same with another s.
    ///
    /// # Errors
    /// If `smooth` is not finite and above 0: without it the loss of empty images is 0 / 0.
    pub fn with_smooth(mut self, smooth: f64) -> Result<Self> {
        self.0.smooth = smooth;
        Self::build(self.0)
    }

    /// The same, brought together over the batch in another way.
    pub fn with_aggregation(mut self, aggregation: Aggregation) -> Self {
        self.0.aggregation = aggregation;
        self
    }

    pub(crate) fn build(parameters: Parameters) -> Result<Self> {
        let radius = parameters.radius;
        check(NAME, "radius", radius as f64, radius <= 64, "at most 64")?;
        positive(NAME, "smooth", parameters.smooth)?;
        Ok(Self(parameters))
    }
}

/// Radius 2, s = 1, per image.
impl Default for Parameters {
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
        NAME
    }

    fn forward(
        &self,
        logits: &Tensor,
        target: &Tensor,
        valid: Option<&Tensor>,
    ) -> candle_core::Result<Tensor> {
        self.forward_prepared(logits, &PreparedTarget::new(target, valid))
    }

    fn forward_prepared(
        &self,
        logits: &Tensor,
        target: &PreparedTarget,
    ) -> candle_core::Result<Tensor> {
        let Parameters { radius, smooth, .. } = self.0;
        let mut maps = Maps::new(NAME, logits, target)?;
        // Before the skeleton, whose own error would not name the loss.
        maps.planes(NAME)?;
        let tube = target.derived(&format!("{NAME}: tube {radius}"), || {
            let target = maps.masked(&maps.target)?.reshape(logits.shape())?;
            tubed_skeleton(&target, radius)
        })?;
        maps.target = maps.constant(NAME, "skeleton", &tube)?;
        let sums = Sums::new(&maps, Request::default(), None)?;
        let columns = [&sums.overlap, &sums.target];
        let loss = self
            .0
            .aggregation
            .reduce(&sums.count, columns, |[hit, all]| {
                ((hit + smooth)? / (all + smooth)?)?.affine(-1.0, 1.0)
            })?;
        maps.of_logits(&loss)
    }
}
