//! File names as ids: in one Unicode form, and none like another.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::Path;

use unicode_normalization::UnicodeNormalization;

/// A name in Unicode NFC, so that what looks alike is alike; bytes that are no UTF-8 stand as `\xe8`, so that what differs stays so.
pub(super) fn text(name: &OsStr) -> String {
    escaped(name).nfc().collect()
}

/// A name as it is stored, with bytes that are no UTF-8 as `\xe8`.
pub(super) fn escaped(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// A file's name as an id: without its extension, and without `.gz` before that.
pub(super) fn stem(path: &Path) -> String {
    let name = text(path.file_name().unwrap_or_default());
    without_extension(&name).to_owned()
}

/// A name without extension, and without `.gz` before that. What is all extension stays.
pub(super) fn without_extension(name: &str) -> &str {
    let name = without_gz(name);
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && !extension.contains('/') => stem,
        _ => name,
    }
}

/// A file name without `.gz` at its end, in any case.
fn without_gz(name: &str) -> &str {
    match name.split_at_checked(name.len().saturating_sub(3)) {
        Some((rest, end)) if end.eq_ignore_ascii_case(".gz") => rest,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems_lose_extension_and_gz() {
        let cases = [
            ("a/21_training.tif", "21_training"),
            ("im0001.ah.ppm.gz", "im0001.ah"),
            ("IM0001.PPM.GZ", "IM0001"),
            ("gz", "gz"),
            ("ö.gz", "ö"),
            ("no_extension", "no_extension"),
            ("two.dots.png", "two.dots"),
            // u with combining diaeresis, as a Mac stores it.
            ("Mu\u{308}ller.png", "M\u{fc}ller"),
        ];
        for (path, expected) in cases {
            assert_eq!(stem(Path::new(path)), expected);
        }
    }

    #[cfg(unix)]
    #[test]
    fn bytes_of_other_encodings_stay_apart() {
        use std::os::unix::ffi::OsStrExt;
        let grave = Path::new(OsStr::from_bytes(b"p\xe8_1.png"));
        let acute = Path::new(OsStr::from_bytes(b"p\xe9_1.png"));
        assert_eq!(
            (stem(grave), stem(acute)),
            ("p\\xe8_1".into(), "p\\xe9_1".into())
        );
    }
}
