use std::fmt;
use std::path::Path;

use crate::{FolderSet, Result, Split};

/// How a data set lies in its folder: its name on command lines and in run files, and where its files are.
///
/// The built-in layouts are one file each in `sets/` and one row each of the table in `sets/table.rs`. An application adds its own
/// with [`register`](Self::register), after which `NAME=PATH` and run files know it.
///
/// ```
/// use venule_data::{Dataset, DatasetSpec, Error, FolderSet, Layout, SampleFiles, Split};
///
/// /// Photographs `a.png` and `b.png`, the second for test.
/// fn files(root: &std::path::Path, split: Split) -> Result<FolderSet, Error> {
///     let file = |id: &str| SampleFiles::unlabelled(id, root.join(format!("{id}.png")));
///     let all = FolderSet::from_files(vec![file("a"), file("b")]);
///     let (train, test) = all.clone().split_last(1);
///     match split {
///         Split::Train => Ok(train),
///         Split::Test => Ok(test),
///         split => all.fold(split),
///     }
/// }
///
/// Layout::register(Layout::new("clinic", files).with_splits("a / none / b"))?;
/// let spec: DatasetSpec = "clinic=data/clinic".parse()?;
/// assert_eq!(spec.open(Split::Test)?.id(0), "b");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Layout {
    /// The name: lower-case letters, digits and `_`.
    pub name: &'static str,
    /// Which images are for training, validation and test, with `/` between.
    pub splits: &'static str,
    /// Whom to cite, and the makers' terms of use.
    pub source: &'static str,
    /// Finds the files of a split in the set's folder.
    pub files: fn(&Path, Split) -> Result<FolderSet>,
}

impl Layout {
    /// A layout of this name whose files are found by `files`.
    pub const fn new(name: &'static str, files: fn(&Path, Split) -> Result<FolderSet>) -> Self {
        Self {
            name,
            splits: "",
            source: "",
            files,
        }
    }

    /// Says which images are for training, validation and test.
    #[must_use]
    pub const fn with_splits(mut self, splits: &'static str) -> Self {
        self.splits = splits;
        self
    }

    /// Says whom to cite, and the terms of use.
    #[must_use]
    pub const fn with_source(mut self, source: &'static str) -> Self {
        self.source = source;
        self
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

impl fmt::Debug for Layout {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Layout({})", self.name)
    }
}

/// Two layouts are one if their names are: no two have the same.
impl PartialEq for Layout {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Layout {}
