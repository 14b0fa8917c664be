//! Soft centreline Dice.

use crate::aggregation::Aggregation;
use crate::error::{Result, check, positive};
use crate::loss::Loss;
use crate::maps::{Maps, per_image};
use crate::morphology::Domain;
use crate::prepared::PreparedTarget;
use crate::sigmoid::Sigmoid;
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

pub(crate) const NAME: &str = "cldice";

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
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SoftClDice(Parameters);

/// As a configuration names them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Parameters {
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
        Self::build(Parameters {
            iterations,
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
        let iterations = parameters.iterations;
        let holds = (1..=64).contains(&iterations);
        let expected = "between 1 and 64";
        check(NAME, "iterations", iterations as f64, holds, expected)?;
        positive(NAME, "smooth", parameters.smooth)?;
        Ok(Self(parameters))
    }
}

/// Three iterations, s = 1, per image.
impl Default for Parameters {
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
        let Parameters {
            iterations, smooth, ..
        } = self.0;
        let maps = Maps::new(NAME, logits, target)?;
        let (planes, rows, columns) = maps.planes(NAME)?;
        let image = (planes, rows, columns);
        let keep = maps.keep()?.map(|keep| keep.reshape(image)).transpose()?;
        let domain = Domain::new(keep)?;
        let p = Sigmoid::new(&maps.masked(&maps.logits)?)?
            .p
            .reshape(image)?;
        let p = domain.or_zero(&p)?;
        let g = maps.masked(&maps.target)?.reshape(image)?;
        let skeleton_p = domain.skeleton(&p, iterations)?;
        let name = format!("{NAME}: soft skeleton {iterations} {:?}", g.dtype());
        let skeleton_g = target.derived(&name, || domain.skeleton(&g, iterations))?;

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
        self.0
            .aggregation
            .reduce(&count, columns, |[pg, p, gp, g]| {
                let precision = ((pg + smooth)? / (p + smooth)?)?;
                let sensitivity = ((gp + smooth)? / (g + smooth)?)?;
                let harmonic = ((&precision * &sensitivity)? / (precision + sensitivity)?)?;
                harmonic.affine(-2.0, 1.0)
            })
    }
}
