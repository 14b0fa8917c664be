//! What to write instead, where a run file is no TOML or says in TOML what nobody means.

use std::path::Path;

use toml::{Table, Value};

/// A file's text.
pub(super) fn read_text(path: &Path) -> Result<String, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let utf_16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    if utf_16 || bytes.contains(&0) {
        return Err(
            match utf_16 || bytes.len() >= 2 && (bytes[0] == 0) != (bytes[1] == 0) {
                true => "it is text in UTF-16; save it in the encoding UTF-8".to_owned(),
                false => {
                    "it holds zero bytes and is no text; a run file is TOML in UTF-8".to_owned()
                }
            },
        );
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let line = 1 + bytes[..valid].iter().filter(|byte| **byte == b'\n').count();
        format!(
            "line {line} holds the byte {:#04x}, which is no UTF-8, as in text in Latin-1 or Windows-1252; save the file in the encoding UTF-8",
            bytes[valid]
        )
    })
}

/// What TOML says of text that it cannot parse, and how to write the line at fault.
pub(super) fn with_hint(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().and_then(|span| {
        let start = text.get(..span.start)?.rfind('\n').map_or(0, |at| at + 1);
        text.get(start..)?.lines().next()
    });
    // The line is shown with the end that Windows gives it.
    let said = error.to_string().replace('\r', "");
    match line.and_then(hint) {
        Some(hint) => format!("{}\n{hint}", said.trim_end()),
        None => said,
    }
}

/// What stands in double quotes on a line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('"').skip(1).step_by(2)
}

/// How to write a path that stands in double quotes.
fn backslashes(path: &str) -> String {
    format!(
        "a backslash in double quotes begins an escape: write '{path}' in single quotes, or {} with slashes",
        path.replace('\\', "/")
    )
}

fn hint(line: &str) -> Option<String> {
    const TYPOGRAPHIC: [char; 8] = ['“', '”', '„', '«', '»', '‘', '’', '‚'];
    let line = line.trim_start_matches('\u{feff}').trim();
    if line.contains(TYPOGRAPHIC) {
        let quote = if line.contains('\\') { "'" } else { "\"" };
        let straight = line.replace(TYPOGRAPHIC, quote);
        return Some(format!(
            "its quotes are typographic; TOML has straight ones: write {straight}"
        ));
    }
    if let Some(path) = quoted(line).find(|value| value.contains('\\')) {
        return Some(backslashes(path));
    }
    if line.starts_with('{') {
        return Some("a run file is TOML, not JSON: write a line key = value for each".to_owned());
    }
    let Some((_, value)) = line.split_once('=') else {
        let (key, value) = line.split_once(':')?;
        let value = value.trim().trim_matches(['"', '\'']);
        return Some(format!(
            "a run file is TOML, not YAML: write {} = {}",
            key.trim(),
            written(value)
        ));
    };
    let value = value.split('#').next().unwrap_or(value).trim();
    if value.is_empty() || value.contains(['"', '\'', '[', ']', '{', '}', '=']) || parses(value) {
        return None;
    }
    if value.contains('\\') {
        return Some(format!(
            "a path stands in quotes, with backslashes in single ones: write '{value}'"
        ));
    }
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if let Some((whole, part)) = value.split_once(',')
        && is_digits(whole.trim_start_matches(['+', '-']))
        && part.split(['e', 'E']).next().is_some_and(is_digits)
    {
        return Some(format!(
            "a decimal number has a point, not a comma: write {whole}.{part}"
        ));
    }
    let what = match value.to_lowercase().as_str() {
        "true" | "false" | "yes" | "no" | "on" | "off" => "yes and no are true and false",
        "none" | "null" | "nil" | "~" => "what is switched off is the word none in quotes",
        _ => "text stands in quotes",
    };
    Some(format!("{what}: write {}", written(value)))
}

/// A value as TOML writes it.
fn written(value: &str) -> String {
    match value.to_lowercase().as_str() {
        "true" | "yes" | "on" => "true".to_owned(),
        "false" | "no" | "off" => "false".to_owned(),
        "none" | "null" | "nil" | "~" => "\"none\"".to_owned(),
        _ if parses(value) => value.to_owned(),
        _ if value.contains('\\') => format!("'{value}'"),
        _ => format!("\"{value}\""),
    }
}

fn parses(value: &str) -> bool {
    format!("value = {value}").parse::<Table>().is_ok()
}

/// Refuses text with control characters that is not the path of a file: a path with backslashes that TOML took for escapes. `text` is
/// what the settings were read from.
pub(super) fn expect_no_escapes(text: &str, settings: &Table) -> Result<(), String> {
    for (key, value) in settings {
        search(text, key, value)?;
    }
    Ok(())
}

fn search(text: &str, key: &str, value: &Value) -> Result<(), String> {
    match value {
        Value::Table(table) => table
            .iter()
            .try_for_each(|(inner, value)| search(text, &format!("{key}.{inner}"), value)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, value)| search(text, &format!("{key}[{index}]"), value)),
        Value::String(found) => {
            let Some(control) = found.chars().find(|c| c.is_control()) else {
                return Ok(());
            };
            // A file may be called so, and is then meant.
            if Path::new(found).exists() {
                return Ok(());
            }
            let meant = text
                .lines()
                .flat_map(quoted)
                .find(|given| {
                    let parsed = format!("value = \"{given}\"").parse::<Table>();
                    parsed.is_ok_and(|table| table.get("value") == Some(value))
                })
                .map_or_else(|| as_given(found), str::to_owned);
            Err(format!(
                "{key} holds a {}: {}",
                called(control),
                backslashes(&meant)
            ))
        }
        _ => Ok(()),
    }
}

fn called(control: char) -> &'static str {
    match control {
        '\t' => "tab",
        '\n' | '\r' => "line break",
        '\u{c}' => "form feed",
        '\u{8}' => "backspace",
        _ => "control character",
    }
}

/// Text with the escapes that TOML has for control characters.
fn as_given(text: &str) -> String {
    let mut given = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => given.push_str("\\t"),
            '\n' => given.push_str("\\n"),
            '\r' => given.push_str("\\r"),
            '\u{c}' => given.push_str("\\f"),
            '\u{8}' => given.push_str("\\b"),
            '\u{1b}' => given.push_str("\\e"),
            c if c.is_control() => given.extend(c.escape_default()),
            c => given.push(c),
        }
    }
    given
}

#[cfg(test)]
mod tests {
    use crate::{PretrainConfig, RunFile};

    /// What is said of a run file of these bytes.
    fn refused(bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        std::fs::write(&path, bytes).unwrap();
        let message = PretrainConfig::load(&path).unwrap_err().to_string();
        assert!(message.contains("run.toml"), "{message}");
        let control = |c: char| c.is_control() && c != '\n';
        assert!(!message.contains(control), "{message:?}");
        message
    }

    fn expect(line: &str, hints: &[&str]) {
        for end in ["\n", "\r\n"] {
            let text = ["preset = 'tiny'", line, "workers = 2", ""].join(end);
            let message = refused(text.as_bytes());
            for hint in hints {
                assert!(message.contains(hint), "{line}: {message}");
            }
        }
    }

    #[test]
    fn escapes_that_are_parsed_in_a_path_are_said_to_be_such() {
        for (path, control) in [
            (r"C:\temp\fundus\new", "tab"),
            (r"C:\new", "line break"),
            (r"C:\fundus", "form feed"),
            (r"C:\bilder", "backspace"),
            (r"\\server\fundus", "form feed"),
        ] {
            let single = format!("write '{path}' in single quotes");
            let slashes = path.replace('\\', "/");
            expect(
                &format!("run.directory = \"{path}\""),
                &["run.directory", control, &single, &slashes],
            );
            expect(
                &format!("data = [{{ name = \"folder\", path = \"{path}\" }}]"),
                &["data[0].path", control, &single],
            );
        }
        let run = PretrainConfig::preset("tiny").unwrap();
        let error = run.with("run.directory", r#""C:\temp""#).unwrap_err();
        assert!(error.to_string().contains(r"'C:\temp'"), "{error}");
        // Escapes that are none.
        expect(r#"run.directory = "C:\data""#, &[r"'C:\data'", "C:/data"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_whose_name_holds_a_tab_is_meant() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a\tb");
        std::fs::create_dir(&path).unwrap();
        let text = format!("run.directory = \"{}\"", path.display()).replace('\t', "\\t");
        let run: PretrainConfig = text.parse().unwrap();
        assert_eq!(run.run.directory, Some(path));
    }

    #[test]
    fn text_in_other_encodings_is_said_to_be_such() {
        let text = "preset = 'tiny'\nrun.directory = 'Müller'\n";
        let units = |order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order);
        for (mark, bytes) in [
            (
                &b"\xff\xfe"[..],
                units(u16::to_le_bytes).collect::<Vec<_>>(),
            ),
            (b"\xfe\xff", units(u16::to_be_bytes).collect()),
            (b"", units(u16::to_le_bytes).collect()),
        ] {
            let message = refused(&[mark, &bytes].concat());
            assert!(message.contains("UTF-16"), "{message}");
            assert!(message.contains("UTF-8"), "{message}");
        }
        let latin_1: Vec<u8> = text.chars().map(|c| c as u8).collect();
        let message = refused(&latin_1);
        for said in ["line 2", "0xfc", "Latin-1", "UTF-8"] {
            assert!(message.contains(said), "{message}");
        }
        assert!(refused(b"PK\x03\x04\0\0").contains("no text"));
    }

    #[test]
    fn what_is_no_toml_is_shown_as_toml() {
        for (line, hint) in [
            (r"run.directory = C:\data\img", r"write 'C:\data\img'"),
            (
                "run.directory = “tiny/images”",
                "write run.directory = \"tiny/images\"",
            ),
            ("run.directory = ‘C:\\data’", r"'C:\data'"),
            ("recipe.mask_ratio = 0,75", "write 0.75"),
            ("recipe.mask_ratio = -1,5e-3 # less", "write -1.5e-3"),
            ("run.directory = tiny/images", "write \"tiny/images\""),
            ("skip_unreadable = True", "write true"),
            ("skip_unreadable = no", "write false"),
            ("recipe.train.clip_norm = None", "write \"none\""),
            ("skip_unreadable: true", "write skip_unreadable = true"),
            ("directory: C:\\data", r"write directory = 'C:\data'"),
        ] {
            expect(line, &[hint]);
        }
        assert!(refused(b"{\"preset\": \"tiny\"}").contains("not JSON"));
        // Another fault of a line needs no such hint.
        let message = refused(b"workers = 2\nworkers = 2\n");
        assert!(!message.contains("write"), "{message}");
    }
}
