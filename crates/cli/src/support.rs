//! What several subcommands share.

use std::io::{Cursor, Write};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use venule::candle_core::Device;
use venule::data::{Dataset, Error, Sample, mask_image, probability_image};
use venule::file::{Staged, sync_folder};
use venule::image::{DynamicImage, ImageFormat};
use venule::{Registry, Segmentation, Segmenter, threads};
use venule_lab::weights;

use crate::output::{AnyResult, INTERRUPTED, check_name};

/// The segmenter of a weights file or of built-in weights; without one that of the bundled weights, the `fast` ones or the others.
pub fn segmenter(
    given: Option<&Path>,
    fast: bool,
    device: &Device,
) -> venule_lab::Result<Segmenter> {
    weights(weights_name(given, fast), &Registry::built_in(), device)
}

/// The weights file, or the name of built-in weights.
pub fn weights_name(given: Option<&Path>, fast: bool) -> &Path {
    let bundled = match fast {
        true => "bundled-fast",
        false => "bundled",
    };
    given.unwrap_or(Path::new(bundled))
}

/// With windows of at most so many patches a side, if that is said; 0: none.
pub fn with_window(segmenter: Segmenter, window: Option<usize>) -> venule::Result<Segmenter> {
    match window {
        None => Ok(segmenter),
        Some(window) => segmenter.with_window((window > 0).then_some(window)),
    }
}

/// A flag that Ctrl-C or a termination signal sets, to be heeded after this `step`; a second one ends the program at once.
pub fn stop_flag(step: &'static str) -> AnyResult<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let seen = flag.clone();
    ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(INTERRUPTED));
        }
        eprintln!("stopping after this {step} (again to stop at once)");
    })?;
    Ok(flag)
}

/// A picture of a segmentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum PictureKind {
    /// White where the probability is above the threshold
    Mask,
    /// Gray, as light as the probability
    Probability,
    /// The photograph with its vessels marked
    Overlay,
}

impl PictureKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mask, Self::Probability, Self::Overlay];

    /// The end of its file's name, and its key in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mask => "mask",
            Self::Probability => "probability",
            Self::Overlay => "overlay",
        }
    }
}

/// Where a picture of a sample goes.
pub fn picture_path(folder: &Path, id: &str, kind: PictureKind) -> PathBuf {
    let id = id.replace(['/', '\\'], "_");
    folder.join(format!("{id}_{}.png", kind.name()))
}

/// Refuses ids whose pictures would have too long a name, before any is made.
pub fn check_pictures<'a>(
    folder: &Path,
    ids: impl IntoIterator<Item = &'a str>,
) -> venule::file::Result<()> {
    // The longest of the three names.
    let mut paths = ids
        .into_iter()
        .map(|id| picture_path(folder, id, PictureKind::Probability));
    paths.try_for_each(|path| check_name(&path))
}

/// The ids of a data set.
pub fn ids(set: &dyn Dataset) -> impl Iterator<Item = &str> {
    (0..set.len()).map(|index| set.id(index))
}

/// Writes pictures of a segmentation, such as `ID_mask.png`: first all of them beside their places, at the same time, then one after the
/// other into them.
pub fn write_pictures(
    folder: &Path,
    sample: &Sample,
    result: &Segmentation,
    kinds: &[PictureKind],
) -> venule::Result<()> {
    let stage = |&kind: &PictureKind| {
        let picture: DynamicImage = match kind {
            PictureKind::Mask => mask_image(&result.mask)?.into(),
            PictureKind::Probability => probability_image(&result.probability)?.into(),
            PictureKind::Overlay => result.overlay(&sample.image, sample.label.as_ref())?.into(),
        };
        let path = picture_path(folder, &sample.id, kind);
        let mut bytes = Vec::new();
        let encoded = picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png);
        encoded.map_err(|source| Error::Encode {
            path: path.clone(),
            source,
        })?;
        Ok::<_, venule::Error>(Staged::write(&path, |file| file.write_all(&bytes))?)
    };
    let staged: Vec<_> = if threads() > 1 && kinds.len() > 1 {
        std::thread::scope(|scope| {
            let work = kinds.iter().map(|kind| scope.spawn(|| stage(kind)));
            let work: Vec<_> = work.collect();
            let ended = work.into_iter().map(|work| work.join());
            ended
                .map(|ended| ended.unwrap_or_else(|panic| resume_unwind(panic)))
                .collect::<venule::Result<_>>()
        })?
    } else {
        kinds.iter().map(stage).collect::<venule::Result<_>>()?
    };
    staged.into_iter().try_for_each(Staged::place)?;
    Ok(sync_folder(folder)?)
}
