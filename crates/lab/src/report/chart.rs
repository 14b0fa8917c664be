use std::fmt::Write;

use venule::metrics::CurvePoint;

use super::{Entry, escape};

/// Side of the plotting area in pixels, and the margin around it.
const SIDE: f64 = 360.0;
const MARGIN: f64 = 56.0;

/// Colour-blind safe (Okabe & Ito 2008).
const COLORS: [&str; 7] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000",
];

/// One system's mark on a chart: a line, or a single point.
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
}

/// A chart over the unit square.
struct Chart<'a> {
    title: &'a str,
    x: &'a str,
    y: &'a str,
    /// Thin lines behind the data, each with a name at its end.
    guides: Vec<Series>,
    series: Vec<Series>,
}

impl Chart<'_> {
    fn svg(&self) -> String {
        let (left, top) = (MARGIN, 32.0);
        let legend = 18.0 * self.series.len() as f64;
        let (width, height) = (SIDE + MARGIN + 40.0, SIDE + top + MARGIN + legend);
        let at = |(x, y): (f64, f64)| (left + x * SIDE, top + (1.0 - y) * SIDE);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n\
             <text x=\"{left}\" y=\"20\" font-size=\"14\">{}</text>\n\
             <rect x=\"{left}\" y=\"{top}\" width=\"{SIDE}\" height=\"{SIDE}\" fill=\"none\" stroke=\"#888\"/>\n",
            escape(self.title)
        );
        // Writing to a String cannot fail.
        for tick in 0..=5 {
            let value = f64::from(tick) / 5.0;
            let ((x, bottom), (_, y)) = (at((value, 0.0)), at((0.0, value)));
            let _ = write!(
                svg,
                "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{value:.1}</text>\n\
                 <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{value:.1}</text>\n",
                bottom + 16.0,
                left - 6.0,
                y + 4.0
            );
        }
        let (middle, bottom) = at((0.5, 0.0));
        let _ = write!(
            svg,
            "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n\
             <text transform=\"translate(16 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
            bottom + 34.0,
            escape(self.x),
            top + SIDE / 2.0,
            escape(self.y)
        );
        for guide in &self.guides {
            line(&mut svg, &guide.points, at, "#bbb", 0.8);
            if let Some(&end) = guide.points.last() {
                let (x, y) = at(end);
                let name = escape(&guide.name);
                let _ = writeln!(
                    svg,
                    "<text x=\"{}\" y=\"{}\" font-size=\"9\" fill=\"#888\">{name}</text>",
                    x + 3.0,
                    y + 3.0
                );
            }
        }
        for (index, series) in self.series.iter().enumerate() {
            let color = COLORS[index % COLORS.len()];
            match series.points.as_slice() {
                [only] => {
                    let (x, y) = at(*only);
                    let _ = writeln!(
                        svg,
                        "<circle cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"4\" fill=\"{color}\"/>"
                    );
                }
                points => line(&mut svg, points, at, color, 1.6),
            }
            let y = bottom + 52.0 + 18.0 * index as f64;
            let _ = write!(
                svg,
                "<rect x=\"{left}\" y=\"{}\" width=\"14\" height=\"4\" fill=\"{color}\"/>\n\
                 <text x=\"{}\" y=\"{y}\">{}</text>\n",
                y - 6.0,
                left + 20.0,
                escape(&series.name)
            );
        }
        svg.push_str("</svg>\n");
        svg
    }
}

fn line(
    svg: &mut String,
    points: &[(f64, f64)],
    at: impl Fn((f64, f64)) -> (f64, f64),
    color: &str,
    width: f64,
) {
    let path: Vec<String> = points
        .iter()
        .map(|&point| {
            let (x, y) = at(point);
            format!("{x:.2},{y:.2}")
        })
        .collect();
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"{width}\"/>",
        path.join(" ")
    );
}

/// A curve of each system that gives probabilities, and the point of each that gives a mask.
fn series(
    entries: &[&Entry],
    curve: impl for<'a> Fn(&'a Entry) -> &'a [CurvePoint],
    place: impl Fn(&CurvePoint) -> Option<(f64, f64)>,
    point: impl Fn(&Entry) -> Option<(f64, f64)>,
    summary: impl Fn(&Entry) -> String,
) -> Vec<Series> {
    let marks = entries.iter().filter_map(|entry| {
        let points: Vec<_> = match entry.is_ranked() {
            true => curve(entry).iter().filter_map(&place).collect(),
            false => vec![point(entry)?],
        };
        let name = format!("{} ({})", entry.system, summary(entry));
        (!points.is_empty()).then_some(Series { name, points })
    });
    marks.collect()
}

/// ROC curves of the systems on one data set as SVG; a system that gives a mask is a point.
pub fn roc_svg(title: &str, entries: &[&Entry]) -> String {
    let series = series(
        entries,
        |entry| &entry.evaluated.report.roc,
        |p| Some((p.false_positive_rate()?, p.recall())),
        |entry| {
            let pooled = &entry.evaluated.report.pooled;
            Some((1.0 - pooled.get("specificity")?, pooled.get("recall")?))
        },
        |entry| match entry.evaluated.report.pooled.get("roc_auc") {
            Some(auc) if entry.is_ranked() => format!("AUC {auc:.4}"),
            _ => "a mask".to_owned(),
        },
    );
    Chart {
        title,
        x: "false-positive rate",
        y: "recall",
        guides: vec![Series {
            name: String::new(),
            points: vec![(0.0, 0.0), (1.0, 1.0)],
        }],
        series,
    }
    .svg()
}

/// Precision–recall curves of the systems on one data set as SVG, with lines of equal F1; a system that gives a mask is a
/// point.
pub fn precision_recall_svg(title: &str, entries: &[&Entry]) -> String {
    let iso = |f1: f64| Series {
        name: format!("F1 {f1:.1}"),
        // precision = F1 · recall / (2 · recall − F1)
        points: (0..=60)
            .map(|step| f1 / (2.0 - f1) + (1.0 - f1 / (2.0 - f1)) * f64::from(step) / 60.0)
            .map(|recall| (recall, f1 * recall / (2.0 * recall - f1)))
            .collect(),
    };
    let series = series(
        entries,
        |entry| &entry.evaluated.report.precision_recall,
        |p| Some((p.recall(), p.precision()?)),
        |entry| {
            let pooled = &entry.evaluated.report.pooled;
            Some((pooled.get("recall")?, pooled.get("precision")?))
        },
        |entry| match entry.evaluated.report.pooled.get("f1") {
            Some(f1) => format!("F1 {f1:.4}"),
            None => "F1 undefined".to_owned(),
        },
    );
    Chart {
        title,
        x: "recall",
        y: "precision",
        guides: [0.5, 0.6, 0.7, 0.8, 0.9].map(iso).into(),
        series,
    }
    .svg()
}

/// Reliability diagrams of the systems on one data set as SVG: share of vessel pixels over mean predicted probability.
/// A system that gives a mask has none.
pub fn reliability_svg(title: &str, entries: &[&Entry]) -> String {
    let ranked = entries.iter().filter(|entry| entry.is_ranked());
    let series = ranked.map(|entry| {
        let calibration = &entry.evaluated.report.calibration;
        let points = calibration
            .bins
            .iter()
            .filter_map(|bin| Some((bin.mean_probability?, bin.vessel_fraction?)));
        let error = calibration.expected_calibration_error;
        Series {
            name: format!(
                "{} (ECE {})",
                entry.system,
                error.map_or("–".to_owned(), |error| format!("{error:.4}"))
            ),
            points: points.collect(),
        }
    });
    Chart {
        title,
        x: "mean predicted probability",
        y: "share of vessel pixels",
        guides: vec![Series {
            name: String::new(),
            points: vec![(0.0, 0.0), (1.0, 1.0)],
        }],
        series: series.collect(),
    }
    .svg()
}
