//! Draws the charts of the documents anew, from the measurements in `results/`: docs/images/robustness.svg and few_labels.svg.
//!
//!     cargo run -p venule-lab --example charts

use std::error::Error;
use std::path::Path;

use serde_json::Value;
use venule_lab::{Chart, Series, charts_svg};

type AnyResult<T> = Result<T, Box<dyn Error>>;

/// The prefix of a kind's figures, its title and unit, and the level of a photograph as it was taken.
const KINDS: [(&str, &str, &str, f64); 5] = [
    ("blur", "Blur", "standard deviation, pixels", 0.0),
    ("jpeg", "JPEG", "quality", 100.0),
    ("noise", "Noise", "standard deviation, gray levels", 0.0),
    ("exposure", "Exposure", "factor on the gray levels", 1.0),
    (
        "resolution",
        "Resolution",
        "share of the pixels a side",
        1.0,
    ),
];

type Start = (&'static str, &'static str, Option<[&'static str; 2]>);

/// What a fine-tuning starts from, as figures and as the legend name it, and where its F1 without a label stands, if it finds vessels then.
const STARTS: [Start; 3] = [
    ("random", "random weights", None),
    (
        "label-free",
        "label-free weights",
        Some(["label_free", "drive"]),
    ),
    (
        "bundled-fast",
        "fast bundled weights",
        Some(["bundled", "unet-drive"]),
    ),
];

/// Numbers of labelled photographs, as figures name them.
const LABELS: [(&str, f64); 3] = [("one", 1.0), ("four", 4.0), ("sixteen", 16.0)];

fn main() -> AnyResult<()> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let charts = [
        ("robustness.svg", robustness(&repository)?),
        ("few_labels.svg", vec![few_labels(&repository)?]),
    ];
    for (name, charts) in charts {
        let path = repository.join("docs/images").join(name);
        std::fs::write(&path, charts_svg(&charts))?;
        println!("docs/images/{name}");
    }
    Ok(())
}

/// The measurements of a file of `results/`.
fn measurements(repository: &Path, name: &str) -> AnyResult<serde_json::Map<String, Value>> {
    let path = repository.join(format!("results/{name}.json"));
    let text =
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    match serde_json::from_str::<Value>(&text)?["measurements"].take() {
        Value::Object(measured) => Ok(measured),
        _ => Err(format!("{} has no measurements", path.display()).into()),
    }
}

fn robustness(repository: &Path) -> AnyResult<Vec<Chart>> {
    let measured = measurements(repository, "robustness")?;
    let as_taken = measured
        .get("as_taken")
        .and_then(|taken| taken["figures"].as_object())
        .ok_or("results/robustness.json has no figures of the photographs as taken")?;
    let series = |kind: &str, untouched: f64, system: &str| {
        let mut points: Vec<(f64, f64)> = measured
            .iter()
            .filter_map(|(name, measurement)| {
                let level = match name.as_str() {
                    "as_taken" => untouched,
                    name => name.strip_prefix(kind)?.strip_prefix('_')?.parse().ok()?,
                };
                Some((level, measurement["figures"][system].as_f64()?))
            })
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Series {
            name: system.replace("_first", ", first training"),
            points,
        }
    };
    Ok(KINDS
        .into_iter()
        .map(|(kind, title, unit, untouched)| Chart {
            title: title.to_owned(),
            x_label: unit.to_owned(),
            y_label: "F1".to_owned(),
            unit_square: false,
            guides: Vec::new(),
            series: as_taken
                .keys()
                .map(|system| series(kind, untouched, system))
                .collect(),
        })
        .collect())
}

/// F1 of the small U-Net on DRIVE's test photographs by how many labelled ones it learned from.
fn few_labels(repository: &Path) -> AnyResult<Chart> {
    let starts = measurements(repository, "starts")?;
    let f1 = |measured: &serde_json::Map<String, Value>, key: &str| {
        let value = measured
            .get(key)
            .and_then(|it| it["figures"]["f1"]["value"].as_f64());
        value.ok_or_else(|| format!("no F1 of {key} is in results/"))
    };
    let mut series = Vec::new();
    for (start, name, without) in STARTS {
        let mut points = Vec::new();
        if let Some([file, key]) = without {
            points.push((0.0, f1(&measurements(repository, file)?, key)?));
        }
        for (labels, count) in LABELS {
            let key = format!("{labels}-{start}");
            if starts.contains_key(&key) {
                points.push((count, f1(&starts, &key)?));
            }
        }
        series.push(Series {
            name: name.to_owned(),
            points,
        });
    }
    let drive = measurements(repository, "label_free")?;
    let human = drive
        .get("drive")
        .and_then(|it| it["figures"]["second_annotator"].as_f64())
        .ok_or("results/label_free.json has no second annotator")?;
    Ok(Chart {
        title: "Few labels: the small U-Net on DRIVE's test photographs".to_owned(),
        x_label: "labelled photographs, 400 steps of training".to_owned(),
        y_label: "F1".to_owned(),
        unit_square: false,
        guides: vec![Series {
            name: "human".to_owned(),
            points: vec![(0.0, human), (16.0, human)],
        }],
        series,
    })
}
