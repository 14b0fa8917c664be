use venule::metrics::CurvePoint;

use super::Entry;
use crate::chart::{Chart, Series, charts_svg};

/// A chart over the unit square.
fn chart(title: &str, (x, y): (&str, &str), guides: Vec<Series>, series: Vec<Series>) -> String {
    charts_svg(&[Chart {
        title: title.to_owned(),
        x_label: x.to_owned(),
        y_label: y.to_owned(),
        unit_square: true,
        guides,
        series,
    }])
}

fn diagonal() -> Series {
    Series {
        name: String::new(),
        points: vec![(0.0, 0.0), (1.0, 1.0)],
    }
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
    chart(
        title,
        ("false-positive rate", "recall"),
        vec![diagonal()],
        series,
    )
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
    chart(
        title,
        ("recall", "precision"),
        [0.5, 0.6, 0.7, 0.8, 0.9].map(iso).into(),
        series,
    )
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
    chart(
        title,
        ("mean predicted probability", "share of vessel pixels"),
        vec![diagonal()],
        series.collect(),
    )
}
