use std::io::Cursor;

use venule::data::{ReadOptions, Sample, parse_photograph};
use venule::image::ImageReader;
use venule::synthetic::{SyntheticFundus, synthetic_fundus};
use wasm_bindgen::prelude::*;

/// Most pixels of a photograph: with them all maps and pictures stay below the memory that a page may claim.
const MOST_PIXELS: u64 = 1 << 25;

/// A photograph, read.
#[wasm_bindgen]
pub struct Photograph {
    pub(crate) sample: Sample,
    notes: Vec<String>,
}

#[wasm_bindgen]
impl Photograph {
    /// Of a file's bytes; errors call it `name`.
    ///
    /// # Errors
    /// If it is no picture that is read, is damaged, or has more than 2²⁵ pixels.
    pub fn read(name: &str, bytes: Vec<u8>) -> Result<Self, JsError> {
        expect_room(name, &bytes)?;
        let photograph = parse_photograph(name, bytes, &ReadOptions::default())?;
        Ok(Self {
            notes: photograph.notes.iter().map(ToString::to_string).collect(),
            sample: Sample::unlabelled(name, photograph.image),
        })
    }

    /// A synthetic one of 565×584 pixels.
    ///
    /// # Errors
    /// None.
    pub fn synthetic(seed: u32) -> Result<Self, JsError> {
        let drawn = synthetic_fundus(&SyntheticFundus::drive_like(), u64::from(seed), 0)?;
        Ok(Self {
            // Without its field of view, as from a file.
            sample: Sample::unlabelled(drawn.id, drawn.image),
            notes: Vec::new(),
        })
    }

    /// What is worth saying of the file.
    pub fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}

/// Refuses more pixels than there is room for, before any is unpacked. A header that is not understood is left to the reader.
fn expect_room(name: &str, bytes: &[u8]) -> Result<(), JsError> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let Some((width, height)) = reader.ok().and_then(|reader| reader.into_dimensions().ok()) else {
        return Ok(());
    };
    match u64::from(width) * u64::from(height) <= MOST_PIXELS {
        true => Ok(()),
        false => Err(JsError::new(&format!(
            "{name} has {width} × {height} pixels, more than the {} million that this page has room for; save it smaller (4096 × 4096 is plenty), or use the program `venule segment`",
            MOST_PIXELS / 1_000_000
        ))),
    }
}
