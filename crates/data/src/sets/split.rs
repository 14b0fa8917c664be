use std::fmt;
use std::str::FromStr;

use super::name;
use crate::{Error, Result};

/// Which part of a data set to take. The parts never share an image.
///
/// | data set | `Train` | `Validation` | `Test` |
/// | --- | --- | --- | --- |
/// | DRIVE | 21–36 | 37–40 | 01–20 |
/// | CHASE_DB1 | 01L–03R | 04L, 04R | 05L–14R |
/// | STARE | first 8 of the 20 ids | next 2 | last 10 |
/// | HRF | images 1–4 of each class | image 5 of each class | images 6–15 of each class |
/// | FIVES, Retina Blood Vessel, folder with `train` and `test` | `train` less `Validation` | last fifth of `train` | `test` |
/// | folder without | all less `Validation` | last fifth | none |
/// | unlabelled | all | none | none |
///
/// `All` is everything there is. The last fifth is counted in natural order of the ids, is rounded down, and has at least
/// one image if there are two. To train on `Train` and `Validation` joined, see
/// [`DatasetSpec::open_joined`](crate::DatasetSpec::open_joined).
///
/// ```
/// use venule_data::Split;
/// assert_eq!("validation".parse::<Split>()?, Split::Validation);
/// assert_eq!(Split::Test.to_string(), "test");
/// # Ok::<(), venule_data::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// Images to fit weights on.
    Train,
    /// Images to choose the threshold and the best epoch on.
    Validation,
    /// Images to quote results on.
    Test,
    /// Every image.
    All,
}

const NAMES: [(&str, Split); 4] = [
    ("train", Split::Train),
    ("validation", Split::Validation),
    ("test", Split::Test),
    ("all", Split::All),
];

impl Split {
    /// The name that [`FromStr`] reads.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "validation",
            Split::Test => "test",
            Split::All => "all",
        }
    }

    /// Whether the official training part, held-out images included, has to be opened.
    pub(super) fn touches_train(self) -> bool {
        self != Split::Test
    }

    /// Whether the official test part has to be opened.
    pub(super) fn touches_test(self) -> bool {
        matches!(self, Split::Test | Split::All)
    }
}

impl fmt::Display for Split {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Split {
    type Err = Error;

    /// Reads `train`, `validation`, `test` or `all`, in any case.
    fn from_str(text: &str) -> Result<Self> {
        name::lookup("split", text, &NAMES)
    }
}
