//! The sums over the map that most losses are functions of, gathered in one pass.
//!
//! With p the sigmoid of the logit, q = 1 − p, g the target and h = 1 − g, and every sum over the
//! valid pixels of one image, the losses need Σ1, Σg, Σp, Σpg, the two halves of the cross entropy
//! Σ g·softplus(−x) and Σ h·softplus(x), the thin-vessel share of it, and the two halves of its
//! focal form. On a CPU in `f32` a kernel yields them all in one pass and, backward, the gradient in
//! another; elsewhere they are composed of the tensor library's own operations.

mod composed;
mod fused;
mod kernel;

use crate::maps::Maps;
use crate::prepared::PreparedTarget;
use crate::thin::thin_map;
use candle_core::{DType, Result, Tensor};

/// Which of the costlier sums a loss needs beside the plain ones.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Request {
    /// The thin-vessel share of the cross entropy.
    pub thin: bool,
    /// The focal sums for this γ.
    pub gamma: Option<f64>,
}

impl Request {
    /// What serves both, if one pass can: it knows one γ.
    pub fn join(self, other: Self) -> Option<Self> {
        let gamma = match (self.gamma, other.gamma) {
            (Some(a), Some(b)) if a != b => return None,
            (a, b) => a.or(b),
        };
        Some(Self {
            thin: self.thin || other.thin,
            gamma,
        })
    }
}

/// The sums, one entry per image each: shape (B), on the CPU.
pub(crate) struct Sums {
    /// Σ 1, a constant.
    pub count: Tensor,
    /// Σ g, a constant.
    pub target: Tensor,
    /// Σ p.
    pub predicted: Tensor,
    /// Σ p·g.
    pub overlap: Tensor,
    /// Σ g·softplus(−x).
    pub positive: Tensor,
    /// Σ (1 − g)·softplus(x).
    pub negative: Tensor,
    /// Σ t·BCE, t the thin-vessel map; 0 unless asked for.
    pub thin: Tensor,
    /// Σ g·m^γ·BCE, m = p(1 − g) + (1 − p)g; 0 unless asked for.
    pub focal_positive: Tensor,
    /// Σ (1 − g)·m^γ·BCE; 0 unless asked for.
    pub focal_negative: Tensor,
}

/// A loss that is a function of [`Sums`].
pub(crate) trait FromSums: Send + Sync {
    fn request(&self) -> Request;
    fn evaluate(&self, sums: &Sums) -> Result<Tensor>;
}

impl Sums {
    /// Gathers the sums by the fastest way there is for the device and type of `maps`.
    pub fn new(maps: &Maps, request: Request, thin: Option<&Tensor>) -> Result<Self> {
        if maps.logits.device().is_cpu() && maps.logits.dtype() == DType::F32 {
            fused::sums(maps, request, thin)
        } else {
            composed::sums(maps, request, thin)
        }
    }

    /// Of rows (COLUMNS, B) in the order of the fields.
    fn of_rows(rows: &Tensor) -> Result<Self> {
        let row = |index: usize| rows.get(index);
        Ok(Self {
            count: row(0)?.detach(),
            target: row(1)?.detach(),
            predicted: row(2)?,
            overlap: row(3)?,
            positive: row(4)?,
            negative: row(5)?,
            thin: row(6)?,
            focal_positive: row(7)?,
            focal_negative: row(8)?,
        })
    }

    /// Σ `sum` / Σ count over the batch: the mean over its valid pixels, 0 if there is none.
    pub fn mean(&self, sum: &Tensor) -> Result<Tensor> {
        sum.sum_all()? / self.count.sum_all()?.maximum(1.0)?
    }
}

/// The forward pass of a single loss.
pub(crate) fn forward<T: FromSums + crate::Loss>(
    loss: &T,
    logits: &Tensor,
    target: &PreparedTarget,
) -> Result<Tensor> {
    let maps = Maps::new(loss.name(), logits, target)?;
    let request = loss.request();
    let thin = thin_input(loss.name(), &maps, request, target)?;
    let value = loss.evaluate(&Sums::new(&maps, request, thin.as_ref())?)?;
    maps.of_logits(&value)
}

/// The thin-vessel map a request needs: the caller's, or else made from the target, once.
pub(crate) fn thin_input(
    loss: &str,
    maps: &Maps,
    request: Request,
    target: &PreparedTarget,
) -> Result<Option<Tensor>> {
    match (request.thin, target.thin_vessels()) {
        (false, _) => Ok(None),
        (true, Some(map)) => maps.constant(loss, "thin", map).map(Some),
        (true, None) => {
            let name = format!("thin vessels {:?}", maps.target.dtype());
            let made = target.derived(&name, || {
                let (planes, rows, columns) = maps.planes(loss)?;
                let label = maps.masked(&maps.target)?;
                let map = thin_map(&label.reshape((planes, 1, rows, columns))?)?;
                map.reshape(maps.logits.shape())
            });
            made.map(Some)
        }
    }
}

/// [`crate::Loss`] for a type of a module with a `NAME` that implements [`FromSums`].
macro_rules! loss_from_sums {
    ($loss:ty) => {
        impl $crate::Loss for $loss {
            fn name(&self) -> &str {
                NAME
            }

            fn forward(
                &self,
                logits: &Tensor,
                target: &Tensor,
                valid: Option<&Tensor>,
            ) -> candle_core::Result<Tensor> {
                let target = $crate::PreparedTarget::new(target, valid);
                $crate::sums::forward(self, logits, &target)
            }

            fn forward_prepared(
                &self,
                logits: &Tensor,
                target: &$crate::PreparedTarget,
            ) -> candle_core::Result<Tensor> {
                $crate::sums::forward(self, logits, target)
            }

            fn map_term(&self) -> Option<$crate::MapTerm<'_>> {
                Some($crate::MapTerm(self))
            }
        }
    };
}
pub(crate) use loss_from_sums;

#[cfg(test)]
pub(crate) mod tests;
