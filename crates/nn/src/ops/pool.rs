use candle_core::{Result, Tensor, bail};

/// Largest of each 2×2 square of (B, C, H, W), with stride 2; the gradient goes to the first largest of the four.
///
/// # Errors
/// If H or W is odd.
pub fn max_pool2x2(x: &Tensor) -> Result<Tensor> {
    let (_, _, h, w) = x.dims4()?;
    if h % 2 != 0 || w % 2 != 0 {
        bail!("2x2 pooling needs an even height and width, not {h}x{w}; pad the image first");
    }
    max_pool2x2_composed(x)
}

pub(crate) fn max_pool2x2_composed(x: &Tensor) -> Result<Tensor> {
    let (b, c, h, w) = x.dims4()?;
    let squares = x.reshape((b * c, h / 2, 2, w / 2, 2))?;
    let corner = |i: usize, j: usize| {
        squares
            .narrow(2, i, 1)?
            .narrow(4, j, 1)?
            .reshape((b, c, h / 2, w / 2))
    };
    let larger = |a: &Tensor, b: &Tensor| a.detach().ge(&b.detach())?.where_cond(a, b);
    larger(
        &larger(&corner(0, 0)?, &corner(0, 1)?)?,
        &larger(&corner(1, 0)?, &corner(1, 1)?)?,
    )
}
