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
///
/// # Stages
/// An encoder that says its stages can be frozen in part, thawed stage by stage, and trained with a learning rate that falls
/// towards the image. Stages count from the image upwards: 0 is what sees the image first.
///
/// ```
/// use candle_core::{Device, Module, Result as TensorResult, Tensor};
/// use venule_nn::{Conv3x3, Encoder, FeatureInfo, FeatureMap, Features, Mode, ParamStore, max_pool2x2};
///
/// /// Two convolutions with a pooling behind each: variables `first`, `second`.
/// struct Two([Conv3x3; 2]);
/// impl Encoder for Two {
///     fn forward(&self, images: &Tensor, _: Mode) -> TensorResult<Features> {
///         let mut tensor = images.clone();
///         for layer in &self.0 {
///             tensor = max_pool2x2(&tensor.apply(layer)?.relu()?)?;
///         }
///         Ok(Features { maps: vec![FeatureMap { tensor, stride: 4 }] })
///     }
///     fn outputs(&self) -> Vec<FeatureInfo> {
///         vec![FeatureInfo { channels: 8, stride: 4 }]
///     }
///     fn stages(&self) -> usize {
///         2
///     }
///     fn stage_of(&self, name: &str) -> Option<usize> {
///         let (layer, _) = name.split_once('.')?;
///         ["first", "second"].iter().position(|known| *known == layer)
///     }
/// }
///
/// let store = ParamStore::new(1, &Device::Cpu);
/// let params = store.root().pp("encoder");
/// let first = Conv3x3::new(1, 8, true, &params.pp("first"))?;
/// let encoder = Two([first, Conv3x3::new(8, 8, true, &params.pp("second"))?]);
/// assert_eq!(encoder.stage_of("second.weight"), Some(1));
/// # Ok::<(), venule_nn::Error>(())
/// ```
pub trait Encoder: Send + Sync {
    /// Feature maps of `images` (B, C, H, W), H and W multiples of every stride.
    ///
    /// # Errors
    /// If the image's size or channel count does not fit.
    fn forward(&self, images: &Tensor, mode: Mode) -> Result<Features>;

    /// Channels and stride of each map, in order.
    fn outputs(&self) -> Vec<FeatureInfo>;

    /// Channels of the images it takes; `None` where the encoder does not say, or takes any.
    fn image_channels(&self) -> Option<usize> {
        None
    }

    /// Number of stages; 0 where the encoder does not say its stages.
    fn stages(&self) -> usize {
        0
    }

    /// The stage of the parameter `name`, below [`Encoder::stages`]. `name` stands below the encoder's own prefix: `conv.weight`,
    /// not `encoder.conv.weight`.
    ///
    /// `None` says that the parameter lies behind all stages, such as a final norm, or is not the encoder's.
    fn stage_of(&self, name: &str) -> Option<usize> {
        let _ = name;
        None
    }
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
            fn image_channels(&self) -> Option<usize> {
                (**self).image_channels()
            }
            fn stages(&self) -> usize {
                (**self).stages()
            }
            fn stage_of(&self, name: &str) -> Option<usize> {
                (**self).stage_of(name)
            }
        }
    )*};
}

forward_encoder!(&T, Box<T>, Arc<T>);
