use candle_core::{Result as TensorResult, Tensor, bail};
use venule_nn::{Mode, Params, patchify, unpatchify};

use crate::target::{channels_first, masked_error, patch_statistics, pixel_patches};
use crate::{MaeConfig, MaeDecoder, Masking, Result, VesselWeight, VitEncoder};

/// A masked autoencoder: [`VitEncoder`] on the visible patches, [`MaeDecoder`] for all of them.
///
/// Both take their variables from one place, so that a saved store has the names of the public MAE.
#[derive(Clone, Debug)]
pub struct Mae {
    config: MaeConfig,
    encoder: VitEncoder,
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
    /// [`crate::Error::Config`] if the configuration is not valid; [`crate::Error::Nn`] if the store holds other shapes.
    pub fn new(config: &MaeConfig, params: &Params) -> Result<Self> {
        config.validate()?;
        Ok(Self {
            config: config.clone(),
            encoder: VitEncoder::new(&config.encoder, params)?,
            decoder: MaeDecoder::new(config, params)?,
        })
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &MaeConfig {
        &self.config
    }

    /// The encoder, for fine-tuning.
    pub fn encoder(&self) -> &VitEncoder {
        &self.encoder
    }

    /// The decoder.
    pub fn decoder(&self) -> &MaeDecoder {
        &self.decoder
    }

    /// Images (B, C, H, W) → predictions for all patches: (B, N, p·p·C), in the units of the target.
    ///
    /// # Errors
    /// If the images do not fit the configuration, or the masking not the images.
    pub fn forward(&self, images: &Tensor, masking: &Masking, mode: Mode) -> TensorResult<Tensor> {
        let grid = self.encoder.grid(images)?;
        let (batch, patches, _) = masking.dims();
        if images.dim(0)? != batch || grid.0 * grid.1 != patches {
            bail!(
                "a masking of {batch} images of {patches} patches does not fit images {:?} with a grid of {grid:?} patches",
                images.shape()
            );
        }
        let tokens = self
            .encoder
            .forward_tokens(images, Some(masking.keep()), mode.part(0))?;
        self.decoder.forward(&tokens, masking, grid, mode.part(1))
    }

    /// What the predictions should be: (B, N, p·p·C) pixels of each patch in the order (row, column, channel); with
    /// `normalize_targets` brought to mean 0 and variance 1 (unbiased, plus 1e-6) in each patch.
    ///
    /// # Errors
    /// If the images do not fit the configuration.
    pub fn target(&self, images: &Tensor) -> TensorResult<Tensor> {
        self.encoder.grid(images)?;
        let patches = pixel_patches(&images.detach(), self.config.encoder.patch_size)?;
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
        patchify(&map, self.config.encoder.patch_size)?.affine(vessels.strength, 1.0)
    }

    /// Runs the model in evaluation mode and puts its predictions together as images. Normalised predictions are brought
    /// back with the true mean and deviation of each patch, as the MAE paper's figures do.
    ///
    /// # Errors
    /// As [`Mae::forward`].
    pub fn reconstruct(&self, images: &Tensor, masking: &Masking) -> TensorResult<Reconstruction> {
        let (patch, channels) = (
            self.config.encoder.patch_size,
            self.config.encoder.in_channels,
        );
        let grid = self.encoder.grid(images)?;
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
