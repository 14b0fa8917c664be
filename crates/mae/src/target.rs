use candle_core::{Result, Tensor};
use venule_nn::patchify;

/// Added to a patch's variance before the root.
const VARIANCE_FLOOR: f64 = 1e-6;

/// Makes errors on vessels count more: the squared error of a pixel is multiplied by 1 + `strength` · vesselness.
#[derive(Clone, Copy, Debug)]
pub struct VesselWeight<'a> {
    /// Vesselness in [0, 1]: (B, 1, H, W).
    pub map: &'a Tensor,
    /// Extra weight of a pixel with vesselness 1, at least 0.
    pub strength: f64,
}

/// Patches of `images` in the order (row, column, channel) of the public MAE: (B, N, p·p·C).
pub(crate) fn pixel_patches(images: &Tensor, patch: usize) -> Result<Tensor> {
    let channels = images.dim(1)?;
    let patches = patchify(images, patch)?;
    channels_last(&patches, channels)
}

/// (channel, row, column) within a patch → (row, column, channel).
fn channels_last(patches: &Tensor, channels: usize) -> Result<Tensor> {
    let (batch, count, values) = patches.dims3()?;
    if channels == 1 {
        return Ok(patches.clone());
    }
    patches
        .reshape((batch, count, channels, values / channels))?
        .transpose(2, 3)?
        .reshape((batch, count, values))
}

/// (row, column, channel) within a patch → (channel, row, column).
pub(crate) fn channels_first(patches: &Tensor, channels: usize) -> Result<Tensor> {
    let (batch, count, values) = patches.dims3()?;
    if channels == 1 {
        return Ok(patches.clone());
    }
    patches
        .reshape((batch, count, values / channels, channels))?
        .transpose(2, 3)?
        .reshape((batch, count, values))
}

/// Mean and root of the unbiased variance plus 1e-6 of each patch: (B, N, 1) each.
pub(crate) fn patch_statistics(patches: &Tensor) -> Result<(Tensor, Tensor)> {
    let mean = patches.mean_keepdim(2)?;
    let squares = patches.broadcast_sub(&mean)?.sqr()?.sum_keepdim(2)?;
    let values = patches.dim(2)?;
    let variance = (squares / (values.max(2) - 1) as f64)?;
    Ok((mean, (variance + VARIANCE_FLOOR)?.sqrt()?))
}

/// Mean over the masked patches of each patch's mean (weighted) squared error.
pub(crate) fn masked_error(
    predictions: &Tensor,
    target: &Tensor,
    mask: &Tensor,
    weight: Option<&Tensor>,
) -> Result<Tensor> {
    let mut error = (predictions - target)?.sqr()?;
    if let Some(weight) = weight {
        // One weight per pixel for all its channels, which lie side by side.
        let (batch, count, pixels) = weight.dims3()?;
        let channels = error.dim(2)? / pixels;
        let weight = weight.reshape((batch, count, pixels, 1))?;
        error = error
            .reshape((batch, count, pixels, channels))?
            .broadcast_mul(&weight)?
            .reshape((batch, count, pixels * channels))?;
    }
    let mask = mask.to_dtype(predictions.dtype())?;
    let masked = mask.sum_all()?;
    (error.mean(2)? * mask)?.sum_all()?.div(&masked)
}
