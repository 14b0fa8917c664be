use std::sync::Arc;

use crate::{Error, Result, Sample};

/// An ordered, indexable collection of samples; pixels are read on [`load`](Dataset::load), not before.
///
/// Implementations are shared between loader threads, so `load` takes `&self`.
///
/// ```
/// use venule_data::{Dataset, Error, Result, Sample};
/// struct Black(Vec<String>);
/// impl Dataset for Black {
///     fn len(&self) -> usize {
///         self.0.len()
///     }
///     fn id(&self, index: usize) -> &str {
///         self.0.get(index).map_or("", |id| id)
///     }
///     fn load(&self, index: usize) -> Result<Sample> {
///         let id = self.0.get(index).ok_or(Error::IndexOutOfRange { index, len: self.len() })?;
///         Ok(Sample::unlabelled(id, image::RgbImage::new(8, 8)))
///     }
/// }
/// let set = Black(vec!["a".into(), "b".into()]);
/// assert_eq!((set.len(), set.id(1)), (2, "b"));
/// assert!(set.load(2).is_err());
/// # Ok::<(), Error>(())
/// ```
pub trait Dataset: Send + Sync {
    /// Number of samples.
    fn len(&self) -> usize;

    /// The name of sample `index`; empty if there is no such sample.
    fn id(&self, index: usize) -> &str;

    /// Reads sample `index`.
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`] if there is no such sample; otherwise whatever reading its files gives.
    fn load(&self, index: usize) -> Result<Sample>;

    /// Whether there is no sample at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

macro_rules! forward_dataset {
    ($($pointer:ty),*) => {$(
        impl<D: Dataset + ?Sized> Dataset for $pointer {
            fn len(&self) -> usize {
                (**self).len()
            }
            fn id(&self, index: usize) -> &str {
                (**self).id(index)
            }
            fn load(&self, index: usize) -> Result<Sample> {
                (**self).load(index)
            }
        }
    )*};
}
forward_dataset!(&D, Box<D>, Arc<D>);

/// Several data sets one after the other, seen as one.
///
/// ```
/// use venule_data::{Concat, Dataset, InMemory, Sample};
/// let one = |id: &str| InMemory::new(vec![Sample::unlabelled(id, image::RgbImage::new(2, 2))]);
/// let both = Concat::new(vec![Box::new(one("a")), Box::new(one("b"))]);
/// assert_eq!((both.len(), both.id(0), both.id(1)), (2, "a", "b"));
/// ```
pub struct Concat {
    parts: Vec<Box<dyn Dataset>>,
}

impl Concat {
    /// Joins `parts` in their order.
    pub fn new(parts: Vec<Box<dyn Dataset>>) -> Self {
        Self { parts }
    }

    /// The part that holds sample `index`, and its index there.
    fn locate(&self, index: usize) -> Option<(&dyn Dataset, usize)> {
        let mut rest = index;
        for part in &self.parts {
            if rest < part.len() {
                return Some((part.as_ref(), rest));
            }
            rest -= part.len();
        }
        None
    }
}

impl Dataset for Concat {
    fn len(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }

    fn id(&self, index: usize) -> &str {
        self.locate(index).map_or("", |(part, at)| part.id(at))
    }

    fn load(&self, index: usize) -> Result<Sample> {
        match self.locate(index) {
            Some((part, at)) => part.load(at),
            None => Err(Error::IndexOutOfRange {
                index,
                len: self.len(),
            }),
        }
    }
}

/// Samples held in memory: for tests, for small sets read once, for images made by the caller.
#[derive(Clone, Debug)]
pub struct InMemory {
    samples: Vec<Sample>,
}

impl InMemory {
    /// Wraps samples the caller has.
    pub fn new(samples: Vec<Sample>) -> Self {
        Self { samples }
    }

    /// Reads a whole data set once.
    ///
    /// # Errors
    /// The first error of [`Dataset::load`].
    pub fn read(set: &dyn Dataset) -> Result<Self> {
        let samples = (0..set.len()).map(|index| set.load(index));
        Ok(Self::new(samples.collect::<Result<_>>()?))
    }

    /// The samples.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }
}

impl Dataset for InMemory {
    fn len(&self) -> usize {
        self.samples.len()
    }

    fn id(&self, index: usize) -> &str {
        self.samples.get(index).map_or("", |sample| &sample.id)
    }

    fn load(&self, index: usize) -> Result<Sample> {
        self.samples
            .get(index)
            .cloned()
            .ok_or(Error::IndexOutOfRange {
                index,
                len: self.len(),
            })
    }
}
