//! `venule sweep`.

use std::fs;

use crate::support::{done, read_json, write_set};

#[test]
fn a_grid_out_of_time_goes_on_by_the_same_command() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_set(&root.join("data"), 0..5, 5..6);
    let settings = "preset = 'tiny'\n[recipe]\ncrop = 64\ncrops_per_image = 1\n[recipe.train]\nmax_steps = 2\n";
    let run = |options: &str| {
        let data = root.join("data");
        let text = format!("{settings}{options}\n[[data]]\npath = {data:?}\n");
        fs::write(root.join("run.toml"), text).unwrap();
    };
    let grid = "run = 'run.toml'\nseeds = [1, 2]\n[[variant]]\nname = 'plain'\n\
        [[variant]]\nname = 'bce'\nset = { 'recipe.loss' = 'bce' }\n";
    fs::write(root.join("grid.toml"), grid).unwrap();
    let (grid, out) = (root.join("grid.toml"), root.join("out"));
    let sweep = [
        "sweep".as_ref(),
        "--grid".as_ref(),
        grid.as_os_str(),
        "--save-dir".as_ref(),
        out.as_os_str(),
    ];
    run("[run]\nmax_minutes = 1e-9");
    let text = done(sweep);
    assert!(text.contains("1 of 4: "), "{text}");
    assert!(text.contains("out of time after step 0"), "{text}");
    assert!(text.contains("the same command goes on"), "{text}");
    // It has no such flag.
    assert!(!text.contains("--resume"), "{text}");

    fs::remove_dir_all(&out).unwrap();
    run("");
    let text = done(sweep);
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).collect();
    assert_eq!(rows.len(), 4, "{text}");
    assert!(rows[2].starts_with("| plain | 2 | "), "{text}");
    assert!(rows[3].starts_with("| bce | 2 | "), "{text}");
    let table = fs::read_to_string(out.join("table.md")).unwrap();
    assert!(text.contains(table.trim_end()));
    // What is finished is not done again.
    let log = out.join("bce_2/log.jsonl");
    let before = fs::read(&log).unwrap();
    let json = root.join("table.json");
    let again = done(
        sweep
            .into_iter()
            .chain(["--json".as_ref(), json.as_os_str()]),
    );
    assert!(
        again.ends_with(&table) && !again.contains(" steps; "),
        "{again}"
    );
    assert_eq!(fs::read(&log).unwrap(), before);
    let rows = read_json(&json);
    assert_eq!(
        (&rows[1]["variant"], &rows[1]["seeds"]),
        (&"bce".into(), &2.into())
    );
    let f1 = rows[1]["metrics"]["f1"]["mean"].as_f64().unwrap();
    let line = table.lines().last().unwrap();
    assert!(line.starts_with(&format!("| bce | 2 | {f1:.4} ")), "{line}");

    let json = root.join("runs.json");
    let listed = done([
        "runs".as_ref(),
        out.as_os_str(),
        "--json".as_ref(),
        json.as_os_str(),
    ]);
    let rows = read_json(&json);
    assert_eq!(rows.as_array().unwrap().len(), 4);
    for row in rows.as_array().unwrap() {
        assert_eq!(
            (&row["state"], &row["steps"]),
            (&"finished".into(), &2.into())
        );
        assert!(listed.contains(row["folder"].as_str().unwrap()), "{listed}");
    }
}
