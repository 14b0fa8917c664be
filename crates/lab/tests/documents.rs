//! The rules of the documents: their tables are what `results/` holds, they are short, and their links lead somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use venule_lab::tables::{fill, render};
use venule_lab::venule::synthetic::SyntheticRange;

const MOST_WORDS: usize = 25;
const MOST_LINES: [(&str, usize); 2] = [("README.md", 150), ("docs/results.md", 150)];
const WITH_TABLES: [&str; 4] = [
    "README.md",
    "docs/results.md",
    "docs/performance.md",
    "crates/weights/README.md",
];
/// The journal, whose entries have dates and go on at length.
const JOURNAL: &str = "docs/lab";
/// The change log names what was, one entry a change.
const HISTORY: [&str; 1] = ["CHANGELOG.md"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

fn read(name: &str) -> String {
    let path = repository().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The Markdown files below a folder, as paths relative to the repository.
fn markdown_files(folder: &str, deep: bool) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(repository().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if folder.is_empty() {
            name.clone()
        } else {
            format!("{folder}/{name}")
        };
        if entry.file_type().unwrap().is_dir() {
            if deep && !name.starts_with('.') && name != "target" {
                files.extend(markdown_files(&path, deep));
            }
        } else if name.ends_with(".md") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The documents: those of the repository, and the page of each crate.
fn documents() -> Vec<String> {
    let mut files = markdown_files("", false);
    files.extend(markdown_files("docs", true));
    files.extend(markdown_files("results", true));
    files.extend(
        markdown_files("crates", true)
            .into_iter()
            .filter(|name| name.split('/').count() == 3),
    );
    files
}

/// The sentences of a document's prose: without code, tables, headings and comments.
fn sentences(document: &str) -> Vec<String> {
    let mut paragraphs = vec![String::new()];
    let mut code = false;
    for line in document.lines() {
        let text = line.trim();
        if text.starts_with("```") {
            code = !code;
        }
        let item = ["- ", "* "].iter().any(|mark| text.starts_with(mark))
            || text.split_once(". ").is_some_and(|(number, _)| {
                !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
            });
        let apart = code
            || text.is_empty()
            || ["```", "|", "#", "<!--", "!["]
                .iter()
                .any(|mark| text.starts_with(mark));
        if apart || item {
            paragraphs.push(String::new());
        }
        if !apart {
            let paragraph = paragraphs.last_mut().unwrap();
            let mark = if item {
                text.split(' ').next().unwrap_or_default()
            } else {
                ""
            };
            paragraph.push_str(text[mark.len()..].trim_start());
            paragraph.push(' ');
        }
    }
    paragraphs
        .iter()
        .flat_map(|paragraph| split(&plain(paragraph)))
        .collect()
}

/// A paragraph with one word in place of each piece of code, and without the targets of links.
fn plain(paragraph: &str) -> String {
    let mut text = String::new();
    for (index, part) in paragraph.split('`').enumerate() {
        text.push_str(if index % 2 == 0 { part } else { "CODE" });
    }
    while let Some(start) = text.find("](") {
        let end = text[start..]
            .find(')')
            .map_or(text.len(), |end| start + end + 1);
        text.replace_range(start..end, "");
    }
    text.replace(['[', '*'], "")
}

fn split(paragraph: &str) -> Vec<String> {
    let mut sentences = vec![Vec::new()];
    for word in paragraph.split_whitespace() {
        sentences.last_mut().unwrap().push(word);
        if word.trim_end_matches([')', '"']).ends_with(['.', '!', '?']) {
            sentences.push(Vec::new());
        }
    }
    sentences.retain(|sentence| !sentence.is_empty());
    sentences.iter().map(|words| words.join(" ")).collect()
}

fn words(sentence: &str) -> usize {
    sentence
        .split_whitespace()
        .filter(|word| word.chars().any(char::is_alphanumeric))
        .count()
}

/// Whether a text holds a day, as 2026-11-25, or a month with its year.
fn holds_date(text: &str) -> bool {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let words: Vec<_> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let digits = |word: &str, count: usize| {
        word.len() == count && word.bytes().all(|byte| byte.is_ascii_digit())
    };
    let day = text.as_bytes().windows(10).any(|window| {
        window.iter().enumerate().all(|(index, &byte)| {
            if index == 4 || index == 7 {
                byte == b'-'
            } else {
                byte.is_ascii_digit()
            }
        })
    });
    day || words
        .windows(2)
        .any(|pair| MONTHS.contains(&pair[0]) && digits(pair[1], 4))
}

/// The targets of a document's links and pictures within the repository, without anchors.
fn links(document: &str) -> Vec<&str> {
    let mut code = false;
    let mut targets = Vec::new();
    for line in document.lines() {
        code ^= line.trim_start().starts_with("```");
        if !code {
            targets.extend(
                line.split("](")
                    .skip(1)
                    .filter_map(|rest| rest.split(')').next()),
            );
        }
    }
    targets.retain(|target| !target.contains("://") && !target.starts_with('#'));
    targets
        .into_iter()
        .map(|target| target.split('#').next().unwrap_or_default())
        .collect()
}

/// A link's target as a path relative to the repository.
fn resolve(document: &str, target: &str) -> String {
    let mut parts: Vec<_> = document.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn tables_are_those_of_the_results() {
    let tables = render(&repository().join("results")).unwrap();
    let mut shown = BTreeSet::new();
    for name in WITH_TABLES {
        let document = read(name);
        let filled = fill(&document, &tables).unwrap_or_else(|error| panic!("{name}, {error}"));
        for (line, (committed, made)) in document.lines().zip(filled.lines()).enumerate() {
            assert_eq!(
                committed,
                made,
                "{name}, line {}: `cargo run -p venule-lab --example tables` writes it anew",
                line + 1
            );
        }
        assert_eq!(
            document, filled,
            "{name}: `cargo run -p venule-lab --example tables` writes it anew"
        );
        shown.extend(
            tables
                .keys()
                .filter(|table| document.contains(&format!("<!-- table {table} -->"))),
        );
    }
    let unused: Vec<_> = tables
        .keys()
        .filter(|table| !shown.contains(table))
        .collect();
    assert!(unused.is_empty(), "no document shows the tables {unused:?}");
}

#[test]
fn every_measurement_says_how_it_was_made() {
    for entry in std::fs::read_dir(repository().join("results")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".json") || name == "tables.json" {
            continue;
        }
        let group: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for (id, measurement) in group["measurements"].as_object().unwrap() {
            for key in ["what", "run", "protocol", "machine", "date", "figures"] {
                assert!(
                    !(measurement[key].is_null() && group[key].is_null()),
                    "{name}, {id}: '{key}' is missing"
                );
            }
            if measurement["figures"].get("f1").is_some() {
                for key in ["threshold", "seeds", "tested_on"] {
                    assert!(
                        !(measurement[key].is_null() && group[key].is_null()),
                        "{name}, {id}: '{key}' is missing"
                    );
                }
            }
        }
    }
}

#[test]
fn documents_are_short() {
    for (name, most) in MOST_LINES {
        let lines = read(name).lines().count();
        assert!(
            lines <= most,
            "{name} has {lines} lines, at most {most} are allowed"
        );
    }
}

#[test]
fn sentences_are_short_and_without_dates() {
    let mut faults = Vec::new();
    for name in documents()
        .iter()
        .filter(|name| !name.starts_with(JOURNAL) && !HISTORY.contains(&name.as_str()))
    {
        for sentence in sentences(&read(name)) {
            let count = words(&sentence);
            if count > MOST_WORDS {
                faults.push(format!("{name}: {count} words: {sentence}"));
            }
            if holds_date(&sentence) {
                faults.push(format!("{name}: a date: {sentence}"));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "at most {MOST_WORDS} words a sentence, and no dates:\n{}",
        faults.join("\n")
    );
}

#[test]
fn the_guide_names_every_range_of_synthetic_photographs() {
    let text = serde_json::to_string(&SyntheticRange::any_camera()).unwrap();
    let mut expected: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
    let guide = read("docs/training.md");
    let (_, section) = guide
        .split_once("### The looks of synthetic photographs")
        .unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let names: Vec<&str> = cells[1]
            .split(", ")
            .map(|name| name.trim_matches('`'))
            .collect();
        let values: Vec<&str> = cells[2].split(", ").collect();
        assert_eq!(names.len(), values.len(), "{row}");
        for (name, value) in names.into_iter().zip(values) {
            let expected = expected.remove(name).unwrap();
            let number = |text: &str| text.parse::<f64>().unwrap();
            match value.split_once('–') {
                Some((low, high)) => {
                    let ends = [number(low), number(high)];
                    let range = expected.as_array().unwrap();
                    assert!(
                        range.iter().map(|end| end.as_f64().unwrap()).eq(ends),
                        "{name}"
                    );
                }
                None => assert_eq!(expected.as_f64(), Some(number(value)), "{name}"),
            }
        }
    }
    assert!(expected.is_empty(), "not in the guide: {expected:?}");
}

#[test]
fn links_lead_to_files() {
    let mut faults = Vec::new();
    for name in documents() {
        for target in links(&read(&name)) {
            if !repository().join(resolve(&name, target)).exists() {
                faults.push(format!("{name}: {target}"));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "links to what is not there:\n{}",
        faults.join("\n")
    );
}

#[test]
fn the_journal_is_linked_from_its_index_alone() {
    let index = format!("{JOURNAL}/README.md");
    let within = format!("{JOURNAL}/");
    for name in documents().iter().filter(|name| !name.starts_with(&within)) {
        for target in links(&read(name)) {
            let target = resolve(name, target);
            assert!(
                !target.starts_with(&within) && target != JOURNAL,
                "{name} links to {target}"
            );
        }
    }
    let text = read(&index);
    let listed: BTreeSet<_> = links(&text)
        .into_iter()
        .map(|target| resolve(&index, target))
        .collect();
    for entry in markdown_files(JOURNAL, true)
        .iter()
        .filter(|name| **name != index)
    {
        assert!(listed.contains(entry), "{index} does not list {entry}");
    }
}

#[test]
fn the_rules_find_what_they_forbid() {
    let document = "# A title\n\nOne [two](three/four.md) `five six`. Seven\neight!\n\n- nine\n| ten |\n```\neleven\n```\n";
    assert_eq!(
        sentences(document),
        ["One two CODE.", "Seven eight!", "nine"]
    );
    // "–" is no word.
    assert_eq!(words("one – two three"), 3);
    for (text, expected) in [
        ("on 2026-11-25 it", true),
        ("in November 2026", true),
        ("images 21–40 and 2048-11", false),
        ("it may be 2026 pixels", false),
    ] {
        assert_eq!(holds_date(text), expected, "{text}");
    }
    assert_eq!(
        links("[a](b/c.md#d) [e](https://f) ![g](h.png)\n```\n[i](j)\n```\n[k](#l)"),
        ["b/c.md", "h.png"]
    );
    assert_eq!(resolve("docs/lab/a.md", "../b.md"), "docs/b.md");
}
