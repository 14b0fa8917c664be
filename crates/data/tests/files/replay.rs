//! Seeds and past findings of the fuzz targets, run as ordinary tests.

use std::path::PathBuf;

use venule_data::Layout;

use crate::fuzzed;

/// The files of `fuzz/KIND/TARGET` by name. A published crate comes without that folder.
fn inputs(kind: &str, target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz")
        .join(kind)
        .join(target);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: {} is not there", folder.display());
        return Vec::new();
    };
    let mut files: Vec<_> = entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn seeds_reach_what_they_are_meant_for() {
    for target in ["images", "masks"] {
        for (name, bytes) in inputs("seeds", target) {
            let read = match target {
                "images" => fuzzed::image(&bytes),
                _ => fuzzed::mask(&bytes),
            };
            assert!(read, "{target}/{name} is not read");
        }
    }
    for (name, bytes) in inputs("seeds", "pairing") {
        assert!(fuzzed::pairing(text(&bytes)), "{name} does not pair");
    }
    for (name, bytes) in inputs("seeds", "layouts") {
        let layout: Layout = name.parse().unwrap();
        let opened = fuzzed::layout(text(&bytes));
        assert!(opened.contains(&layout), "{name} opens as {opened:?}");
    }
}

#[test]
fn findings_stay_fixed() {
    for (_, bytes) in inputs("regressions", "images") {
        fuzzed::image(&bytes);
    }
    for (_, bytes) in inputs("regressions", "masks") {
        fuzzed::mask(&bytes);
    }
    for (_, bytes) in inputs("regressions", "pairing") {
        fuzzed::pairing(text(&bytes));
    }
    for (_, bytes) in inputs("regressions", "layouts") {
        fuzzed::layout(text(&bytes));
    }
}
