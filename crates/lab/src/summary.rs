//! What the log of a run tells of it.

use std::path::{Path, PathBuf};

use venule::train::{FINAL_FILE, LOG_FILE, LogLine, latest_checkpoint};

use crate::{Result, read_log};

/// Folders nested deeper than this are not searched for runs.
const MAX_DEPTH: usize = 8;

/// A run folder at a glance.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSummary {
    /// The run folder.
    pub folder: PathBuf,
    /// Optimizer steps taken.
    pub steps: usize,
    /// Epochs ended.
    pub epochs: usize,
    /// The loss of the last epoch, or of the last step before the first epoch ended.
    pub loss: Option<f64>,
    /// The best score and the epoch it followed, from 0.
    pub best: Option<(f64, usize)>,
    /// What the score is: `f1`, or without validation images a teacher's `agreement` with itself. Scores of two kinds say nothing of each
    /// other.
    pub score: Option<&'static str>,
    /// Whether the run came to its end.
    pub finished: bool,
    /// Whether there is a checkpoint to go on from.
    pub resumable: bool,
}

impl RunSummary {
    /// Reads the log of a run folder.
    ///
    /// # Errors
    /// As [`read_log`], and if the folder cannot be listed.
    pub fn of(folder: &Path) -> Result<Self> {
        let mut summary = Self {
            folder: folder.to_owned(),
            steps: 0,
            epochs: 0,
            loss: None,
            best: None,
            score: None,
            finished: folder.join(FINAL_FILE).is_file(),
            resumable: latest_checkpoint(folder)?.is_some(),
        };
        for line in read_log(&folder.join(LOG_FILE))? {
            match line {
                LogLine::Step { step, loss, .. } => {
                    summary.steps = step;
                    if summary.epochs == 0 {
                        summary.loss = loss;
                    }
                }
                LogLine::Epoch { epoch, loss, .. } => {
                    summary.epochs = epoch + 1;
                    summary.loss = loss;
                }
                LogLine::Validation {
                    epoch,
                    score: Some(score),
                    is_best: true,
                    metrics,
                    ..
                } => {
                    summary.best = Some((score, epoch));
                    let known = ["f1", "agreement"];
                    summary.score = known.into_iter().find(|name| metrics.contains_key(*name));
                }
                LogLine::Validation { .. } => {}
            }
        }
        Ok(summary)
    }
}

/// The runs in a folder and below it, best score first, those without a score behind them, and last those whose score is
/// agreement. A folder whose log cannot be read is handed back as an error, beside the others.
///
/// # Errors
/// [`Error::Venule`](crate::Error::Venule) if `root` cannot be listed.
pub fn runs_below(root: &Path) -> Result<(Vec<RunSummary>, Vec<crate::Error>)> {
    std::fs::read_dir(root).map_err(venule::file::Error::reading("list", root))?;
    let (mut runs, mut errors) = (Vec::new(), Vec::new());
    let mut folders = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        if folder.join(LOG_FILE).is_file() {
            match RunSummary::of(&folder) {
                Ok(run) => runs.push(run),
                Err(error) => errors.push(error),
            }
        }
        if depth < MAX_DEPTH {
            // A folder that may not be read holds no run that could be shown.
            let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            folders.extend(below.map(|entry| (entry.path(), depth + 1)));
        }
    }
    let score = |run: &RunSummary| run.best.map_or(f64::NEG_INFINITY, |(score, _)| score);
    let is_agreement = |run: &RunSummary| run.score == Some("agreement");
    runs.sort_by(|a, b| {
        let of_kind = is_agreement(a).cmp(&is_agreement(b));
        of_kind
            .then(score(b).total_cmp(&score(a)))
            .then(a.folder.cmp(&b.folder))
    });
    Ok((runs, errors))
}
