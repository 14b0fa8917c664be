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
/// `All` is everything there is. `Fold(k)` is the k-th image of it alone, counted from 1 in natural order of the ids (`train` before `test` where
/// a set has these folders, whose names then stand before the ids), and
/// `WithoutFold(k)` is all the others: leave-one-out, as usual on STARE. The last fifth is counted in natural order of the ids, is rounded down, and has at least
/// one image if there are two. To train on `Train` and `Validation` joined, see
/// [`FolderSet::join`](crate::FolderSet::join).
///
/// ```
/// use venule_data::Split;
/// assert_eq!("validation".parse::<Split>()?, Split::Validation);
/// assert_eq!(Split::Test.to_string(), "test");
/// assert_eq!("fold:3".parse::<Split>()?, Split::Fold(3));
/// assert_eq!(Split::WithoutFold(3).to_string(), "without_fold:3");
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
    /// One image, counted from 1: what a fold of leave-one-out tests on.
    Fold(usize),
    /// Every image but that one: what the fold trains on.
    WithoutFold(usize),
}

const NAMES: [(&str, Split); 6] = [
    ("train", Split::Train),
    ("validation", Split::Validation),
    ("test", Split::Test),
    ("all", Split::All),
    // The number is that of the text.
    ("fold:k", Split::Fold(0)),
    ("without_fold:k", Split::WithoutFold(0)),
];

impl Split {
    /// The name that [`FromStr`] reads, of a fold without its number.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "validation",
            Split::Test => "test",
            Split::All => "all",
            Split::Fold(_) => "fold",
            Split::WithoutFold(_) => "without_fold",
        }
    }

    /// Whether two splits of one data set may have an image in common. A fold is taken to have one in common with every
    /// split but another fold and the rest of its own.
    ///
    /// ```
    /// use venule_data::Split;
    /// assert!(!Split::Fold(3).overlaps(Split::WithoutFold(3)));
    /// assert!(Split::Fold(3).overlaps(Split::WithoutFold(4)));
    /// assert!(Split::All.overlaps(Split::Test) && !Split::Train.overlaps(Split::Test));
    /// ```
    pub fn overlaps(self, other: Self) -> bool {
        use Split::{All, Fold, Test, Train, Validation, WithoutFold};
        match (self, other) {
            (Train | Validation | Test, Train | Validation | Test) => self == other,
            (Fold(one), Fold(another)) => one == another,
            (Fold(one), WithoutFold(another)) | (WithoutFold(another), Fold(one)) => one != another,
            (All | Fold(_) | WithoutFold(_), _) | (_, All | Fold(_) | WithoutFold(_)) => true,
        }
    }

    /// Whether every image has to be opened.
    pub(super) fn takes_all(self) -> bool {
        matches!(self, Split::All | Split::Fold(_) | Split::WithoutFold(_))
    }

    /// Whether the official training part, held-out images included, has to be opened.
    pub(super) fn touches_train(self) -> bool {
        self != Split::Test
    }

    /// Whether the official test part has to be opened.
    pub(super) fn touches_test(self) -> bool {
        self == Split::Test || self.takes_all()
    }
}

impl fmt::Display for Split {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())?;
        match self {
            Split::Fold(fold) | Split::WithoutFold(fold) => write!(formatter, ":{fold}"),
            Split::Train | Split::Validation | Split::Test | Split::All => Ok(()),
        }
    }
}

impl FromStr for Split {
    type Err = Error;

    /// Reads `train`, `validation`, `test` or `all`, in any case, or `fold:K` or `without_fold:K` with a number from 1.
    fn from_str(text: &str) -> Result<Self> {
        let (name, number) = match text.split_once(':') {
            Some((name, number)) => (format!("{name}:k"), number.trim().parse().ok()),
            None => (text.to_owned(), None),
        };
        let split = name::lookup("split", &name, &NAMES).map_err(|error| match error {
            Error::UnknownName {
                what,
                expected,
                suggestion,
                ..
            } => Error::UnknownName {
                what,
                found: text.to_owned(),
                expected,
                suggestion,
            },
            other => other,
        })?;
        match (split, number) {
            (Split::Fold(_), Some(fold @ 1..)) => Ok(Split::Fold(fold)),
            (Split::WithoutFold(_), Some(fold @ 1..)) => Ok(Split::WithoutFold(fold)),
            (Split::Fold(_) | Split::WithoutFold(_), _) => Err(Error::NoFold {
                fold: text.to_owned(),
                images: None,
            }),
            (split, _) => Ok(split),
        }
    }
}
