//! What is recognised in a folder of images, though it is not read.

use std::path::Path;

/// Extensions of formats of images, and of what holds images, that are not read.
const UNREAD: [(&str, &str); 45] = [
    ("webp", "WebP"),
    ("jp2", "JPEG 2000"),
    ("j2k", "JPEG 2000"),
    ("j2c", "JPEG 2000"),
    ("jpf", "JPEG 2000"),
    ("jpx", "JPEG 2000"),
    ("jpc", "JPEG 2000"),
    ("jxl", "JPEG XL"),
    ("jxr", "JPEG XR"),
    ("dcm", "DICOM"),
    ("dicom", "DICOM"),
    ("heic", "HEIC"),
    ("heif", "HEIF"),
    ("avif", "AVIF"),
    ("dng", "raw data of a camera"),
    ("cr2", "raw data of a camera"),
    ("cr3", "raw data of a camera"),
    ("nef", "raw data of a camera"),
    ("arw", "raw data of a camera"),
    ("orf", "raw data of a camera"),
    ("raw", "raw data of a camera"),
    ("svg", "SVG"),
    ("psd", "Photoshop"),
    ("xcf", "GIMP"),
    ("exr", "OpenEXR"),
    ("hdr", "Radiance HDR"),
    ("tga", "TGA"),
    ("ico", "icon"),
    ("pfm", "PFM"),
    ("pam", "PAM"),
    ("fda", "Topcon FDA"),
    ("e2e", "Heidelberg E2E"),
    ("nii", "NIfTI"),
    ("mha", "MetaImage"),
    ("nrrd", "NRRD"),
    ("npy", "NumPy array"),
    ("npz", "NumPy arrays"),
    ("mat", "MATLAB data"),
    ("h5", "HDF5"),
    ("hdf5", "HDF5"),
    ("pdf", "PDF"),
    ("zip", "ZIP archive"),
    ("rar", "RAR archive"),
    ("7z", "7-Zip archive"),
    ("tar", "tar archive"),
];

/// The name of the format that a file's extension stands for, if it is known and not read; `.gz` does not count.
pub(super) fn unread(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let (_, extension) = name.rsplit_once('.')?;
    let (_, format) = UNREAD.iter().find(|(known, _)| *known == extension)?;
    Some(format)
}

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
    fn formats_and_litter_are_told_by_name() {
        let cases = [
            ("a/photo3.WebP", Some("WebP")),
            ("photo.dcm", Some("DICOM")),
            ("scan.nii.gz", Some("NIfTI")),
            ("webp", None),
            ("photo.jpg", None),
        ];
        for (path, expected) in cases {
            assert_eq!(unread(Path::new(path)), expected, "{path}");
        }
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
