use std::sync::Arc;

use candle_core::{Result as TensorResult, Tensor, bail};
use venule_nn::{Encoder, Mode};

use crate::Masking;

/// An [`Encoder`] that a [`Mae`](crate::Mae) can pretrain: it says how it takes the visible patches alone.
///
/// [`VitEncoder`](crate::VitEncoder) is one. A pointer to a masked encoder is a masked encoder, so that
/// `Mae<Box<dyn MaskedEncoder>>` takes what a program chooses at run time.
///
/// ```
/// use candle_core::{DType, Device, Module, Result as TensorResult, Tensor};
/// use venule_mae::{Mae, MaeDecoderConfig, MaskedEncoder, Masking};
/// use venule_nn::{
///     Encoder, FeatureInfo, FeatureMap, Features, Linear, Mode, ParamStore, patchify,
/// };
///
/// /// One linear map of each 8×8 patch.
/// struct Patches(Linear);
/// impl Encoder for Patches {
///     fn forward(&self, images: &Tensor, _: Mode) -> TensorResult<Features> {
///         let (b, _, h, w) = images.dims4()?;
///         let tokens = patchify(images, 8)?.apply(&self.0)?.transpose(1, 2)?;
///         let tensor = tokens.contiguous()?.reshape((b, 16, h / 8, w / 8))?;
///         Ok(Features { maps: vec![FeatureMap { tensor, stride: 8 }] })
///     }
///     fn outputs(&self) -> Vec<FeatureInfo> {
///         vec![FeatureInfo { channels: 16, stride: 8 }]
///     }
/// }
/// impl MaskedEncoder for Patches {
///     fn patch_size(&self) -> usize {
///         8
///     }
///     fn in_channels(&self) -> usize {
///         1
///     }
///     fn token_width(&self) -> usize {
///         16
///     }
///     fn forward_visible(&self, images: &Tensor, masking: &Masking, _: Mode) -> TensorResult<Tensor> {
///         masking.visible(&patchify(images, 8)?)?.apply(&self.0)
///     }
/// }
///
/// let store = ParamStore::new(42, &Device::Cpu);
/// let encoder = Patches(Linear::new(64, 16, true, &store.root().pp("embed"))?);
/// let decoder = MaeDecoderConfig { width: 32, depth: 1, heads: 2, ..MaeDecoderConfig::default() };
/// let mae = Mae::with_encoder(Box::new(encoder) as Box<dyn MaskedEncoder>, &decoder, &store.root())?;
/// let images = Tensor::ones((2, 1, 32, 24), DType::F32, &Device::Cpu)?; // 4 x 3 patches
/// let masking = Masking::from_seed(7, 2, 12, 0.75, &Device::Cpu)?;
/// let predictions = mae.forward(&images, &masking, Mode::Train { seed: 1 })?;
/// assert_eq!(predictions.dims(), [2, 12, 64]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait MaskedEncoder: Encoder {
    /// Side in pixels of a square patch, which is seen or hidden as a whole: 1 to 256.
    fn patch_size(&self) -> usize;

    /// Channels of an image: 1 to 64.
    fn in_channels(&self) -> usize;

    /// Values of a token: 1 to 8192.
    fn token_width(&self) -> usize;

    /// Tokens in front of the patches' own, such as a class token.
    fn extra_tokens(&self) -> usize {
        0
    }

    /// Tokens (B, extra + K, width) of `images` (B, C, H, W): first the extra ones, then those of the K patches that
    /// [`Masking::keep`] names, in its order. The pixels of other patches must not show in them.
    ///
    /// # Errors
    /// If the images do not fit the encoder, or the masking not the images.
    fn forward_visible(
        &self,
        images: &Tensor,
        masking: &Masking,
        mode: Mode,
    ) -> TensorResult<Tensor>;
}

macro_rules! forward_masked_encoder {
    ($($pointer:ty),*) => {$(
        impl<T: MaskedEncoder + ?Sized> MaskedEncoder for $pointer {
            fn patch_size(&self) -> usize {
                (**self).patch_size()
            }
            fn in_channels(&self) -> usize {
                (**self).in_channels()
            }
            fn token_width(&self) -> usize {
                (**self).token_width()
            }
            fn extra_tokens(&self) -> usize {
                (**self).extra_tokens()
            }
            fn forward_visible(
                &self,
                images: &Tensor,
                masking: &Masking,
                mode: Mode,
            ) -> TensorResult<Tensor> {
                (**self).forward_visible(images, masking, mode)
            }
        }
    )*};
}

forward_masked_encoder!(&T, Box<T>, Arc<T>);

/// Rows and columns of patches of `images` (B, C, H, W).
pub(crate) fn patch_grid(
    images: &Tensor,
    channels: usize,
    patch: usize,
) -> TensorResult<(usize, usize)> {
    let (_, found, height, width) = images.dims4()?;
    if found != channels || height == 0 || width == 0 {
        bail!(
            "the encoder takes images with {channels} channels and at least one pixel, not {:?}",
            images.shape()
        );
    }
    if height % patch != 0 || width % patch != 0 {
        bail!(
            "image height {height} and width {width} must be multiples of the patch size {patch}; pad the image first"
        );
    }
    Ok((height / patch, width / patch))
}
