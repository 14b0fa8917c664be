//! From the bytes of an upload to those of an answer: what a thread does, without a word of HTTP.

use std::io::Cursor;

use axum::Json;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use venule::data::{
    Error as DataError, ReadOptions, Sample, mask_image, overlay, parse_photograph,
    probability_image,
};
use venule::image::{DynamicImage, ImageFormat};
use venule::{Cancel, Error, Segmentation, Segmenter};

use crate::Failure;
use crate::asked::{Asked, Form, Kind};

/// The warnings of an answer that is a picture, by name.
const WARNINGS: &str = "x-venule-warnings";

/// An answer's numbers.
#[derive(Debug, Serialize)]
struct Numbers {
    width: usize,
    height: usize,
    threshold: f32,
    vessel_pixels: u64,
    fov_pixels: u64,
    vessel_share: f64,
    notes: Vec<String>,
    warning_kinds: Vec<&'static str>,
    warnings: Vec<String>,
}

/// Segments an uploaded photograph, unless it is cancelled.
pub fn segment(
    segmenter: &Segmenter,
    upload: &[u8],
    asked: Asked,
    cancel: &Cancel,
) -> Result<Response, Failure> {
    let (sample, notes) = read(upload)?;
    let mut found = segmenter.segment_until(&sample, cancel).map_err(failure)?;
    if let Some(threshold) = asked.threshold {
        found.mask = found
            .probability
            .map(|&probability| probability > threshold);
        found.threshold = threshold;
    }
    match asked.form {
        Form::Json => Ok(Json(numbers(&found, notes)).into_response()),
        Form::Png(kind) => picture(&sample, &found, kind),
    }
}

fn read(upload: &[u8]) -> Result<(Sample, Vec<String>), Failure> {
    const NAME: &str = "the photograph";
    let read = parse_photograph(NAME, upload.to_vec(), &ReadOptions::default());
    let photograph = read.map_err(|error| match error {
        DataError::UnknownFormat { .. } | DataError::UnreadFormat { .. } => {
            Failure::Format(error.to_string())
        }
        _ => Failure::Photograph(error.to_string()),
    })?;
    let notes = photograph.notes.iter().map(ToString::to_string).collect();
    Ok((Sample::unlabelled(NAME, photograph.image), notes))
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Cancelled => Failure::Cancelled,
        Error::Data(error) => Failure::Photograph(error.to_string()),
        other => Failure::Internal(other.to_string()),
    }
}

fn numbers(found: &Segmentation, notes: Vec<String>) -> Numbers {
    let (width, height) = found.mask.size();
    let (vessel, fov) = (found.mask.count(), found.fov.count());
    Numbers {
        width,
        height,
        threshold: found.threshold,
        vessel_pixels: vessel as u64,
        fov_pixels: fov as u64,
        vessel_share: vessel as f64 / fov.max(1) as f64,
        notes,
        warning_kinds: found
            .warnings
            .iter()
            .map(|warning| warning.name())
            .collect(),
        warnings: found.warnings.iter().map(ToString::to_string).collect(),
    }
}

fn picture(sample: &Sample, found: &Segmentation, kind: Kind) -> Result<Response, Failure> {
    let made = match kind {
        Kind::Mask => mask_image(&found.mask).map(DynamicImage::from),
        Kind::Probability => probability_image(&found.probability).map(DynamicImage::from),
        Kind::Overlay => {
            overlay(&sample.image, &found.mask, None, Some(&found.fov)).map(DynamicImage::from)
        }
    };
    let internal = |error: &dyn std::fmt::Display| Failure::Internal(error.to_string());
    let made = made.map_err(|error| internal(&error))?;
    let mut png = Vec::new();
    let encoded = made.write_to(&mut Cursor::new(&mut png), ImageFormat::Png);
    encoded.map_err(|error| internal(&error))?;
    let mut response = png.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("image/png"));
    let kinds: Vec<&str> = found
        .warnings
        .iter()
        .map(|warning| warning.name())
        .collect();
    if let Ok(kinds) = HeaderValue::from_str(&kinds.join(",")) {
        headers.insert(WARNINGS, kinds);
    }
    Ok(response)
}
