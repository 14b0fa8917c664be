//! `venule data`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{read_json, small_set, spec, venule};

/// The exit code on a folder, and the rows of the JSON file.
fn info(root: &Path, more: &[&str]) -> (i32, Value) {
    let json = root.with_extension("json");
    let mut command = venule(["data", "--dataset", &spec(root), "--json"]);
    let status = command.arg(&json).args(more).output().unwrap().status;
    (status.code().unwrap(), read_json(&json))
}

#[test]
fn a_broken_split_is_told_by_the_exit_code_and_can_be_skipped_in_part() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    small_set(&root);
    let (code, rows) = info(&root, &[]);
    assert_eq!((code, rows.as_array().unwrap().len()), (0, 3));
    // A damaged file breaks its split; the others are counted all the same.
    fs::write(root.join("test/images/3.png"), b"no image").unwrap();
    let (code, rows) = info(&root, &[]);
    assert_eq!((code, rows.as_array().unwrap().len()), (1, 2));
    let (code, rows) = info(&root, &["--skip-unreadable"]);
    assert_eq!((code, rows.as_array().unwrap().len()), (0, 3));
    assert_eq!(
        (&rows[2]["unreadable"], &rows[2]["images"]),
        (&1.into(), &1.into())
    );
    // So does a folder of labels that is not there; a part that is not there at all is none.
    fs::remove_dir_all(root.join("train/masks")).unwrap();
    assert_eq!(info(&root, &["--skip-unreadable"]).0, 1);
    fs::remove_dir_all(root.join("train")).unwrap();
    assert_eq!(info(&root, &["--skip-unreadable"]).0, 0);
    fs::remove_dir_all(root.join("test")).unwrap();
    assert_eq!(info(&root, &["--skip-unreadable"]).0, 1);
}
