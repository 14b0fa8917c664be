use std::fmt;
use std::path::{Path, PathBuf};

/// A file or folder that a data set does not take, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Where it lies.
    pub path: PathBuf,
    /// Why it is left out.
    pub reason: LeftOutReason,
    /// Number of files that it stands for: 1 for a file, all that lie below for a folder.
    pub files: usize,
}

/// Why a file or folder is left out of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeftOutReason {
    /// A format of images, or a container of them, that is not read: WebP, DICOM, …
    UnreadFormat(&'static str),
    /// Neither named like an image nor beginning like one.
    NotAnImage,
    /// A folder whose name says that it holds masks, labels or fields of view.
    MaskFolder,
    /// An image of two values, or nearly so, or one that is named as the mask of a photograph beside it.
    Mask,
    /// An image that is no part of the data set by its name, or a map without its photograph.
    NotOfSet,
    /// A folder where only files are looked for.
    Subfolder,
    /// A folder below 32 others.
    TooDeep,
    /// A link to a folder that is searched anyway.
    Repeated,
    /// Litter of operating systems: hidden files and folders, `Thumbs.db`, `desktop.ini`, `@eaDir`, `$RECYCLE.BIN`, … It is counted,
    /// not named.
    System,
}

impl LeftOutReason {
    /// Whether it is a mask, or a folder of masks.
    pub fn is_mask(self) -> bool {
        matches!(self, Self::Mask | Self::MaskFolder)
    }
}

impl fmt::Display for LeftOutReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::UnreadFormat(name) => name,
            Self::NotAnImage => "not an image",
            Self::MaskFolder => "masks, labels or fields of view",
            Self::Mask => "a mask, not a photograph",
            Self::NotOfSet => "not part of the data set by its name",
            Self::Subfolder => "a subfolder",
            Self::TooDeep => "too deep below",
            Self::Repeated => "a link to a folder that is searched anyway",
            Self::System => "file of the system",
        })
    }
}

impl LeftOut {
    /// A single file.
    pub(super) fn file(path: impl Into<PathBuf>, reason: LeftOutReason) -> Self {
        Self {
            path: path.into(),
            reason,
            files: 1,
        }
    }

    /// `; 4 left out: photo3.webp (WebP), …` with at most `named` of them by name; nothing where there is none.
    pub(crate) fn list(left_out: &[Self], named: usize) -> String {
        let told: Vec<&Self> = left_out
            .iter()
            .filter(|left| left.reason != LeftOutReason::System)
            .collect();
        if told.is_empty() {
            return String::new();
        }
        let count: usize = told.iter().map(|left| left.files).sum();
        let names: Vec<String> = told
            .iter()
            .take(named)
            .map(|left| left.to_string())
            .collect();
        let rest: usize = told.iter().skip(named).map(|left| left.files).sum();
        let more = match rest {
            0 => String::new(),
            rest => format!(" and {rest} more"),
        };
        format!("; {count} left out: {}{more}", names.join(", "))
    }
}

impl fmt::Display for LeftOut {
    /// `photo3.webp (WebP)`, `1st_manual/ (20 files: masks, labels or fields of view)`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        let name = Path::new(name).display();
        use LeftOutReason::{MaskFolder, Repeated, Subfolder, TooDeep};
        match (self.reason, self.files) {
            (MaskFolder | Repeated | Subfolder | TooDeep, 1) => {
                write!(formatter, "{name}/ (1 file: {})", self.reason)
            }
            (MaskFolder | Repeated | Subfolder | TooDeep, files) => {
                write!(formatter, "{name}/ ({files} files: {})", self.reason)
            }
            _ => write!(formatter, "{name} ({})", self.reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_counts_all_and_names_some() {
        let webp = LeftOut::file("in/photo3.webp", LeftOutReason::UnreadFormat("WebP"));
        let litter = LeftOut::file("in/Thumbs.db", LeftOutReason::System);
        let masks = LeftOut {
            path: "in/mask".into(),
            reason: LeftOutReason::MaskFolder,
            files: 20,
        };
        assert_eq!(LeftOut::list(std::slice::from_ref(&litter), 4), "");
        let all = [webp, litter, masks];
        assert_eq!(
            LeftOut::list(&all, 4),
            "; 21 left out: photo3.webp (WebP), mask/ (20 files: masks, labels or fields of view)"
        );
        assert_eq!(
            LeftOut::list(&all, 1),
            "; 21 left out: photo3.webp (WebP) and 20 more"
        );
    }
}
