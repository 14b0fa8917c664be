use std::path::Path;

/// Whether a file is litter of an operating system.
pub(super) fn is_litter(path: &Path) -> bool {
    const LITTER: [&str; 4] = ["thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"];
    let name = path.file_name().unwrap_or_default();
    let name = name.to_string_lossy().to_lowercase();
    name.starts_with('.') || name == "__macosx" || LITTER.contains(&&*name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn litter_is_told_by_name() {
        for (path, expected) in [
            ("a/.DS_Store", true),
            ("._21.png", true),
            ("Thumbs.db", true),
            ("Desktop.ini", true),
            ("thumbs.db.png", false),
        ] {
            assert_eq!(is_litter(Path::new(path)), expected, "{path}");
        }
    }
}
