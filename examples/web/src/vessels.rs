use std::io::Cursor;

use venule::Segmentation;
use venule::data::{mask_image, probability_image};
use venule::image::imageops::thumbnail;
use venule::image::{DynamicImage, ImageFormat, RgbImage};
use wasm_bindgen::prelude::*;

/// What there is to see of a photograph.
#[wasm_bindgen]
#[derive(Clone, Copy)]
pub enum View {
    Overlay,
    Probability,
    Mask,
    Photograph,
}

/// The vessels of a photograph, and the photograph.
#[wasm_bindgen]
pub struct Vessels {
    photograph: RgbImage,
    found: Segmentation,
}

impl Vessels {
    pub(crate) fn new(photograph: RgbImage, found: Segmentation) -> Self {
        Self { photograph, found }
    }

    fn picture(&self, view: View) -> venule::Result<DynamicImage> {
        let found = &self.found;
        Ok(match view {
            View::Overlay => found.overlay(&self.photograph, None)?.into(),
            View::Probability => probability_image(&found.probability)?.into(),
            View::Mask => mask_image(&found.mask)?.into(),
            View::Photograph => self.photograph.clone().into(),
        })
    }
}

#[wasm_bindgen]
impl Vessels {
    /// Pixels in a row.
    #[wasm_bindgen(getter)]
    pub fn width(&self) -> u32 {
        self.photograph.width()
    }

    /// Rows.
    #[wasm_bindgen(getter)]
    pub fn height(&self) -> u32 {
        self.photograph.height()
    }

    /// Pixels with a larger probability are vessels; at first as the weights say.
    #[wasm_bindgen(getter)]
    pub fn threshold(&self) -> f32 {
        self.found.threshold
    }

    /// Pixels of the retina.
    #[wasm_bindgen(getter)]
    pub fn retina(&self) -> u32 {
        self.found.fov.count() as u32
    }

    /// Pixels above the threshold.
    #[wasm_bindgen(getter)]
    pub fn count(&self) -> u32 {
        self.found.mask.count() as u32
    }

    /// What is odd about the photograph, in words.
    pub fn warnings(&self) -> Vec<String> {
        let warnings = self.found.warnings.iter();
        warnings.map(ToString::to_string).collect()
    }

    /// Marks the pixels above another threshold.
    ///
    /// # Errors
    /// If it is not in [0, 1].
    pub fn mark(&mut self, threshold: f32) -> Result<(), JsError> {
        venule::check_threshold(threshold)?;
        self.found.threshold = threshold;
        self.found.mask = self.found.probability.map(|&p| p > threshold);
        Ok(())
    }

    /// A view as RGBA, each side divided by `step`.
    ///
    /// # Errors
    /// None that the page could cause.
    pub fn pixels(&self, view: View, step: u32) -> Result<Vec<u8>, JsError> {
        let picture = self.picture(view)?.into_rgba8();
        let (width, height) = picture.dimensions();
        let side = |length: u32| (length / step.max(1)).max(1);
        Ok(match step {
            0 | 1 => picture.into_raw(),
            _ => thumbnail(&picture, side(width), side(height)).into_raw(),
        })
    }

    /// A view as a PNG file.
    ///
    /// # Errors
    /// None that the page could cause.
    pub fn png(&self, view: View) -> Result<Vec<u8>, JsError> {
        let mut file = Cursor::new(Vec::new());
        self.picture(view)?.write_to(&mut file, ImageFormat::Png)?;
        Ok(file.into_inner())
    }
}
