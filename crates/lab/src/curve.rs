//! Learning curves as SVG.

use std::path::PathBuf;

use serde_json::Value;
use venule::file::write_atomic;
use venule::train::{BoxError, Callback, Clock, EndInfo, EpochInfo, LogLine, ValidationInfo};

use crate::Result;
use crate::chart::{Chart, Series, charts_svg};

/// The learning curve of a log: training loss over epochs (over steps, if fewer than two epochs
/// ended), below it the validation score, if there was one.
pub fn learning_curve_svg(lines: &[LogLine]) -> String {
    let mut loss = Vec::new();
    let mut steps = Vec::new();
    let mut score = Vec::new();
    for line in lines {
        match line {
            LogLine::Step {
                step,
                loss: Some(loss),
                ..
            } => steps.push((*step as f64, *loss)),
            LogLine::Epoch {
                epoch,
                loss: Some(mean),
                ..
            } => loss.push((*epoch as f64 + 1.0, *mean)),
            LogLine::Validation {
                epoch,
                score: Some(value),
                ..
            } => {
                score.push((*epoch as f64 + 1.0, *value));
            }
            _ => {}
        }
    }
    let chart = |title: &str, x_label: &str, name: &str, points| Chart {
        title: title.to_owned(),
        x_label: x_label.to_owned(),
        y_label: name.to_owned(),
        unit_square: false,
        guides: Vec::new(),
        series: vec![Series {
            name: name.to_owned(),
            points,
        }],
    };
    let mut charts = vec![if loss.len() < 2 && steps.len() > 1 {
        chart("Training loss", "step", "loss", steps)
    } else {
        chart("Training loss", "epoch", "loss", loss)
    }];
    if !score.is_empty() {
        charts.push(chart("Validation score", "epoch", "score", score));
    }
    charts_svg(&charts)
}

/// Draws the learning curve anew after every epoch.
#[derive(Debug)]
pub struct LearningCurve {
    path: PathBuf,
    lines: Vec<LogLine>,
}

impl LearningCurve {
    /// A picture at `path`, usually `curve.svg` in the run folder.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            lines: Vec::new(),
        }
    }

    fn draw(&self) -> Result<()> {
        Ok(write_atomic(
            &self.path,
            learning_curve_svg(&self.lines).as_bytes(),
        )?)
    }
}

impl Callback for LearningCurve {
    fn name(&self) -> &str {
        "learning_curve"
    }

    fn on_epoch(&mut self, info: &EpochInfo<'_>) -> Result<(), BoxError> {
        self.lines.push(info.into());
        Ok(self.draw()?)
    }

    fn on_validation(&mut self, info: &ValidationInfo<'_>) -> Result<(), BoxError> {
        self.lines.push(info.into());
        Ok(self.draw()?)
    }

    fn on_end(&mut self, _: &EndInfo) -> Result<(), BoxError> {
        Ok(self.draw()?)
    }

    fn state(&self) -> Value {
        let lines = self.lines.iter().cloned().map(|mut line| {
            // Equal runs must give equal files: the time stays out.
            let (LogLine::Step { clock, .. }
            | LogLine::Epoch { clock, .. }
            | LogLine::Validation { clock, .. }) = &mut line;
            *clock = Clock::default();
            serde_json::to_value(line).unwrap_or_default()
        });
        Value::Array(lines.collect())
    }

    fn load_state(&mut self, state: &Value) -> Result<(), BoxError> {
        self.lines = match state {
            Value::Null => Vec::new(),
            state => serde_json::from_value(state.clone())?,
        };
        Ok(())
    }
}
