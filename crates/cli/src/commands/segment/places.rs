//! Nothing that is read, and nothing that a human has drawn, is written over.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

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
    inside: OnceLock<Inside>,
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
            inside: OnceLock::new(),
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
                    "{} is read from, and would be overwritten; give another folder with --out",
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

    /// Refuses a table that would be written where a picture is.
    pub fn check_table(&self, table: &Path) -> AnyResult<()> {
        let target = resolved(table);
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let name = name.to_lowercase();
        // Few tables are called so; names of millions of photographs need not be looked at.
        if !name.ends_with(".png") || folder.canonicalize().ok() != self.out.canonicalize().ok() {
            return Ok(());
        }
        let mut pictures = self.items.iter().flat_map(|item| {
            let picture = |&kind| picture_path(self.out, &item.name, kind);
            self.kinds.iter().map(picture)
        });
        let is_it = |picture: PathBuf| {
            let picture = picture.file_name().unwrap_or_default().to_string_lossy();
            picture.to_lowercase() == name
        };
        match pictures.any(is_it) {
            true => Err(format!(
                "{} is where a picture is written, which would take its place; choose another name",
                table.display()
            )
            .into()),
            false => Ok(()),
        }
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

/// Where writing to a path would write, were it only behind links that lead nowhere yet.
fn resolved(path: &Path) -> PathBuf {
    /// Links after which the system gives up, too.
    const MOST: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MOST {
        match path.read_link() {
            Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
            Err(_) => break,
        }
    }
    path
}
