use candle_core::{Result, Tensor, bail};

/// Bilinear upsampling of (B, C, H, W) to (B, C, 2H, 2W) with half-pixel centres and repeated borders, as
/// `torch.nn.functional.interpolate(scale_factor=2, mode="bilinear", align_corners=False)`.
///
/// # Errors
/// If the map has no pixels.
pub fn upsample2x(x: &Tensor) -> Result<Tensor> {
    let (_, _, h, w) = x.dims4()?;
    if h == 0 || w == 0 {
        bail!("cannot upsample an empty map of {h}x{w}");
    }
    upsample2x_composed(x)
}

pub(crate) fn upsample2x_composed(x: &Tensor) -> Result<Tensor> {
    double(&double(x, 2)?, 3)
}

/// Doubles one dimension: even outputs ¼·before + ¾·here, odd ones ¾·here + ¼·behind.
fn double(x: &Tensor, dim: usize) -> Result<Tensor> {
    let n = x.dim(dim)?;
    let last = n as u32 - 1;
    let neighbours = |shift: i64| -> Result<Tensor> {
        let indices: Vec<u32> = (0..=last)
            .map(|i| (i64::from(i) + shift).clamp(0, i64::from(last)) as u32)
            .collect();
        x.index_select(&Tensor::from_vec(indices, n, x.device())?, dim)
    };
    let (before, behind) = (neighbours(-1)?, neighbours(1)?);
    let here = x.affine(0.75, 0.0)?;
    let even = (&here + before.affine(0.25, 0.0)?)?;
    let odd = (&here + behind.affine(0.25, 0.0)?)?;
    let mut dims = x.dims().to_vec();
    dims[dim] = 2 * n;
    Tensor::stack(&[even, odd], dim + 1)?.reshape(dims)
}
