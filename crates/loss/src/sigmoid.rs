//! Sigmoid and softplus of a logit, composed of operations whose gradients are right everywhere.

use candle_core::{Result, Tensor};

/// What the losses need of a logit x, without overflow and without losing the small tail.
pub(crate) struct Sigmoid {
    /// 1 / (1 + e^−x).
    pub p: Tensor,
    /// 1 − p.
    pub q: Tensor,
    /// ln(1 + e^x).
    pub softplus: Tensor,
    /// ln(1 + e^−x).
    pub softplus_neg: Tensor,
}

impl Sigmoid {
    /// The sign of x enters as a constant map, so that no kink of |x| or max(x, 0) is ever
    /// differentiated: at 0 each branch has the slope of the smooth function.
    pub fn new(x: &Tensor) -> Result<Self> {
        let up = x.detach().ge(0.0)?.to_dtype(x.dtype())?;
        let down = up.affine(-1.0, 1.0)?;
        let tail = (x * (&down - &up)?)?.exp()?;
        let large = (&tail + 1.0)?.recip()?;
        let small = (&tail * &large)?;
        let log = (&tail + 1.0)?.log()?;
        Ok(Self {
            p: ((&up * &large)? + (&down * &small)?)?,
            q: ((&up * &small)? + (&down * &large)?)?,
            softplus: ((x * &up)? + &log)?,
            softplus_neg: (&log - (x * &down)?)?,
        })
    }
}
