//! Line charts as SVG.

use std::fmt::Write as _;

/// A line of a chart, or a dot where it has one point.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its points; those that are not finite are left out.
    pub points: Vec<(f64, f64)>,
}

/// A line chart.
///
/// ```
/// use venule_lab::{Chart, Series, charts_svg};
/// let f1 = Series { name: "tiny".to_owned(), points: vec![(0.0, 0.78), (2.0, 0.74), (4.0, 0.55)] };
/// let chart = Chart {
///     title: "Blur".to_owned(),
///     x_label: "standard deviation, pixels".to_owned(),
///     y_label: "F1".to_owned(),
///     unit_square: false,
///     guides: Vec::new(),
///     series: vec![f1],
/// };
/// assert!(charts_svg(&[chart]).contains("<polyline"));
/// ```
#[derive(Clone, Debug)]
pub struct Chart {
    /// Above the chart.
    pub title: String,
    /// Below the horizontal axis.
    pub x_label: String,
    /// Beside the vertical axis.
    pub y_label: String,
    /// Whether both axes run from 0 to 1, in a square with the legend below; else they span the points.
    pub unit_square: bool,
    /// Thin lines behind the data, each with its name at its end.
    pub guides: Vec<Series>,
    /// Its lines.
    pub series: Vec<Series>,
}

/// Where the data of a chart lie, in pixels and in values.
struct Frame {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
    x: (f64, f64),
    y: (f64, f64),
}

const LEFT: f64 = 64.0;
const TOP: f64 = 32.0;
/// Okabe and Ito's palette: told apart by colour-blind readers too.
const COLORS: [&str; 7] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000",
];

impl Frame {
    fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let ((x0, x1), (y0, y1)) = (self.x, self.y);
        (
            self.left + (x - x0) / (x1 - x0) * self.width,
            self.top + self.height - (y - y0) / (y1 - y0) * self.height,
        )
    }

    fn right(&self) -> f64 {
        self.left + self.width
    }

    fn bottom(&self) -> f64 {
        self.top + self.height
    }

    /// A line through the finite points; a dot where there is only one.
    fn line(&self, svg: &mut String, points: &[(f64, f64)], color: &str, width: f64) {
        let finite = points.iter().filter(is_finite);
        let points: Vec<(f64, f64)> = finite.map(|point| self.at(*point)).collect();
        // Writing to a string cannot fail.
        let _ = match points.as_slice() {
            [(x, y)] => writeln!(
                svg,
                r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{color}"/>"#
            ),
            points => {
                let points: Vec<_> = points
                    .iter()
                    .map(|(x, y)| format!("{x:.1},{y:.1}"))
                    .collect();
                let points = points.join(" ");
                writeln!(
                    svg,
                    r#"<polyline points="{points}" fill="none" stroke="{color}" stroke-width="{width}"/>"#
                )
            }
        };
    }
}

fn is_finite(point: &&(f64, f64)) -> bool {
    point.0.is_finite() && point.1.is_finite()
}

fn text(svg: &mut String, (x, y): (f64, f64), look: &str, content: &str) {
    let content = escape(content);
    let _ = writeln!(
        svg,
        r#"<text x="{x:.1}" y="{y:.1}" {look}>{content}</text>"#
    );
}

impl Chart {
    /// Width and height in pixels.
    fn size(&self) -> (f64, f64) {
        match self.unit_square {
            true => (456.0, 448.0 + 18.0 * self.series.len() as f64),
            false => (640.0, 300.0),
        }
    }

    fn frame(&self, offset: f64) -> Frame {
        let all = || {
            let points = self.series.iter().flat_map(|series| &series.points);
            points.filter(is_finite)
        };
        let (width, height, x, y) = match self.unit_square {
            true => (360.0, 360.0, (0.0, 1.0), (0.0, 1.0)),
            false => (
                560.0,
                224.0,
                range(all().map(|point| point.0)),
                range(all().map(|point| point.1)),
            ),
        };
        Frame {
            left: LEFT,
            top: offset + TOP,
            width,
            height,
            x,
            y,
        }
    }

    fn draw(&self, svg: &mut String, offset: f64) {
        let frame = self.frame(offset);
        let (middle, bottom) = (frame.left + frame.width / 2.0, frame.bottom());
        text(svg, (LEFT, offset + 20.0), r#"font-size="14""#, &self.title);
        let below = (middle, bottom + 34.0);
        text(svg, below, r#"text-anchor="middle""#, &self.x_label);
        let y = frame.top + frame.height / 2.0;
        let turned = format!(r#"transform="rotate(-90 16 {y})" text-anchor="middle""#);
        text(svg, (16.0, y), &turned, &self.y_label);
        for tick in ticks(frame.x.0, frame.x.1) {
            let below = (frame.at((tick, 0.0)).0, bottom + 16.0);
            text(svg, below, r#"text-anchor="middle""#, &number(tick));
        }
        for tick in ticks(frame.y.0, frame.y.1) {
            let (right, y) = (frame.right(), frame.at((0.0, tick)).1);
            text(
                svg,
                (LEFT - 6.0, y + 4.0),
                r#"text-anchor="end""#,
                &number(tick),
            );
            let _ = writeln!(
                svg,
                r##"<line x1="{LEFT}" y1="{y:.1}" x2="{right}" y2="{y:.1}" stroke="#ddd"/>"##
            );
        }
        for guide in &self.guides {
            frame.line(svg, &guide.points, "#bbb", 0.8);
            if let Some(&end) = guide.points.last() {
                let (x, y) = frame.at(end);
                let look = r##"font-size="9" fill="#888""##;
                text(svg, (x + 3.0, y + 3.0), look, &guide.name);
            }
        }
        // On the right, where the lines are not.
        let ends = self.series.iter().filter_map(|series| {
            let mut points = series.points.iter().filter(is_finite);
            points.next_back()
        });
        let high = ends.filter(|end| end.1 > (frame.y.0 + frame.y.1) / 2.0);
        let legend = match 2 * high.count() > self.series.len() {
            true => bottom - 6.0 - 18.0 * self.series.len().saturating_sub(1) as f64,
            false => frame.top + 12.0,
        };
        for (index, series) in self.series.iter().enumerate() {
            let color = COLORS[index % COLORS.len()];
            frame.line(svg, &series.points, color, 1.6);
            let row = 18.0 * index as f64;
            let (place, anchor) = match self.unit_square {
                true => ((LEFT, bottom + 52.0 + row), "start"),
                false => ((frame.right() - 4.0, legend + row), "end"),
            };
            let look = format!(r#"text-anchor="{anchor}" fill="{color}""#);
            text(svg, place, &look, &series.name);
        }
    }
}

/// Charts one below the other, as one SVG document.
pub fn charts_svg(charts: &[Chart]) -> String {
    let sizes = || charts.iter().map(Chart::size);
    let width = sizes().map(|(width, _)| width).fold(0.0, f64::max);
    let height: f64 = sizes().map(|(_, height)| height).sum();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let mut offset = 0.0;
    for chart in charts {
        chart.draw(&mut svg, offset);
        offset += chart.size().1;
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

/// Text for XML: the five characters with a meaning of their own are written as entities.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(title: &str, points: Vec<(f64, f64)>) -> Chart {
        Chart {
            title: title.to_owned(),
            x_label: "x".to_owned(),
            y_label: "y".to_owned(),
            unit_square: false,
            guides: Vec::new(),
            series: vec![Series {
                name: "s".to_owned(),
                points,
            }],
        }
    }

    #[test]
    fn points_land_where_they_should() {
        let spanning = chart("a < b", vec![(0.0, 0.0), (10.0, 1.0), (5.0, f64::NAN)]);
        let text = charts_svg(&[spanning]);
        // Lower left (64, 32 + 224) and upper right (64 + 560, 32) of the frame; NaN is left out.
        assert!(text.contains(r#"points="64.0,256.0 624.0,32.0""#), "{text}");
        assert!(text.contains("a &lt; b") && !text.contains("NaN"));
        let square = Chart {
            unit_square: true,
            ..chart("", vec![(0.0, 0.5), (1.0, 1.0)])
        };
        // Half-way up (32 + 360 / 2) and the upper right corner.
        assert!(charts_svg(&[square]).contains(r#"points="64.0,212.0 424.0,32.0""#));
    }

    #[test]
    fn degenerate_ranges_are_drawn() {
        for points in [vec![], vec![(1.0, 2.0)], vec![(1.0, 0.0), (1.0, 0.0)]] {
            let text = charts_svg(&[chart("", points)]);
            assert!(
                text.ends_with("</svg>\n") && !text.contains("NaN") && !text.contains("inf"),
                "{text}"
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
