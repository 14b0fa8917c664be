//! Mixes of losses with a name, in the form of a configuration.

use crate::error::{Error, Result};
use crate::term::TermConfig;

const PRESETS: [(&str, &str); 3] = [
    (
        "reference",
        r#"[
            {"kind": "bce", "weight": 0.5},
            {"kind": "dice", "weight": 1.0},
            {"kind": "tversky", "weight": 2.5, "alpha": 0.2, "beta": 0.8},
            {"kind": "thin_bce", "weight": 2.5, "thin_weight": 4.0},
            {"kind": "focal", "weight": 1.0, "gamma": 2.0, "alpha": 0.25}
        ]"#,
    ),
    (
        "thin-vessels",
        r#"[
            {"kind": "bce", "weight": 0.5},
            {"kind": "dice", "weight": 1.0},
            {"kind": "thin_bce", "weight": 2.5, "thin_weight": 4.0},
            {"kind": "focal", "weight": 1.0, "gamma": 2.0, "alpha": 0.25}
        ]"#,
    ),
    (
        "bce-dice",
        r#"[
            {"kind": "bce", "weight": 1.0},
            {"kind": "dice", "weight": 0.5, "aggregation": "pooled"}
        ]"#,
    ),
];

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|(name, _)| *name)
}

/// The preset's own spelling of `name`, which may have underscores for hyphens.
pub(crate) fn spelled(name: &str) -> Option<&'static str> {
    let hyphens = name.replace('_', "-");
    names().find(|preset| *preset == hyphens)
}

/// The terms of a preset; `None` if no preset is called so.
pub(crate) fn terms(name: &str) -> Option<Result<Vec<TermConfig>>> {
    let name = spelled(name)?;
    let (_, text) = PRESETS.iter().find(|(preset, _)| *preset == name)?;
    Some(serde_json::from_str(text).map_err(|error| Error::Syntax {
        text: name.to_owned(),
        reason: error.to_string(),
    }))
}
