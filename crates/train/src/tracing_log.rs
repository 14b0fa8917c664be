//! The run as `tracing` events.

use crate::callback::{CheckpointInfo, EndInfo, EpochInfo, StartInfo, StepInfo, ValidationInfo};
use crate::{BoxError, Callback};

/// Emits `tracing` events: steps at debug, everything else at info level. What shows is up to the
/// program's subscriber.
#[derive(Debug, Default)]
pub struct TracingLog;

impl Callback for TracingLog {
    fn name(&self) -> &str {
        "tracing"
    }

    fn on_start(&mut self, info: &StartInfo<'_>) -> Result<(), BoxError> {
        let (step, total_steps, resumed) = (info.step, info.total_steps, info.resumed);
        let parameters = info.parameters;
        tracing::info!(
            task = info.task,
            parameters,
            step,
            total_steps,
            resumed,
            "start"
        );
        Ok(())
    }

    fn on_step(&mut self, info: &StepInfo<'_>) -> Result<(), BoxError> {
        tracing::debug!(step = info.step, lr = info.lr, loss = info.loss, "step");
        Ok(())
    }

    fn on_epoch(&mut self, info: &EpochInfo<'_>) -> Result<(), BoxError> {
        tracing::info!(
            epoch = info.epoch,
            step = info.step,
            loss = info.loss,
            "epoch"
        );
        Ok(())
    }

    fn on_validation(&mut self, info: &ValidationInfo<'_>) -> Result<(), BoxError> {
        tracing::info!(
            epoch = info.epoch,
            score = info.score,
            best = info.is_best,
            "validation"
        );
        Ok(())
    }

    fn on_checkpoint(&mut self, info: &CheckpointInfo<'_>) -> Result<(), BoxError> {
        tracing::info!(step = info.step, path = %info.path.display(), "saved");
        Ok(())
    }

    fn on_end(&mut self, info: &EndInfo) -> Result<(), BoxError> {
        tracing::info!(step = info.step, outcome = ?info.outcome, "end");
        Ok(())
    }
}
