use candle_core::{Result as TensorResult, Tensor, bail};
use venule_nn::{Encoder, FeatureInfo, Features, Mode};

use crate::stage::unsuitable;
use crate::{Decoder, Result};

/// An encoder and a decoder: images of any size in, logits of the same size out.
///
/// It owns no variables and knows neither what its encoder is nor how it was trained; presets put the two under `encoder.`
/// and `decoder.` of one store.
#[derive(Clone, Debug)]
pub struct SegmentationModel<E, D> {
    encoder: E,
    decoder: D,
    multiple: usize,
}

/// Largest grid to which images are padded: coprime strides must not blow up a small image.
const LARGEST_MULTIPLE: usize = 1024;

impl<E: Encoder, D: Decoder> SegmentationModel<E, D> {
    /// Joins the two.
    ///
    /// # Errors
    /// [`crate::Error::Encoder`] if a stride is 0 or no size up to 1024 is a multiple of all strides, or if both say how many channels
    /// an image has, and differ.
    pub fn new(encoder: E, decoder: D) -> Result<Self> {
        let outputs = encoder.outputs();
        if let (Some(seen), Some(joined)) = (encoder.image_channels(), decoder.image_channels())
            && seen != joined
        {
            return unsuitable(
                &outputs,
                format!(
                    "both see the image, but the encoder takes {seen} channels of it and the decoder {joined}; give `in_channels` of both the same value"
                ),
            );
        }
        let strides = outputs.iter().map(|info| info.stride);
        let mut multiple = 1usize;
        for stride in strides.chain([decoder.multiple()]) {
            if stride == 0 || stride > LARGEST_MULTIPLE {
                multiple = 0;
                break;
            }
            multiple *= stride / common_divisor(multiple, stride);
            if multiple > LARGEST_MULTIPLE {
                break;
            }
        }
        if multiple == 0 || multiple > LARGEST_MULTIPLE {
            return unsuitable(
                &outputs,
                format!(
                    "all strides (and the decoder's {}) must be positive and divide one size up to {LARGEST_MULTIPLE}",
                    decoder.multiple()
                ),
            );
        }
        Ok(Self {
            encoder,
            decoder,
            multiple,
        })
    }

    /// The encoder.
    pub fn encoder(&self) -> &E {
        &self.encoder
    }

    /// Channels of the images, if encoder or decoder says so.
    pub fn image_channels(&self) -> Option<usize> {
        let encoder = self.encoder.image_channels();
        encoder.or_else(|| self.decoder.image_channels())
    }

    /// Images are padded to multiples of this many pixels.
    pub fn multiple(&self) -> usize {
        self.multiple
    }

    /// Images (B, C, H, W) of any size → logits (B, 1, H, W). The image is padded by zeros on the right and at the bottom,
    /// and the logits are cropped back.
    ///
    /// # Errors
    /// If the image is empty or its channels do not fit.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> TensorResult<Tensor> {
        let padded = self.padded(images)?;
        let features = self.features(&padded, mode)?;
        let logits = self.decoder.forward(&features, &padded, mode.part(1))?;
        cropped(&logits, &padded, images)
    }

    /// The logits as [`SegmentationModel::forward`] gives them, and behind them those of coarser maps, if the decoder has any for
    /// training ([`Decoder::training_logits`]), of the same size.
    ///
    /// # Errors
    /// As [`SegmentationModel::forward`].
    pub fn training_logits(&self, images: &Tensor, mode: Mode) -> TensorResult<Vec<Tensor>> {
        let padded = self.padded(images)?;
        let features = self.features(&padded, mode)?;
        let all = self
            .decoder
            .training_logits(&features, &padded, mode.part(1))?;
        all.iter()
            .map(|logits| cropped(logits, &padded, images))
            .collect()
    }

    /// The encoder's maps, which must be what it said of them: the decoder was built for those.
    fn features(&self, padded: &Tensor, mode: Mode) -> TensorResult<Features> {
        let features = self.encoder.forward(padded, mode.part(0))?;
        let given = features.maps.iter().map(|map| {
            let channels = map.tensor.dims().get(1).copied().unwrap_or(0);
            FeatureInfo {
                channels,
                stride: map.stride,
            }
        });
        let (given, promised) = (given.collect::<Vec<_>>(), self.encoder.outputs());
        if given != promised {
            bail!(
                "the encoder gave maps of {given:?}, but its `outputs` promise {promised:?}; make both say the same"
            );
        }
        Ok(features)
    }

    /// The images with zeros on the right and at the bottom, up to a size that encoder and decoder take.
    fn padded(&self, images: &Tensor) -> TensorResult<Tensor> {
        let (_, _, height, width) = images.dims4()?;
        if images.elem_count() == 0 {
            bail!("cannot segment an empty image: {:?}", images.shape());
        }
        let padding = |side: usize| side.next_multiple_of(self.multiple) - side;
        images
            .pad_with_zeros(2, 0, padding(height))?
            .pad_with_zeros(3, 0, padding(width))?
            .contiguous()
    }

    /// Probabilities 1 / (1 + e^−logit) in evaluation mode: (B, 1, H, W) in [0, 1], detached.
    ///
    /// # Errors
    /// As [`SegmentationModel::forward`].
    pub fn probabilities(&self, images: &Tensor) -> TensorResult<Tensor> {
        let logits = self.forward(images, Mode::Eval)?.detach();
        // By tanh: finite for every logit.
        logits.affine(0.5, 0.0)?.tanh()?.affine(0.5, 0.5)
    }
}

/// The part of `logits` that lies over `images`.
fn cropped(logits: &Tensor, padded: &Tensor, images: &Tensor) -> TensorResult<Tensor> {
    let (batch, _, full_height, full_width) = padded.dims4()?;
    let (_, _, height, width) = images.dims4()?;
    if logits.dims() != [batch, 1, full_height, full_width] {
        bail!(
            "the decoder gave {:?} for images of {:?}",
            logits.shape(),
            padded.shape()
        );
    }
    logits
        .narrow(2, 0, height)?
        .narrow(3, 0, width)?
        .contiguous()
}

fn common_divisor(mut a: usize, mut b: usize) -> usize {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
