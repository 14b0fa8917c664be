use candle_core::{Result, Tensor, bail};

/// Cuts images (B, C, H, W) into square patches: (B, N, C·p·p) with N = (H/p)·(W/p), patches row by row and the values of
/// a patch in the order (channel, row, column) of a convolution's weight.
///
/// # Errors
/// If H or W is no multiple of `patch`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use venule_nn::patchify;
/// let image = Tensor::arange(0f32, 8., &Device::Cpu)?.reshape((1, 1, 2, 4))?;
/// assert_eq!(
///     patchify(&image, 2)?.to_vec3::<f32>()?,
///     [[[0., 1., 4., 5.], [2., 3., 6., 7.]]]
/// );
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn patchify(images: &Tensor, patch: usize) -> Result<Tensor> {
    let (b, c, h, w) = images.dims4()?;
    if patch == 0 || h % patch != 0 || w % patch != 0 {
        bail!(
            "image height {h} and width {w} must be multiples of the patch size {patch}; pad the image first"
        );
    }
    let (rows, columns) = (h / patch, w / patch);
    images
        .reshape((b, c, rows, patch, columns, patch))?
        .permute((0, 2, 4, 1, 3, 5))?
        .reshape((b, rows * columns, c * patch * patch))
}

/// Puts patches (B, N, C·p·p) of a grid of (rows, columns) together again: (B, C, rows·p, columns·p). The inverse of
/// [`patchify`].
///
/// # Errors
/// If the token count or width does not fit the grid, channels and patch size.
pub fn unpatchify(
    tokens: &Tensor,
    channels: usize,
    patch: usize,
    (rows, columns): (usize, usize),
) -> Result<Tensor> {
    let (b, n, width) = tokens.dims3()?;
    if n != rows * columns || width != channels * patch * patch {
        bail!(
            "{n} tokens of width {width} do not fit a grid of {rows}x{columns} patches of {channels}x{patch}x{patch} values"
        );
    }
    tokens
        .reshape((b, rows, columns, channels, patch, patch))?
        .permute((0, 3, 1, 4, 2, 5))?
        .reshape((b, channels, rows * patch, columns * patch))
}
