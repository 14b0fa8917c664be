//! Differentiable grayscale erosion, dilation and skeleton of (…, H, W) maps in [0, 1].

use candle_core::{D, Result, Tensor};

/// Which pixels exist. What does not is left out of every minimum and maximum, like what lies
/// beyond the image border.
pub(crate) struct Domain {
    /// 1 where the pixel exists, 0 elsewhere, and the opposite; `None` where all do.
    masks: Option<(Tensor, Tensor)>,
}

impl Domain {
    /// From a constant map of ones and zeros.
    pub fn new(keep: Option<Tensor>) -> Result<Self> {
        let masks = keep.map(|keep| {
            let rest = keep.affine(-1.0, 1.0)?;
            candle_core::Result::Ok((keep, rest))
        });
        Ok(Self {
            masks: masks.transpose()?,
        })
    }

    /// `map` with 0, which no maximum takes, where there is no pixel.
    pub fn or_zero(&self, map: &Tensor) -> Result<Tensor> {
        match &self.masks {
            None => Ok(map.clone()),
            Some((keep, _)) => map * keep,
        }
    }

    /// `map` with 1, which no minimum takes, where there is no pixel.
    fn or_one(&self, map: &Tensor) -> Result<Tensor> {
        match &self.masks {
            None => Ok(map.clone()),
            Some((keep, rest)) => (map * keep)? + rest,
        }
    }

    /// Minimum over the pixel and its four neighbours.
    fn erode(&self, map: &Tensor) -> Result<Tensor> {
        let map = self.or_one(map)?;
        let rows = three(&map, D::Minus2, |a, b| a.minimum(b))?;
        rows.minimum(&three(&map, D::Minus1, |a, b| a.minimum(b))?)
    }

    /// Maximum over the 3×3 square.
    fn dilate(&self, map: &Tensor) -> Result<Tensor> {
        let map = self.or_zero(map)?;
        let rows = three(&map, D::Minus2, |a, b| a.maximum(b))?;
        three(&rows, D::Minus1, |a, b| a.maximum(b))
    }

    /// The soft skeleton of Shit et al. (CVPR 2021): what openings of ever more eroded maps take
    /// away, joined as probabilities.
    pub fn skeleton(&self, map: &Tensor, iterations: usize) -> Result<Tensor> {
        let mut map = map.clone();
        let mut eroded = self.erode(&map)?;
        let mut skeleton = rise((&map - self.dilate(&eroded)?)?)?;
        for _ in 0..iterations {
            map = eroded;
            eroded = self.erode(&map)?;
            let ridge = rise((&map - self.dilate(&eroded)?)?)?;
            let news = rise((&ridge - (&skeleton * &ridge)?)?)?;
            skeleton = (skeleton + news)?;
        }
        self.or_zero(&skeleton)
    }
}

/// `pick` over each element and its two neighbours along `dim`. Repeating the border element adds
/// nothing to a minimum or maximum that holds it already.
fn three(
    map: &Tensor,
    dim: D,
    pick: impl Fn(&Tensor, &Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let size = map.dim(dim)?;
    let padded = map.pad_with_same(dim, 1, 1)?;
    let sides = pick(&padded.narrow(dim, 0, size)?, &padded.narrow(dim, 2, size)?)?;
    pick(&sides, map)
}

/// max(x, 0) with slope 0 at 0: flat areas, where an opening changes nothing, must not learn.
fn rise(map: Tensor) -> Result<Tensor> {
    let positive = map.detach().gt(0.0)?.to_dtype(map.dtype())?;
    map * positive
}
