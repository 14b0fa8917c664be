//! How a loss made of ratios is brought together over the images of a batch.

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

/// How a ratio such as Dice is brought together over a batch; in a configuration `"per_image"` or
/// `"pooled"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Aggregation {
    /// The ratio of each image, then their mean. Images without a valid pixel are left out of it.
    #[default]
    PerImage,
    /// One ratio over all pixels of the batch.
    Pooled,
}

impl Aggregation {
    /// Evaluates `ratio` on `columns`, each of shape (B), and reduces to a scalar. `count` is the
    /// number of valid pixels per image; what has none yields 0 and no gradient.
    pub(crate) fn reduce<const K: usize>(
        self,
        count: &Tensor,
        columns: [&Tensor; K],
        ratio: impl Fn([Tensor; K]) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let gather = |column: &Tensor| match self {
            Self::PerImage => Ok(column.clone()),
            Self::Pooled => column.sum_keepdim(0),
        };
        let present = gather(count)?.gt(0.0)?.to_dtype(count.dtype())?;
        let mut gathered = columns.map(Tensor::clone);
        for column in &mut gathered {
            *column = gather(column)?;
        }
        let values = ratio(gathered)?;
        (values * &present)?.sum_all()? / present.sum_all()?.maximum(1.0)?
    }
}
