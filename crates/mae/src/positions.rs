use candle_core::{DType, Device, Result as TensorResult, Tensor};
use venule_nn::{Init, Param, Params, resample_grid};

use crate::{Positions, Result};

/// Fixed 2-D sine-cosine positions (1, rows·columns, width) of a patch grid, as the MAE paper's code has them.
///
/// With d = width / 4 and ω_i = 10000^(−i/d): the first half of a vector is sin(x·ω), cos(x·ω) of its column x, the second
/// half the same of its row.
///
/// # Errors
/// If `width` is no multiple of 4.
///
/// ```
/// use candle_core::{DType, Device};
/// let table = venule_mae::sin_cos_positions((1, 2), 4, DType::F64, &Device::Cpu)?;
/// let (sin, cos) = (1f64.sin(), 1f64.cos());
/// assert_eq!(table.to_vec3::<f64>()?, [[[0., 1., 0., 1.], [sin, cos, 0., 1.]]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn sin_cos_positions(
    grid: (usize, usize),
    width: usize,
    dtype: DType,
    device: &Device,
) -> TensorResult<Tensor> {
    if width == 0 || !width.is_multiple_of(4) {
        candle_core::bail!(
            "sine-cosine positions need a width that is a multiple of 4, not {width}"
        );
    }
    let axis = |count: usize| {
        let quarter = width / 4;
        let mut table = vec![0f64; count * 2 * quarter];
        for (place, row) in table.chunks_exact_mut(2 * quarter).enumerate() {
            for i in 0..quarter {
                let angle = place as f64 / 10_000f64.powf(i as f64 / quarter as f64);
                (row[i], row[quarter + i]) = angle.sin_cos();
            }
        }
        table
    };
    let half = width / 2;
    let (rows, columns) = grid;
    let vertical = Tensor::from_vec(axis(rows), (rows, 1, half), &Device::Cpu)?;
    let horizontal = Tensor::from_vec(axis(columns), (1, columns, half), &Device::Cpu)?;
    let shape = (rows, columns, half);
    Tensor::cat(
        &[
            horizontal.broadcast_as(shape)?,
            vertical.broadcast_as(shape)?,
        ],
        2,
    )?
    .reshape((1, rows * columns, width))?
    .to_dtype(dtype)?
    .to_device(device)
}

/// The positions of one model, for any grid.
#[derive(Clone, Debug)]
pub(crate) enum PositionTable {
    Learned { table: Param, grid: (usize, usize) },
    SinCos { width: usize },
}

impl PositionTable {
    /// Takes the variable `name` (1, N, width) from `params` where positions are learned.
    pub(crate) fn new(
        kind: Positions,
        grid: (usize, usize),
        width: usize,
        name: &str,
        params: &Params,
    ) -> Result<Self> {
        Ok(match kind {
            Positions::Learned => Self::Learned {
                table: params.get_undecayed(
                    (1, grid.0 * grid.1, width),
                    name,
                    Init::TruncatedNormal(0.02),
                )?,
                grid,
            },
            Positions::SinCos => Self::SinCos { width },
        })
    }

    /// (1, rows·columns, width) for this grid, in the type and on the device of `like`.
    pub(crate) fn at(&self, to: (usize, usize), like: &Tensor) -> TensorResult<Tensor> {
        match self {
            Self::Learned { table, grid } => resample_grid(&table.tensor(), *grid, to),
            Self::SinCos { width } => sin_cos_positions(to, *width, like.dtype(), like.device()),
        }
    }
}
