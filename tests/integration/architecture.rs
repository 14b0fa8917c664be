//! Who imports whom, what is forwarded, what the sources look like.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const GPU_FEATURES: [&str; 5] = ["cuda", "cudnn", "metal", "accelerate", "mkl"];

/// The internal imports each crate may have, in all kinds of dependencies: the table of docs/architecture.md.
fn allowed() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `venule"));
    let mut table: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let (name, imports) = (cells[1].trim_matches('`'), cells[3]);
        let above: BTreeSet<String> = table.keys().cloned().collect();
        let imports = match imports {
            "none" => BTreeSet::new(),
            "all above" | "facade and below" => above,
            listed => {
                let names = listed.split(", ").map(|name| match name {
                    "facade" => FACADE.to_owned(),
                    name => format!("venule-{name}"),
                });
                names.collect()
            }
        };
        // In the order of the table nothing goes in a circle.
        for import in &imports {
            assert!(table.contains_key(import), "{name} stands before {import}");
        }
        table.insert(name.to_owned(), imports);
    }
    table
}

const FACADE: &str = "venule";

/// The one import against the order: the tests and the examples of the facade use what stands above it.
const OF_TESTS: (&str, &str) = (FACADE, "venule-lab");

struct Package {
    /// Dependencies of any kind.
    all: BTreeSet<String>,
    /// Dependencies of the library or the program itself.
    normal: BTreeSet<String>,
    features: BTreeMap<String, Vec<String>>,
    /// The file of the library, or of the program.
    root: PathBuf,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn packages() -> BTreeMap<String, Package> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    packages.iter().map(package).collect()
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn package(value: &Value) -> (String, Package) {
    let list = |value: &Value| value.as_array().unwrap().clone();
    let dependencies = list(&value["dependencies"]);
    let names = |normal: bool| {
        let wanted = dependencies
            .iter()
            .filter(|d| !normal || d["kind"].is_null());
        wanted.map(|d| text(&d["name"])).collect()
    };
    let features = value["features"].as_object().unwrap().iter();
    let targets = list(&value["targets"]);
    let is_root = |target: &&Value| {
        list(&target["kind"])
            .iter()
            .any(|k| k == "lib" || k == "bin")
    };
    let root = targets.iter().find(is_root);
    let root = root.expect("every package has a library or a program");
    let package = Package {
        all: names(false),
        normal: names(true),
        features: features
            .map(|(name, parts)| (name.clone(), list(parts).iter().map(text).collect()))
            .collect(),
        root: PathBuf::from(text(&root["src_path"])),
    };
    (text(&value["name"]), package)
}

#[test]
fn crates_import_only_what_the_table_allows() {
    let (packages, allowed) = (packages(), allowed());
    let (found, known): (Vec<_>, Vec<_>) = (packages.keys().collect(), allowed.keys().collect());
    assert_eq!(
        found, known,
        "every crate has a row in docs/architecture.md"
    );
    for (name, package) in &packages {
        let of_tests =
            |import: &str| (name.as_str(), import) == OF_TESTS && !package.normal.contains(import);
        let internal = package
            .all
            .iter()
            .filter(|import| packages.contains_key(*import));
        let extra: Vec<_> = internal
            .filter(|import| !allowed[name].contains(*import) && !of_tests(import))
            .collect();
        assert!(extra.is_empty(), "{name} must not import {extra:?}");
    }
    // The promise of the metrics: std alone.
    let metrics = &packages["venule-metrics"].normal;
    assert!(metrics.is_empty(), "{metrics:?}");
}

#[test]
fn gpu_features_reach_every_dependency_that_has_them() {
    let packages = packages();
    for (name, package) in &packages {
        let has = |dependency: &str, feature: &str| match packages.get(dependency) {
            Some(internal) => internal.features.contains_key(feature),
            None => matches!(dependency, "candle-core" | "candle-nn"),
        };
        for feature in GPU_FEATURES {
            let carriers: Vec<_> = package.normal.iter().filter(|d| has(d, feature)).collect();
            let Some(parts) = package.features.get(feature) else {
                assert!(
                    carriers.is_empty(),
                    "{name} lacks '{feature}', which {carriers:?} have"
                );
                continue;
            };
            for dependency in carriers {
                // With a question mark to what is optional.
                let forwarded = ["", "?"].map(|mark| format!("{dependency}{mark}/{feature}"));
                assert!(
                    forwarded.iter().any(|way| parts.contains(way)),
                    "'{feature}' of {name} lacks {}",
                    forwarded[0]
                );
            }
        }
    }
    assert!(packages["venule"].features["cudnn"].contains(&"venule-nn/cudnn".to_owned()));
}

/// So that the oldest versions that a manifest admits are those that the tests run with.
#[test]
fn requirements_name_the_versions_that_are_tested() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let lock: toml::Table = toml::from_str(&lock).unwrap();
    let tested: BTreeSet<String> = lock["package"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let version = package["version"].as_str().unwrap();
            // Behind the plus stands what plays no part in a requirement.
            let version = version.split('+').next().unwrap();
            format!("{} {version}", package["name"].as_str().unwrap())
        })
        .collect();
    for package in metadata()["packages"].as_array().unwrap() {
        for dependency in package["dependencies"].as_array().unwrap() {
            if dependency["source"].is_null() {
                continue;
            }
            let (name, wanted) = (text(&dependency["name"]), text(&dependency["req"]));
            let least = wanted.trim_start_matches(['^', '=']);
            assert!(
                tested.contains(&format!("{name} {least}")),
                "{} asks for {name} {wanted}, which Cargo.lock does not have",
                package["name"]
            );
        }
    }
}

#[test]
fn unsafe_code_lives_in_the_kernels_alone() {
    for (name, package) in packages() {
        let root = std::fs::read_to_string(&package.root).unwrap();
        let lint = match name.as_str() {
            "venule-nn" => "#![deny(unsafe_code)]",
            _ => "#![forbid(unsafe_code)]",
        };
        let path = package.root.display();
        assert!(root.lines().any(|line| line == lint), "{path}: {lint}");
    }
    let kernels = root().join("crates/nn/src/cpu");
    let mut allowances = Vec::new();
    for path in sources() {
        let source = std::fs::read_to_string(&path).unwrap();
        let code = source
            .lines()
            .map(|line| line.split("//").next().unwrap_or(""));
        let mut words =
            code.flat_map(|line| line.split(|c: char| !(c.is_alphanumeric() || c == '_')));
        if !path.starts_with(&kernels) {
            assert!(!words.any(|word| word == "unsafe"), "{}", path.display());
            if source.contains("allow(unsafe_code)") {
                allowances.push(path.clone());
            }
        }
    }
    assert_eq!(allowances, [root().join("crates/nn/src/lib.rs")]);
}

#[test]
fn no_source_file_is_long() {
    let files = sources();
    // Guards against a walk that finds nothing: each crate has a root.
    for package in packages().values() {
        assert!(files.contains(&package.root), "{}", package.root.display());
    }
    for path in files {
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(
            lines <= 600,
            "{} has {lines} lines, 600 at most",
            path.display()
        );
    }
}

/// Every Rust source of the crates and the examples, tests in folders of their own excepted.
fn sources() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = vec![root().join("crates/venule"), root().join("examples")];
    for entry in std::fs::read_dir(root().join("crates")).unwrap() {
        folders.push(entry.unwrap().path().join("src"));
    }
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        // The facade has no src.
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(extension) if extension == "rs" => files.push(path),
                _ => {}
            }
        }
    }
    files.sort();
    files.dedup();
    files
}
