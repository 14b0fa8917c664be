//! Draws results/robustness.json, which `robustness` measures, as docs/images/robustness.svg.
//!
//!     cargo run -p venule-lab --example robustness_curves

use std::error::Error;
use std::path::Path;

use serde_json::Value;
use venule_lab::{Chart, Series, charts_svg};

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

fn main() -> Result<(), Box<dyn Error>> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let results = std::fs::read_to_string(repository.join("results/robustness.json"))?;
    let results: Value = serde_json::from_str(&results)?;
    let measured = results["measurements"]
        .as_object()
        .ok_or("results/robustness.json has no measurements")?;
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
    let charts: Vec<Chart> = KINDS
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
        .collect();
    let path = repository.join("docs/images/robustness.svg");
    std::fs::write(&path, charts_svg(&charts))?;
    println!("docs/images/robustness.svg");
    Ok(())
}
