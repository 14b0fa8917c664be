//! The inference part of `venule` as a browser sees it: a photograph's bytes in, maps and pictures out.
//!
//! `build.sh` compiles it to WebAssembly and makes one page of it; `page/worker.js` calls it.
#![deny(unsafe_code)]

mod last_words;
mod photograph;
mod vessels;

use venule::data::FovPolicy;
use venule::{Bundled, Predict, Segmenter};
use wasm_bindgen::prelude::*;

pub use last_words::{last_words, listen};
pub use photograph::Photograph;
pub use vessels::Vessels;

/// A trained model.
#[wasm_bindgen]
pub struct Finder(Segmenter);

#[wasm_bindgen]
impl Finder {
    /// With the bundled weights, the fast ones or the accurate ones; `whole` takes the whole picture for retina.
    ///
    /// # Errors
    /// If there is no room for the weights.
    #[wasm_bindgen(constructor)]
    pub fn new(fast: bool, whole: bool) -> Result<Self, JsError> {
        let weights = match fast {
            true => Bundled::Unet,
            false => Bundled::Compact,
        };
        let segmenter = Segmenter::bundled_on(weights, &venule::candle_core::Device::Cpu)?;
        Ok(Self(match whole {
            true => segmenter.with_fov_policy(FovPolicy::FullFrame),
            false => segmenter,
        }))
    }

    /// The vessels of a photograph; takes both.
    ///
    /// # Errors
    /// If no retina is found.
    pub fn find(self, photograph: Photograph) -> Result<Vessels, JsError> {
        let sample = photograph.sample;
        let found = self.0.segment_sample(&sample)?;
        Ok(Vessels::new(sample.image, found))
    }
}
