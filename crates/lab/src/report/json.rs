use serde_json::{Map, Value, json as value};
use venule::metrics::{Confusion, Interval, Scores, Summary, WidthClass};

use super::overview::find;
use super::{Entry, paired_tests};
use venule::Evaluated;

use crate::Result;

/// All numbers of a system on a data set; an undefined value is null, and no key is ever missing. The document
/// `docs/protocol.md` lists the keys.
///
/// # Errors
/// None for the results of an evaluation.
pub fn json(evaluated: &Evaluated, seed: u64) -> Result<Value> {
    let report = &evaluated.report;
    let images = evaluated
        .rows
        .iter()
        .zip(&report.per_image)
        .zip(&report.per_image_confusion)
        .zip(&report.per_image_width_recall);
    let per_image = images.map(|(((row, values), counts), classes)| {
        let mut object = scores(values);
        object.insert("id".to_owned(), row.id.as_str().into());
        object.insert("seconds".to_owned(), row.seconds.into());
        object.insert("counts".to_owned(), confusion(counts));
        object.insert("width_recall".to_owned(), widths(classes));
        Value::Object(object)
    });
    let means = evaluated.intervals(seed)?;
    let summaries = report.summaries()?.into_iter();
    let mean: Map<String, Value> = summaries
        .map(|(name, summary)| (name.to_owned(), mean(summary, find(&means, name))))
        .collect();
    let intervals = evaluated.pooled_intervals(seed)?.into_iter();
    let intervals: Map<String, Value> = intervals
        .map(|(name, interval)| {
            let ends = interval.map(|i| value!({"low": i.low, "high": i.high}));
            (name.to_owned(), ends.unwrap_or_default())
        })
        .collect();
    let bins = report.calibration.bins.iter().map(|bin| {
        value!({
            "low": bin.low,
            "high": bin.high,
            "count": bin.count,
            "mean_probability": bin.mean_probability,
            "vessel_fraction": bin.vessel_fraction,
        })
    });
    Ok(value!({
        "pixels": evaluated.protocol.pixels(),
        "size": evaluated.protocol.size(),
        "threshold": report.threshold,
        "warnings": evaluated.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "images": evaluated.rows.len(),
        "images_in_set": evaluated.set_size,
        "seconds": evaluated.seconds(),
        "f1_at_0.5": evaluated.f1_at_half(),
        "pooled": scores(&report.pooled),
        "pooled_intervals": intervals,
        "mean": mean,
        "counts": confusion(&report.confusion),
        "width_recall": widths(&report.width_recall),
        "reliability": bins.collect::<Vec<_>>(),
        "per_image": per_image.collect::<Vec<_>>(),
    }))
}

/// A list of all entries, each as by [`json`] with its names, the source of its threshold, and the paired tests of its F1 per
/// image against the other systems on its data set.
///
/// # Errors
/// None for the results of an evaluation.
pub fn entries_json(entries: &[Entry], seed: u64) -> Result<Value> {
    let tests = paired_tests(entries, seed)?;
    let mut list = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let own = tests.iter().filter_map(|paired| {
            let (other, sign) = match (paired.a == index, paired.b == index) {
                (true, _) => (paired.b, 1.0),
                (_, true) => (paired.a, -1.0),
                _ => return None,
            };
            Some(value!({
                "against": entries[other].system,
                "metric": "f1",
                "images": paired.images,
                "mean_difference": sign * paired.test.mean_difference,
                "p_value": paired.test.p_value,
                "permutations": paired.test.permutations,
                "exact": paired.test.exact,
            }))
        });
        let own: Vec<Value> = own.collect();
        let mut object = json(&entry.evaluated, seed)?;
        object["system"] = entry.system.as_str().into();
        object["dataset"] = entry.dataset.as_str().into();
        object["split"] = entry.split.to_string().into();
        object["threshold_from"] = entry.threshold_from.to_string().into();
        object["paired_tests"] = own.into();
        list.push(object);
    }
    Ok(list.into())
}

fn scores(scores: &Scores) -> Map<String, Value> {
    scores
        .entries()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect()
}

fn confusion(counts: &Confusion) -> Value {
    value!({"tp": counts.tp, "fp": counts.fp, "tn": counts.tn, "fn": counts.fn_})
}

/// The classes by rising width; the last has no upper bound.
fn widths(classes: &[WidthClass]) -> Value {
    let classes = classes.iter().map(|class| {
        value!({
            "from_px": class.low,
            "below_px": class.high.is_finite().then_some(class.high),
            "target": class.target,
            "found": class.found,
            "recall": class.recall(),
        })
    });
    classes.collect()
}

fn mean(summary: Option<Summary>, interval: Option<Interval>) -> Value {
    let Some(summary) = summary else {
        return Value::Null;
    };
    value!({
        "mean": summary.mean,
        "std": summary.std,
        "low": interval.map(|i| i.low),
        "high": interval.map(|i| i.high),
        "images": summary.count,
    })
}
