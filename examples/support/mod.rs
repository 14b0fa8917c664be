//! What the training and evaluation programs share.

pub mod training;

/// `println!` whose reader may have gone, as behind `| head`: the program goes on, and what it writes is not lost.
macro_rules! say {
    ($($part:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stdout(), $($part)*);
    }};
}
pub(crate) use say;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use venule::candle_core::Device;
use venule::data::{Sample, mask_image, probability_image, write_png};
use venule::metrics::Report;
use venule::{Segmentation, Segmenter};

pub use venule::report::json;

pub type AnyResult<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Exit code of a run stopped by Ctrl-C or a termination signal, as shells use it.
pub const INTERRUPTED: u8 = 130;

/// Prints an error with its causes; the exit code of a program.
pub fn exit(result: AnyResult<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(inner) = cause {
                eprintln!("  caused by: {inner}");
                cause = inner.source();
            }
            ExitCode::FAILURE
        }
    }
}

/// The segmenter of a weights file, or that of the bundled weights, the `fast` ones or the others.
pub fn segmenter(weights: Option<&Path>, fast: bool, device: &Device) -> venule::Result<Segmenter> {
    match (weights, fast) {
        (Some(path), _) => Segmenter::from_file_on(path, device),
        #[cfg(feature = "bundled")]
        (None, false) => Segmenter::bundled_on(venule::Bundled::Compact, device),
        #[cfg(feature = "bundled")]
        (None, true) => Segmenter::bundled_on(venule::Bundled::Unet, device),
        #[cfg(not(feature = "bundled"))]
        (None, _) => Err(venule::Error::Config {
            field: "weights",
            value: "missing".to_owned(),
            expected: "this build has no bundled weights; give --weights, or build with the feature bundled",
        }),
    }
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

/// Writes `ID_mask.png`, `ID_probability.png` and `ID_overlay.png`; returns the overlay's path.
pub fn write_pictures(
    folder: &Path,
    sample: &Sample,
    result: &Segmentation,
) -> venule::Result<PathBuf> {
    let path = |kind: &str| {
        folder.join(format!(
            "{}_{kind}.png",
            sample.id.replace(['/', '\\'], "_")
        ))
    };
    write_png(path("mask"), mask_image(&result.mask)?)?;
    write_png(path("probability"), probability_image(&result.probability)?)?;
    let overlay = result.overlay(&sample.image, sample.label.as_ref())?;
    write_png(path("overlay"), overlay)?;
    Ok(path("overlay"))
}

/// The main metrics as one line.
pub fn summary(report: &Report) -> String {
    let number = |value: Option<f64>| value.map_or("–".to_owned(), |v| format!("{v:.4}"));
    let pooled = &report.pooled;
    format!(
        "F1 {} (threshold {:.3}), precision {}, recall {}, ROC AUC {}, thin-vessel recall {}",
        number(pooled.get("f1")),
        report.threshold,
        number(pooled.get("precision")),
        number(pooled.get("recall")),
        number(pooled.get("roc_auc")),
        number(pooled.get("thin_recall")),
    )
}
