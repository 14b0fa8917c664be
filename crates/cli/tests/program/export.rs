//! `venule export`: thresholds chosen on data sets, and the names of what it writes.

use venule::{Provenance, Segmenter};

use crate::support::{done, failed, records, spec, write_set, write_weights};

#[test]
fn a_threshold_for_several_sets_says_what_it_was_chosen_on() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let (first, second) = (root.join("first"), root.join("second"));
    write_set(&first, 0..2, 2..3);
    write_set(&second, 3..5, 5..6);
    let weights = root.join("weights.safetensors");
    let seen = first.join("test/images/2.png");
    let images = records(&[("2", Some(&seen))]);
    write_weights(&weights, Provenance::new(images, None, 0));
    let (weights, out) = (weights.display().to_string(), root.join("new.safetensors"));
    let out_flag = out.display().to_string();
    let export = ["export", "--weights", &weights, "--out", &out_flag];
    let on = |sets: [&str; 2]| {
        let flags = export.into_iter().chain(["--threshold-on"]).chain(sets);
        let flags = flags.chain(["--threshold-split", "test"]);
        flags.map(str::to_owned).collect::<Vec<_>>()
    };
    let (first, second) = (spec(&first), spec(&second));
    let text = done(on([&first, &second]));
    assert!(text.contains("trained on 1 of the 1 images"), "{text}");
    let segmenter = Segmenter::from_file(&out).unwrap();
    let images = &segmenter.checkpoint().provenance.threshold_images;
    assert_eq!(images.len(), 2, "{images:?}");
    // A photograph in two data sets would count twice.
    let errors = failed(on([&first, &first]));
    assert!(errors.contains("would count twice"), "{errors}");
    // All are of one size.
    let mut by_size = on([&first, &second]);
    by_size.push("--by-size".to_owned());
    assert!(failed(by_size).contains("by_size"));
}

#[test]
fn weights_are_not_called_onnx() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("vessels.onnx").display().to_string();
    let errors = failed(["export", "--weights", "bundled-fast", "--out", &out]);
    assert!(errors.contains("--onnx writes ONNX"), "{errors}");
}

#[test]
fn a_dark_rim_is_written_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new.safetensors").display().to_string();
    let export = |share: &str| {
        [
            "export",
            "--weights",
            "bundled-fast",
            "--out",
            &out,
            "--dark-rim",
            share,
        ]
        .map(str::to_owned)
    };
    for (share, expected) in [("0", 0.0), ("0.25", 0.25)] {
        done(export(share));
        let segmenter = Segmenter::from_file(&out).unwrap();
        assert_eq!(segmenter.checkpoint().preprocess.dark_rim, expected);
    }
    for share in ["1.5", "nan"] {
        assert!(failed(export(share)).contains("dark_rim"), "{share}");
    }
}
