//! Nothing that is read, and nothing that a human has drawn, is written over.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::list::Item;
use crate::output::{AnyResult, check_name};
use crate::support::{PictureKind, picture_path};

/// What lies in the folder of the results before any is written.
pub struct Places<'a> {
    out: &'a Path,
    kinds: &'a [PictureKind],
    items: &'a [Item],
    others: Vec<&'a Path>,
    /// Found out when a result's place is taken, and for all of them at once.
    inside: OnceCell<Inside>,
}

struct Inside {
    /// Whether photographs lie in the folder of the results, and pictures there may be theirs.
    photographs: bool,
    /// What is read from there.
    read: BTreeSet<PathBuf>,
}

impl<'a> Places<'a> {
    /// `others` are read beside the photographs.
    pub fn new(
        out: &'a Path,
        kinds: &'a [PictureKind],
        items: &'a [Item],
        others: impl IntoIterator<Item = &'a Path>,
    ) -> Self {
        Self {
            out,
            kinds,
            items,
            others: others.into_iter().collect(),
            inside: OnceCell::new(),
        }
    }

    /// Refuses results that would be written over what is read, over a picture beside a photograph, which may be a label that a human
    /// has drawn, or under a name that no file may have.
    pub fn check(&self, name: &str) -> AnyResult<()> {
        for &kind in self.kinds {
            let path = picture_path(self.out, name, kind);
            check_name(&path)?;
            if !path.exists() {
                continue;
            }
            let inside = self.inside.get_or_init(|| self.look());
            if path
                .canonicalize()
                .is_ok_and(|place| inside.read.contains(&place))
            {
                return Err(format!(
                    "{} is read from, and would be overwritten; give another place with --out",
                    path.display()
                )
                .into());
            }
            if inside.photographs {
                return Err(format!(
                    "{} stands beside the photograph already and would be overwritten; give another folder with --out, or remove it",
                    path.display()
                )
                .into());
            }
        }
        Ok(())
    }

    fn look(&self) -> Inside {
        let out = self.out.canonicalize().ok();
        // Millions of photographs lie in few folders.
        let mut folders: HashMap<&Path, Option<PathBuf>> = HashMap::new();
        let mut inside = Inside {
            photographs: false,
            read: BTreeSet::new(),
        };
        for item in self.items {
            let folder = match item.path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder,
                _ => Path::new("."),
            };
            let folder = folders
                .entry(folder)
                .or_insert_with(|| folder.canonicalize().ok());
            let here = folder.is_some() && *folder == out;
            inside.photographs |= here;
            if here || item.path.is_symlink() {
                inside.read.extend(item.path.canonicalize());
            }
        }
        let others = self.others.iter();
        inside
            .read
            .extend(others.flat_map(|path| path.canonicalize()));
        inside
    }
}
