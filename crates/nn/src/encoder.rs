use std::sync::Arc;

use candle_core::{Result, Tensor};

use crate::Mode;

/// One map of an encoder: (B, C, H / stride, W / stride).
#[derive(Clone, Debug)]
pub struct FeatureMap {
    /// The map, NCHW.
    pub tensor: Tensor,
    /// How many image pixels one step of the map spans.
    pub stride: usize,
}

/// What an encoder gives: its maps in a fixed order (for a plain ViT one, or one per tapped depth).
#[derive(Clone, Debug)]
pub struct Features {
    /// The maps, as many as [`Encoder::outputs`] promises.
    pub maps: Vec<FeatureMap>,
}

/// Channels and stride of one map that an encoder promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureInfo {
    /// Number of channels.
    pub channels: usize,
    /// How many image pixels one step of the map spans.
    pub stride: usize,
}

/// Anything that turns images (B, C, H, W) into feature maps.
///
/// A decoder is built from [`Encoder::outputs`] and never learns which encoder it stands on.
/// Callers pad images to a common multiple of the strides.
pub trait Encoder: Send + Sync {
    /// Feature maps of `images` (B, C, H, W), H and W multiples of every stride.
    ///
    /// # Errors
    /// If the image's size or channel count does not fit.
    fn forward(&self, images: &Tensor, mode: Mode) -> Result<Features>;

    /// Channels and stride of each map, in order.
    fn outputs(&self) -> Vec<FeatureInfo>;
}

/// No encoder at all: no maps, for a decoder that sees the image itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoEncoder;

impl Encoder for NoEncoder {
    fn forward(&self, _: &Tensor, _: Mode) -> Result<Features> {
        Ok(Features { maps: Vec::new() })
    }

    fn outputs(&self) -> Vec<FeatureInfo> {
        Vec::new()
    }
}

macro_rules! forward_encoder {
    ($($pointer:ty),*) => {$(
        impl<T: Encoder + ?Sized> Encoder for $pointer {
            fn forward(&self, images: &Tensor, mode: Mode) -> Result<Features> {
                (**self).forward(images, mode)
            }
            fn outputs(&self) -> Vec<FeatureInfo> {
                (**self).outputs()
            }
        }
    )*};
}

forward_encoder!(&T, Box<T>, Arc<T>);
