//! `venule segment` over many photographs: lists, shards, manifests, and going on with them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use venule::data::write_png;

use crate::support::{photograph, said, venule};

/// A folder with photographs `0/eye.png`, `1/eye.png` and on, all of one name, and their list `photos.txt`.
fn folder(count: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let drawn: Vec<_> = (0..count.min(3))
        .map(|index| photograph(index).image)
        .collect();
    let mut list = String::new();
    for index in 0..count {
        let name = format!("{index}/eye.png");
        fs::create_dir(folder.path().join(index.to_string())).unwrap();
        write_png(
            folder.path().join(&name),
            drawn[index % drawn.len()].clone(),
        )
        .unwrap();
        list += &format!("{name}\n");
    }
    fs::write(folder.path().join("photos.txt"), list).unwrap();
    folder
}

/// `segment --fast` in a folder.
fn segment(folder: &TempDir, arguments: &str) -> Command {
    let mut command = venule(["segment", "--fast", "--threads", "1"]);
    command
        .args(arguments.split_whitespace())
        .current_dir(folder.path());
    command
}

fn run(folder: &TempDir, arguments: &str) -> (Option<i32>, String) {
    let output: Output = segment(folder, arguments).output().unwrap();
    let errors = String::from_utf8(output.stderr.clone()).unwrap();
    (output.status.code(), said(&output) + &errors)
}

/// Checks the exit code, and that every word is said; all that is said.
#[track_caller]
fn expect(folder: &TempDir, arguments: &str, code: i32, words: &[&str]) -> String {
    let (found, text) = run(folder, arguments);
    assert_eq!(found, Some(code), "{arguments}: {text}");
    for word in words {
        assert!(
            text.contains(word),
            "{arguments} does not say '{word}': {text}"
        );
    }
    text
}

/// The files of a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let pngs = entries.filter(|path| path.extension().is_some_and(|ending| ending == "png"));
    pngs.map(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, fs::read(path).unwrap())
    })
    .collect()
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The records of manifests by photograph, each of which must be there once.
fn records(paths: &[PathBuf]) -> BTreeMap<String, Value> {
    let mut records = BTreeMap::new();
    for path in paths {
        let lines = lines(path);
        assert_eq!(lines[0]["manifest"], "venule segment");
        for mut line in lines.into_iter().skip(1) {
            let photograph = line["photograph"].as_str().unwrap().to_owned();
            // It names the folder of the results.
            line.as_object_mut().unwrap().remove("mask");
            assert!(
                records.insert(photograph.clone(), line).is_none(),
                "{photograph} comes twice"
            );
        }
    }
    records
}

#[test]
fn shards_together_are_one_run() {
    let folder = folder(7);
    let at = |name: &str| folder.path().join(name);
    let common = "--list photos.txt --write mask";
    expect(
        &folder,
        &format!("{common} --out whole --manifest whole.jsonl"),
        0,
        &["7 photographs: 7 segmented"],
    );
    let mut manifests = Vec::new();
    for (index, count) in [
        (1, "3 photographs"),
        (2, "2 photographs"),
        (3, "2 photographs"),
    ] {
        let manifest = format!("{index}.jsonl");
        let text = format!("{common} --out parts --shard {index}/3 --manifest {manifest}");
        expect(&folder, &text, 0, &[&format!("{count} of shard {index}/3")]);
        manifests.push(at(&manifest));
    }
    let whole = files(&at("whole"));
    assert_eq!(whole.len(), 7);
    assert!(whole.contains_key("eye_mask.png") && whole.contains_key("eye_7_mask.png"));
    assert_eq!(files(&at("parts")), whole);
    assert_eq!(records(&manifests), records(&[at("whole.jsonl")]));
    // More shards than photographs: the last have none.
    let none = "--list photos.txt --out none --shard 9/9 --manifest none.jsonl";
    expect(&folder, none, 0, &["0 photographs of shard 9/9"]);
}

#[test]
fn a_list_is_read_from_standard_input_beside_photographs_of_the_command_line() {
    let folder = folder(3);
    let mut child = segment(
        &folder,
        "2/eye.png --list - --out o --write mask,overlay --manifest m.jsonl",
    )
    .stdin(Stdio::piped())
    .stdout(Stdio::piped())
    .spawn()
    .unwrap();
    let list = b"\xef\xbb\xbf0/eye.png\r\n\r\n2/eye.png\r\n1/eye.png";
    child.stdin.take().unwrap().write_all(list).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(said(&output).contains("photographs that come again, and count once: 1"));
    let names: Vec<String> = files(&folder.path().join("o")).into_keys().collect();
    let expected = [
        "eye_2_mask.png",
        "eye_2_overlay.png",
        "eye_3_mask.png",
        "eye_3_overlay.png",
        "eye_mask.png",
        "eye_overlay.png",
    ];
    assert_eq!(names, expected);
    let rows = lines(&folder.path().join("m.jsonl"));
    let photographs: Vec<&str> = rows[1..]
        .iter()
        .map(|row| row["photograph"].as_str().unwrap())
        .collect();
    assert_eq!(photographs, ["2/eye.png", "0/eye.png", "1/eye.png"]);
    assert!(
        rows[1].get("probability").is_none() && rows[1]["overlay"] == "o/eye_overlay.png",
        "{}",
        rows[1]
    );
    assert!(
        rows[1]["warning_kinds"]
            .as_array()
            .unwrap()
            .contains(&"low_resolution".into())
    );
}

#[test]
fn a_bad_photograph_stops_nothing_and_is_tried_again() {
    let folder = folder(4);
    let at = |name: &str| folder.path().join(name);
    let sound = fs::read(at("1/eye.png")).unwrap();
    fs::write(at("1/eye.png"), &sound[..sound.len() / 2]).unwrap();
    let long = "l".repeat(250);
    fs::write(
        at("photos.txt"),
        format!("0/eye.png\n1/eye.png\nnowhere.png\n2\n3/eye.png\n{long}.png\n"),
    )
    .unwrap();
    let common = "--list photos.txt --out o --write mask --manifest m.jsonl --resume";
    let said = [
        "error: ",
        "1/eye.png",
        "nowhere.png",
        "6 photographs: 2 segmented",
        "4 failed",
    ];
    expect(&folder, common, 1, &said);
    let rows = lines(&at("m.jsonl"));
    let failed: BTreeSet<&str> = rows
        .iter()
        .filter(|row| row.get("error").is_some())
        .map(|row| row["photograph"].as_str().unwrap())
        .collect();
    assert_eq!(failed.len(), 4);
    assert!(
        rows.iter()
            .all(|row| row.get("error").is_none() || row.get("mask").is_none())
    );
    fs::write(at("1/eye.png"), sound).unwrap();
    expect(
        &folder,
        common,
        1,
        &["6 photographs: 1 segmented", "3 failed, 2 done before"],
    );
    assert!(files(&at("o")).contains_key("eye_2_mask.png"));
    // What comes behind is done, and what is done stays.
    let list = fs::read_to_string(at("photos.txt")).unwrap();
    let list: String = list
        .lines()
        .filter(|line| line.contains("eye"))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(at("photos.txt"), list + "2/eye.png\n").unwrap();
    expect(
        &folder,
        common,
        0,
        &["4 photographs: 1 segmented", "0 failed, 3 done before"],
    );
}

#[test]
fn what_cannot_be_meant_is_refused_before_any_work() {
    let folder = folder(1);
    let at = |name: &str| folder.path().join(name);
    for (arguments, words) in [
        ("--list photos.txt --shard 0/4", "the first is 1/4"),
        ("--list photos.txt --shard 5/4", "the last is 4/4"),
        ("--list photos.txt --shard 1/0", "at least one shard"),
        ("--list photos.txt --shard a", "2/8"),
        ("--list photos.txt --resume", "--manifest"),
        ("--list photos.txt --json rows.json", "cannot be used with"),
        ("--list photos.txt --write masks", "possible values"),
        ("--out o", "required"),
    ] {
        expect(&folder, arguments, 2, &[words]);
    }
    fs::write(at("empty.txt"), "\n\r\n").unwrap();
    fs::write(at("note.jsonl"), "no manifest\n").unwrap();
    for (arguments, words) in [
        ("--list nowhere.txt", "cannot open nowhere.txt"),
        ("--list 0", "cannot read 0"),
        ("0", "0 is a folder; name the photographs in it"),
        ("--list empty.txt", "empty.txt names no photograph"),
        ("--list 0/eye.png", "it holds a NUL byte"),
        (
            "--list photos.txt --manifest 0/eye.png",
            "0/eye.png exists already",
        ),
        (
            "--list photos.txt --manifest 0/eye.png --resume",
            "is no manifest",
        ),
        (
            "--list photos.txt --manifest note.jsonl --resume",
            "is no manifest",
        ),
        (
            "--list photos.txt --manifest photos.txt --resume",
            "photos.txt is read from",
        ),
        (
            "--list photos.txt --manifest o/eye_mask.png",
            "is where a picture is written",
        ),
        (
            "--list photos.txt --write overlay --manifest o/EYE_overlay.PNG",
            "is where a picture is written",
        ),
        (
            "0/eye.png --json o/eye_mask.png",
            "is where a picture is written",
        ),
        ("--list photos.txt --manifest 0", "a folder stands where"),
        (
            "--list photos.txt --manifest photos.txt/m",
            "a file stands where",
        ),
    ] {
        let photograph = fs::read(at("0/eye.png")).unwrap();
        expect(&folder, &format!("{arguments} --out o"), 1, &[words]);
        assert!(!at("o").exists(), "{arguments}");
        assert_eq!(fs::read(at("0/eye.png")).unwrap(), photograph);
    }
    assert_eq!(fs::read(at("note.jsonl")).unwrap(), b"no manifest\n");
}

#[test]
fn a_manifest_is_gone_on_with_in_the_same_settings_alone() {
    let folder = folder(2);
    let at = |name: &str| folder.path().join(name);
    let common = "--list photos.txt --out o --write mask --manifest m.jsonl";
    expect(&folder, common, 0, &["2 segmented"]);
    let manifest = fs::read(at("m.jsonl")).unwrap();
    expect(&folder, common, 1, &["m.jsonl exists already", "--resume"]);
    for (more, words) in [
        ("--threshold 0.25", "threshold is "),
        ("--flips", "flips is false there and true now"),
        ("--write mask,overlay", "write is "),
        ("--full-frame", "full_frame is "),
    ] {
        let words = [words, "of other settings", "another --manifest"];
        expect(&folder, &format!("{common} --resume {more}"), 1, &words);
    }
    // Other weights under the same flags.
    let other = format!("segment --weights label-free {common} --resume");
    let output = venule(other.split_whitespace())
        .current_dir(folder.path())
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(1) && errors.contains("weights_checksum is "),
        "{errors}"
    );
    assert_eq!(fs::read(at("m.jsonl")).unwrap(), manifest);
    expect(
        &folder,
        &format!("{common} --resume"),
        0,
        &["0 segmented", "2 done before"],
    );
    assert_eq!(fs::read(at("m.jsonl")).unwrap(), manifest);
}

/// A run of many photographs, in whose manifest at least two have been added.
#[cfg(unix)]
fn begun(folder: &TempDir, arguments: &str) -> std::process::Child {
    let manifest = folder.path().join("m.jsonl");
    let lines = || {
        let bytes = fs::read(&manifest).unwrap_or_default();
        bytes.iter().filter(|&&byte| byte == b'\n').count()
    };
    let before = lines();
    let mut child = segment(folder, arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let limit = Instant::now() + Duration::from_secs(120);
    while lines() < before + 3 {
        assert!(child.try_wait().unwrap().is_none() && Instant::now() < limit);
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

#[cfg(unix)]
#[test]
fn a_run_that_was_killed_or_stopped_goes_on() {
    const COUNT: usize = 24;
    let folder = folder(COUNT);
    let at = |name: &str| folder.path().join(name);
    let common = "--list photos.txt --write mask --manifest";
    expect(
        &folder,
        &format!("{common} whole.jsonl --out whole"),
        0,
        &["24 segmented"],
    );
    let arguments = format!("{common} m.jsonl --out o --resume");

    let mut killed = begun(&folder, &arguments);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let done = lines(&at("m.jsonl")).len() - 1;
    assert!((2..COUNT).contains(&done), "{done}");
    // As a kill in the midst of a line leaves it.
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(at("m.jsonl"))
        .unwrap();
    file.write_all(b"{\"photograph\":\"20/eye.png\",\"na")
        .unwrap();

    let stopped = begun(&folder, &arguments);
    let process = stopped.id().to_string();
    let sent = Command::new("kill").args(["-s", "INT", &process]).status();
    assert!(sent.unwrap().success());
    let output = stopped.wait_with_output().unwrap();
    let text = said(&output);
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(text.contains(&format!("{done} done before")), "{text}");
    assert!(
        text.contains("interrupted; ") && text.contains("--resume"),
        "{text}"
    );

    expect(&folder, &arguments, 0, &["24 photographs: ", "0 failed"]);
    assert_eq!(files(&at("o")), files(&at("whole")));
    assert_eq!(records(&[at("m.jsonl")]), records(&[at("whole.jsonl")]));
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf_8_are_kept_and_known_again() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = folder(1);
    let mut list = Vec::new();
    for name in [b"p\xe8.png", b"p\xe9.png"] {
        fs::copy(
            folder.path().join("0/eye.png"),
            folder.path().join(OsStr::from_bytes(name)),
        )
        .unwrap();
        list.extend(name);
        list.push(b'\n');
    }
    fs::write(folder.path().join("photos.txt"), &list).unwrap();
    let common = "--list photos.txt --out o --manifest m.jsonl --resume";
    expect(&folder, common, 0, &["2 photographs: 2 segmented"]);
    let rows = lines(&folder.path().join("m.jsonl"));
    assert_eq!(
        (&rows[1]["photograph_bytes"], &rows[2]["photograph_bytes"]),
        (&"70e82e706e67".into(), &"70e92e706e67".into())
    );
    expect(&folder, common, 0, &["0 segmented", "2 done before"]);
    assert_eq!(files(&folder.path().join("o")).len(), 6);
}
