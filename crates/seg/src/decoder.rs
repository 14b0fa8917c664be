use std::sync::Arc;

use candle_core::{Result, Tensor};
use venule_nn::{Features, Mode};

/// Anything that turns an encoder's feature maps, and the image itself, into a map of logits.
pub trait Decoder: Send + Sync {
    /// Logits (B, 1, H, W) from the maps of `images` (B, C, H, W).
    ///
    /// # Errors
    /// If maps and images do not fit together or are not what the decoder was built for.
    fn forward(&self, features: &Features, images: &Tensor, mode: Mode) -> Result<Tensor>;

    /// The logits as [`Decoder::forward`] gives them, and behind them those of coarser maps, if the decoder has any for training, brought
    /// to the same size: a loss takes all of them (deep supervision).
    ///
    /// # Errors
    /// As [`Decoder::forward`].
    fn training_logits(
        &self,
        features: &Features,
        images: &Tensor,
        mode: Mode,
    ) -> Result<Vec<Tensor>> {
        Ok(vec![self.forward(features, images, mode)?])
    }

    /// Channels of the images it takes; `None` where the decoder does not say, or does not look at the image.
    fn image_channels(&self) -> Option<usize> {
        None
    }

    /// H and W must be multiples of this, beside the encoder's strides.
    fn multiple(&self) -> usize {
        1
    }
}

macro_rules! forward_decoder {
    ($($pointer:ty),*) => {$(
        impl<T: Decoder + ?Sized> Decoder for $pointer {
            fn forward(&self, features: &Features, images: &Tensor, mode: Mode) -> Result<Tensor> {
                (**self).forward(features, images, mode)
            }
            fn training_logits(
                &self,
                features: &Features,
                images: &Tensor,
                mode: Mode,
            ) -> Result<Vec<Tensor>> {
                (**self).training_logits(features, images, mode)
            }
            fn image_channels(&self) -> Option<usize> {
                (**self).image_channels()
            }
            fn multiple(&self) -> usize {
                (**self).multiple()
            }
        }
    )*};
}

forward_decoder!(&T, Box<T>, Arc<T>);
