//! Learning curves as SVG.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::Value;
use venule::file::write_atomic;
use venule::train::{BoxError, Callback, Clock, EndInfo, EpochInfo, LogLine, ValidationInfo};

use crate::Result;

/// A line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its points; those that are not finite are left out.
    pub points: Vec<(f64, f64)>,
}

/// A line chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Above the chart.
    pub title: String,
    /// Below the horizontal axis.
    pub x_label: String,
    /// Its lines.
    pub series: Vec<Series>,
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 32.0;
const BOTTOM: f64 = 44.0;
/// Okabe and Ito's palette: told apart by colour-blind readers too.
const COLOURS: [&str; 6] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
];

impl Chart {
    /// The chart as an SVG document.
    ///
    /// ```
    /// use venule_lab::{Chart, Series};
    /// let series = Series { name: "train".into(), points: vec![(1.0, 0.9), (2.0, 0.4)] };
    /// let chart = Chart { title: "loss".into(), x_label: "epoch".into(), series: vec![series] };
    /// assert!(chart.svg().starts_with("<svg") && chart.svg().contains("polyline"));
    /// ```
    pub fn svg(&self) -> String {
        stack(std::slice::from_ref(self))
    }

    fn body(&self, offset: f64) -> String {
        let finite = |point: &&(f64, f64)| point.0.is_finite() && point.1.is_finite();
        let all = || {
            self.series
                .iter()
                .flat_map(|s| s.points.iter().filter(finite))
        };
        let (x0, x1) = range(all().map(|point| point.0));
        let (y0, y1) = range(all().map(|point| point.1));
        let x = |value: f64| LEFT + (value - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| {
            offset + HEIGHT - BOTTOM - (value - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM)
        };
        let mut out = String::new();
        let mut text = |x: f64, y: f64, anchor: &str, content: &str| {
            let content = escape(content);
            // Writing to a string cannot fail.
            let _ = writeln!(
                out,
                r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{content}</text>"#
            );
        };
        text(LEFT, offset + 20.0, "start", &self.title);
        text(WIDTH / 2.0, offset + HEIGHT - 8.0, "middle", &self.x_label);
        for tick in ticks(x0, x1) {
            text(
                x(tick),
                offset + HEIGHT - BOTTOM + 16.0,
                "middle",
                &number(tick),
            );
        }
        for tick in ticks(y0, y1) {
            text(LEFT - 6.0, y(tick) + 4.0, "end", &number(tick));
        }
        for tick in ticks(y0, y1) {
            let (right, at) = (WIDTH - RIGHT, y(tick));
            let _ = writeln!(
                out,
                r##"<line x1="{LEFT}" y1="{at:.1}" x2="{right}" y2="{at:.1}" stroke="#ddd"/>"##
            );
        }
        for (index, series) in self.series.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let points: Vec<String> = series
                .points
                .iter()
                .filter(finite)
                .map(|(a, b)| format!("{:.1},{:.1}", x(*a), y(*b)))
                .collect();
            let _ = writeln!(
                out,
                r#"<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="{}"/>"#,
                points.join(" ")
            );
            // A single point has no line; its dot shows it.
            if let [only] = &points[..]
                && let Some((cx, cy)) = only.split_once(',')
            {
                let _ = writeln!(
                    out,
                    r#"<circle cx="{cx}" cy="{cy}" r="3" fill="{colour}"/>"#
                );
            }
            let (lx, ly) = (
                WIDTH - RIGHT - 4.0,
                offset + TOP + 12.0 + 16.0 * index as f64,
            );
            let name = escape(&series.name);
            let _ = writeln!(
                out,
                r#"<text x="{lx}" y="{ly}" text-anchor="end" fill="{colour}">{name}</text>"#
            );
        }
        out
    }
}

/// Charts one below the other, as one SVG document.
fn stack(charts: &[Chart]) -> String {
    let height = HEIGHT * charts.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (index, chart) in charts.iter().enumerate() {
        svg.push_str(&chart.body(HEIGHT * index as f64));
    }
    svg.push_str("</svg>\n");
    svg
}

/// The least and greatest value, never equal.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if low > high {
        (0.0, 1.0)
    } else if high - low <= 1e-12 * low.abs().max(1e-12) {
        let margin = low.abs().max(1.0) * 0.5;
        (low - margin, high + margin)
    } else {
        (low, high)
    }
}

/// Round numbers within a range: steps of 1, 2 or 5 times a power of ten.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let raw = (high - low) / 5.0;
    let power = 10f64.powf(raw.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|f| f * power >= raw)
        .unwrap_or(10.0);
    let step = factor * power;
    if !(step > 0.0 && step.is_finite()) {
        return vec![low];
    }
    let first = (low / step).ceil();
    // At most a few: the step was made from the range.
    (0..12)
        .map(|i| (first + f64::from(i)) * step)
        .take_while(|tick| *tick <= high)
        .collect()
}

fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    if (1e-3..1e5).contains(&value.abs()) {
        let text = format!("{value:.4}");
        return text.trim_end_matches('0').trim_end_matches('.').to_string();
    }
    format!("{value:.1e}")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

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
        title: title.into(),
        x_label: x_label.into(),
        series: vec![Series {
            name: name.into(),
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
    stack(&charts)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_land_where_they_should() {
        let points = vec![(0.0, 0.0), (10.0, 1.0), (5.0, f64::NAN)];
        let chart = Chart {
            title: "a < b".into(),
            x_label: "x".into(),
            series: vec![Series {
                name: "s".into(),
                points,
            }],
        };
        let svg = chart.svg();
        // Lower left (64, 300 − 44) and upper right (640 − 16, 32) of the frame; NaN is left out.
        assert!(svg.contains(r#"points="64.0,256.0 624.0,32.0""#), "{svg}");
        assert!(svg.contains("a &lt; b"));
        assert!(!svg.contains("NaN"));
    }

    #[test]
    fn degenerate_ranges_are_drawn() {
        for points in [vec![], vec![(1.0, 2.0)], vec![(1.0, 0.0), (1.0, 0.0)]] {
            let series = vec![Series {
                name: "s".into(),
                points,
            }];
            let chart = Chart {
                title: String::new(),
                x_label: String::new(),
                series,
            };
            let svg = chart.svg();
            assert!(
                svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"),
                "{svg}"
            );
        }
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(0.0, 10.0), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        let fine: Vec<String> = ticks(0.11, 0.48).into_iter().map(number).collect();
        assert_eq!(fine, ["0.2", "0.3", "0.4"]);
    }
}
