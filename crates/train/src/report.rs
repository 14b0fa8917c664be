//! What a run came to.

use std::path::PathBuf;
use std::time::Duration;

use crate::{Best, Outcome};

/// What a run came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// Optimizer steps taken, over all sessions.
    pub steps: usize,
    /// Whole epochs run, over all sessions.
    pub epochs: usize,
    /// The best validation.
    pub best: Option<Best>,
    /// The mean training loss of the last epoch that this process finished.
    pub loss: Option<f64>,
    /// Steps skipped because loss or gradient was not finite.
    pub skipped: usize,
    /// The weights of the best validation; of several ranks the first alone has them.
    pub best_path: Option<PathBuf>,
    /// The weights at the end, if the run came to its end; of several ranks the first alone has them.
    pub final_path: Option<PathBuf>,
    /// Time that this process spent in messages to other ranks and in waiting for them; `None` if it trained alone.
    pub communication: Option<Duration>,
}
