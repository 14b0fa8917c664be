use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::listing::{folder, images_below, natural_order, without_gz};
use crate::{FolderSet, Result, SampleFiles};

impl FolderSet {
    /// All photographs in a folder and in the folders below it, of any mixture of formats.
    ///
    /// Ids are the paths below `root` without extension, with `/` between folders; where two files differ in extension
    /// alone, or a file would be called as another with its extension, they keep it. Files that neither are named like an
    /// image nor begin like one are left out. A damaged file is an error when it is loaded;
    /// [`without_unreadable`](FolderSet::without_unreadable) finds and leaves out such files.
    ///
    /// ```
    /// use venule_data::{Dataset, FolderSet};
    /// let root = std::env::temp_dir().join("venule_doc_unlabelled");
    /// std::fs::create_dir_all(root.join("clinic"))?;
    /// image::RgbImage::new(4, 4).save(root.join("clinic/7.png"))?;
    /// std::fs::write(root.join("notes.txt"), "not an image")?;
    /// let photographs = FolderSet::unlabelled(&root)?;
    /// assert_eq!((photographs.len(), photographs.id(0)), (1, "clinic/7"));
    /// # std::fs::remove_dir_all(&root)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::MissingFolder`](crate::Error::MissingFolder), [`Error::NoImages`](crate::Error::NoImages), and
    /// [`Error::Io`](crate::Error::Io) for a folder that cannot be listed.
    pub fn unlabelled(root: impl AsRef<Path>) -> Result<Self> {
        let root = folder(
            root.as_ref().to_owned(),
            "a folder of photographs was expected",
        )?;
        let mut by_stem: BTreeMap<String, Vec<SampleFiles>> = BTreeMap::new();
        for path in images_below(&root)? {
            let below = path.strip_prefix(&root).unwrap_or(&path);
            let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
            let id = parts.join("/");
            let plain = without_gz(&id);
            let stem = match plain.rsplit_once('.') {
                Some((stem, extension)) if !extension.contains('/') && !stem.is_empty() => stem,
                _ => plain,
            };
            let files = SampleFiles::unlabelled(id.clone(), &path);
            by_stem.entry(stem.to_owned()).or_default().push(files);
        }
        let whole: BTreeSet<String> = by_stem.values().flatten().map(|f| f.id.clone()).collect();
        let mut samples = Vec::new();
        for (stem, mut alike) in by_stem {
            // `a.png.jpg` beside `a.png` keeps its extension too.
            if let [only] = alike.as_mut_slice()
                && (only.id == stem || !whole.contains(&stem))
            {
                only.id = stem;
            }
            samples.extend(alike);
        }
        samples.sort_by(|a, b| natural_order(&a.id, &b.id));
        Ok(Self::from_files(samples))
    }
}
