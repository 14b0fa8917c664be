//! Soft centreline Dice.

use crate::aggregation::Aggregation;
use crate::error::{Result, check, positive};
use crate::loss::Loss;
use crate::maps::{Maps, per_image};
use crate::morphology::Domain;
use crate::sigmoid::Sigmoid;
use candle_core::Tensor;

/// Soft clDice (Shit et al., CVPR 2021): 1 − 2·TP·TS / (TP + TS), from soft skeletons S of
/// prediction and target:
/// TP = (Σ S(p)·g + s) / (Σ S(p) + s) and TS = (Σ S(g)·p + s) / (Σ S(g) + s).
///
/// It rewards connected centrelines whatever their width; the authors use it together with Dice.
/// `iterations` should reach the radius of the widest vessel in pixels. Invalid pixels are treated
/// like what lies beyond the image border: a vessel leaving the field of view does not end there.
///
/// Memory grows with `iterations`: the graph keeps about twenty maps for each.
///
/// ```
/// use venule_loss::{Loss, SoftClDice, candle_core::{Device, Tensor}};
///
/// let mut vessel = [[0f32; 8]; 5];
/// vessel[2] = [1.; 8];
/// let target = Tensor::new(&vessel, &Device::Cpu)?.reshape((1, 1, 5, 8))?;
/// let loss = SoftClDice::default();
/// let hit = loss.forward(&target.affine(40., -20.)?, &target, None)?.to_scalar::<f32>()?;
/// let miss = loss.forward(&target.affine(-40., 20.)?, &target, None)?.to_scalar::<f32>()?;
/// assert!(hit < 1e-6 && miss > 0.5);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SoftClDice {
    iterations: usize,
    smooth: f64,
    aggregation: Aggregation,
}

impl SoftClDice {
    /// Skeletons by `iterations` erosions; s = 1, per image.
    ///
    /// # Errors
    /// If `iterations` is not between 1 and 64.
    pub fn new(iterations: usize) -> Result<Self> {
        let holds = (1..=64).contains(&iterations);
        check(
            "cldice",
            "iterations",
            iterations as f64,
            holds,
            "between 1 and 64",
        )?;
        Ok(Self {
            iterations,
            ..Self::default()
        })
    }

    /// The same with another s.
    ///
    /// # Errors
    /// If `smooth` is not finite and above 0: without it the loss of empty images is 0 / 0.
    pub fn with_smooth(mut self, smooth: f64) -> Result<Self> {
        self.smooth = positive("cldice", "smooth", smooth)?;
        Ok(self)
    }

    /// The same, brought together over the batch in another way.
    pub fn with_aggregation(mut self, aggregation: Aggregation) -> Self {
        self.aggregation = aggregation;
        self
    }
}

/// Three iterations, s = 1, per image.
impl Default for SoftClDice {
    fn default() -> Self {
        Self {
            iterations: 3,
            smooth: 1.0,
            aggregation: Aggregation::PerImage,
        }
    }
}

impl Loss for SoftClDice {
    fn name(&self) -> &str {
        "cldice"
    }

    fn forward(
        &self,
        logits: &Tensor,
        target: &Tensor,
        valid: Option<&Tensor>,
    ) -> candle_core::Result<Tensor> {
        let maps = Maps::new(self.name(), logits, target, valid)?;
        let (planes, rows, columns) = maps.planes(self.name())?;
        let image = (planes, rows, columns);
        let keep = maps.keep()?.map(|keep| keep.reshape(image)).transpose()?;
        let domain = Domain::new(keep)?;
        let p = Sigmoid::new(&maps.masked(&maps.logits)?)?
            .p
            .reshape(image)?;
        let p = domain.or_zero(&p)?;
        let g = maps.masked(&maps.target)?.reshape(image)?;
        let skeleton_p = domain.skeleton(&p, self.iterations)?;
        let skeleton_g = domain.skeleton(&g, self.iterations)?;

        let flat = |map: &Tensor| per_image(&map.reshape(maps.logits.shape())?);
        let count = match maps.keep()? {
            Some(keep) => per_image(&keep)?,
            None => per_image(&maps.target.ones_like()?)?,
        };
        let columns = [
            &flat(&(&skeleton_p * &g)?)?,
            &flat(&skeleton_p)?,
            &flat(&(&skeleton_g * &p)?)?,
            &flat(&skeleton_g)?,
        ];
        self.aggregation.reduce(&count, columns, |[pg, p, gp, g]| {
            let precision = ((pg + self.smooth)? / (p + self.smooth)?)?;
            let sensitivity = ((gp + self.smooth)? / (g + self.smooth)?)?;
            let harmonic = ((&precision * &sensitivity)? / (precision + sensitivity)?)?;
            harmonic.affine(-2.0, 1.0)
        })
    }
}
