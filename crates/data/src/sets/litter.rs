use std::path::Path;

/// Names of files, and of folders with all that lies in them: of Windows, macOS, Linux, and of network drives by Synology and QNAP.
/// Hidden ones (`.git`, `.Trash-1000`, `.ipynb_checkpoints`) are litter anyway.
const LITTER: [&str; 19] = [
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "icon\r",
    "$recycle.bin",
    "recycler",
    "system volume information",
    "found.000",
    "__macosx",
    "temporary items",
    "network trash folder",
    "lost+found",
    "@eadir",
    "@tmp",
    "#recycle",
    "#snapshot",
    "@recycle",
    "@recently-snapshot",
    "__pycache__",
];

/// How small copies begin that Synology's drives keep of every photograph, also where they were copied out of their folder.
const SMALL_COPY: &str = "synophoto_thumb";

/// Whether a file or folder is litter of an operating system.
pub(super) fn is_litter(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    let name = name.to_string_lossy().to_lowercase();
    name.starts_with('.') || name.starts_with(SMALL_COPY) || LITTER.contains(&&*name)
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
            ("a/@eaDir", true),
            ("a/#recycle", true),
            ("a/@Recycle", true),
            ("a/$RECYCLE.BIN", true),
            ("a/System Volume Information", true),
            ("a/.Trash-1000", true),
            ("a/lost+found", true),
            ("a/__MACOSX", true),
            ("a/.ipynb_checkpoints", true),
            ("a/.git", true),
            ("SYNOPHOTO_THUMB_XL.png", true),
            // What lies in such a folder that the user asks for is no litter by itself.
            ("lost+found/1.png", false),
            ("recycled.png", false),
        ] {
            assert_eq!(is_litter(Path::new(path)), expected, "{path}");
        }
    }
}
