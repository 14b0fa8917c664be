use candle_core::{Device, Result as TensorResult, Tensor, bail};
use venule_nn::Noise;

use crate::{Error, Result};

/// Which patches of each image the encoder sees.
///
/// Every image keeps floor(N · (1 − ratio)) of its N patches: those with the smallest noise, in the order of their noise, as
/// in the MAE paper's code. Uniform noise makes a uniformly random choice.
///
/// ```
/// use candle_core::Device;
/// use venule_mae::Masking;
/// // one image of four patches, half of them hidden
/// let masking = Masking::from_noise(&[0.9, 0.1, 0.5, 0.3], 1, 4, 0.5, &Device::Cpu)?;
/// assert_eq!(masking.keep().to_vec2::<u32>()?, [[1, 3]]);
/// assert_eq!(masking.restore().to_vec2::<u32>()?, [[3, 0, 2, 1]]);
/// assert_eq!(masking.mask().to_vec2::<f32>()?, [[1., 0., 1., 0.]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Masking {
    keep: Tensor,
    restore: Tensor,
    mask: Tensor,
}

/// Most values of noise that are drawn at once.
const LARGEST: usize = 1 << 28;

impl Masking {
    /// Orders patches by `noise`, `batch` rows of `patches` values; equal values keep their order.
    ///
    /// # Errors
    /// [`Error::MaskRatio`] if no patch would be kept or none masked, [`Error::NoiseLength`], [`Error::NoiseNan`].
    pub fn from_noise(
        noise: &[f32],
        batch: usize,
        patches: usize,
        ratio: f64,
        device: &Device,
    ) -> Result<Self> {
        let kept = kept_patches(patches, ratio)?;
        if Some(noise.len()) != batch.checked_mul(patches) || batch == 0 {
            return Err(Error::NoiseLength {
                batch,
                patches,
                found: noise.len(),
            });
        }
        if let Some(index) = noise.iter().position(|value| value.is_nan()) {
            return Err(Error::NoiseNan { index });
        }
        let mut keep = Vec::with_capacity(batch * kept);
        let mut restore = vec![0u32; noise.len()];
        let mut mask = vec![1f32; noise.len()];
        for (image, row) in noise.chunks_exact(patches).enumerate() {
            let mut order: Vec<usize> = (0..patches).collect();
            order.sort_by(|a, b| row[*a].total_cmp(&row[*b]));
            for (place, &patch) in order.iter().enumerate() {
                restore[image * patches + patch] = place as u32;
                if place < kept {
                    keep.push(patch as u32);
                    mask[image * patches + patch] = 0.0;
                }
            }
        }
        Ok(Self {
            keep: Tensor::from_vec(keep, (batch, kept), device)?,
            restore: Tensor::from_vec(restore, (batch, patches), device)?,
            mask: Tensor::from_vec(mask, (batch, patches), device)?,
        })
    }

    /// A uniformly random choice; image i of the batch depends on (`seed`, i) alone.
    ///
    /// # Errors
    /// As [`Masking::from_noise`]; [`Error::Config`] for more than 2²⁸ patches in all.
    pub fn from_seed(
        seed: u64,
        batch: usize,
        patches: usize,
        ratio: f64,
        device: &Device,
    ) -> Result<Self> {
        kept_patches(patches, ratio)?;
        let values = batch.checked_mul(patches).filter(|&n| n <= LARGEST);
        let Some(values) = values else {
            return Err(Error::Config {
                field: "batch",
                value: batch.to_string(),
                expected: "at most 2^28 patches in all".to_owned(),
            });
        };
        let mut noise = Vec::with_capacity(values);
        for image in 0..batch {
            let mut stream = Noise::keyed(&[seed, image as u64]);
            noise.extend((0..patches).map(|_| stream.uniform()));
        }
        Self::from_noise(&noise, batch, patches, ratio, device)
    }

    /// Patch numbers that the encoder sees: (B, K) of `u32`.
    pub fn keep(&self) -> &Tensor {
        &self.keep
    }

    /// Place of each patch in the noise order: (B, N) of `u32`. Places below K are visible: entry [`Masking::keep`]\[place\].
    pub fn restore(&self) -> &Tensor {
        &self.restore
    }

    /// 1 where a patch is masked, 0 where it is visible: (B, N) of `f32`.
    pub fn mask(&self) -> &Tensor {
        &self.mask
    }

    /// Of one row for each patch (B, N, D) those of the visible patches, in the order of [`Masking::keep`]: (B, K, D).
    ///
    /// # Errors
    /// If there are not as many rows as patches.
    pub fn visible(&self, rows: &Tensor) -> TensorResult<Tensor> {
        let (batch, patches, _) = rows.dims3()?;
        let (images, expected, _) = self.dims();
        if (batch, patches) != (images, expected) {
            bail!(
                "a masking of {images} images of {expected} patches cannot choose from {batch} images of {patches}"
            );
        }
        chosen(rows, &self.keep)
    }

    /// Images, patches of an image, visible patches of an image.
    pub(crate) fn dims(&self) -> (usize, usize, usize) {
        let (restore, keep) = (self.restore.dims(), self.keep.dims());
        (restore[0], restore[1], keep[1])
    }
}

/// Of the rows (B, N, D) of each image those that `keep` (B, K) names, in its order: (B, K, D).
pub(crate) fn chosen(rows: &Tensor, keep: &Tensor) -> TensorResult<Tensor> {
    let (batch, count, width) = rows.dims3()?;
    let (images, kept) = keep.dims2()?;
    if images != batch {
        bail!("a choice of patches for {images} images was given for a batch of {batch}");
    }
    // Checked before anything is added to the numbers: they could come to name a patch of another image.
    if keep.elem_count() > 0 {
        let largest = keep.flatten_all()?.max(0)?.to_scalar::<u32>()?;
        if largest as usize >= count {
            bail!("a choice of patches names patch {largest}, but an image has {count}, from 0");
        }
    }
    let first = Tensor::arange_step(0, (batch * count) as u32, count as u32, rows.device())?;
    let places = keep
        .broadcast_add(&first.reshape((batch, 1))?)?
        .flatten_all()?;
    rows.reshape((batch * count, width))?
        .index_select(&places, 0)?
        .reshape((batch, kept, width))
}

/// floor(N · (1 − ratio)), at least one kept and one masked.
fn kept_patches(patches: usize, ratio: f64) -> Result<usize> {
    // Exact decimal ratios must not lose a patch to rounding: 100 · (1 − 0.9) is 9.999… in binary.
    let kept = (patches as f64 * (1.0 - ratio) + 1e-9).floor();
    let inside = ratio > 0.0 && ratio < 1.0 && u32::try_from(patches).is_ok();
    if !inside || kept < 1.0 || kept >= patches as f64 {
        return Err(Error::MaskRatio {
            ratio,
            patches,
            kept: kept.clamp(0.0, patches as f64) as usize,
        });
    }
    Ok(kept as usize)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keeps_the_floor_of_the_visible_share() {
        assert_eq!(kept_patches(1024, 0.75).unwrap(), 256);
        assert_eq!(kept_patches(100, 0.9).unwrap(), 10);
        assert_eq!(kept_patches(7, 0.75).unwrap(), 1); // 1.75
    }

    #[test]
    fn nothing_masked_or_nothing_kept_is_an_error() {
        for ratio in [0.0, 1.0, -0.5, 1.5, f64::NAN, 0.99] {
            let result = Masking::from_seed(1, 1, 16, ratio, &Device::Cpu);
            assert!(matches!(result, Err(Error::MaskRatio { .. })), "{ratio}");
        }
        assert!(matches!(
            Masking::from_noise(&[0.0; 7], 2, 4, 0.5, &Device::Cpu),
            Err(Error::NoiseLength { found: 7, .. })
        ));
        assert!(matches!(
            Masking::from_noise(&[0.0, f32::NAN, 0.0, 0.0], 1, 4, 0.5, &Device::Cpu),
            Err(Error::NoiseNan { index: 1 })
        ));
    }

    #[test]
    fn a_seed_repeats_and_images_differ() {
        let mask = |seed| {
            Masking::from_seed(seed, 2, 64, 0.75, &Device::Cpu)
                .unwrap()
                .mask()
                .to_vec2::<f32>()
                .unwrap()
        };
        assert_eq!(mask(3), mask(3));
        assert_ne!(mask(3), mask(4));
        assert_ne!(mask(3)[0], mask(3)[1]);
    }

    #[test]
    fn the_rows_of_visible_patches_are_chosen_image_by_image() {
        let noise = [0.9, 0.1, 0.5, 0.3, 0.2, 0.8, 0.7, 0.1];
        let masking = Masking::from_noise(&noise, 2, 4, 0.5, &Device::Cpu).unwrap();
        let rows = Tensor::arange(0f32, 8.0, &Device::Cpu).unwrap();
        let rows = rows.reshape((2, 4, 1)).unwrap();
        let visible = masking.visible(&rows).unwrap();
        // Patches 1, 3 of the first image, 3, 0 of the second, whose rows begin with 4.
        assert_eq!(
            visible.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
            [1.0, 3.0, 7.0, 4.0]
        );
        let other = rows.narrow(1, 0, 3).unwrap();
        let error = masking.visible(&other).unwrap_err().to_string();
        assert!(error.contains("2 images of 3"), "{error}");
    }

    proptest! {
        #[test]
        fn keep_restore_and_mask_agree(patches in 2usize..80, batch in 1usize..4, ratio in 0.05f64..0.95, seed: u64) {
            let Ok(masking) = Masking::from_seed(seed, batch, patches, ratio, &Device::Cpu) else {
                // few patches: the ratio would keep none
                prop_assert!((patches as f64 * (1.0 - ratio)) < 1.0);
                return Ok(());
            };
            let keep = masking.keep().to_vec2::<u32>().unwrap();
            let restore = masking.restore().to_vec2::<u32>().unwrap();
            let mask = masking.mask().to_vec2::<f32>().unwrap();
            for b in 0..batch {
                for n in 0..patches {
                    let place = restore[b][n] as usize;
                    prop_assert_eq!(mask[b][n] == 0.0, place < keep[b].len());
                    if place < keep[b].len() {
                        prop_assert_eq!(keep[b][place] as usize, n);
                    }
                }
                let masked = mask[b].iter().sum::<f32>() as usize;
                prop_assert_eq!(masked + keep[b].len(), patches);
            }
        }
    }
}
