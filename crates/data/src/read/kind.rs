use std::path::Path;

use image::ImageFormat;

/// What a file's first bytes say that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// An image that [`read_image`](crate::read_image) reads; its format, such as `"PNG"`.
    Readable(&'static str),
    /// Something known that is not read.
    Unread {
        /// What it is, such as `"a WebP picture"`.
        what: &'static str,
        /// Its name alone, such as `"WebP"`.
        name: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// None of the kinds known.
    Unknown,
}

const CONVERT: &str = "convert it to PNG";
const WEBP: &str = "convert it to PNG, or build with the feature `webp`";
const DICOM: &str = "convert it to PNG, or build with the feature `dicom`";
const UNPACK: &str = "unpack it, and pass the pictures in it";
const AGAIN: &str = "the download failed, fetch it again";
const DEVELOP: &str = "develop it with a raw converter, and save it as PNG";
const RENDER: &str = "export the picture in it as PNG";
const VOLUME: &str = "save its picture as PNG";
/// The remedy of what never is a picture.
pub(crate) const NOT_PICTURE: &str = "pass a picture (PNG, JPEG, TIFF, GIF, BMP or PNM)";

/// Beginnings: where they lie, their bytes, article and name, and what to do.
const BEGINNINGS: &[(usize, &[u8], &str, &str, &str)] = &[
    // Where the features `dicom` and `webp` read them, these are never asked.
    (128, b"DICM", "a DICOM file", "DICOM", DICOM),
    (8, b"WEBP", "a WebP picture", "WebP", WEBP),
    (
        0,
        b"\0\0\0\x0cjP  \r\n\x87\n",
        "a JPEG 2000 picture",
        "JPEG 2000",
        CONVERT,
    ),
    (
        0,
        b"\xff\x4f\xff\x51",
        "a JPEG 2000 picture",
        "JPEG 2000",
        CONVERT,
    ),
    (0, b"\xff\x0a", "a JPEG XL picture", "JPEG XL", CONVERT),
    (
        0,
        b"\0\0\0\x0cJXL \r\n\x87\n",
        "a JPEG XL picture",
        "JPEG XL",
        CONVERT,
    ),
    (4, b"ftypavif", "an AVIF picture", "AVIF", CONVERT),
    (4, b"ftypavis", "an AVIF picture", "AVIF", CONVERT),
    (4, b"ftyphei", "a HEIC picture", "HEIC", CONVERT),
    (4, b"ftyphev", "a HEIC picture", "HEIC", CONVERT),
    (4, b"ftypmif1", "a HEIF picture", "HEIF", CONVERT),
    (4, b"ftypmsf1", "a HEIF picture", "HEIF", CONVERT),
    (4, b"ftypcrx ", "a Canon raw photograph", "CR3", DEVELOP),
    (4, b"ftyp", "a video", "MP4", "save a frame of it as PNG"),
    (0, b"8BPS", "a Photoshop file", "PSD", RENDER),
    (0, b"gimp xcf", "a GIMP file", "XCF", RENDER),
    (0, b"%PDF", "a PDF document", "PDF", RENDER),
    (0, b"%!PS", "a PostScript document", "PostScript", RENDER),
    (
        0,
        b"\x76\x2f\x31\x01",
        "an OpenEXR picture",
        "OpenEXR",
        CONVERT,
    ),
    (0, b"#?RADIANCE", "a Radiance HDR picture", "HDR", CONVERT),
    (0, b"farbfeld", "a farbfeld picture", "farbfeld", CONVERT),
    (0, b"qoif", "a QOI picture", "QOI", CONVERT),
    (0, b"DDS ", "a DDS texture", "DDS", CONVERT),
    (0, b"\0\0\x01\0", "a Windows icon", "ICO", CONVERT),
    (0, b"II\xbc\x01", "a JPEG XR picture", "JPEG XR", CONVERT),
    (0, b"SIMPLE  =", "a FITS file", "FITS", CONVERT),
    (0, b"AT&TFORM", "a DjVu document", "DjVu", RENDER),
    (
        0,
        b"FUJIFILMCCD-RAW",
        "a Fujifilm raw photograph",
        "RAF",
        DEVELOP,
    ),
    (0, b"IIRO", "an Olympus raw photograph", "ORF", DEVELOP),
    (0, b"IIRS", "an Olympus raw photograph", "ORF", DEVELOP),
    (0, b"IIU\0", "a Panasonic raw photograph", "RW2", DEVELOP),
    (8, b"CR\x02\0", "a Canon raw photograph", "CR2", DEVELOP),
    (0, b"FOVb", "a Sigma raw photograph", "X3F", DEVELOP),
    (0, b"\x93NUMPY", "a NumPy array", "NumPy .npy", VOLUME),
    (0, b"MATLAB 5.0 MAT", "a MATLAB file", "MATLAB .mat", VOLUME),
    (
        0,
        b"\x89HDF\r\n\x1a\n",
        "an HDF5 or MATLAB 7.3 file",
        "HDF5",
        VOLUME,
    ),
    (344, b"n+1\0", "a NIfTI volume", "NIfTI", VOLUME),
    (344, b"ni1\0", "a NIfTI volume", "NIfTI", VOLUME),
    (0, b"NRRD", "an NRRD volume", "NRRD", VOLUME),
    (0, b"ObjectType", "a MetaImage volume", "MetaImage", VOLUME),
    (
        0,
        b"version https://git-lfs.github.com/spec/",
        "a Git LFS pointer",
        "Git LFS pointer",
        "run `git lfs pull`",
    ),
    (0, b"PK\x03\x04", "a ZIP archive", "ZIP", UNPACK),
    (0, b"PK\x05\x06", "an empty ZIP archive", "ZIP", UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "7-Zip", UNPACK),
    (0, b"Rar!\x1a\x07", "a RAR archive", "RAR", UNPACK),
    (257, b"ustar", "a tar archive", "tar", UNPACK),
    (0, b"BZh", "a bzip2 file", "bzip2", UNPACK),
    (0, b"\xfd7zXZ\0", "an xz file", "xz", UNPACK),
    (
        0,
        b"\x28\xb5\x2f\xfd",
        "a Zstandard file",
        "Zstandard",
        UNPACK,
    ),
    (0, b"\x04\x22\x4d\x18", "an LZ4 file", "LZ4", UNPACK),
    (
        0,
        b"\x1f\x8b",
        "a gzip file in a gzip file",
        "gzip",
        "unpack it once",
    ),
    (
        0,
        b"\x89PNG\n\x1a\n",
        "a PNG whose line ends were converted",
        "damaged PNG",
        "copy it again in binary mode",
    ),
    (
        0,
        b"\xef\xbf\xbdPNG",
        "a PNG that was saved as text",
        "damaged PNG",
        "copy it again in binary mode",
    ),
    (
        0,
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an Office document",
        "Office document",
        RENDER,
    ),
    (
        0,
        b"SQLite format 3\0",
        "an SQLite database",
        "SQLite",
        NOT_PICTURE,
    ),
    (0, b"\x7fELF", "a program", "ELF", NOT_PICTURE),
    (0, b"MZ", "a Windows program", "EXE", NOT_PICTURE),
    (
        4,
        b"moov",
        "a video",
        "QuickTime",
        "save a frame of it as PNG",
    ),
    (8, b"AVI ", "a video", "AVI", "save a frame of it as PNG"),
    (
        0,
        b"\x1a\x45\xdf\xa3",
        "a video",
        "Matroska",
        "save a frame of it as PNG",
    ),
    (0, b"Bitmap\0\0\0", "a Heidelberg OCT file", "OCT", VOLUME),
];

/// Beginnings of text, in lower case, after blanks and a byte order mark.
const TEXTS: &[(&str, &str, &str, &str)] = &[
    ("<!doctype html", "an HTML page", "HTML", AGAIN),
    ("<html", "an HTML page", "HTML", AGAIN),
    ("<head", "an HTML page", "HTML", AGAIN),
    ("<body", "an HTML page", "HTML", AGAIN),
    ("<svg", "an SVG drawing", "SVG", RENDER),
    ("<error", "an error message in XML", "XML", AGAIN),
    ("{\"", "a JSON text", "JSON", AGAIN),
    ("{\\rtf", "an RTF document", "RTF", RENDER),
    (
        "data:image/",
        "a data URL",
        "data URL",
        "decode its base64 text to a file",
    ),
];

/// The readable format that bytes begin like, with its name.
pub(super) fn format_of(bytes: &[u8]) -> Option<(ImageFormat, &'static str)> {
    if is_big_tiff(bytes) {
        return Some((ImageFormat::Tiff, "TIFF"));
    }
    // A Canon raw photograph begins as a TIFF, and its first picture is a thumbnail.
    if bytes.get(8..12) == Some(b"CR\x02\0") {
        return None;
    }
    let format = image::guess_format(bytes).ok()?;
    let name = match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Gif => "GIF",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Pnm => "PNM",
        #[cfg(feature = "webp")]
        ImageFormat::WebP => "WebP",
        _ => return None,
    };
    Some((format, name))
}

/// Whether bytes are those of a DICOM file with its preamble.
#[cfg(feature = "dicom")]
pub(super) fn is_dicom(bytes: &[u8]) -> bool {
    bytes.get(128..132) == Some(b"DICM")
}

/// Whether bytes begin as a TIFF of 64-bit offsets.
pub(super) fn is_big_tiff(bytes: &[u8]) -> bool {
    bytes.starts_with(b"II\x2b\0\x08\0\0\0") || bytes.starts_with(b"MM\0\x2b\0\x08\0\0")
}

/// What bytes begin like.
pub(super) fn kind_of(bytes: &[u8]) -> FileKind {
    #[cfg(feature = "dicom")]
    if is_dicom(bytes) {
        return FileKind::Readable("DICOM");
    }
    if let Some((_, name)) = format_of(bytes) {
        return FileKind::Readable(name);
    }
    let unread = |what, name, remedy| FileKind::Unread { what, name, remedy };
    for &(at, beginning, what, name, remedy) in BEGINNINGS {
        if bytes
            .get(at..)
            .is_some_and(|rest| rest.starts_with(beginning))
        {
            return unread(what, name, remedy);
        }
    }
    if bytes.is_empty() {
        return unread("an empty file", "empty", "fetch or save it again");
    }
    let start = &bytes[..bytes.len().min(512)];
    if start.iter().all(|&byte| byte == 0) {
        return unread(
            "a file of nothing but zeros",
            "zeros",
            "the copy or download failed, fetch it again",
        );
    }
    let text = String::from_utf8_lossy(start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start));
    let text = text.trim_start().to_ascii_lowercase();
    for &(beginning, what, name, remedy) in TEXTS {
        if text.starts_with(beginning) {
            return unread(what, name, remedy);
        }
    }
    if text.starts_with("<?xml") {
        return match text {
            _ if text.contains("<svg") => unread("an SVG drawing", "SVG", RENDER),
            _ if text.contains("<html") || text.contains("<error") => {
                unread("an error message in XML", "XML", AGAIN)
            }
            _ => unread("an XML text", "XML", NOT_PICTURE),
        };
    }
    let printable = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~');
    match start.iter().all(printable) {
        true => unread("a text", "text", NOT_PICTURE),
        false => FileKind::Unknown,
    }
}

/// What contradicts the extension of a file's name: `" (though its name ends in .jpg)"`, or nothing.
pub(super) fn lie(path: &Path, name: &str) -> String {
    const PICTURES: [&str; 9] = [
        "png", "jpg", "jpeg", "tif", "tiff", "gif", "bmp", "ppm", "pgm",
    ];
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    match extension {
        Some(extension) if PICTURES.contains(&extension.as_str()) && name != "empty" => {
            format!(" (though its name ends in .{extension})")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(bytes: &[u8]) -> &'static str {
        match kind_of(bytes) {
            FileKind::Readable(name) | FileKind::Unread { name, .. } => name,
            FileKind::Unknown => "unknown",
        }
    }

    #[test]
    fn every_beginning_of_the_table_is_told() {
        for &(at, beginning, what, name, remedy) in BEGINNINGS {
            if cfg!(feature = "dicom") && name == "DICOM" {
                continue;
            }
            // Bytes that are no text before it, as most headers have.
            let mut bytes = vec![1; at];
            bytes.extend(beginning);
            let FileKind::Unread {
                what: found,
                remedy: said,
                ..
            } = kind_of(&bytes)
            else {
                panic!("{what} is not told");
            };
            // One beginning may lie within a wider one.
            assert!(
                found == what || beginning.starts_with(b"ftyp"),
                "{found} for {what}"
            );
            assert!(said == remedy || beginning.starts_with(b"ftyp"));
        }
        for &(beginning, _, expected, _) in TEXTS {
            assert_eq!(name(beginning.to_uppercase().as_bytes()), expected);
            assert_eq!(name(format!("\u{feff} \n{beginning}").as_bytes()), expected);
        }
    }

    #[test]
    fn others() {
        assert_eq!(name(b"II\x2b\0\x08\0\0\0"), "TIFF");
        assert_eq!(name(b"MM\0\x2b\0\x08\0\0"), "TIFF");
        assert_eq!(name(b"II*\0\x10\0\0\0CR\x02\0"), "CR2");
        assert_eq!(name(b""), "empty");
        assert_eq!(name(&[0; 600]), "zeros");
        assert_eq!(name(b"<?xml version='1.0'?><svg/>"), "SVG");
        assert_eq!(
            name(b"<?xml version='1.0'?><Error><Code>AccessDenied"),
            "XML"
        );
        assert_eq!(name(b"just text\n"), "text");
        assert_eq!(name(&[7, 200, 3]), "unknown");
    }

    #[test]
    fn a_name_that_lies_is_named() {
        let said = |path: &str| lie(Path::new(path), "WebP");
        assert_eq!(said("a.JPG"), " (though its name ends in .jpg)");
        assert_eq!(said("a.webp"), "");
        assert_eq!(lie(Path::new("a.png"), "empty"), "");
    }
}
