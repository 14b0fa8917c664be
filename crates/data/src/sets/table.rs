use std::str::FromStr;
use std::sync::{PoisonError, RwLock};

use super::{chase_db1, drive, fives, folder, hrf, name, retina_blood_vessel, stare, unlabelled};
use crate::{Error, Layout, Result};

/// The layouts that come with the crate: a row each.
const BUILT_IN: [Layout; 8] = [
    drive::LAYOUT,
    chase_db1::LAYOUT,
    stare::LAYOUT,
    hrf::LAYOUT,
    fives::LAYOUT,
    retina_blood_vessel::LAYOUT,
    folder::LAYOUT,
    unlabelled::LAYOUT,
];

/// Those that applications have added.
static ADDED: RwLock<Vec<Layout>> = RwLock::new(Vec::new());

impl Layout {
    /// All layouts: the built-in ones in the order of their documentation, then those added, in the order of their coming.
    pub fn all() -> Vec<Self> {
        let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
        BUILT_IN.iter().chain(added.iter()).copied().collect()
    }

    /// Adds a layout of the application's own, for the rest of the process.
    ///
    /// # Errors
    /// [`Error::UnusableLayout`] if there is one of that name, or the name holds other than lower-case letters, digits and `_`.
    pub fn register(layout: Self) -> Result<()> {
        let unusable = |reason| Error::UnusableLayout {
            name: layout.name,
            reason,
        };
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if layout.name.is_empty() || !layout.name.chars().all(fits) {
            return Err(unusable("a name holds lower-case letters, digits and '_'"));
        }
        let mut added = ADDED.write().unwrap_or_else(PoisonError::into_inner);
        if BUILT_IN.contains(&layout) || added.contains(&layout) {
            return Err(unusable("there is one of that name; take another"));
        }
        added.push(layout);
        Ok(())
    }
}

/// The names with their layouts.
pub(super) fn named() -> Vec<(&'static str, Layout)> {
    let all = Layout::all().into_iter();
    all.map(|layout| (layout.name, layout)).collect()
}

impl FromStr for Layout {
    type Err = Error;

    /// Reads a name; case, `-` and blanks in place of `_` do not matter.
    fn from_str(text: &str) -> Result<Self> {
        name::lookup("data set", text, &named())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FolderSet;

    #[test]
    fn names_that_are_taken_or_cannot_be_typed_are_refused() {
        let layout = |name| Layout::new(name, |root, _| FolderSet::unlabelled(root));
        for name in ["drive", "", "My Set", "my-set"] {
            let error = Layout::register(layout(name)).unwrap_err();
            assert!(matches!(error, Error::UnusableLayout { .. }), "{error}");
        }
        Layout::register(layout("a_set_of_one_s_own")).unwrap();
        assert!(Layout::register(layout("a_set_of_one_s_own")).is_err());
        let found: Layout = "A set-of one_s own".parse().unwrap();
        assert_eq!(found.name, "a_set_of_one_s_own");
    }

    #[test]
    fn every_layout_says_its_splits() {
        for layout in BUILT_IN {
            assert_eq!(layout.splits.split(" / ").count(), 3, "{layout}");
            assert_eq!(layout.name.parse::<Layout>().unwrap(), layout);
        }
    }
}
