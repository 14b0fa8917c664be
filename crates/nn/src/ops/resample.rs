use candle_core::{Result, Tensor, bail};

/// Resamples position embeddings (1, N, C) from one patch grid (rows, columns) to another, bicubically (a = −0.75,
/// half-pixel centres, borders repeated): what `torch.nn.functional.interpolate(mode="bicubic")` computes.
///
/// Differentiable; the identity when the grids are equal.
///
/// # Errors
/// If N is not the size of the first grid, or a grid is empty.
pub fn resample_grid(
    positions: &Tensor,
    from: (usize, usize),
    to: (usize, usize),
) -> Result<Tensor> {
    let (one, n, channels) = positions.dims3()?;
    if one != 1 || n != from.0 * from.1 || n == 0 || to.0 * to.1 == 0 {
        bail!(
            "positions of shape {:?} do not fit a grid of {from:?} to be resampled to {to:?}",
            positions.shape()
        );
    }
    if from == to {
        return Ok(positions.clone());
    }
    let matrix = |a: usize, b: usize| {
        Tensor::from_vec(bicubic(a, b), (b, a), positions.device())?.to_dtype(positions.dtype())
    };
    let rows = matrix(from.0, to.0)?;
    let columns = matrix(from.1, to.1)?;
    // (rows, columns · C) by rows, then columns in the middle
    let tall = rows.matmul(&positions.reshape((from.0, from.1 * channels))?)?;
    let tall = tall.reshape((to.0, from.1, channels))?;
    let wide = columns.broadcast_left(to.0)?.contiguous()?.matmul(&tall)?;
    wide.reshape((1, to.0 * to.1, channels))
}

/// Row-major (to, from) matrix of bicubic weights.
fn bicubic(from: usize, to: usize) -> Vec<f32> {
    const A: f64 = -0.75;
    let near = |x: f64| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f64| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    let mut matrix = vec![0f32; from * to];
    for i in 0..to {
        let centre = (i as f64 + 0.5) * from as f64 / to as f64 - 0.5;
        let floor = centre.floor();
        let t = centre - floor;
        for (offset, weight) in [
            (-1, far(t + 1.0)),
            (0, near(t)),
            (1, near(1.0 - t)),
            (2, far(2.0 - t)),
        ] {
            let source = (floor as isize + offset).clamp(0, from as isize - 1);
            matrix[i * from + source as usize] += weight as f32;
        }
    }
    matrix
}
