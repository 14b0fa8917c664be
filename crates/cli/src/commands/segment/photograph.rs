//! One photograph: from its file to its pictures and its row.

use std::error::Error;
use std::path::Path;

use serde_json::{Map, Value, json};
use venule::Predict;
use venule::data::{
    Error as DataError, Mask, ReadOptions, Sample, check_orientation, read_photograph,
};

use super::Args;
use super::list::Item;
use crate::output::AnyResult;
use crate::support::{picture_path, write_pictures};
use crate::system::System;

/// What there is to be said of a segmented photograph.
pub struct Done {
    pub row: Value,
    pub notes: Vec<String>,
    pub warnings: Vec<String>,
}

/// Segments a photograph and writes its pictures.
pub fn segment(
    args: &Args,
    segmenter: &System,
    fov: Option<&Mask>,
    item: &Item,
) -> AnyResult<Done> {
    let path = &item.path;
    let mut options = ReadOptions::default();
    options.page = args.page;
    let photograph = read_photograph(path, &options)?;
    if let (Some(fov), Some(fov_path)) = (fov, &args.fov) {
        check_orientation(&photograph, path, fov.size(), fov_path)?;
    }
    let notes: Vec<String> = photograph.notes.iter().map(ToString::to_string).collect();
    let mut sample = Sample::unlabelled(item.name.clone(), photograph.image);
    sample.fov = fov.cloned();
    let result = segmenter.segment_sample(&sample).map_err(with_flags)?;
    let warnings: Vec<String> = result.warnings.iter().map(ToString::to_string).collect();
    if args.strict && !warnings.is_empty() {
        return Err(format!("{} (--strict)", warnings.join("; ")).into());
    }
    write_pictures(&args.out, &sample, &result, &args.write)?;
    let mut row = photograph_row(item);
    for &kind in &args.write {
        let path = picture_path(&args.out, &item.name, kind);
        row.insert(kind.name().to_owned(), shown(&path).into());
    }
    let kinds: Vec<&str> = result.warnings.iter().map(|w| w.name()).collect();
    let (vessel, fov) = (result.mask.count(), result.fov.count());
    for (key, value) in [
        ("threshold", json!(result.threshold)),
        ("vessel_pixels", json!(vessel)),
        ("fov_pixels", json!(fov)),
        ("vessel_share", json!(vessel as f64 / fov.max(1) as f64)),
        ("notes", json!(notes)),
        ("warning_kinds", json!(kinds)),
        ("warnings", json!(warnings)),
    ] {
        row.insert(key.to_owned(), value);
    }
    Ok(Done {
        row: row.into(),
        notes,
        warnings,
    })
}

/// An error with the flags that mend it.
fn with_flags(error: venule::Error) -> Box<dyn Error + Send + Sync> {
    let of_field_of_view = match &error {
        venule::Error::Data(DataError::Sample { error, .. }) => {
            matches!(**error, DataError::FieldOfViewNotFound { .. })
        }
        venule::Error::Data(error) => matches!(error, DataError::FieldOfViewNotFound { .. }),
        _ => false,
    };
    match of_field_of_view {
        true => format!("{error} (--fov FILE, --full-frame)").into(),
        false => error.into(),
    }
}

/// The row of a photograph that could not be segmented.
pub fn failed_row(item: &Item, error: &str) -> Value {
    let mut row = photograph_row(item);
    row.insert("error".to_owned(), error.into());
    row.into()
}

/// The key of a path that is not UTF-8.
pub const BYTES: &str = "photograph_bytes";
pub const PHOTOGRAPH: &str = "photograph";
pub const NAME: &str = "name";

/// What every row begins with.
fn photograph_row(item: &Item) -> Map<String, Value> {
    let mut row = Map::new();
    row.insert(PHOTOGRAPH.to_owned(), shown(&item.path).into());
    if item.path.to_str().is_none() {
        let bytes = item.path.as_os_str().as_encoded_bytes();
        let bytes: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        row.insert(BYTES.to_owned(), bytes.into());
    }
    row.insert(NAME.to_owned(), item.name.clone().into());
    row
}

/// A path as JSON has it: what is not UTF-8 in it is replaced.
fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
