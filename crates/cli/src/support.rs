//! What several subcommands share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use venule::candle_core::Device;
use venule::data::{Dataset, Sample, mask_image, probability_image, write_png};
use venule::{Registry, Segmentation, Segmenter};
use venule_lab::weights;

use crate::output::{AnyResult, INTERRUPTED, check_name};

/// The segmenter of a weights file or of built-in weights; without one that of the bundled weights, the `fast` ones or the others.
pub fn segmenter(
    given: Option<&Path>,
    fast: bool,
    device: &Device,
) -> venule_lab::Result<Segmenter> {
    let bundled = match fast {
        true => "bundled-fast",
        false => "bundled",
    };
    let given = given.unwrap_or(Path::new(bundled));
    weights(given, &Registry::built_in(), device)
}

/// With windows of at most so many patches a side, if that is said; 0: none.
pub fn with_window(segmenter: Segmenter, window: Option<usize>) -> venule::Result<Segmenter> {
    match window {
        None => Ok(segmenter),
        Some(window) => segmenter.with_window((window > 0).then_some(window)),
    }
}

/// A flag that Ctrl-C or a termination signal sets; a second one ends the program at once.
pub fn stop_flag() -> AnyResult<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let seen = flag.clone();
    ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(INTERRUPTED));
        }
        eprintln!("stopping after this step (again to stop at once)");
    })?;
    Ok(flag)
}

/// The pictures of a segmentation.
pub const PICTURES: [&str; 3] = ["mask", "probability", "overlay"];

/// Where a picture of a sample goes.
pub fn picture_path(folder: &Path, id: &str, kind: &str) -> PathBuf {
    folder.join(format!("{}_{kind}.png", id.replace(['/', '\\'], "_")))
}

/// Refuses ids whose pictures would have too long a name, before any is made.
pub fn check_pictures<'a>(
    folder: &Path,
    ids: impl IntoIterator<Item = &'a str>,
) -> venule::file::Result<()> {
    // The longest of the three names.
    let mut paths = ids
        .into_iter()
        .map(|id| picture_path(folder, id, "probability"));
    paths.try_for_each(|path| check_name(&path))
}

/// The ids of a data set.
pub fn ids(set: &dyn Dataset) -> impl Iterator<Item = &str> {
    (0..set.len()).map(|index| set.id(index))
}

/// Writes `ID_mask.png`, `ID_probability.png` and `ID_overlay.png`; returns the overlay's path.
pub fn write_pictures(
    folder: &Path,
    sample: &Sample,
    result: &Segmentation,
) -> venule::Result<PathBuf> {
    let path = |kind: &str| picture_path(folder, &sample.id, kind);
    write_png(path("mask"), mask_image(&result.mask)?)?;
    write_png(path("probability"), probability_image(&result.probability)?)?;
    let overlay = result.overlay(&sample.image, sample.label.as_ref())?;
    write_png(path("overlay"), overlay)?;
    Ok(path("overlay"))
}
