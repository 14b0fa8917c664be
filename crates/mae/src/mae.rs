use candle_core::{Result as TensorResult, Tensor, bail};
use venule_nn::{Mode, Params, patchify, unpatchify};

use crate::decoder::MaeDecoder;
use crate::masked_encoder::patch_grid;
use crate::target::{channels_first, masked_error, patch_statistics, pixel_patches};
use crate::{
    Error, MaeConfig, MaeDecoderConfig, MaskedEncoder, Masking, Result, VesselWeight, VitEncoder,
};

/// A masked autoencoder: an encoder on the visible patches, a light decoder that paints all of them.
///
/// Both take their variables from one place, so that a saved store has the names of the public MAE where the encoder is a
/// [`VitEncoder`]. The decoder's names are in [`MaeDecoderConfig`]; an encoder must have others.
#[derive(Clone, Debug)]
pub struct Mae<E = VitEncoder> {
    config: MaeDecoderConfig,
    encoder: E,
    decoder: MaeDecoder,
}

/// Pictures of what a masked autoencoder saw and painted, all (B, C, H, W).
#[derive(Clone, Debug)]
pub struct Reconstruction {
    /// The image with its masked patches set to 0.
    pub masked: Tensor,
    /// Every patch as predicted, in image units.
    pub predicted: Tensor,
    /// The image with its masked patches replaced by the predicted ones.
    pub combined: Tensor,
}

impl Mae {
    /// Takes its variables from `params`.
    ///
    /// # Errors
    /// [`Error::Config`] if the configuration is not valid; [`Error::Nn`] if the store holds other shapes.
    pub fn new(config: &MaeConfig, params: &Params) -> Result<Self> {
        config.validate()?;
        let encoder = VitEncoder::new(&config.encoder, params)?;
        Self::with_encoder(encoder, &config.into(), params)
    }

    /// The configuration it was built from.
    pub fn config(&self) -> MaeConfig {
        MaeConfig {
            encoder: self.encoder.config().clone(),
            decoder_width: self.config.width,
            decoder_depth: self.config.depth,
            decoder_heads: self.config.heads,
            normalize_targets: self.config.normalize_targets,
        }
    }
}

impl<E: MaskedEncoder> Mae<E> {
    /// A decoder for `encoder`, which takes its variables from `params`, where the encoder's lie too.
    ///
    /// # Errors
    /// [`Error::Config`] if the configuration is not valid or a number that the encoder says of itself is out of its range;
    /// [`Error::Nn`] if the store holds other shapes.
    pub fn with_encoder(encoder: E, config: &MaeDecoderConfig, params: &Params) -> Result<Self> {
        for (field, value, largest) in [
            ("the encoder's patch_size", encoder.patch_size(), 256),
            ("the encoder's in_channels", encoder.in_channels(), 64),
            ("the encoder's token_width", encoder.token_width(), 8192),
        ] {
            if value == 0 || value > largest {
                return Err(Error::Config {
                    field,
                    value: value.to_string(),
                    expected: format!("in 1 to {largest}"),
                });
            }
        }
        if config.normalize_targets && encoder.in_channels() * encoder.patch_size() < 2 {
            return Err(Error::Config {
                field: "normalize_targets",
                value: "true".to_owned(),
                expected: "false for patches of a single value, which have no variance".to_owned(),
            });
        }
        Ok(Self {
            config: config.clone(),
            decoder: MaeDecoder::new(config, &encoder, params)?,
            encoder,
        })
    }

    /// The configuration of all but the encoder.
    pub fn decoder_config(&self) -> &MaeDecoderConfig {
        &self.config
    }

    /// The encoder, for fine-tuning.
    pub fn encoder(&self) -> &E {
        &self.encoder
    }

    /// Rows and columns of patches of `images` (B, C, H, W).
    ///
    /// # Errors
    /// If the channels are not the encoder's or its patch size does not divide H and W.
    pub fn grid(&self, images: &Tensor) -> TensorResult<(usize, usize)> {
        let (channels, patch) = (self.encoder.in_channels(), self.encoder.patch_size());
        patch_grid(images, channels, patch)
    }

    /// Images (B, C, H, W) → predictions for all patches: (B, N, p·p·C), in the units of the target.
    ///
    /// # Errors
    /// If the images do not fit the configuration, or the masking not the images.
    pub fn forward(&self, images: &Tensor, masking: &Masking, mode: Mode) -> TensorResult<Tensor> {
        let grid = self.grid(images)?;
        let (batch, patches, kept) = masking.dims();
        if images.dim(0)? != batch || grid.0 * grid.1 != patches {
            bail!(
                "a masking of {batch} images of {patches} patches does not fit images {:?} with a grid of {grid:?} patches",
                images.shape()
            );
        }
        let encoder = &self.encoder;
        let tokens = encoder.forward_visible(images, masking, mode.part(0))?;
        let expected = [batch, encoder.extra_tokens() + kept, encoder.token_width()];
        if tokens.dims() != expected {
            bail!(
                "the encoder gave tokens {:?} of the visible patches, but promises {expected:?}: images, extra tokens and {kept} patches, width",
                tokens.shape()
            );
        }
        self.decoder.forward(&tokens, masking, grid, mode.part(1))
    }

    /// What the predictions should be: (B, N, p·p·C) pixels of each patch in the order (row, column, channel); with
    /// `normalize_targets` brought to mean 0 and variance 1 (unbiased, plus 1e-6) in each patch.
    ///
    /// # Errors
    /// If the images do not fit the configuration.
    pub fn target(&self, images: &Tensor) -> TensorResult<Tensor> {
        self.grid(images)?;
        let patches = pixel_patches(&images.detach(), self.encoder.patch_size())?;
        if !self.config.normalize_targets {
            return Ok(patches);
        }
        let (mean, deviation) = patch_statistics(&patches)?;
        patches.broadcast_sub(&mean)?.broadcast_div(&deviation)
    }

    /// Mean over the masked patches of the mean squared error of each, optionally weighted by vesselness: a scalar.
    ///
    /// # Errors
    /// If images, predictions, masking and vessel map do not fit together.
    pub fn loss(
        &self,
        images: &Tensor,
        predictions: &Tensor,
        masking: &Masking,
        vessels: Option<VesselWeight<'_>>,
    ) -> TensorResult<Tensor> {
        let target = self.target(images)?;
        if predictions.shape() != target.shape() || masking.mask().dims() != &target.dims()[..2] {
            bail!(
                "predictions {:?} and a masking {:?} do not fit a target {:?}",
                predictions.shape(),
                masking.mask().shape(),
                target.shape()
            );
        }
        let weight = vessels
            .map(|vessels| self.pixel_weight(images, vessels))
            .transpose()?;
        masked_error(predictions, &target, masking.mask(), weight.as_ref())
    }

    /// 1 + strength · vesselness by patch: (B, N, p·p).
    fn pixel_weight(&self, images: &Tensor, vessels: VesselWeight<'_>) -> TensorResult<Tensor> {
        let (batch, _, height, width) = images.dims4()?;
        let strength = (0.0..f64::INFINITY).contains(&vessels.strength);
        if vessels.map.dims() != [batch, 1, height, width] || !strength {
            bail!(
                "a vessel map must be ({batch}, 1, {height}, {width}) with a finite strength of at least 0, not {:?} with {}",
                vessels.map.shape(),
                vessels.strength
            );
        }
        let map = vessels.map.detach().to_dtype(images.dtype())?;
        patchify(&map, self.encoder.patch_size())?.affine(vessels.strength, 1.0)
    }

    /// Runs the model in evaluation mode and puts its predictions together as images. Normalised predictions are brought
    /// back with the true mean and deviation of each patch, as the MAE paper's figures do.
    ///
    /// # Errors
    /// As [`Mae::forward`].
    pub fn reconstruct(&self, images: &Tensor, masking: &Masking) -> TensorResult<Reconstruction> {
        let (patch, channels) = (self.encoder.patch_size(), self.encoder.in_channels());
        let grid = self.grid(images)?;
        let mut predicted = self.forward(images, masking, Mode::Eval)?.detach();
        let pixels = pixel_patches(&images.detach(), patch)?;
        if self.config.normalize_targets {
            let (mean, deviation) = patch_statistics(&pixels)?;
            predicted = predicted.broadcast_mul(&deviation)?.broadcast_add(&mean)?;
        }
        let mask = masking.mask().to_dtype(images.dtype())?.unsqueeze(2)?;
        let visible = mask.affine(-1.0, 1.0)?;
        let masked = pixels.broadcast_mul(&visible)?;
        let combined = (&masked + predicted.broadcast_mul(&mask)?)?;
        let picture = |patches: &Tensor| {
            unpatchify(&channels_first(patches, channels)?, channels, patch, grid)
        };
        Ok(Reconstruction {
            masked: picture(&masked)?,
            predicted: picture(&predicted)?,
            combined: picture(&combined)?,
        })
    }
}
