//! `venule evaluate`.

use std::fs;
use std::path::Path;

use venule::Provenance;

use crate::support::{done, failed, read_json, records, small_set, spec, venule, write_weights};

/// A folder `set` of photographs and the file `weights.safetensors`.
fn scratch(provenance: Provenance) -> (tempfile::TempDir, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let (set, weights) = (
        folder.path().join("set"),
        folder.path().join("weights.safetensors"),
    );
    small_set(&set);
    write_weights(&weights, provenance);
    let weights = weights.display().to_string();
    (folder, spec(&set), weights)
}

#[test]
fn systems_and_sets_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for set in ["one", "two"] {
        small_set(&folder.path().join(set));
    }
    for weights in ["a", "b"] {
        let folder = folder.path().join(weights);
        fs::create_dir(&folder).unwrap();
        write_weights(&folder.join("best.safetensors"), Provenance::default());
    }
    let (a, b) = (path("a/best.safetensors"), path("b/best.safetensors"));
    let (one, two) = (
        spec(&folder.path().join("one")),
        spec(&folder.path().join("two")),
    );
    let (pictures, csv, json) = (path("pictures"), path("table.csv"), path("numbers.json"));
    let report = path("report");
    done([
        "evaluate",
        "--weights",
        &a,
        &b,
        "--dataset",
        &one,
        &two,
        "--pictures",
        &pictures,
        "--csv",
        &csv,
        "--json",
        &json,
        "--report",
        &report,
        "--choose-threshold",
        "train",
        "--full-frame",
    ]);

    // Two systems on two sets of two images each: nothing is overwritten.
    let mut overlays = 0;
    for system in fs::read_dir(&pictures).unwrap() {
        for set in fs::read_dir(system.unwrap().path()).unwrap() {
            let files = fs::read_dir(set.unwrap().path()).unwrap();
            let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
            overlays += names.filter(|name| name.ends_with("_overlay.png")).count();
        }
    }
    assert_eq!(overlays, 8);

    let numbers = read_json(Path::new(&json));
    let entries = numbers.as_array().unwrap();
    assert_eq!(entries.len(), 4);
    for entry in entries {
        assert_eq!(entry["threshold_from"], "chosen on train");
        assert_eq!(
            (&entry["pixels"], &entry["split"]),
            (&"full frame".into(), &"test".into())
        );
        assert_eq!(entry["paired_tests"].as_array().unwrap().len(), 1);
        assert!(entry["per_image"][0]["seconds"].as_f64().unwrap() > 0.0);
    }
    let lines = |name: &str| fs::read_to_string(path(name)).unwrap().lines().count();
    assert_eq!(
        (lines("table_matrix.csv"), lines("table_systems.csv")),
        (3, 5)
    );
    let page = fs::read_to_string(folder.path().join("report/report.html")).unwrap();
    assert_eq!(page.matches("data:image/png;base64").count(), 8);

    let refused = |more: &[&str]| {
        let arguments = ["evaluate", "--weights", &a, "--dataset", &one];
        failed(arguments.iter().chain(more))
    };
    // What is tested on may not choose the threshold; nothing is evaluated twice.
    let error = refused(&["--choose-threshold", "test"]);
    assert!(error.contains("may not choose"), "{error}");
    let error = refused(&["--dataset", &one]);
    assert!(error.contains("given twice"), "{error}");
    for more in [&["--weights", &a][..], &["--weights", &a, "--window", "2"]] {
        let error = refused(more);
        assert!(error.contains("given twice"), "{error}");
    }
}

#[test]
fn the_origin_of_a_threshold_is_told() {
    let trained = || records(&[("drive_21", None), ("drive_36", None)]);
    let chosen = Provenance {
        threshold_images: records(&[("drive_37", None)]),
        ..Provenance::new(trained(), None, 7)
    };
    let (_folder, set, weights) = scratch(chosen);
    let explained = |weights: &str, more: &[&str]| {
        let arguments = ["evaluate", "--weights", weights, "--dataset", &set];
        let text = done(arguments.iter().chain(more));
        let line = text.lines().find(|line| line.starts_with("threshold "));
        line.unwrap().to_owned()
    };
    let version = env!("CARGO_PKG_VERSION");
    let trained_on = format!(
        "they were trained on 2 images (drive_21 to drive_36) with seed 7 by version {version}"
    );
    assert_eq!(
        explained(&weights, &[]),
        format!(
            "threshold 0.5000: stored in the weights, where it was chosen on image drive_37; {trained_on}"
        )
    );
    assert_eq!(
        explained(&weights, &["--threshold", "0.25"]),
        "threshold 0.2500: given"
    );
    let (_folder, _, unchosen) = scratch(Provenance::new(trained(), None, 7));
    assert_eq!(
        explained(&unchosen, &[]),
        format!("threshold 0.5000: stored in the weights; {trained_on}")
    );
}

#[test]
fn images_that_a_system_was_trained_on_are_told_by_their_content() {
    let (folder, set, weights) = scratch(Provenance::default());
    let image = |name: &str| folder.path().join("set/test/images").join(name);
    let evaluated = |provenance: Provenance, more: &[&str]| {
        write_weights(Path::new(&weights), provenance);
        let arguments = ["evaluate", "--weights", &weights, "--dataset", &set];
        done(arguments.iter().chain(more))
    };
    let on = |images: &[(&str, Option<&Path>)]| Provenance::new(records(images), None, 0);
    let third = image("3.png");
    let seen = on(&[("under another name", Some(&third))]);
    let said = evaluated(seen.clone(), &[]);
    let note = "was trained on 1 of the 2 images of";
    assert!(
        said.contains(note) && said.contains("('folder_3' is the first)"),
        "{said}"
    );
    // An equal name of another photograph is none of them.
    let other = folder.path().join("set/train/images/0.png");
    let said = evaluated(on(&[("3", Some(&other))]), &[]);
    assert!(!said.contains("note: "), "{said}");
    // Version 0.1 wrote names alone.
    let said = evaluated(on(&[("3", None)]), &[]);
    assert!(said.contains("whether it was trained on some of"), "{said}");
    // The images that chose the threshold matter where it is used.
    let chosen = Provenance {
        threshold_images: seen.images,
        ..Provenance::default()
    };
    let note = "had its threshold chosen on 1 of the 2 images of";
    assert!(evaluated(chosen.clone(), &[]).contains(note));
    assert!(!evaluated(chosen, &["--threshold", "0.5"]).contains("note: "));
}

#[test]
fn a_system_is_named_by_how_it_sees_photographs() {
    let (folder, set, weights) = scratch(Provenance::default());
    let json = folder.path().join("numbers.json");
    let names = |more: &[&str]| {
        let mut arguments = vec!["evaluate", "--weights", &weights, "--dataset", &set];
        arguments.extend(["--json", json.to_str().unwrap()]);
        done(arguments.iter().chain(more));
        let numbers = read_json(&json);
        let entries = numbers.as_array().unwrap().iter();
        entries
            .map(|entry| entry["system"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&[]), [weights.as_str()]);
    let seen = format!("{weights}, field of view of 48 pixels, windows of 2 patches");
    assert_eq!(
        names(&["--fov-diameter", "48", "--window", "2", "--flips"]),
        [seen.clone(), format!("{seen}, with flips")]
    );
    assert_eq!(
        names(&["--window", "0"]),
        [format!("{weights}, without windows")]
    );
}

/// What is said of weights that may have seen the images.
const UNKNOWN: &str = "names images without their checksums";

#[test]
fn weights_of_version_0_1_do_not_tell_which_images_they_have_seen() {
    let (_folder, set, _) = scratch(Provenance::default());
    let old = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/integration/fixtures/version_0_1.safetensors"
    );
    let said = done(["evaluate", "--dataset", &set, "--weights", old]);
    assert!(said.contains(UNKNOWN), "{said}");
}

#[cfg(feature = "bundled")]
#[test]
fn the_bundled_weights_are_evaluated_by_name() {
    let (_folder, set, _) = scratch(Provenance::default());
    for (flag, system) in [
        (None, "bundled weights"),
        (Some("--fast"), "fast bundled weights"),
    ] {
        let said = done(["evaluate", "--dataset", &set].into_iter().chain(flag));
        let heading = format!("\n{system} on {set} (test, 2 images)\n");
        assert!(said.contains(&heading), "{said}");
        assert!(!said.contains(UNKNOWN), "{said}");
    }
    let both = ["evaluate", "--dataset", &set, "--fast", "--weights", "x"];
    let output = venule(both).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn a_fold_is_evaluated_by_name() {
    let (folder, set, weights) = scratch(Provenance::default());
    let json = folder.path().join("numbers.json");
    done([
        "evaluate",
        "--weights",
        &weights,
        "--dataset",
        &set,
        "--split",
        "fold:3",
        "--json",
        json.to_str().unwrap(),
    ]);
    let numbers = read_json(&json);
    let images = numbers[0]["per_image"].as_array().unwrap();
    assert_eq!((images.len(), &images[0]["id"]), (1, &"test_2".into()));
    assert_eq!(numbers[0]["split"], "fold:3");
}
